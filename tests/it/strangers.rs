//! What is asked for by its id is looked for among the things of whoever asks: whether somebody else has it shows in no
//! row that is read, checked or held.

use std::collections::BTreeSet;

use serde_json::json;

use crate::statements::{heard_with_values, listen};
use crate::support::app::{Call, TestApp, new_id};
use crate::support::journal::reflection;
use crate::support::people::{Clinic, Person};
use crate::support::phone::{is, mutation};
use crate::support::protocols::{at, clinic_of, content, publishes};
use crate::support::world::{another_clinic, away, emergency};

/// Of statements with their values, those whose rows could tell that somebody else has what is `asked` for: they look
/// for it whoever has it, or learn from another table than its own who has it. `own` are the ids of whoever asks.
pub fn telling(ran: &[String], asked: &[&str], own: &[&str]) -> Vec<String> {
    let names = |text: &str, ids: &[&str]| {
        let values = text.split_once("-- binds").map_or("", |(_, values)| values);
        ids.iter().any(|id| !id.is_empty() && values.contains(*id))
    };
    let tells = |text: &&String| names(text, asked) && (!names(text, own) || joins_for_the_owner(text));
    ran.iter().filter(tells).cloned().collect()
}

/// Whether the condition of a join is about several of its tables: the row of one is read before it is known whose the
/// row of the other is.
fn joins_for_the_owner(text: &str) -> bool {
    let plain = text.replace(['`', '"'], "");
    let Some((tables, condition)) = plain.split("-- binds").next().unwrap().split_once(" WHERE ") else { return false };
    let words = condition.split([' ', '(', ')', ',']);
    let named: BTreeSet<&str> = words.filter_map(|word| word.split_once('.')).map(|(table, _)| table).collect();
    tables.contains(" JOIN ") && named.len() > 1
}

/// The ids by which somebody is known; staff are no patient.
pub fn ids_of(who: &Person) -> [&str; 2] {
    [&who.account, &who.patient]
}

/// Ann's clinic, and of another one its admin, a therapist and their patient.
async fn neighbours() -> (Clinic, Person, Person, Person) {
    listen();
    let clinic = Clinic::open().await;
    let hanna = another_clinic(&clinic.app).await;
    let una = clinic.app.staff(&hanna, "Una Gerst", &["care"]).await;
    let bea = clinic.app.patient(&una, "Bea Roth").await;
    (clinic, hanna, una, bea)
}

/// What runs for somebody who asks for what is not theirs, each statement with its values.
async fn refused(app: &TestApp, asks: Call) -> Vec<String> {
    heard_with_values(app);
    asks.send().await.not_found();
    let ran = heard_with_values(app);
    assert!(!ran.is_empty(), "nothing was heard");
    ran
}

const NOTHING: [String; 0] = [];

#[actix_web::test]
async fn whose_a_care_link_is_stands_in_its_own_row() {
    let (Clinic { app, link, .. }, _, una, bea) = neighbours().await;
    for who in [&una, &bea] {
        let ran = refused(&app, who.delete(&format!("/v1/care-links/{link}"))).await;
        assert_eq!(telling(&ran, &[&link], &ids_of(who)), NOTHING, "{}", who.name);
    }
}

#[actix_web::test]
async fn a_patient_who_answers_the_transfer_of_another_patients_link_has_none_looked_up() {
    let (Clinic { app, admin, therapist: thea, ann, link, .. }, _, _, bea) = neighbours().await;
    let tom = app.staff(&admin, "Tom Adler", &["care"]).await;
    let offers = json!({ "therapist_id": tom.account });
    thea.put(&format!("/v1/care-links/{link}/transfer"), offers).send().await.ok();
    let accepts = |who: &Person| who.post(&who.my(&format!("/transfers/{link}/answer")), json!({ "accept": true }));
    let ran = refused(&app, accepts(&bea)).await;
    assert_eq!(telling(&ran, &[&link], &ids_of(&bea)), NOTHING);
    assert_eq!(accepts(&ann).send().await.ok().body["state"], "accepted");
}

#[actix_web::test]
async fn a_patient_who_writes_into_the_thread_of_another_patient_has_no_link_looked_up() {
    let (Clinic { app, link, .. }, _, _, bea) = neighbours().await;
    let entry = bea.writes(reflection("Lake")).await;
    let words = json!({ "body": "Are you there?", "thread_id": link });
    heard_with_values(&app);
    bea.says(&bea.my(&format!("/entries/{entry}/comments")), words).send().await.expect(422);
    let put = heard_with_values(&app);
    let words = json!({ "entry_id": entry, "thread_id": link, "body": "Are you there?" });
    is(&bea.pushes(&mutation(&bea, "comment", &new_id(&app), 0, words)).await, "merged");
    for ran in [put, heard_with_values(&app)] {
        assert!(ran.iter().any(|text| text.contains(&link)), "{ran:#?}");
        assert_eq!(telling(&ran, &[&link], &ids_of(&bea)), NOTHING);
    }
}

#[actix_web::test]
async fn the_session_of_another_account_is_neither_read_nor_held_by_whoever_names_it() {
    let (Clinic { app, ann, .. }, _, una, bea) = neighbours().await;
    let session = ann.get("/v1/me/sessions").send().await.ok().items()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/me/sessions/{session}");
    for who in [&una, &bea] {
        for asks in [who.delete(&path), who.patch(&path, json!({ "device_name": "Their phone" }))] {
            let ran = refused(&app, asks).await;
            assert_eq!(telling(&ran, &[&session], &ids_of(who)), NOTHING, "{}", who.name);
        }
    }
    let named = ann.get("/v1/me/sessions").send().await.ok();
    assert_eq!((named.items().len(), &named.items()[0]["id"]), (1, &json!(session)));
}

#[actix_web::test]
async fn the_members_and_emergencies_of_a_clinic_are_looked_up_for_none_who_does_not_work_there() {
    let (Clinic { app, admin, therapist: thea, ann, .. }, hanna, una, _) = neighbours().await;
    let ours = clinic_of(&admin).await;
    let id = thea.post(&ann.of_theirs("/break-glass"), emergency()).send().await.ok().text("/id");
    let member = format!("/v1/clinics/{ours}/members/{}", thea.account);
    for path in [
        format!("{member}/disable"),
        format!("{member}/enable"),
        format!("{member}/credential-reset"),
        format!("/v1/clinics/{ours}/emergencies/{id}/review"),
    ] {
        for who in [&hanna, &una] {
            let ran = refused(&app, who.act(&path)).await;
            assert_eq!(telling(&ran, &[&ours, &thea.account, &id], &ids_of(who)), NOTHING, "{path} by {}", who.name);
        }
    }
    admin.act(&format!("{member}/disable")).send().await.ok();
}

#[actix_web::test]
async fn a_reviewer_holds_no_emergency_of_another_clinic() {
    let (Clinic { app, admin, therapist: thea, ann, .. }, hanna, ..) = neighbours().await;
    let id = thea.post(&ann.of_theirs("/break-glass"), emergency()).send().await.ok().text("/id");
    let (ours, theirs) = (clinic_of(&admin).await, clinic_of(&hanna).await);
    let ran = refused(&app, hanna.act(&format!("/v1/clinics/{theirs}/emergencies/{id}/review"))).await;
    assert_eq!(telling(&ran, &[&id], &[&hanna.account, &theirs]), NOTHING);
    admin.act(&format!("/v1/clinics/{ours}/emergencies/{id}/review")).send().await.no_content();
}

#[actix_web::test]
async fn a_colleague_who_has_no_part_in_a_cover_is_refused_as_if_there_were_none() {
    let (Clinic { app, admin, therapist: thea, .. }, ..) = neighbours().await;
    let tom = app.staff(&admin, "Tom Adler", &["care"]).await;
    let sam = app.staff(&admin, "Sam Idris", &["care"]).await;
    let cover = new_id(&app);
    let path = format!("/v1/clinics/{}/covers/{cover}", clinic_of(&admin).await);
    thea.put(&path, away(&app, &tom, 1)).send().await.created();
    let ran = refused(&app, sam.delete(&path)).await;
    assert_eq!(telling(&ran, &[&cover], &ids_of(&sam)), NOTHING);
    for who in [&tom, &admin] {
        who.delete(&path).send().await.no_content();
    }
}

#[actix_web::test]
async fn whoever_does_not_work_at_a_clinic_holds_none_of_its_members_by_naming_a_cover() {
    let (Clinic { app, admin, therapist: thea, .. }, _, una, _) = neighbours().await;
    let path = format!("/v1/clinics/{}/covers/{}", clinic_of(&admin).await, new_id(&app));
    let ran = refused(&app, una.put(&path, away(&app, &thea, 1))).await;
    let named: Vec<&String> = ran.iter().filter(|text| text.contains(&thea.account)).collect();
    assert!(named.is_empty(), "{named:#?}");
}

#[actix_web::test]
async fn a_patient_who_looks_in_the_place_of_a_stranger_has_nothing_of_them_looked_up() {
    let (Clinic { app, ann, therapist: thea, .. }, _, una, bea) = neighbours().await;
    ann.get(&ann.my(&format!("/view-as/{}/entries", thea.account))).send().await.ok();
    for stranger in [&una, &bea] {
        let ran = refused(&app, ann.get(&ann.my(&format!("/view-as/{}/entries", stranger.account)))).await;
        let of = |text: &&String| text.contains(&stranger.account) && !text.contains(&ann.patient);
        let looked_up: Vec<&String> = ran.iter().filter(of).collect();
        assert!(looked_up.is_empty(), "{}: {looked_up:#?}", stranger.name);
    }
}

#[actix_web::test]
async fn who_changes_a_protocol_of_a_clinic_where_they_do_not_work_has_no_keys_fetched() {
    let (Clinic { app, admin, nurse, .. }, hanna, una, bea) = neighbours().await;
    let ours = clinic_of(&admin).await;
    let id = publishes(&admin, &ours, content("Ours")).await;
    for who in [&hanna, &una, &bea, &nurse] {
        for clinic in [ours.clone(), new_id(&app)] {
            let path = at(&clinic, &id);
            for asks in [
                who.put(&path, content("Theirs")),
                who.act(&format!("{path}/publish")),
                who.post(&format!("{path}/retire"), json!({ "version": 1 })),
            ] {
                heard_with_values(&app);
                let status = asks.send().await.status;
                assert!([403, 404].contains(&status.as_u16()), "{status}");
                let keyring = heard_with_values(&app).into_iter().filter(|text| text.contains("wrapped_keys"));
                assert_eq!(keyring.collect::<Vec<_>>(), NOTHING, "{path} by {}", who.name);
            }
        }
    }
    let stays = admin.get(&at(&ours, &id)).send().await.ok();
    assert_eq!((&stays.body["state"], &stays.body["content"]["title"]), (&json!("published"), &json!("Ours")));
}
