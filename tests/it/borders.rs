//! The borders between clinics that treat the same patient.

use afterglow::delivery::LogChannel;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::new_id;
use crate::support::people::{Clinic, Person, completed};
use crate::support::sql::Sql;
use crate::support::world::move_to_another_clinic;

/// Ann's clinic, and a therapist and a nurse of another one that treats her, too.
async fn two_clinics() -> (Clinic, Person, Person) {
    let lakeside = Clinic::open().await;
    let una = lakeside.app.staff(&lakeside.admin, "Una Falk", &["care", "admin"]).await;
    move_to_another_clinic(&lakeside.app, &una).await;
    let nils = lakeside.app.staff(&una, "Nils Berg", &["record"]).await;
    lakeside.ann.linked_to(&una).await;
    (lakeside, una, nils)
}

#[actix_web::test]
async fn recording_staff_see_the_infusions_of_their_clinic_and_what_the_patient_reported() {
    let (lakeside, una, nils) = two_clinics().await;
    let (ann, now) = (&lakeside.ann, lakeside.app.now());
    let theirs = lakeside.nurse.records(ann, now - SignedDuration::from_hours(1)).await;
    let report = new_id(&lakeside.app);
    let earlier = completed(now - SignedDuration::from_hours(72));
    ann.put(&ann.my(&format!("/infusions/{report}")), earlier).send().await.created();

    let ids = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let list = ann.of_theirs("/infusions");
    assert_eq!(ids(&nils.get(&list).send().await.ok().body), std::slice::from_ref(&report));
    assert_eq!(ids(&una.get(&list).send().await.ok().body), [report.clone(), theirs.clone()]);
    assert_eq!(ids(&lakeside.nurse.get(&list).send().await.ok().body), [report.clone(), theirs.clone()]);
    let one = ann.of_theirs(&format!("/infusions/{theirs}"));
    nils.get(&one).send().await.not_found();
    nils.request(Method::PATCH, &one).json(json!({ "dose_mg": 90.0 })).if_match("\"v1\"").send().await.not_found();
    nils.put(&one, completed(now - SignedDuration::from_hours(60))).send().await.expect(409);
    // It counts for the overlap, and neither id nor time is told.
    let same = ann.of_theirs(&format!("/infusions/{}", new_id(&lakeside.app)));
    let refused = nils.put(&same, completed(now - SignedDuration::from_hours(2))).send().await.expect(409);
    let told = refused.body.to_string();
    refused.refused("infusion_overlaps");
    assert!(!told.contains(&theirs) && !told.contains("2026-"), "{told}");
    assert_eq!(lakeside.nurse.get(&one).send().await.ok().body["dose_mg"], json!(35.0));
}

#[actix_web::test]
async fn caution_flags_belong_to_the_clinic_that_set_them() {
    let (lakeside, una, _) = two_clinics().await;
    let (ann, thea) = (&lakeside.ann, &lakeside.therapist);
    let cautions = ann.of_theirs("/cautions");
    let first = thea.get(&cautions).send().await.ok().etag();
    thea.put(&cautions, json!({ "flags": ["grief"] })).if_match(&first).send().await.ok();
    let own = una.get(&cautions).send().await.ok();
    assert_eq!((own.body["flags"].clone(), own.etag()), (json!([]), first.clone()), "nothing of the other clinic's");
    una.put(&cautions, json!({ "flags": ["pain"] })).if_match(&first).send().await.ok();
    assert_eq!(thea.get(&cautions).send().await.ok().body["flags"], json!(["grief"]));
    assert_eq!(una.get(&cautions).send().await.ok().body["flags"], json!(["pain"]));

    // The patient's log has one name for this and for a change of the protocol.
    let log = ann.get(&ann.my("/access-log?limit=200")).send().await.ok().body.to_string();
    assert!(log.contains("changed_offer") && !log.contains("put_cautions"), "{log}");
}

/// The events of a patient's access log that say who may now see their infusions: the names.
async fn told(patient: &Person) -> Vec<String> {
    let log = patient.get(&patient.my("/access-log?limit=200")).send().await.ok();
    let told = log.items().iter().filter(|row| row["act"] == "may_see_infusions");
    told.map(|row| row["actor_name"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn d7_patients_find_in_their_logs_who_may_now_see_their_infusions() {
    let clinic = Clinic::open().await;
    let (app, thea, ann) = (&clinic.app, &clinic.therapist, &clinic.ann);
    let bea = app.patient(thea, "Bea Roth").await;
    let gone = app.patient(thea, "Gus Gone").await;
    let link = gone.care_links().await[0]["id"].as_str().unwrap().to_owned();
    gone.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    let work = async || {
        for _ in 0..3 {
            afterglow::app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
        }
    };
    work().await;
    app.wait(SignedDuration::from_mins(1));
    let before = told(ann).await.len();
    let members = format!(
        "/v1/clinics/{}/members",
        clinic.admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id")
    );
    let tag = async |who: &Person| {
        let listed = clinic.admin.get(&members).send().await.ok();
        let found = listed.items().iter().find(|one| one["account_id"] == json!(who.account)).unwrap().clone();
        found["etag"].as_str().unwrap().to_owned()
    };
    let gives = async |may: &[&str]| {
        let path = format!("{members}/{}", thea.account);
        clinic.admin.patch(&path, json!({ "capabilities": may })).if_match(&tag(thea).await).send().await.ok();
    };
    gives(&["care", "record"]).await;
    work().await;
    for patient in [ann, &bea] {
        assert_eq!(told(patient).await.iter().filter(|name| **name == thea.name).count(), 1, "{}", patient.name);
    }
    assert!(!told(&gone).await.contains(&thea.name), "they have nothing to do with the clinic any more");
    assert_eq!(told(ann).await.len(), before + 1);
    // What changes nothing of it tells nothing, and what is given again is told again.
    gives(&["care", "record", "duty"]).await;
    work().await;
    gives(&["care"]).await;
    work().await;
    assert_eq!(told(ann).await.len(), before + 1);
    gives(&["care", "record"]).await;
    work().await;
    assert_eq!(told(ann).await.len(), before + 2);

    // A server that stopped on the way goes on after the patient who was told last.
    gives(&["care"]).await;
    gives(&["care", "record"]).await;
    let mut sql = Sql::open(&app.database.backend);
    sql.run(
        "UPDATE staff_members SET tell_after = (SELECT patient_id FROM care_links \
         WHERE state = 'active' ORDER BY patient_id LIMIT 1) WHERE tell_at IS NOT NULL",
    );
    work().await;
    assert_eq!(told(ann).await.len() + told(&bea).await.len(), 2 * (before + 2) + 1);

    // Who joins with the capability is told of, too.
    let code = clinic.admin.code_for_staff(&["record"]).await;
    app.register("Nell Ort", &code).await;
    work().await;
    assert!(told(&bea).await.contains(&"Nell Ort".to_owned()));
}

#[actix_web::test]
async fn d7_a_member_who_has_changed_meanwhile_is_not_changed() {
    let clinic = Clinic::open().await;
    let id = clinic.admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let members = format!("/v1/clinics/{id}/members");
    let path = format!("{members}/{}", clinic.nurse.account);
    let may = async || {
        let listed = clinic.admin.get(&members).send().await.ok();
        let nurse = listed.items().iter().find(|one| one["account_id"] == json!(clinic.nurse.account)).unwrap().clone();
        (nurse["capabilities"].clone(), nurse["etag"].as_str().unwrap().to_owned())
    };
    let (before, first) = may().await;
    let patch = |may: Value| clinic.admin.patch(&path, json!({ "capabilities": may }));
    patch(json!(["duty"])).send().await.expect(428).refused("precondition_required");
    assert_eq!(may().await, (before.clone(), first.clone()));
    let changed = patch(json!(["duty"])).if_match(&first).send().await.ok();
    assert_eq!(changed.etag(), may().await.1);
    patch(before).if_match(&first).send().await.expect(412).refused("stale");
    assert_eq!(may().await.0, json!(["duty"]));
    // The present state again is no change; and who comes back has no tag of before.
    patch(json!(["duty"])).if_match(&first).send().await.ok();
    clinic.admin.patch(&path, json!({ "ended": true })).if_match(&changed.etag()).send().await.ok();
    let code = clinic.admin.code_for_staff(&["duty"]).await;
    clinic.nurse.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    assert!(![first, changed.etag()].contains(&may().await.1));
}
