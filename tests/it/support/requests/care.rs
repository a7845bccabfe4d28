//! Requests about clinics, care links, and who has looked at Ann's data.

use serde_json::json;

use super::{Ask, Asker};
use crate::support::app::id_of;

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
        "list_access_log" => Ask::get(asker.of_ann("/access-log?limit=200")),
        "list_care_team" => Ask::get(asker.of_ann("/care-team")),
        _ => return None,
    };
    Some(ask)
}
