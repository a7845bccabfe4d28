//! Care links: confirmed, ended, listed; and what staff see of whom.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of, new_id};
use crate::support::journal::reflection;
use crate::support::people::{Clinic, Person, registration};

async fn access_log(patient: &Person) -> Vec<Value> {
    let answer = patient.get("/v1/patients/me/access-log?limit=200").send().await.ok();
    answer.items().to_vec()
}

#[actix_web::test]
async fn a_patient_takes_another_therapist_and_one_link_each() {
    let clinic = Clinic::open().await;
    let theo = clinic.app.staff(&clinic.admin, "Theo", &["care"]).await;
    let code = clinic.therapist.code_for_patient().await;
    let linked = clinic.ann.post("/v1/invitations/accept", json!({ "code": code })).send().await;
    let linked = linked.expect(409).refused("already_linked");
    assert_eq!(linked.body["conflicting_id"], json!(clinic.link));

    let code = theo.code_for_patient().await;
    let accept = || clinic.ann.post("/v1/invitations/accept", json!({ "code": code })).key("accept");
    let accepted = accept().send().await.ok();
    assert_eq!(accepted.body["care_link"]["state"], "accepted");
    assert_eq!(accepted.body["care_link"]["name"], "Theo");
    assert_eq!(accept().send().await.ok().body, accepted.body, "a retry has one effect");
    let again = clinic.ann.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    assert_eq!(again.body, accepted.body, "also without a key");
    assert_eq!(clinic.ann.care_links().await.len(), 2);
    let staff_code = clinic.admin.code_for_staff(&["care"]).await;
    let wrong_kind = clinic.ann.post("/v1/invitations/accept", json!({ "code": staff_code })).send().await;
    wrong_kind.expect(422).refused("code_invalid");
    let there_already = theo.post("/v1/invitations/accept", json!({ "code": staff_code })).send().await;
    there_already.expect(409).refused("state_conflict");
}

#[actix_web::test]
async fn two_codes_of_one_therapist_accepted_at_once_make_one_link() {
    let clinic = Clinic::open().await;
    let theo = clinic.app.staff(&clinic.admin, "Theo", &["care"]).await;
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(theo.code_for_patient().await);
    }
    let accept = |code: &String| clinic.ann.post("/v1/invitations/accept", json!({ "code": code })).send();
    let answers = futures_util::future::join_all(codes.iter().map(accept)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.body["code"] == "already_linked"));
}

#[actix_web::test]
async fn before_the_therapist_confirms_nothing_of_the_patient_is_open() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let therapist = app.staff(&admin, "Thea", &["care"]).await;
    let nurse = app.staff(&admin, "Noor", &["record"]).await;
    let ann = app.register("Ann", &therapist.code_for_patient().await).await;
    let team = format!("/v1/patients/{}/care-team", ann.patient);
    let infusions = format!("/v1/patients/{}/infusions", ann.patient);
    for staff in [&therapist, &nurse, &admin] {
        staff.get(&infusions).send().await.not_found();
        assert_eq!(staff.get("/v1/me/patients").send().await.ok().body["items"], json!([]));
    }
    therapist.get(&team).send().await.not_found();
    let infusion = format!("{infusions}/{}", new_id(&app));
    let body = json!({ "status": "planned", "route": "iv_infusion", "planned_at": "2026-03-12T09:00:00Z" });
    therapist.put(&infusion, body).send().await.not_found();
    // The nurse cannot confirm for the therapist, nor the patient.
    let id = id_of(&ann.care_links().await[0]);
    let confirm = format!("/v1/care-links/{id}/confirm");
    nurse.post(&confirm, json!({})).send().await.not_found();
    ann.post(&confirm, json!({})).send().await.expect(403);
    therapist.post(&confirm, json!({})).send().await.ok();
    therapist.get(&team).send().await.ok();
    nurse.get(&infusions).send().await.ok();
    admin.get(&infusions).send().await.not_found();
}

#[actix_web::test]
async fn ending_a_link_closes_every_door_at_once() {
    for by_patient in [true, false] {
        let clinic = Clinic::open().await;
        let patient = format!("/v1/patients/{}", clinic.ann.patient);
        let doors = [format!("{patient}/care-team"), format!("{patient}/window"), format!("{patient}/infusions")];
        for door in &doors {
            clinic.therapist.get(door).send().await.ok();
        }
        let link = format!("/v1/care-links/{}", clinic.link);
        clinic.nurse.delete(&link).send().await.not_found();
        let ender = if by_patient { &clinic.ann } else { &clinic.therapist };
        ender.delete(&link).send().await.no_content();
        ender.delete(&link).send().await.no_content();
        for door in &doors {
            clinic.therapist.get(door).send().await.not_found();
        }
        clinic.nurse.get(&doors[2]).send().await.not_found();
        clinic.therapist.post(&format!("{link}/confirm"), json!({})).send().await.not_found();
        assert_eq!(clinic.therapist.care_links().await, Vec::<Value>::new());
        assert_eq!(clinic.therapist.get("/v1/me/patients").send().await.ok().body["items"], json!([]));
        let [ended] = &clinic.ann.care_links().await[..] else { panic!("one link") };
        assert_eq!(ended["state"], "ended");
        assert_eq!(ended.get("words"), None);
        // A new link needs the patient, and is a new one.
        let again = clinic.ann.linked_to(&clinic.app.staff(&clinic.admin, "Theo", &["care"]).await).await;
        assert_ne!(again, clinic.link);
    }
}

#[actix_web::test]
async fn an_admin_sees_no_patient() {
    let clinic = Clinic::open().await;
    for path in ["care-team", "infusions", "window", "prompts", "access-log"] {
        let answer = clinic.admin.get(&format!("/v1/patients/{}/{path}", clinic.ann.patient)).send().await;
        assert!([403, 404].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
        let nobody = clinic.admin.get(&format!("/v1/patients/{}/{path}", uuid::Uuid::nil())).send().await;
        assert_eq!(nobody.status, answer.status, "{path}");
    }
    assert_eq!(clinic.admin.get("/v1/me/patients").send().await.ok().body["items"], json!([]));
    assert_eq!(clinic.admin.care_links().await, Vec::<Value>::new());
}

#[actix_web::test]
async fn whoever_is_shown_a_patient_stands_in_their_access_log() {
    let clinic = Clinic::open().await;
    let before = access_log(&clinic.ann).await.len();
    clinic.therapist.get("/v1/me/patients").send().await.ok();
    clinic.nurse.get("/v1/me/patients").send().await.ok();
    clinic.therapist.get("/v1/care-links").send().await.ok();
    clinic.therapist.get(&format!("/v1/patients/{}/care-team", clinic.ann.patient)).send().await.ok();
    let log = access_log(&clinic.ann).await;
    assert_eq!(log.len(), before + 4);
    let said: Vec<_> =
        log[..4].iter().map(|row| (row["act"].as_str().unwrap(), row["role"].as_str().unwrap())).collect();
    assert_eq!(said[0], ("list_care_team", "therapist"));
    assert_eq!(said[1], ("list_care_links", "therapist"));
    assert_eq!(said[2], ("list_my_patients", "record"));
    assert_eq!(said[3], ("list_my_patients", "therapist"));
    assert_eq!(log[2]["actor_name"], "Noor Haddad");
    assert_eq!(log[2]["ids"], json!([clinic.link]));

    // The patient's own reads leave no trace, and a refusal leaves one an hour.
    clinic.ann.get("/v1/patients/me/care-team").send().await.ok();
    clinic.admin.get(&format!("/v1/patients/{}/care-team", clinic.ann.patient)).send().await.not_found();
    clinic.admin.get(&format!("/v1/patients/{}/care-team", clinic.ann.patient)).send().await.not_found();
    let log = access_log(&clinic.ann).await;
    assert_eq!(log.len(), before + 5);
    assert_eq!((&log[0]["refused"], &log[0]["actor_name"]), (&json!(true), &json!("Ada Keller")));

    // Page by page it is the same log.
    let (mut paged, mut path) = (Vec::new(), "/v1/patients/me/access-log?limit=2".to_owned());
    loop {
        let page = clinic.ann.get(&path).send().await.ok();
        paged.extend(page.items().to_vec());
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        assert!(page.headers["link"].contains(next));
        path = format!("/v1/patients/me/access-log?limit=2&cursor={next}");
    }
    assert_eq!(paged, log);
    clinic.therapist.get(&format!("/v1/patients/{}/access-log", clinic.ann.patient)).send().await.expect(403);
}

#[actix_web::test]
async fn the_roster_comes_in_pages() {
    let clinic = Clinic::open().await;
    let mut expected = HashSet::from([clinic.ann.patient.clone()]);
    for name in ["Ben", "Cleo", "Dan"] {
        expected.insert(clinic.app.patient(&clinic.therapist, name).await.patient);
    }
    for staff in [&clinic.therapist, &clinic.nurse] {
        let (mut found, mut path) = (Vec::new(), "/v1/me/patients?limit=3".to_owned());
        loop {
            let page = staff.get(&path).send().await.ok();
            found.extend(page.items().iter().map(|item| item["patient_id"].as_str().unwrap().to_owned()));
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            path = format!("/v1/me/patients?limit=3&cursor={next}");
        }
        assert_eq!(found.len(), 4);
        assert_eq!(found.into_iter().collect::<HashSet<_>>(), expected);
    }
    clinic.ann.get("/v1/me/patients").send().await.expect(403);
}

#[actix_web::test]
async fn an_admin_changes_what_staff_may_do_and_lets_them_go() {
    let clinic = Clinic::open().await;
    let admin_works = clinic.admin.get("/v1/invitations").send().await.ok();
    let id = admin_works.text("/items/0/clinic_id");
    let members = format!("/v1/clinics/{id}/members");
    let listed = clinic.admin.get(&members).send().await.ok();
    let names: HashSet<_> = listed.items().iter().map(|member| member["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, HashSet::from(["Ada Keller", "Thea Brandt", "Noor Haddad"].map(str::to_owned)));
    clinic.therapist.get(&members).send().await.expect(403);
    clinic.admin.get(&format!("/v1/clinics/{}/members", uuid::Uuid::nil())).send().await.not_found();

    let patch = |who: &Person, body: Value| {
        clinic.admin.patch(&format!("{members}/{}", who.account), body).if_match("*").send()
    };
    let infusions = format!("/v1/patients/{}/infusions", clinic.ann.patient);
    clinic.nurse.get(&infusions).send().await.ok();
    let changed = patch(&clinic.nurse, json!({ "capabilities": ["duty"] })).await.ok();
    assert_eq!(changed.body["capabilities"], json!(["duty"]));
    clinic.nurse.get(&infusions).send().await.not_found();

    for more in [json!(["admin", "record"]), json!(["admin", "care"]), json!(["care"])] {
        patch(&clinic.admin, json!({ "capabilities": more })).await.expect(403).refused("forbidden");
    }
    clinic.admin.get(&infusions).send().await.not_found();
    patch(&clinic.admin, json!({ "capabilities": ["admin"] })).await.ok();
    patch(&clinic.admin, json!({ "ended": true })).await.expect(409).refused("state_conflict");
    let waiting = clinic.therapist.code_for_patient().await;
    patch(&clinic.therapist, json!({ "ended": true })).await.ok();
    clinic.therapist.get(&infusions).send().await.not_found();
    assert_eq!(clinic.ann.care_links().await[0]["state"], "ended");
    clinic
        .app
        .post("/v1/auth/register", registration("Bob", &waiting))
        .send()
        .await
        .expect(422)
        .refused("code_invalid");
    patch(&clinic.therapist, json!({ "ended": true })).await.ok();
    patch(&clinic.therapist, json!({ "capabilities": ["care"] })).await.not_found();
    // Invited again, they come back, without their links.
    let code = clinic.admin.code_for_staff(&["care"]).await;
    let back = clinic.therapist.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    assert_eq!(back.body["membership"]["capabilities"], json!(["care"]));
    clinic.therapist.get(&infusions).send().await.not_found();
}

#[actix_web::test]
async fn ending_a_link_closes_what_was_granted_over_it_alone() {
    let clinic = Clinic::open().await;
    let theo = clinic.app.staff(&clinic.admin, "Theo", &["care"]).await;
    clinic.ann.linked_to(&theo).await;
    let mut granted = Vec::new();
    for reader in
        [json!({ "type": "therapist", "account_id": clinic.therapist.account }), json!({ "type": "care_team" })]
    {
        let entry = new_id(&clinic.app);
        let body =
            json!({ "kind": "reflection", "occurred_at": "2026-03-10T08:00:00Z", "text": { "body": "The lake." } });
        let path = format!("/v1/patients/me/entries/{entry}");
        clinic.ann.put(&path, body).send().await.created();
        let grant = json!({ "target": { "type": "entry", "id": entry }, "sections": ["text"], "reader": reader });
        let path = format!("/v1/patients/me/grants/{}", new_id(&clinic.app));
        clinic.ann.put(&path, grant).send().await.created();
        granted.push(format!("/v1/patients/{}/entries/{entry}", clinic.ann.patient));
    }
    clinic.therapist.get(&granted[0]).send().await.ok();
    clinic.therapist.get(&granted[1]).send().await.ok();
    theo.get(&granted[0]).send().await.not_found();
    theo.get(&granted[1]).send().await.ok();

    clinic.ann.delete(&format!("/v1/care-links/{}", clinic.link)).send().await.no_content();
    for entry in &granted {
        clinic.therapist.get(entry).send().await.not_found();
    }
    theo.get(&granted[1]).send().await.ok();
    let grants = clinic.ann.get("/v1/patients/me/grants").send().await.ok();
    let open = |grant: &&Value| grant.get("closed_at").is_none();
    assert_eq!(grants.items().iter().filter(open).count(), 1);

    let renewed = clinic.ann.linked_to(&clinic.therapist).await;
    assert_ne!(renewed, clinic.link);
    for entry in &granted {
        clinic.therapist.get(entry).send().await.not_found();
    }
}

#[actix_web::test]
async fn whoever_loses_care_loses_what_hung_on_it_and_gets_care_again_without_it() {
    let clinic = Clinic::open().await;
    let id = clinic.admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let member = format!("/v1/clinics/{id}/members/{}", clinic.therapist.account);
    let team = format!("/v1/patients/{}/care-team", clinic.ann.patient);
    let entry = clinic.ann.writes(reflection("Lake")).await;
    clinic.ann.opens(&entry, &["text"], &clinic.therapist).await;
    clinic.therapist.get(&team).send().await.ok();
    for capability in ["duty", "care"] {
        let change = json!({ "capabilities": [capability] });
        clinic.admin.patch(&member, change).if_match("*").send().await.ok();
        clinic.therapist.get(&team).send().await.not_found();
        assert!(clinic.therapist.care_links().await.is_empty(), "{capability}");
    }
    assert_eq!(clinic.ann.care_links().await[0]["state"], "ended");
    let grants = clinic.ann.get("/v1/patients/me/grants").send().await.ok();
    assert!(grants.items().iter().all(|grant| grant.get("closed_at").is_some()), "{grants:?}");
    // A new link opens nothing of what was open before.
    clinic.ann.linked_to(&clinic.therapist).await;
    assert!(clinic.therapist.finds(&clinic.ann).await.is_empty());
}
