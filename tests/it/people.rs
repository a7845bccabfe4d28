//! The people of clinics: several clinics on a server, their admins, disabling, leaving, closing.

use std::sync::Arc;

use afterglow::care::model::Capabilities;
use afterglow::kernel::{Error, Text};
use afterglow::onboarding::operator::create_clinic;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::accounts::{code_sent_to, has_proved_address, with_factor};
use crate::support::app::{Answer, TestApp, new_id};
use crate::support::child;
use crate::support::database::{Count, Database, on_postgres};
use crate::support::journal::{grant, reflection, with};
use crate::support::people::{Clinic, PASSPHRASE, Person, again, registration};
use crate::support::sql::{Sql, beside};
use crate::support::world::{another_clinic, away, emergency};

/// The clinic where this admin works.
pub async fn clinic_of(admin: &Person) -> String {
    admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id")
}

/// The member of a clinic, as its admin sees them.
async fn member(admin: &Person, clinic: &str, who: &Person) -> Option<Value> {
    let listed = admin.get(&format!("/v1/clinics/{clinic}/members?limit=200")).send().await.ok();
    listed.items().iter().find(|one| one["account_id"] == json!(who.account)).cloned()
}

#[actix_web::test]
async fn the_operator_makes_another_clinic_and_its_first_admin_joins_with_the_printed_code() {
    let database = Database::fresh();
    child::first_run_code(&database).await;
    let (status, said) = child::run(&database, &["clinic", "create", "--name", "Hillside Clinic", "--log", "warn"]);
    assert!(status.success() && !said.contains("null"), "{said}");
    let code = said.split("\"code\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let (status, other) = child::run(&database, &["clinic", "create", "--name", "", "--log", "warn"]);
    assert!(!status.success() && other.contains("(--name)"), "{other}");

    let app = TestApp::on(database, afterglow::kernel::Clock::System, |_| {}).await;
    let hanna = app.register("Hanna Oster", &code).await;
    let una = app.staff(&hanna, "Una Gerst", &["care"]).await;
    let bea = app.patient(&una, "Bea Roth").await;
    assert_eq!(bea.care_links().await[0]["clinic_name"], "Hillside Clinic");
    // It works once.
    app.post("/v1/auth/register", registration("Somebody Else", &code))
        .send()
        .await
        .expect(422)
        .refused("code_invalid");
}

#[actix_web::test]
async fn a_clinic_that_the_operator_cannot_make_while_the_server_stops_leaves_no_keys_behind() {
    let app = TestApp::start().await;
    let state = &app.server.state;
    let mut keyring = Sql::open(&state.config.vault().keyring());
    let mut keys = || keyring.rows::<Count>("SELECT count(*) AS n FROM wrapped_keys")[0].n;
    let create = async || create_clinic(state, Text::parse("Hillside Clinic").unwrap(), Capabilities::ADMIN_ONLY).await;
    let before = keys();
    create().await.unwrap();
    state.vault.tend().await;
    assert_eq!(keys(), before + 1, "those of a clinic that is there stay");
    state.db.close();
    assert!(matches!(create().await, Err(Error::Unavailable(_))));
    state.vault.tend().await;
    assert_eq!(keys(), before + 1);
}

#[actix_web::test]
async fn somebody_who_works_elsewhere_takes_another_clinic_on_with_its_code_and_the_clinics_stay_apart() {
    let lakeside = Clinic::open().await;
    let hanna = another_clinic(&lakeside.app).await;
    let una = lakeside.app.staff(&hanna, "Una Gerst", &["care"]).await;
    let bea = lakeside.app.patient(&una, "Bea Roth").await;
    let (ours, theirs) = (clinic_of(&lakeside.admin).await, clinic_of(&hanna).await);
    assert_ne!(ours, theirs);
    for path in [format!("/v1/clinics/{ours}"), format!("/v1/clinics/{ours}/members")] {
        hanna.get(&path).send().await.not_found();
    }
    lakeside.therapist.get(&bea.of_theirs("/entries")).send().await.not_found();
    lakeside.nurse.get(&bea.of_theirs("/infusions")).send().await.not_found();
    una.get(&lakeside.ann.of_theirs("/window")).send().await.not_found();
    for (admin, clinic) in [(&lakeside.admin, &ours), (&hanna, &theirs)] {
        let summary = admin.get(&format!("/v1/clinics/{clinic}")).send().await.ok();
        assert_eq!(summary.body["patients"], "< 10");
    }
    // A member of both sees both, and nobody else does because of it.
    let code = hanna.code_for_staff(&["care"]).await;
    lakeside.therapist.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    assert!(member(&hanna, &theirs, &lakeside.therapist).await.is_some());
    hanna.get(&lakeside.ann.of_theirs("/window")).send().await.not_found();
    una.get(&lakeside.ann.of_theirs("/window")).send().await.not_found();
}

#[actix_web::test]
async fn an_admin_invites_a_second_one_who_can_do_the_same() {
    let clinic = Clinic::open().await;
    let id = clinic_of(&clinic.admin).await;
    let second = clinic.app.staff(&clinic.admin, "Sam Idris", &["admin"]).await;
    let third = clinic.app.staff(&second, "Tove Juhl", &["admin"]).await;
    assert_eq!(member(&third, &id, &second).await.unwrap()["capabilities"], json!(["admin"]));
    // With a second admin the first may go, and the last may not.
    for who in [&clinic.admin, &second] {
        who.act(&format!("/v1/clinics/{id}/leave")).send().await.no_content();
        who.get(&format!("/v1/clinics/{id}")).send().await.not_found();
        who.act(&format!("/v1/clinics/{id}/leave")).send().await.no_content();
    }
    let refused = third.act(&format!("/v1/clinics/{id}/leave")).send().await.expect(409);
    assert_eq!(refused.body["state"], "last_admin", "{}", refused.body);
    assert!(member(&third, &id, &third).await.is_some());
}

#[actix_web::test]
async fn a_disabled_member_is_out_at_once_and_back_with_all_their_links_when_enabled() {
    let clinic = Clinic::open().await;
    let (app, admin, thea, ann) = (&clinic.app, &clinic.admin, &clinic.therapist, &clinic.ann);
    let id = clinic_of(admin).await;
    let (roster, path) = ("/v1/me/patients", format!("/v1/clinics/{id}/members/{}", thea.account));
    thea.get(roster).send().await.ok();
    let code = thea.code_for_patient().await;
    let (token, refresh) = (thea.token().await, thea.refresh_token().await);
    // Somebody in her session has asked for another address.
    let other = json!({ "email": "thief@elsewhere.example", "passphrase": PASSPHRASE });
    thea.post("/v1/me/email", other).send().await.ok();
    let proof = code_sent_to(app, "thief@elsewhere.example").await;
    let disabled = admin.act(&format!("{path}/disable")).send().await.ok();
    assert_eq!(disabled.body["disabled"], json!(true));
    app.get(roster).bearer(&token).transmit().await.expect(401);
    app.post("/v1/auth/refresh", json!({ "refresh_token": refresh })).send().await.expect(401);
    let log_in = json!({ "email": "thea.brandt@example.org", "passphrase": PASSPHRASE });
    app.post("/v1/auth/login", log_in.clone()).send().await.expect(401).refused("credentials_wrong");
    assert_eq!(ann.care_links().await[0]["state"], "active", "the link stays");
    app.post("/v1/auth/register", registration("Bea Roth", &code)).send().await.expect(422).refused("code_invalid");
    // Once more changes nothing, also not the rows of the log.
    admin.act(&format!("{path}/disable")).send().await.ok();
    assert_eq!(member(admin, &id, thea).await.unwrap()["disabled"], json!(true));

    let enabled = admin.act(&format!("{path}/enable")).send().await.ok();
    assert_eq!(enabled.body["disabled"], json!(false));
    app.get(roster).bearer(&token).transmit().await.expect(401).refused("session_revoked");
    let thea = again(app, &thea.name).await;
    let proved = thea.post("/v1/auth/verify-email", json!({ "code": proof })).send().await;
    proved.expect(422).refused("code_invalid");
    assert_eq!(thea.get("/v1/me/profile").send().await.ok().body["email"], "thea.brandt@example.org");
    assert_eq!(thea.get(roster).send().await.ok().items().len(), 1);
    thea.get(&ann.of_theirs("/window")).send().await.ok();
}

#[actix_web::test]
async fn an_admin_disables_neither_themself_nor_somebody_who_also_works_elsewhere_nor_anybody_of_another_clinic() {
    let clinic = Clinic::open().await;
    let (admin, thea) = (&clinic.admin, &clinic.therapist);
    let hanna = another_clinic(&clinic.app).await;
    let id = clinic_of(admin).await;
    let path = |who: &Person| format!("/v1/clinics/{id}/members/{}/disable", who.account);
    let own = admin.act(&path(admin)).send().await.expect(409);
    assert_eq!(own.body["state"], "own_account");
    hanna.act(&path(thea)).send().await.not_found();
    admin.act(&path(&hanna)).send().await.not_found();
    let code = hanna.code_for_staff(&["care"]).await;
    thea.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    assert_eq!(admin.act(&path(thea)).send().await.expect(409).body["state"], "works_elsewhere");
    thea.get("/v1/me/patients").send().await.ok();
    thea.act(&path(&clinic.nurse)).send().await.expect(403);
    clinic.nurse.get("/v1/me/patients").send().await.ok();
    // The only other admin is disabled: then the last one stays.
    let second = clinic.app.staff(admin, "Sam Idris", &["admin"]).await;
    admin.act(&path(&second)).send().await.ok();
    assert_eq!(admin.act(&format!("/v1/clinics/{id}/leave")).send().await.expect(409).body["state"], "last_admin");
}

#[actix_web::test]
async fn a_therapist_leaves_once_no_patient_hangs_on_them() {
    let clinic = Clinic::open().await;
    let id = clinic_of(&clinic.admin).await;
    let leave = format!("/v1/clinics/{id}/leave");
    let refused = clinic.therapist.act(&leave).send().await.expect(409);
    assert_eq!(refused.body["state"], "open_links");
    clinic.therapist.delete(&format!("/v1/care-links/{}", clinic.link)).send().await.no_content();
    clinic.therapist.act(&leave).send().await.no_content();
    assert!(member(&clinic.admin, &id, &clinic.therapist).await.is_none());
    let invitation = json!({ "kind": "patient" });
    clinic.therapist.post("/v1/invitations", invitation).send().await.expect(403);
}

#[actix_web::test]
async fn a_clinic_that_closes_ends_its_links_and_invitations_and_patients_keep_what_they_wrote() {
    let clinic = Clinic::open().await;
    let (app, admin, thea, ann) = (&clinic.app, &clinic.admin, &clinic.therapist, &clinic.ann);
    let id = clinic_of(admin).await;
    let ben = app.patient(thea, "Ben Roth").await;
    let entry = ann.writes(reflection("Still mine")).await;
    ann.opens(&entry, &["text"], thea).await;
    let (for_patient, for_staff) = (thea.code_for_patient().await, admin.code_for_staff(&["care"]).await);
    let path = format!("/v1/clinics/{id}");
    for who in [thea, &clinic.nurse] {
        who.delete(&path).send().await.expect(403);
    }
    another_clinic(app).await.delete(&path).send().await.not_found();
    assert_eq!(ann.care_links().await[0]["state"], "active", "refusals change nothing");

    admin.delete(&path).send().await.no_content();
    admin.delete(&path).send().await.no_content();
    for patient in [ann, &ben] {
        assert!(patient.care_links().await.iter().all(|link| link["state"] == "ended"), "{}", patient.name);
        let log = patient.get(&patient.my("/access-log?limit=200")).send().await.ok();
        let told = log.items().iter().filter(|row| row["act"] == "clinic_closed");
        assert_eq!(told.map(|row| row["actor_name"].clone()).collect::<Vec<_>>(), [json!(admin.name)]);
    }
    assert_eq!(ann.entry(&entry).await.ok().body["text"]["title"], "Still mine");
    let grants = ann.get(&ann.my("/grants")).send().await.ok();
    assert!(grants.items().iter().all(|grant| grant["live"] == json!(false)));
    for rest in ["/entries", "/infusions", "/window"] {
        thea.get(&ann.of_theirs(rest)).send().await.not_found();
        clinic.nurse.get(&ann.of_theirs(rest)).send().await.not_found();
    }
    for code in [&for_patient, &for_staff] {
        let body = registration("Somebody Else", code);
        app.post("/v1/auth/register", body).send().await.expect(422).refused("code_invalid");
    }
    admin.get(&path).send().await.not_found();
    // She goes on by herself.
    app.wait(SignedDuration::from_hours(1));
    ann.writes(reflection("The day after")).await;
}

/// Its links end in units of their own, before the one that claims the key.
#[actix_web::test]
async fn a_request_whose_key_came_with_another_one_does_not_half_close_a_clinic() {
    let clinic = Clinic::open().await;
    let (app, admin, thea, ann) = (&clinic.app, &clinic.admin, &clinic.therapist, &clinic.ann);
    let id = clinic_of(admin).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], thea).await;
    let rows = |table: &str| {
        let query = format!("SELECT count(*) AS n FROM {table} WHERE ended_at IS NULL");
        Sql::open(&app.database.backend).rows::<Count>(&query)[0].n
    };
    let path = format!("/v1/clinics/{id}");
    let wish = json!({ "kind": "staff", "capabilities": ["duty"] });
    admin.post("/v1/invitations", wish).key("used").send().await.created();
    admin.delete(&path).key("used").send().await.expect(422).refused("idempotency_key_reused");
    assert_eq!((rows("care_links"), rows("staff_members")), (1, 3));
    thea.reads(ann, &format!("/entries/{entry}")).await.ok();
    let log = ann.get(&ann.my("/access-log?limit=200")).send().await.ok();
    assert!(log.items().iter().all(|row| row["act"] != "clinic_closed"));

    admin.delete(&path).key("close").send().await.no_content();
    admin.delete(&path).key("close").send().await.no_content();
    assert_eq!((rows("care_links"), rows("staff_members")), (0, 0));
}

#[actix_web::test]
async fn a_code_of_an_admin_gives_a_member_a_new_passphrase_and_nobody_what_patients_have_opened() {
    let clinic = Clinic::open().await;
    let (app, admin, thea, ann) = (&clinic.app, &clinic.admin, &clinic.therapist, &clinic.ann);
    let id = clinic_of(admin).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], thea).await;
    let path = format!("/v1/clinics/{id}/members/{}/credential-reset", thea.account);
    thea.get("/v1/me/patients").send().await.ok();
    with_factor(thea).await;
    let token = thea.token().await;
    let spent = admin.act(&path).send().await.ok().text("/code");
    app.get("/v1/me/patients").bearer(&token).transmit().await.expect(401).refused("session_revoked");
    let code = admin.act(&path).send().await.ok().text("/code");
    let new = "another river at dusk";
    let redeem = async |code: &str, email: &str| {
        let body = json!({ "code": code, "email": email, "passphrase": new });
        app.post("/v1/auth/staff-reset", body).send().await
    };
    // A code that has made place for another one, a wrong address, an unknown code: all the same.
    for (code, email) in [
        (&*spent, "thea.brandt@example.org"),
        (&*code, "noor.haddad@example.org"),
        ("no code", "thea.brandt@example.org"),
    ] {
        redeem(code, email).await.expect(422).refused("code_invalid");
    }
    assert_eq!(ann.care_links().await[0]["state"], "active");
    redeem(&code, "thea.brandt@example.org").await.ok();
    redeem(&code, "thea.brandt@example.org").await.expect(422).refused("code_invalid");
    let log_in = |passphrase: &str| json!({ "email": "thea.brandt@example.org", "passphrase": passphrase });
    app.post("/v1/auth/login", log_in(PASSPHRASE)).send().await.expect(401);
    let back = Person::of(app, &app.post("/v1/auth/login", log_in(new)).send().await.ok());
    assert_eq!(back.get("/v1/me/factors").send().await.ok().body, json!({ "totp": "none", "passkeys": [] }));
    back.reads(ann, &format!("/entries/{entry}")).await.not_found();
    assert_eq!(ann.care_links().await[0]["state"], "ended", "a new link needs the patient");
    ann.linked_to(&back).await;
    assert!(back.finds(ann).await.is_empty());
    // A code runs out.
    let late = admin.act(&path).send().await.ok().text("/code");
    app.wait(SignedDuration::from_hours(24));
    redeem(&late, "thea.brandt@example.org").await.expect(422).refused("code_invalid");
}

/// Chooses a new passphrase with the code of an admin.
async fn redeems(app: &Arc<TestApp>, code: &str, email: &str) -> Answer {
    let body = json!({ "code": code, "email": email, "passphrase": "another river at dusk" });
    app.post("/v1/auth/staff-reset", body).send().await
}

#[actix_web::test]
async fn a_code_of_an_admin_is_void_once_the_account_is_not_their_clinics_alone() {
    let clinic = Clinic::open().await;
    let (app, admin) = (&clinic.app, &clinic.admin);
    let (id, hanna) = (clinic_of(admin).await, another_clinic(app).await);
    let code_for = async |who: &Person| {
        let path = format!("/v1/clinics/{id}/members/{}/credential-reset", who.account);
        admin.act(&path).send().await.ok().text("/code")
    };
    // The passphrase still works, and with it she takes on another clinic.
    let code = code_for(&clinic.therapist).await;
    let thea = again(app, &clinic.therapist.name).await;
    let invitation = hanna.code_for_staff(&["record"]).await;
    thea.post("/v1/invitations/accept", json!({ "code": invitation })).send().await.ok();
    redeems(app, &code, "thea.brandt@example.org").await.expect(422).refused("code_invalid");
    assert_eq!(clinic.ann.care_links().await[0]["state"], "active");
    thea.get("/v1/me/patients").send().await.ok();
    // Nor has an admin a say about somebody who has left.
    let code = code_for(&clinic.nurse).await;
    let noor = again(app, &clinic.nurse.name).await;
    noor.act(&format!("/v1/clinics/{id}/leave")).send().await.no_content();
    redeems(app, &code, "noor.haddad@example.org").await.expect(422).refused("code_invalid");
    again(app, &clinic.nurse.name).await;
}

/// The code may be in the wrong hands: that may be why the account is disabled.
#[actix_web::test]
async fn a_code_of_an_admin_is_void_once_the_account_was_disabled() {
    let clinic = Clinic::open().await;
    let (app, admin, thea) = (&clinic.app, &clinic.admin, &clinic.therapist);
    let members = format!("/v1/clinics/{}/members", clinic_of(admin).await);
    let at_member = |who: &Person, act: &str| admin.act(&format!("{members}/{}/{act}", who.account));
    let code = at_member(thea, "credential-reset").send().await.ok().text("/code");
    at_member(thea, "disable").send().await.ok();
    redeems(app, &code, "thea.brandt@example.org").await.expect(422).refused("code_invalid");
    at_member(thea, "enable").send().await.ok();
    redeems(app, &code, "thea.brandt@example.org").await.expect(422).refused("code_invalid");
    assert_eq!(clinic.ann.care_links().await[0]["state"], "active");
    again(app, &thea.name).await.get("/v1/me/patients").send().await.ok();
    // It is the same when somebody disables their own account.
    let code = at_member(&clinic.nurse, "credential-reset").send().await.ok().text("/code");
    let noor = again(app, &clinic.nurse.name).await;
    noor.post("/v1/me/disable", json!({ "passphrase": PASSPHRASE })).send().await.ok();
    redeems(app, &code, "noor.haddad@example.org").await.expect(422).refused("code_invalid");
}

/// Somebody else may have it, and she needs it no more.
#[actix_web::test]
async fn a_code_of_an_admin_is_void_once_the_member_has_set_another_passphrase_without_it() {
    let clinic = Clinic::open().await;
    let (app, admin, thea, email) = (&clinic.app, &clinic.admin, &clinic.therapist, "thea.brandt@example.org");
    let path = format!("/v1/clinics/{}/members/{}/credential-reset", clinic_of(admin).await, thea.account);
    let code = admin.act(&path).send().await.ok().text("/code");
    let (second, third) = ("a loud waterfall at noon", "a slow glacier at night");
    let change = json!({ "passphrase": PASSPHRASE, "new_passphrase": second });
    again(app, &thea.name).await.post("/v1/me/passphrase", change).send().await.ok();
    redeems(app, &code, email).await.expect(422).refused("code_invalid");
    // It is the same when a letter gives her another one.
    has_proved_address(thea).await;
    let code = admin.act(&path).send().await.ok().text("/code");
    app.post("/v1/auth/passphrase-reset", json!({ "email": email })).send().await.expect(202);
    let confirm = json!({ "code": code_sent_to(app, email).await, "passphrase": third });
    app.post("/v1/auth/passphrase-reset/confirm", confirm).send().await.ok();
    redeems(app, &code, email).await.expect(422).refused("code_invalid");
    assert_eq!(clinic.ann.care_links().await[0]["state"], "active");
}

/// Who was an admin may have kept a code, and knows the address.
#[actix_web::test]
async fn a_code_is_void_once_an_admin_of_the_clinic_is_none_any_more() {
    let Clinic { app, admin, nurse, .. } = Clinic::open().await;
    let members = format!("/v1/clinics/{}/members", clinic_of(&admin).await);
    for (name, way) in [("Sam Idris", "ended"), ("Una Gerst", "care"), ("Kim Sato", "leave"), ("Ida Moor", "disable")] {
        let other = app.staff(&admin, name, &["care", "admin"]).await;
        let reset = other.act(&format!("{members}/{}/credential-reset", nurse.account));
        let code = reset.send().await.ok().text("/code");
        let path = format!("{members}/{}", other.account);
        match way {
            "ended" => admin.patch(&path, json!({ "ended": true })).if_match("*").send().await.ok(),
            "care" => admin.patch(&path, json!({ "capabilities": ["care"] })).if_match("*").send().await.ok(),
            "leave" => other.act(&members.replace("/members", "/leave")).send().await.no_content(),
            _ => admin.act(&format!("{path}/disable")).send().await.ok(),
        };
        redeems(&app, &code, "noor.haddad@example.org").await.expect(422).refused("code_invalid");
    }
    again(&app, &nurse.name).await;
}

#[actix_web::test]
async fn a_code_of_an_admin_opens_nothing_that_a_member_stood_in_for_and_no_address_of_theirs() {
    let clinic = Clinic::open().await;
    let (app, admin, ann) = (&clinic.app, &clinic.admin, &clinic.ann);
    let id = clinic_of(admin).await;
    let tom = app.staff(admin, "Tom Adler", &["care"]).await;
    let entry = ann.writes(reflection("Lake")).await;
    let to_team = with(grant(&entry, &["text"], &tom), json!({ "reader": { "type": "care_team" } }));
    ann.put_grant(&new_id(app), to_team).send().await.created();
    clinic
        .therapist
        .put(&format!("/v1/clinics/{id}/covers/{}", new_id(app)), away(app, &tom, 0))
        .send()
        .await
        .created();
    tom.post(&ann.of_theirs("/break-glass"), emergency()).send().await.ok();
    let other = json!({ "email": "tom@else.example", "passphrase": PASSPHRASE });
    tom.post("/v1/me/email", other).send().await.ok();
    // He has tried others before he asks.
    for _ in 0..10 {
        let wrong = json!({ "email": "tom.adler@example.org", "passphrase": "a loud river at noon" });
        app.post("/v1/auth/login", wrong).send().await.expect(401);
    }
    let proof = code_sent_to(app, "tom@else.example").await;
    for rest in ["/entries", "/infusions"] {
        tom.reads(ann, rest).await.ok();
    }
    let path = format!("/v1/clinics/{id}/members/{}/credential-reset", tom.account);
    let code = admin.act(&path).send().await.ok().text("/code");
    redeems(app, &code, "tom.adler@example.org").await.ok();
    let log_in = json!({ "email": "tom.adler@example.org", "passphrase": "another river at dusk" });
    let back = Person::of(app, &app.post("/v1/auth/login", log_in).send().await.ok());
    for rest in ["/entries", "/infusions"] {
        back.reads(ann, rest).await.not_found();
    }
    back.reads(ann, &format!("/entries/{entry}")).await.not_found();
    assert!(back.get("/v1/me/patients").send().await.ok().items().is_empty());
    let proved = back.post("/v1/auth/verify-email", json!({ "code": proof })).send().await;
    proved.expect(422).refused("code_invalid");
    assert_eq!(back.get("/v1/me/profile").send().await.ok().body["email"], "tom.adler@example.org");
}

#[actix_web::test]
async fn an_admin_whose_work_is_just_being_ended_disables_nobody_any_more() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, admin, therapist: thea, .. } = Clinic::open().await;
    let id = clinic_of(&admin).await;
    let sam = app.staff(&admin, "Sam Idris", &["admin"]).await;
    let ends = format!("UPDATE staff_members SET ended_at = created_at WHERE account_id = '{}'", sam.account);
    let disables = sam.act(&format!("/v1/clinics/{id}/members/{}/disable", thea.account)).send();
    beside(&app.database.backend, &ends, disables).await.not_found();
    thea.get("/v1/me/patients").send().await.ok();
}

/// The codes that they have made are void by then.
#[actix_web::test]
async fn an_admin_who_is_just_being_disabled_makes_no_code_any_more() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, admin, nurse, .. } = Clinic::open().await;
    let sam = app.staff(&admin, "Sam Idris", &["admin"]).await;
    let path = format!("/v1/clinics/{}/members/{}/credential-reset", clinic_of(&admin).await, nurse.account);
    // As whoever disables him does it.
    let disables = format!(
        "SELECT account_id FROM staff_members FOR UPDATE; \
         UPDATE accounts SET disabled_at = created_at WHERE id = '{}'",
        sam.account
    );
    let made = beside(&app.database.backend, &disables, sam.act(&path).send()).await;
    made.expect(401).refused("unauthenticated");
    nurse.get("/v1/me/sessions").send().await.ok();
}

#[actix_web::test]
async fn an_admin_whose_work_is_just_being_ended_ends_no_link_and_closes_no_clinic() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, admin, therapist: thea, ann, link, .. } = Clinic::open().await;
    let id = clinic_of(&admin).await;
    let closes_while_ousted = async |name: &str| {
        let other = app.staff(&admin, name, &["admin"]).await;
        let ends = format!("UPDATE staff_members SET ended_at = created_at WHERE account_id = '{}'", other.account);
        let closes = other.delete(&format!("/v1/clinics/{id}")).send();
        beside(&app.database.backend, &ends, closes).await.not_found();
    };
    closes_while_ousted("Sam Idris").await;
    assert_eq!(ann.care_links().await[0]["state"], "active");
    thea.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    closes_while_ousted("Sue Okafor").await;
    assert!(member(&admin, &id, &thea).await.is_some());
}

/// The keys for the log are fetched before the unit that ends links.
#[actix_web::test]
async fn a_patient_who_comes_while_a_clinic_closes_reads_in_their_log_that_it_did() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, admin, therapist: thea, ann, .. } = Clinic::open().await;
    let id = clinic_of(&admin).await;
    let ben = app.patient(&thea, "Ben Roth").await;
    let of_ben = |state: &str| format!("UPDATE care_links SET state = '{state}' WHERE patient_id = '{}'", ben.patient);
    Sql::open(&app.database.backend).run(&of_ben("ended"));
    let comes = format!("SELECT account_id FROM staff_members FOR UPDATE; {}", of_ben("active"));
    let closes = admin.delete(&format!("/v1/clinics/{id}")).send();
    beside(&app.database.backend, &comes, closes).await.no_content();
    for patient in [&ann, &ben] {
        assert_eq!(patient.care_links().await[0]["state"], "ended", "{}", patient.name);
        let log = patient.get(&patient.my("/access-log?limit=200")).send().await.ok();
        let told = log.items().iter().filter(|row| row["act"] == "clinic_closed");
        assert_eq!(told.count(), 1, "{}", patient.name);
    }
}

#[actix_web::test]
async fn no_admin_disables_somebody_who_is_just_taking_another_clinic_on() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, admin, therapist: thea, .. } = Clinic::open().await;
    let (id, hanna) = (clinic_of(&admin).await, another_clinic(&app).await);
    let code = hanna.code_for_staff(&["care"]).await;
    thea.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    // As one who joins does it.
    let joins = comes_later(&app, &thea, &clinic_of(&hanna).await);
    let disables = admin.act(&format!("/v1/clinics/{id}/members/{}/disable", thea.account)).send();
    let refused = beside(&app.database.backend, &joins, disables).await.expect(409);
    assert_eq!(refused.body["state"], "works_elsewhere");
    thea.get("/v1/me/patients").send().await.ok();
}

#[actix_web::test]
async fn somebody_whose_account_is_just_being_disabled_takes_no_other_clinic_on() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, therapist: thea, .. } = Clinic::open().await;
    let hanna = another_clinic(&app).await;
    let code = hanna.code_for_staff(&["care"]).await;
    let disables = format!("UPDATE accounts SET disabled_at = created_at WHERE id = '{}'", thea.account);
    let joins = thea.post("/v1/invitations/accept", json!({ "code": code })).send();
    beside(&app.database.backend, &disables, joins).await.expect(401).refused("unauthenticated");
    assert!(member(&hanna, &clinic_of(&hanna).await, &thea).await.is_none());
}

/// Takes somebody's work at a clinic away as if it had never been, and returns the statements by which it comes: those
/// of one who joins, who holds the account.
fn comes_later(app: &TestApp, who: &Person, clinic: &str) -> String {
    let own = format!("FROM staff_members WHERE account_id = '{}' AND clinic_id = '{clinic}'", who.account);
    Sql::open(&app.database.backend).run(&format!("CREATE TABLE kept AS SELECT * {own}; DELETE {own}"));
    let holds = format!("SELECT id FROM accounts WHERE id = '{}' FOR UPDATE", who.account);
    format!("{holds}; INSERT INTO staff_members SELECT * FROM kept")
}

/// Ends the work of somebody at a clinic, or lets it go on as it was.
fn work_ends(who: &Person, clinic: &str, ended_at: &str) -> String {
    let row = format!("account_id = '{}' AND clinic_id = '{clinic}'", who.account);
    format!("UPDATE staff_members SET ended_at = {ended_at} WHERE {row}")
}

#[actix_web::test]
async fn somebody_who_is_just_becoming_the_only_admin_of_another_clinic_does_not_disable_their_account() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, therapist: thea, .. } = Clinic::open().await;
    let hanna = another_clinic(&app).await;
    let code = hanna.code_for_staff(&["admin"]).await;
    let theirs = clinic_of(&hanna).await;
    thea.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    hanna.act(&format!("/v1/clinics/{theirs}/leave")).send().await.no_content();
    // As one who joins does it.
    let joins = comes_later(&app, &thea, &theirs);
    let disables = thea.post("/v1/me/disable", json!({ "passphrase": PASSPHRASE })).send();
    let refused = beside(&app.database.backend, &joins, disables).await.expect(409);
    assert_eq!(refused.body["state"], "last_admin");
    assert!(member(&thea, &theirs, &thea).await.is_some());
}

#[actix_web::test]
async fn an_admin_who_is_just_leaving_a_clinic_does_not_disable_its_other_admin_through_a_second_clinic() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, admin, .. } = Clinic::open().await;
    let sam = app.staff(&admin, "Sam Idris", &["admin"]).await;
    let hanna = another_clinic(&app).await;
    let ours = clinic_of(&admin).await;
    for (who, may) in [(&admin, "admin"), (&sam, "duty")] {
        let code = hanna.code_for_staff(&[may]).await;
        who.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
    }
    let theirs = clinic_of(&hanna).await;
    let act = |what: &str| admin.act(&format!("/v1/clinics/{theirs}/members/{}/{what}", sam.account)).send();
    // Who administers both clinics may.
    act("disable").await.ok();
    act("enable").await.ok();
    let leaves = work_ends(&admin, &ours, "created_at");
    let refused = beside(&app.database.backend, &leaves, act("disable")).await.expect(409);
    assert_eq!(refused.body["state"], "works_elsewhere");
    assert_eq!(member(&hanna, &theirs, &sam).await.unwrap()["disabled"], json!(false));
}
