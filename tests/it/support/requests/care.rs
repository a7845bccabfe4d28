//! Requests about clinics, care links, and who has looked at Ann's data.

use afterglow::care::model::Capabilities;
use afterglow::kernel::Text;
use afterglow::onboarding::operator::create_clinic;
use serde_json::json;

use super::{Ask, Asker};
use crate::support::app::{id_of, new_id};
use crate::support::world::{away, emergency};

/// The address of the transfer of Ann's link to `granted`, which they have offered.
async fn offered(asker: &Asker<'_>) -> String {
    let world = asker.world;
    let path = format!("/v1/care-links/{}/transfer", world.link);
    let to = json!({ "therapist_id": world.person("unlinked").account });
    world.person("granted").put(&path, to).send().await.ok();
    path
}

/// The request for `operation`, if it is one of these.
pub async fn ask(asker: &Asker<'_>, operation: &str) -> Option<Ask> {
    let world = asker.world;
    let (ann, granted, who, n) = (world.ann(), world.person("granted"), asker.who, asker.n);
    let ask = match operation {
        "list_my_patients" => Ask::get("/v1/me/patients?limit=200"),
        "list_invitations" => Ask::get("/v1/invitations?limit=200"),
        "create_invitation" => {
            Ask::post("/v1/invitations").with(json!({ "kind": "patient", "name": format!("Somebody {n}") }))
        }
        "revoke_invitation" => {
            let body = json!({ "kind": "patient" });
            let id = granted.post("/v1/invitations", body).send().await.created().id();
            Ask::delete(format!("/v1/invitations/{id}"))
        }
        "accept_invitation" => {
            let spare = world.app.staff(world.person("admin"), &format!("Spare {n}"), &["care"]).await;
            Ask::post("/v1/invitations/accept").with(json!({ "code": spare.code_for_patient().await }))
        }
        "list_care_links" => Ask::get("/v1/care-links?limit=200"),
        "confirm_care_link" => {
            // Somebody new, whom `granted` has not confirmed yet.
            let code = granted.code_for_patient().await;
            let dana = world.app.register(&format!("Dana {n}"), &code).await;
            let id = id_of(&dana.care_links().await[0]);
            Ask::post(format!("/v1/care-links/{id}/confirm"))
        }
        "end_care_link" => Ask::delete(format!("/v1/care-links/{}", ann.linked_to(granted).await)),
        "list_members" => Ask::get(format!("/v1/clinics/{}/members?limit=200", world.clinic)),
        "get_clinic" => Ask::get(format!("/v1/clinics/{}", world.clinic)),
        "get_delivery_health" => Ask::get(format!("/v1/clinics/{}/delivery-health", world.clinic)),
        "require_second_factor" => {
            Ask::post(format!("/v1/clinics/{}/second-factor", world.clinic)).with(json!({ "required": false }))
        }
        "update_member" => {
            let members = format!("/v1/clinics/{}/members", world.clinic);
            let account = &world.person("duty").account;
            let listed = world.person("admin").get(&format!("{members}?limit=200")).send().await.ok();
            let duty = listed.items().iter().find(|one| one["account_id"] == json!(account)).unwrap().clone();
            let path = format!("{members}/{account}");
            // Another one than they have.
            let may = if duty["capabilities"] == json!(["duty"]) { json!(["duty", "admin"]) } else { json!(["duty"]) };
            let may = if who == "admin" { may } else { json!(["duty", "record"]) };
            Ask::patch(path).with(json!({ "capabilities": may })).when(duty["etag"].as_str().unwrap().to_owned())
        }
        "disable_member" | "enable_member" => {
            let spare = world.app.staff(world.person("admin"), &format!("Spare {n}"), &["care"]).await;
            let act = operation.trim_end_matches("_member");
            Ask::post(format!("/v1/clinics/{}/members/{}/{act}", world.clinic, spare.account))
        }
        "create_staff_reset" => {
            let spare = world.app.staff(world.person("admin"), &format!("Spare {n}"), &["care"]).await;
            Ask::post(format!("/v1/clinics/{}/members/{}/credential-reset", world.clinic, spare.account))
        }
        "reset_credential" => {
            let spare = world.app.staff(world.person("admin"), &format!("Spare {n}"), &["care"]).await;
            let path = format!("/v1/clinics/{}/members/{}/credential-reset", world.clinic, spare.account);
            let code = world.person("admin").act(&path).send().await.ok().text("/code");
            let email = format!("spare.{n}@example.org");
            let body = json!({ "code": code, "email": email, "passphrase": "another river at dusk" });
            Ask::post("/v1/auth/staff-reset").with(body)
        }
        "leave_clinic" => {
            let mut ask = Ask::post(format!("/v1/clinics/{}/leave", world.clinic));
            // Whoever may leave does it as somebody else, who is not missed.
            if !["anonymous", "owner", "other_patient", "foreign", "admin", "disabled"].contains(&who) {
                let spare = world.app.staff(world.person("admin"), &format!("Spare {n}"), &["duty"]).await;
                ask.session = Some(spare.session);
            }
            ask
        }
        "close_clinic" if who == "admin" => {
            let name = Text::parse(format!("Clinic {n}")).unwrap();
            let made = create_clinic(&world.app.server.state, name, Capabilities::ADMIN_ONLY).await.unwrap();
            let admin = world.app.register(&format!("Spare {n}"), &made.code.to_string()).await;
            let mut ask = Ask::delete(format!("/v1/clinics/{}", made.clinic));
            ask.session = Some(admin.session);
            ask
        }
        "close_clinic" => Ask::delete(format!("/v1/clinics/{}", world.clinic)),
        "offer_transfer" => {
            let to = json!({ "therapist_id": world.person("unlinked").account });
            Ask::put(format!("/v1/care-links/{}/transfer", world.link)).with(to)
        }
        "withdraw_transfer" => Ask::delete(offered(asker).await),
        "list_transfers" => Ask::get(asker.of_ann("/transfers")),
        "answer_transfer" => {
            offered(asker).await;
            let answer = asker.of_ann(&format!("/transfers/{}/answer", world.link));
            Ask::post(answer).with(json!({ "accept": false }))
        }
        "list_covers" => Ask::get(format!("/v1/clinics/{}/covers?limit=200", world.clinic)),
        "put_cover" => {
            let colleague = world.person(if who == "unlinked" { "granted" } else { "unlinked" });
            Ask::put(format!("/v1/clinics/{}/covers/{}", world.clinic, new_id(&world.app)))
                .with(away(&world.app, colleague, 30))
        }
        "delete_cover" => {
            let path = format!("/v1/clinics/{}/covers/{}", world.clinic, new_id(&world.app));
            granted.put(&path, away(&world.app, world.person("ungranted"), 60)).send().await.created();
            Ask::delete(path)
        }
        "break_glass" => {
            // Whoever may do it does it to somebody else, so that they do not see Ann's infusions from then on.
            let refused = ["anonymous", "owner", "other_patient", "foreign", "nurse", "admin", "disabled"];
            let path = if refused.contains(&who) {
                asker.of_ann("/break-glass")
            } else {
                world.app.patient(granted, &format!("Dana {n}")).await.of_theirs("/break-glass")
            };
            Ask::post(path).with(emergency())
        }
        "list_emergencies" => Ask::get(format!("/v1/clinics/{}/emergencies?limit=200", world.clinic)),
        "review_emergency" => Ask::post(format!("/v1/clinics/{}/emergencies/{}/review", world.clinic, world.emergency)),
        "list_access_log" => Ask::get(asker.of_ann("/access-log?limit=200")),
        "list_care_team" => Ask::get(asker.of_ann("/care-team")),
        _ => return None,
    };
    Some(ask)
}
