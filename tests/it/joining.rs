//! From the first-run code to an active care link: codes and what they are good for.

use std::collections::HashSet;
use std::sync::Arc;

use afterglow::identity::{AccountKind, Email, Passphrase, Profile, actions};
use afterglow::kernel::Text;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};
use crate::support::database::Count;
use crate::support::journal::with;
use crate::support::people::{Clinic, PASSPHRASE, Person, registration};
use crate::support::sql::Sql;

async fn try_code(app: &Arc<TestApp>, name: &str, code: &str) -> Answer {
    app.post("/v1/auth/register", registration(name, code)).send().await
}

#[actix_web::test]
async fn a_clinic_grows_from_the_first_run_code_to_an_active_care_link() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let therapist = app.staff(&admin, "Thea Brandt", &["care"]).await;
    let nurse = app.staff(&admin, "Noor Haddad", &["record"]).await;
    let code = therapist.code_for_patient().await;
    let ann = app.register("Ann Walker", &code).await;

    let [seen_by_ann] = &ann.care_links().await[..] else { panic!("one link") };
    let [seen_by_thea] = &therapist.care_links().await[..] else { panic!("one link") };
    assert_eq!(seen_by_ann["state"], "accepted");
    assert_eq!(seen_by_ann["name"], "Thea Brandt");
    assert_eq!(seen_by_ann["clinic_name"], "Lakeside Clinic");
    assert_eq!(seen_by_thea["name"], "Ann Walker");
    assert_eq!(seen_by_ann["words"].as_array().unwrap().len(), 2);
    assert_eq!(seen_by_ann["words"], seen_by_thea["words"]);

    let id = seen_by_ann["id"].as_str().unwrap();
    let confirmed = therapist.post(&format!("/v1/care-links/{id}/confirm"), json!({})).send().await.ok();
    assert_eq!(confirmed.body["state"], "active");
    let again = therapist.post(&format!("/v1/care-links/{id}/confirm"), json!({})).send().await.ok();
    assert_eq!(again.body, confirmed.body);

    let roster = therapist.get("/v1/me/patients").send().await.ok();
    assert_eq!(roster.body["items"][0]["name"], "Ann Walker");
    assert_eq!(roster.body["items"][0]["patient_id"], json!(ann.patient));
    assert_eq!(roster.body["items"][0]["role"], "therapist");
    let roster = nurse.get("/v1/me/patients").send().await.ok();
    assert_eq!(roster.body["items"][0]["name"], "Ann Walker");
    assert_eq!(roster.body["items"][0]["role"], "record");
    let team = ann.get("/v1/patients/me/care-team").send().await.ok();
    assert_eq!(team.body["items"][0]["name"], "Thea Brandt");
    assert_eq!(team.items().len(), 1);
}

#[actix_web::test]
async fn a_server_is_set_up_once() {
    let app = TestApp::start().await;
    let code = app.first_run_code().await.unwrap();
    assert_eq!(app.first_run_code().await.unwrap(), code, "the code stays until it is used");
    let body = |code: &str| json!({ "code": code, "clinic_name": "Lakeside", "name": "Ada", "email": "ada@lakeside.example", "passphrase": PASSPHRASE });
    app.post("/v1/setup", body("0000-0000-0000-0000")).send().await.expect(422).refused("code_invalid");
    app.post("/v1/setup", body("no code")).send().await.expect(422).refused("code_invalid");
    app.post("/v1/setup", body(&code.to_lowercase().replace('-', " "))).send().await.created();
    let other = json!({ "email": "eve@lakeside.example" });
    app.post("/v1/setup", with(body(&code), other)).send().await.expect(409).refused("setup_done");
    assert_eq!(app.first_run_code().await, None);
}

#[actix_web::test]
async fn a7_a_lost_answer_to_the_set_up_can_be_asked_for_again_for_a_day() {
    let app = TestApp::start().await;
    let code = app.first_run_code().await.unwrap();
    let body = json!({ "code": code, "clinic_name": "Lakeside", "name": "Ada", "email": "ada@lakeside.example", "passphrase": PASSPHRASE });
    let set_up = |more: Value| app.post("/v1/setup", with(body.clone(), more));
    let first = set_up(json!({})).send().await.created();
    app.wait(SignedDuration::from_hours(24));
    let again = set_up(json!({ "code": code.to_lowercase(), "email": "Ada@lakeside.example" })).send().await.ok();
    assert_eq!((&again.body["account"], &again.body["clinic"]), (&first.body["account"], &first.body["clinic"]));
    assert_ne!(again.text("/tokens/session_id"), first.text("/tokens/session_id"));
    Person::of(&app, &again).get("/v1/me").send().await.ok();
    for wrong in [json!({ "passphrase": "another quiet river" }), json!({ "code": "0000-0000-0000-0000" })] {
        set_up(wrong).send().await.expect(409).refused("setup_done");
    }
    app.wait(SignedDuration::from_secs(1));
    set_up(json!({})).send().await.expect(409).refused("setup_done");
}

#[actix_web::test]
async fn d7_the_set_up_asked_again_logs_in_the_first_admin_alone() {
    let app = TestApp::start().await;
    let code = app.first_run_code().await.unwrap();
    let body = json!({ "code": code, "clinic_name": "Lakeside", "name": "Ada", "email": "ada@lakeside.example", "passphrase": PASSPHRASE });
    let ada = Person::of(&app, &app.post("/v1/setup", body.clone()).send().await.created());
    let una = app.staff(&ada, "Una Falk", &["admin"]).await;
    let email = una.get("/v1/me").send().await.ok().text("/email");
    let mut sql = Sql::open(&app.database.backend);
    let mut sessions = || sql.rows::<Count>("SELECT count(*) AS n FROM sessions")[0].n;
    let before = sessions();
    app.post("/v1/setup", with(body.clone(), json!({ "email": email }))).send().await.expect(409).refused("setup_done");
    assert_eq!(sessions(), before, "nobody was logged in");
    app.post("/v1/setup", body).send().await.ok();
    assert_eq!(sessions(), before + 1);
}

#[actix_web::test]
async fn a7_a_lost_answer_to_a_registration_can_be_asked_for_again_for_a_day() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let therapist = app.staff(&admin, "Thea Brandt", &["care"]).await;
    for (name, code) in
        [("Ann Walker", therapist.code_for_patient().await), ("Noor Haddad", admin.code_for_staff(&["record"]).await)]
    {
        let register = |more: Value| app.post("/v1/auth/register", with(registration(name, &code), more));
        let first = register(json!({})).send().await.created();
        let links = therapist.care_links().await;
        app.wait(SignedDuration::from_hours(24));
        let again = register(json!({ "code": code.to_lowercase() })).send().await.ok();
        assert_eq!(again.body["account"], first.body["account"]);
        assert_ne!(again.text("/tokens/session_id"), first.text("/tokens/session_id"), "as a log-in");
        Person::of(&app, &again).get("/v1/me").send().await.ok();
        // Nobody else gets in by it, and its owner gets in with their passphrase alone.
        for wrong in [json!({ "passphrase": "another quiet river" }), json!({ "email": "ada@lakeside.example" })] {
            register(wrong).send().await.expect(422).refused("code_invalid");
        }
        app.wait(SignedDuration::from_secs(1));
        register(json!({})).send().await.expect(422).refused("code_invalid");
        assert_eq!(therapist.care_links().await, links);
    }
}

#[actix_web::test]
async fn a7_a_lost_answer_to_an_acceptance_can_be_asked_for_again_for_a_day() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let thea = app.staff(&admin, "Thea Brandt", &["care"]).await;
    let theo = app.staff(&admin, "Theo Falk", &["care"]).await;
    let ann = app.patient(&thea, "Ann Walker").await;
    let ben = app.patient(&thea, "Ben Roth").await;
    let code = theo.code_for_patient().await;
    let accept = |who: &Person| who.post("/v1/invitations/accept", json!({ "code": code }));
    let first = accept(&ann).send().await.ok();
    let links = ann.care_links().await;
    app.wait(SignedDuration::from_hours(24));
    assert_eq!(accept(&ann).send().await.ok().body, first.body);
    accept(&ben).send().await.expect(422).refused("code_invalid");
    theo.act(&format!("/v1/care-links/{}/confirm", first.text("/care_link/id"))).send().await.ok();
    assert_eq!(accept(&ann).send().await.ok().text("/care_link/state"), "active", "as it is now");
    app.wait(SignedDuration::from_secs(1));
    accept(&ann).send().await.expect(422).refused("code_invalid");
    assert_eq!(ann.care_links().await.len(), links.len());
}

#[actix_web::test]
async fn of_many_set_ups_at_once_one_makes_the_clinic() {
    let app = TestApp::start().await;
    let code = app.first_run_code().await.unwrap();
    let calls = (0..8).map(|n| {
        let body = json!({ "code": code, "clinic_name": "Lakeside", "name": "Ada",
            "email": format!("ada{n}@lakeside.example"), "passphrase": PASSPHRASE });
        app.post("/v1/setup", body).send()
    });
    let answers = futures_util::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.body["code"] == "setup_done"));
}

#[actix_web::test]
async fn a_code_is_good_for_one_of_twenty_who_use_it_at_once() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let therapist = app.staff(&admin, "Thea Brandt", &["care"]).await;
    let code = therapist.code_for_patient().await;
    let names: Vec<String> = (0..20).map(|n| format!("Ann{n}")).collect();
    let answers = futures_util::future::join_all(names.iter().map(|name| try_code(&app, name, &code))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.expect(422).refused("code_invalid");
    }
    assert_eq!(therapist.care_links().await.len(), 1);
}

#[actix_web::test]
async fn one_address_makes_one_account_also_with_many_codes_at_once() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let therapist = app.staff(&admin, "Thea Brandt", &["care"]).await;
    let mut codes = Vec::new();
    for _ in 0..8 {
        codes.push(therapist.code_for_patient().await);
    }
    let answers = futures_util::future::join_all(codes.iter().map(|code| try_code(&app, "Ann Walker", code))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.expect(422).refused("code_invalid");
    }
    let listed = therapist.get("/v1/invitations").send().await.ok();
    let used = listed.items().iter().filter(|item| item["state"] == "used").count();
    assert_eq!(used, 1, "a refused registration leaves the code unused");
}

#[actix_web::test]
async fn a_code_is_good_for_72_hours() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let (first, second) = (admin.code_for_staff(&["care"]).await, admin.code_for_staff(&["care"]).await);
    app.wait(SignedDuration::from_hours(72) - SignedDuration::from_secs(1));
    try_code(&app, "Thea", &first).await.created();
    app.wait(SignedDuration::from_secs(1));
    try_code(&app, "Theo", &second).await.expect(422).refused("code_invalid");
    let listed = admin.get("/v1/invitations").send().await.ok();
    let states: Vec<_> = listed.items().iter().map(|item| item["state"].clone()).collect();
    assert!(states.contains(&json!("expired")) && states.contains(&json!("used")), "{states:?}");
}

#[actix_web::test]
async fn a_revoked_code_is_not_valid() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let wish =
        json!({ "kind": "staff", "capabilities": ["care", "record"], "name": "Thea", "email": "thea@example.org" });
    let invitation = admin.post("/v1/invitations", wish).send().await.created();
    let path = format!("/v1/invitations/{}", invitation.id());
    admin.delete(&path).send().await.no_content();
    admin.delete(&path).send().await.no_content();
    try_code(&app, "Thea", &invitation.text("/code")).await.expect(422).refused("code_invalid");
    let listed = admin.get("/v1/invitations").send().await.ok();
    let item = &listed.body["items"][0];
    assert_eq!((&item["state"], &item["name"]), (&json!("revoked"), &json!("Thea")));
    assert_eq!(item.get("code"), None, "a code is shown once");

    let used =
        admin.post("/v1/invitations", json!({ "kind": "staff", "capabilities": ["care"] })).send().await.created();
    try_code(&app, "Theo", &used.text("/code")).await.created();
    let path = format!("/v1/invitations/{}", used.id());
    admin.delete(&path).send().await.expect(409).refused("state_conflict");
}

#[actix_web::test]
async fn a_code_bound_to_an_address_is_good_for_it_alone() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let therapist = app.staff(&admin, "Thea", &["care"]).await;
    let wish = json!({ "kind": "patient", "email": "Ann@Example.org" });
    let code = therapist.post("/v1/invitations", wish).send().await.created().text("/code");
    try_code(&app, "Bob", &code).await.expect(422).refused("code_invalid");
    let bob = app.patient(&therapist, "Bob").await;
    let taken = bob.post("/v1/invitations/accept", json!({ "code": code })).send().await;
    taken.expect(422).refused("code_invalid");
    try_code(&app, "Ann", &code).await.created();
}

#[actix_web::test]
async fn an_address_that_is_known_answers_like_a_code_that_is_not_valid() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let therapist = app.staff(&admin, "Thea", &["care"]).await;
    let ann = app.patient(&therapist, "Ann").await;
    let code = therapist.code_for_patient().await;
    let known = try_code(&app, &ann.name, &code).await.expect(422).refused("code_invalid");
    let wrong = try_code(&app, "Bob", "0000-0000-0000-0000").await.expect(422).refused("code_invalid");
    let plain = |answer: &Answer| {
        let mut body = answer.body.clone();
        body.as_object_mut().unwrap().remove("request_id");
        let mut headers: Vec<_> = answer.headers.keys().cloned().collect();
        headers.sort();
        (body, headers)
    };
    assert_eq!(plain(&known), plain(&wrong));
    // What a form lacks is told alike, whoever is known.
    for name in ["Ann", "Bob"] {
        let mut body = registration(name, &code);
        body.as_object_mut().unwrap().remove("adult");
        let answer = app.post("/v1/auth/register", body).send().await.expect(422).refused("invalid");
        assert_eq!(answer.body["errors"][0]["pointer"], "/adult");
    }
    try_code(&app, "Bob", &code).await.created();
}

#[actix_web::test]
async fn a_registration_says_every_wrong_field_at_once() {
    let app = TestApp::start().await;
    let body = json!({ "code": "x", "name": " ", "email": "ann", "passphrase": "short", "time_zone": "Mars/Base",
        "locale": "e", "country": "Germany" });
    let answer = app.post("/v1/auth/register", body).send().await.expect(422).refused("invalid");
    let pointers: HashSet<_> = answer.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["pointer"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["/name", "/email", "/passphrase", "/time_zone", "/locale", "/country"].map(str::to_owned);
    assert_eq!(pointers, HashSet::from(expected));
}

#[actix_web::test]
async fn a_retry_of_an_invitation_shows_the_same_code() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let wish = json!({ "kind": "staff", "capabilities": ["record"] });
    let first = admin.post("/v1/invitations", wish.clone()).key("one").send().await.created();
    let retry = admin.post("/v1/invitations", wish.clone()).key("one").send().await.created();
    assert_eq!(first.body, retry.body);
    let other = admin.post("/v1/invitations", wish).key("two").send().await.created();
    assert_ne!(first.text("/code"), other.text("/code"));
    let changed = json!({ "kind": "staff", "capabilities": ["care"] });
    let reused = admin.post("/v1/invitations", changed).key("one").send().await;
    reused.expect(422).refused("idempotency_key_reused");
}

#[actix_web::test]
async fn therapists_invite_patients_and_admins_invite_staff() {
    let clinic = Clinic::open().await;
    let (patient, staff) = (json!({ "kind": "patient" }), json!({ "kind": "staff", "capabilities": ["care"] }));
    clinic.admin.post("/v1/invitations", patient.clone()).send().await.expect(403);
    clinic.nurse.post("/v1/invitations", patient.clone()).send().await.expect(403);
    clinic.therapist.post("/v1/invitations", staff.clone()).send().await.expect(403);
    clinic.ann.post("/v1/invitations", patient).send().await.expect(403);
    let elsewhere = json!({ "kind": "staff", "capabilities": ["care"], "clinic_id": uuid::Uuid::nil() });
    clinic.admin.post("/v1/invitations", elsewhere).send().await.not_found();
    let no_capability = json!({ "kind": "staff", "capabilities": ["everything"] });
    clinic.admin.post("/v1/invitations", no_capability).send().await.expect(422).refused("invalid");
}

#[actix_web::test]
async fn an_admin_sees_the_invitations_of_staff_and_a_therapist_their_own() {
    let clinic = Clinic::open().await;
    let count = |answer: Answer| answer.ok().items().len();
    assert_eq!(count(clinic.admin.get("/v1/invitations").send().await), 2);
    assert_eq!(count(clinic.therapist.get("/v1/invitations").send().await), 1);
    assert_eq!(count(clinic.nurse.get("/v1/invitations").send().await), 0);
    // Order is by the time of making, to the millisecond.
    clinic.app.wait(SignedDuration::from_secs(1));
    let own = clinic.therapist.post("/v1/invitations", json!({ "kind": "patient" })).send().await.created();
    let path = format!("/v1/invitations/{}", own.id());
    clinic.nurse.delete(&path).send().await.not_found();
    clinic.admin.delete(&path).send().await.not_found();
    clinic.therapist.delete(&path).send().await.no_content();
    let wish = json!({ "kind": "staff", "capabilities": ["record"] });
    let own = clinic.admin.post("/v1/invitations", wish).send().await.created();
    // Pages, newest first.
    let first = clinic.admin.get("/v1/invitations?limit=2").send().await.ok();
    assert_eq!(first.body["items"][0]["id"], own.body["id"]);
    let next = first.text("/next_cursor");
    let second = clinic.admin.get(&format!("/v1/invitations?limit=2&cursor={next}")).send().await.ok();
    assert_eq!(second.items().len(), 1);
    assert_eq!(second.body.get("next_cursor"), None);
    let stolen = clinic.therapist.get(&format!("/v1/invitations?limit=2&cursor={next}")).send().await;
    stolen.expect(422).refused("invalid");
}

#[actix_web::test]
async fn an_account_whose_address_somebody_takes_first_leaves_no_keys_behind() {
    let Clinic { app, .. } = Clinic::open().await;
    let state = &app.server.state;
    state.vault.tend().await;
    let mut keyring = Sql::open(&state.config.vault().keyring());
    let mut keys = || keyring.rows::<Count>("SELECT count(*) AS n FROM wrapped_keys")[0].n;
    let before = keys();
    // Ann has the address by the time at which the account is stored.
    let address = Email::parse("ann.walker@example.org").unwrap();
    let profile = Profile::new(Text::parse("Another Walker").unwrap(), address);
    let passphrase = Passphrase::typed(PASSPHRASE.to_owned());
    let draft = actions::draft(state, &app.server.passwords, AccountKind::Patient, &profile, passphrase, app.now());
    let (draft, vault) = (draft.await.unwrap(), state.vault.clone());
    assert!(keys() > before);
    let stored = state.db.write(move |tx| actions::insert(tx, &vault, &draft)).await.unwrap();
    assert!(stored.is_none());
    state.vault.tend().await;
    assert_eq!(keys(), before);
}
