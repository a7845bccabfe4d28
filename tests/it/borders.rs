//! The borders between clinics that treat the same patient.

use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::new_id;
use crate::support::people::{Clinic, Person, completed};
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
