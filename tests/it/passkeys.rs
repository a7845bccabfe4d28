//! Passkeys: added, used alone and beside a passphrase, refused for every fault, taken away.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::accounts::{code_of, disable, enable, proves, with_factor};
use crate::support::app::{Answer, TestApp};
use crate::support::authenticator::{ANDROID, Authenticator, ORIGIN, RP_ID, challenge, made, with_passkey};
use crate::support::database::{Count, on_postgres};
use crate::support::journal::two;
use crate::support::people::{Clinic, PASSPHRASE, Person, again};
use crate::support::sql::{Sql, beside};
use crate::unreadable::Damaged;

const ANN: &str = "ann.walker@example.org";

/// A log-in with what a device has signed.
async fn finish(app: &Arc<TestApp>, answer: &Value) -> Answer {
    app.post("/v1/auth/passkey/finish", answer.clone()).send().await
}

/// A log-in with a new challenge.
async fn log_in(app: &Arc<TestApp>, device: &mut Authenticator) -> Answer {
    let answer = device.answers(app).await;
    finish(app, &answer).await
}

/// A log-in of Ann's with the right passphrase and what a device has signed.
async fn log_in_beside(app: &Arc<TestApp>, passkey: &Value) -> Answer {
    let body = json!({ "email": ANN, "passphrase": PASSPHRASE, "passkey": passkey });
    app.post("/v1/auth/login", body).send().await
}

#[track_caller]
fn is_refused(answer: Answer) -> Answer {
    answer.expect(401).refused("passkey_refused")
}

/// What somebody was told of, newest first.
async fn told(person: &Person) -> Vec<String> {
    let page = person.get("/v1/me/security-events?limit=200").send().await.ok();
    page.items().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

async fn passkeys(person: &Person) -> Vec<Value> {
    let factors = person.get("/v1/me/factors").send().await.ok().body;
    factors["passkeys"].as_array().unwrap().clone()
}

async fn sessions(person: &Person) -> usize {
    person.get("/v1/me/sessions").send().await.ok().items().len()
}

fn count(app: &TestApp, from: &str) -> i64 {
    Sql::open(&app.database.backend).rows::<Count>(&format!("SELECT count(*) AS n FROM {from}"))[0].n
}

/// The number of sessions of somebody in which the passphrase counts as shown, and of those in which a code does.
fn proofs_of(person: &Person) -> (i64, i64) {
    let account = Sql::open(&person.app.database.backend).id(&person.account);
    let number =
        |proof: &str| count(&person.app, &format!("sessions WHERE account_id = {account} AND {proof} IS NOT NULL"));
    (number("verified_at"), number("factor_at"))
}

fn minutes(app: &TestApp, minutes: i64) {
    app.wait(SignedDuration::from_mins(minutes));
}

#[actix_web::test]
async fn a_passkey_is_added_with_a_fresh_proof_and_its_owner_is_told() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let begun = ann.act("/v1/me/factors/passkeys/begin").send().await.ok();
    assert_eq!(begun.headers["cache-control"], "no-store");
    let options = &begun.body["public_key"];
    assert_eq!((&options["rp"]["id"], &options["user"]["name"]), (&json!(RP_ID), &json!(ANN)));
    let selection = &options["authenticatorSelection"];
    for (name, value) in [
        ("residentKey", json!("required")),
        ("requireResidentKey", json!(true)),
        ("userVerification", json!("required")),
    ] {
        assert_eq!(selection[name], value, "{name}");
    }
    assert_eq!(options["attestation"], "none");
    assert_eq!(count(&app, "passkey_ceremonies"), 0);
    let mut device = Authenticator::new();
    let body = device.adds(&begun.body);
    let add = |key: &str| ann.post("/v1/me/factors/passkeys", body.clone()).key(key);
    let added = add("add").send().await.created();
    let id = added.text("/id");
    assert!(added.headers["location"].ends_with(&format!("/v1/me/factors/passkeys/{id}")));
    assert_eq!(add("add").send().await.created().body, added.body);
    // The challenge is used, with another key and without one.
    assert!(add("another").send().await.expect(422).body.to_string().contains("/ceremony"));
    assert_eq!((count(&app, "passkeys"), count(&app, "passkey_ceremonies")), (1, 1));
    let shown = passkeys(&ann).await;
    assert_eq!((shown.len(), &shown[0]), (1, &added.body));
    assert_eq!((&shown[0]["name"], shown[0].get("last_used_at")), (&json!("Ann's phone"), None));
    assert_eq!(told(&ann).await[0], "passkey_added");
    // The device that has one is named to those that ask for another, and its key is not taken twice.
    let begun = ann.act("/v1/me/factors/passkeys/begin").send().await.ok().body;
    assert_eq!(begun["public_key"]["excludeCredentials"][0]["id"], json!(device.credential_id()));
    assert_eq!(begun["public_key"]["user"]["id"], options["user"]["id"]);
    let twice = device.adds(&begun);
    ann.post("/v1/me/factors/passkeys", twice).send().await.expect(422);
    minutes(&app, 6);
    ann.act("/v1/me/factors/passkeys/begin").send().await.expect(403).refused("step_up_required");
    ann.delete(&format!("/v1/me/factors/passkeys/{id}")).send().await.expect(403).refused("step_up_required");
    assert_eq!(count(&app, "passkeys"), 1);
}

#[actix_web::test]
async fn a_passkey_alone_logs_in_and_counts_as_passphrase_and_code() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    with_factor(&ann).await;
    let (mut device, id) = with_passkey(&ann).await;
    minutes(&app, 60);
    let begun = challenge(&app).await;
    assert_eq!(begun["public_key"]["allowCredentials"], json!([]));
    assert_eq!(begun["public_key"]["userVerification"], "required");
    let answer = finish(&app, &device.signs(&begun)).await.ok();
    assert_eq!(answer.headers["cache-control"], "no-store");
    let again = Person::of(&app, &answer);
    assert_eq!((&again.account, &again.patient), (&ann.account, &ann.patient));
    assert_eq!(sessions(&ann).await, 2);
    assert_eq!(told(&ann).await[0], "log_in_new_device");
    // What asks for passphrase and code within five minutes goes on at once.
    again.act("/v1/me/factors/recovery-codes").send().await.ok();
    let used = passkeys(&again).await[0].clone();
    assert_eq!((used["id"].as_str(), used["last_used_at"].is_string()), (Some(id.as_str()), true));
    // A device that the account knows is no new one.
    let mut body = device.answers(&app).await;
    body["device_token"] = answer.body["tokens"]["device_token"].clone();
    body["device_name"] = json!("Ann's tablet");
    finish(&app, &body).await.ok();
    assert_eq!(told(&ann).await[0], "log_in");
    assert!(ann.get("/v1/me/sessions").send().await.ok().body.to_string().contains("Ann's tablet"));
    // Its app on Android asks with an origin of its own; a key that counts nothing is good each time.
    device.origin = ANDROID.to_owned();
    log_in(&app, &mut device).await.ok();
}

#[actix_web::test]
async fn a_passkey_stands_in_for_a_code_at_a_log_in() {
    let Clinic { app, therapist, ann, .. } = Clinic::open().await;
    let (mut device, _) = with_passkey(&ann).await;
    let log_in = async |passphrase: &str, passkey: Option<Value>| {
        let mut body = json!({ "email": ANN, "passphrase": passphrase });
        if let Some(passkey) = passkey {
            body["passkey"] = passkey;
        }
        app.post("/v1/auth/login", body).send().await
    };
    // It does not switch the second factor on.
    log_in(PASSPHRASE, None).await.ok();
    with_factor(&ann).await;
    log_in(PASSPHRASE, None).await.expect(401).refused("second_factor_required");
    let answer = device.answers(&app).await;
    log_in("a loud river at noon", Some(answer.clone())).await.expect(401).refused("credentials_wrong");
    let grant = log_in(PASSPHRASE, Some(answer.clone())).await.ok();
    Person::of(&app, &grant).act("/v1/me/factors/recovery-codes").send().await.ok();
    // Once.
    log_in(PASSPHRASE, Some(answer.clone())).await.expect(401).refused("second_factor_wrong");
    is_refused(finish(&app, &answer).await);
    // That of somebody else is none of hers.
    let (mut theirs, _) = with_passkey(&therapist).await;
    let answer = theirs.answers(&app).await;
    let (used, answered) = ("passkeys WHERE last_used_at IS NOT NULL", count(&app, "passkey_ceremonies"));
    let before = count(&app, used);
    log_in(PASSPHRASE, Some(answer.clone())).await.expect(401).refused("second_factor_wrong");
    // What was heard of it opens nothing, and the passkey was not used up.
    assert_eq!((count(&app, used), count(&app, "passkey_ceremonies")), (before, answered + 1));
    is_refused(finish(&app, &answer).await);
    let answer = theirs.answers(&app).await;
    finish(&app, &answer).await.ok();
    assert_eq!(count(&app, used), before + 1);
}

#[actix_web::test]
async fn a_passkey_beside_the_passphrase_is_used_up_also_where_none_is_asked_for() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (mut device, _) = with_passkey(&ann).await;
    let answer = device.answers(&app).await;
    let before = count(&app, "passkey_ceremonies");
    let wrong = json!({ "email": ANN, "passphrase": "a loud river at noon", "passkey": answer });
    app.post("/v1/auth/login", wrong).send().await.expect(401).refused("credentials_wrong");
    assert_eq!((count(&app, "passkey_ceremonies"), proofs_of(&ann)), (before, (1, 0)));
    let grant = log_in_beside(&app, &answer).await.ok();
    assert_eq!((count(&app, "passkey_ceremonies"), proofs_of(&ann)), (before + 1, (2, 1)));
    assert!(passkeys(&ann).await[0]["last_used_at"].is_string());
    // What was heard of it opens and proves nothing.
    log_in_beside(&app, &answer).await.expect(401).refused("second_factor_wrong");
    is_refused(finish(&app, &answer).await);
    ann.post("/v1/auth/step-up", json!({ "passkey": answer })).send().await.expect(422);
    assert_eq!((sessions(&ann).await, proofs_of(&ann)), (2, (2, 1)));
    // It counts as a code: a second factor that is switched on later asks that session for none.
    let (both, passphrase_alone) = (Person::of(&app, &grant), again(&app, "Ann Walker").await);
    with_factor(&ann).await;
    let renews = |person: &Person| person.act("/v1/me/factors/recovery-codes");
    renews(&passphrase_alone).send().await.expect(403).refused("step_up_required");
    renews(&both).send().await.ok();
}

#[actix_web::test]
async fn a_wrong_passkey_beside_the_right_passphrase_is_refused_and_counted() {
    let Clinic { app, therapist, ann, .. } = Clinic::open().await;
    let (mut device, _) = with_passkey(&ann).await;
    let (mut theirs, _) = with_passkey(&therapist).await;
    for times in 1..=10 {
        let answer = theirs.answers(&app).await;
        log_in_beside(&app, &answer).await.expect(401).refused("second_factor_wrong");
        // For the network, and for the account.
        assert_eq!(count(&app, &format!("log_in_failures WHERE failures = {times}")), 2);
    }
    assert_eq!((sessions(&ann).await, proofs_of(&ann)), (1, (1, 0)));
    // While codes rest the right one is refused as well, and not used up.
    let answer = device.answers(&app).await;
    log_in_beside(&app, &answer).await.expect(401).refused("second_factor_wrong");
    finish(&app, &answer).await.ok();
    // The passphrase alone is as good as before.
    again(&app, "Ann Walker").await;
    minutes(&app, 15);
    let answer = device.answers(&app).await;
    log_in_beside(&app, &answer).await.ok();
    assert_eq!(count(&app, "log_in_failures WHERE failures > 0"), 0);
}

#[actix_web::test]
async fn a_passkey_proves_its_owner_within_a_session() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (mut device, _) = with_passkey(&ann).await;
    let (mut theirs, _) = with_passkey(&theo).await;
    with_factor(&ann).await;
    minutes(&app, 6);
    let renew = async || ann.act("/v1/me/factors/recovery-codes").send().await;
    renew().await.expect(403).refused("step_up_required");
    let shows = async |passkey: Value| ann.post("/v1/auth/step-up", json!({ "passkey": passkey })).send().await;
    let answer = theirs.answers(&app).await;
    assert!(shows(answer).await.expect(422).body.to_string().contains("/passkey"));
    renew().await.expect(403);
    let answer = device.answers(&app).await;
    shows(answer.clone()).await.ok();
    renew().await.ok();
    shows(answer).await.expect(422);
    ann.post("/v1/auth/step-up", json!({})).send().await.expect(422);
}

#[actix_web::test]
async fn a_challenge_is_good_once_and_for_five_minutes_and_for_what_it_was_made() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let (mut device, _) = with_passkey(&ann).await;
    let answer = device.answers(&app).await;
    let answers = futures_util::future::join_all((0..8).map(|_| finish(&app, &answer))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(sessions(&ann).await, 2);
    is_refused(finish(&app, &answer).await);
    // A signature of the same challenge with a counter that goes on is none either.
    let begun = challenge(&app).await;
    finish(&app, &device.signs(&begun)).await.ok();
    is_refused(finish(&app, &device.signs(&begun)).await);
    assert!(!told(&ann).await.contains(&"passkey_copied".to_owned()));

    let (in_time, late) = (challenge(&app).await, challenge(&app).await);
    app.wait(SignedDuration::from_secs(299));
    finish(&app, &device.signs(&in_time)).await.ok();
    app.wait(SignedDuration::from_secs(1));
    is_refused(finish(&app, &device.signs(&late)).await);
    // One of this server's, whole.
    let mut changed = device.answers(&app).await;
    changed["ceremony"] = json!(format!("{}A", changed["ceremony"].as_str().unwrap()));
    is_refused(finish(&app, &changed).await);
    // One for another key.
    let mut crossed = device.signs(&challenge(&app).await);
    crossed["ceremony"] = challenge(&app).await["ceremony"].clone();
    is_refused(finish(&app, &crossed).await);

    // A challenge to make a key is of the session in which it was asked for, and no log-in.
    proves(&ann).await;
    let begun = ann.act("/v1/me/factors/passkeys/begin").send().await.ok().body;
    is_refused(finish(&app, &device.signs(&begun)).await);
    let other = Person::of(&app, &log_in(&app, &mut device).await.ok());
    let body = Authenticator::new().adds(&begun);
    other.post("/v1/me/factors/passkeys", body.clone()).send().await.expect(422);
    let mut logged = body.clone();
    logged["ceremony"] = challenge(&app).await["ceremony"].clone();
    ann.post("/v1/me/factors/passkeys", logged).send().await.expect(422);
    let begun = challenge(&app).await;
    minutes(&app, 5);
    ann.post("/v1/me/factors/passkeys", body).send().await.expect(422);
    assert_eq!(count(&app, "passkeys"), 1);
    is_refused(finish(&app, &device.signs(&begun)).await);
}

#[actix_web::test]
async fn a_challenge_is_answered_at_another_process() {
    let app = TestApp::start_on_disk().await;
    let (theo, ann) = two(&app).await;
    let (mut device, _) = with_passkey(&ann).await;
    let (begun, spent) = (challenge(&app).await, device.answers(&app).await);
    finish(&app, &spent).await.ok();
    // A person holds the server they ask: it stops when none is left.
    let ann = ann.absent();
    drop(theo);
    let app = app.restart().await;
    is_refused(finish(&app, &spent).await);
    finish(&app, &device.signs(&begun)).await.ok();
    assert_eq!(sessions(&ann.at(&app)).await, 3);
}

#[actix_web::test]
async fn what_is_signed_for_another_page_or_server_or_without_its_owner_is_refused() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    type Change = (&'static str, fn(&mut Authenticator));
    let changes: [Change; 6] = [
        ("another page", |device| device.origin = "https://app.lakeside.example.org".to_owned()),
        ("a page of the same domain that is not named", |device| device.origin = format!("https://x.{RP_ID}")),
        ("another scheme", |device| device.origin = ORIGIN.replace("https", "http")),
        ("another app", |device| device.origin = ANDROID.replace("pNiP", "xxxx")),
        ("another server", |device| device.rp_id = "hillside.example".to_owned()),
        ("without its owner", |device| device.verifies = false),
    ];
    for (what, change) in changes {
        let begun = ann.act("/v1/me/factors/passkeys/begin").send().await.ok().body;
        let mut device = Authenticator::new();
        change(&mut device);
        let body = device.adds(&begun);
        let refused = ann.post("/v1/me/factors/passkeys", body).send().await.expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], "/credential", "{what}");
    }
    assert_eq!(count(&app, "passkeys"), 0);
    for (what, change) in changes {
        let (mut device, _) = with_passkey(&ann).await;
        log_in(&app, &mut device).await.ok();
        change(&mut device);
        let answer = log_in(&app, &mut device).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (401, &json!("passkey_refused")), "{what}");
    }
    // The domain itself is always allowed.
    let (mut device, _) = with_passkey(&ann).await;
    device.origin = format!("https://{RP_ID}");
    log_in(&app, &mut device).await.ok();
}

#[actix_web::test]
async fn a_counter_that_goes_back_is_refused_and_its_owner_told_once_for_each_challenge() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (mut device, _) = with_passkey(&ann).await;
    for _ in 0..3 {
        log_in(&app, &mut device).await.ok();
    }
    let copies = async || told(&ann).await.into_iter().filter(|event| event == "passkey_copied").count();
    for (counter, copied) in [(2, 1), (0, 2)] {
        device.counter = counter;
        let answer = device.answers(&app).await;
        for _ in 0..2 {
            is_refused(finish(&app, &answer).await);
            assert_eq!(copies().await, copied);
        }
    }
    assert_eq!(sessions(&ann).await, 4);
    device.counter = 3;
    log_in(&app, &mut device).await.ok();
    device.counter = 90;
    log_in(&app, &mut device).await.ok();
    device.counter = 89;
    // The same for a proof within a session.
    let answer = device.answers(&app).await;
    assert_eq!(device.counter, 90);
    ann.post("/v1/auth/step-up", json!({ "passkey": answer })).send().await.expect(422);
    assert_eq!(copies().await, 3);
}

#[actix_web::test]
async fn whatever_is_wrong_the_answer_is_the_same() {
    let Clinic { app, therapist, ann, .. } = Clinic::open().await;
    let (mut device, id) = with_passkey(&ann).await;
    let (mut theirs, _) = with_passkey(&therapist).await;
    let mut seen = BTreeSet::new();
    let mut note = |answer: Answer| {
        let mut body = is_refused(answer).body;
        body.as_object_mut().unwrap().remove("request_id");
        seen.insert(body.to_string());
    };
    note(log_in(&app, &mut Authenticator::new()).await);
    note(log_in(&app, &mut Authenticator::new().pretending_to_be(&device)).await);
    let mut named = device.answers(&app).await;
    named["credential"]["response"]["userHandle"] = theirs.handle.clone();
    note(finish(&app, &named).await);
    let mut nothing = device.answers(&app).await;
    nothing["credential"] = json!({});
    note(finish(&app, &nothing).await);
    nothing["ceremony"] = json!("");
    note(finish(&app, &nothing).await);
    let mut unsigned = device.answers(&app).await;
    unsigned["credential"]["response"]["signature"] = json!("MEUCIQ");
    note(finish(&app, &unsigned).await);

    disable(&app, therapist.account.parse().unwrap()).await;
    note(log_in(&app, &mut theirs).await);
    enable(&app, therapist.account.parse().unwrap()).await;
    log_in(&app, &mut theirs).await.ok();
    ann.delete(&format!("/v1/me/factors/passkeys/{id}")).send().await.no_content();
    note(log_in(&app, &mut device).await);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((sessions(&ann).await, sessions(&therapist).await), (1, 2));
}

#[actix_web::test]
async fn a_passkey_is_taken_away_by_its_owner_alone() {
    let Clinic { app, therapist, ann, .. } = Clinic::open().await;
    let (mut device, id) = with_passkey(&ann).await;
    let (mut kept, _) = with_passkey(&ann).await;
    let path = format!("/v1/me/factors/passkeys/{id}");
    therapist.delete(&path).send().await.not_found();
    log_in(&app, &mut device).await.ok();
    let remove = || ann.delete(&path).key("remove");
    remove().send().await.no_content();
    remove().send().await.no_content();
    ann.delete(&path).send().await.not_found();
    assert_eq!(told(&ann).await[0], "passkey_removed");
    assert_eq!((count(&app, "passkeys"), passkeys(&ann).await.len()), (1, 1));
    is_refused(log_in(&app, &mut device).await);
    log_in(&app, &mut kept).await.ok();
}

#[actix_web::test]
async fn a_passkey_that_is_taken_away_takes_back_what_was_shown_in_other_sessions() {
    let Clinic { app, therapist, ann, .. } = Clinic::open().await;
    let (mut device, id) = with_passkey(&ann).await;
    let other = Person::of(&app, &log_in(&app, &mut device).await.ok());
    let begin = |person: &Person| person.act("/v1/me/factors/passkeys/begin");
    let begun = begin(&other).send().await.ok().body;
    let secret = other.act("/v1/me/factors/totp").send().await.ok().text("/secret");
    let of_others = proofs_of(&therapist);
    assert_eq!(proofs_of(&ann), (2, 1));
    ann.delete(&format!("/v1/me/factors/passkeys/{id}")).send().await.no_content();
    assert_eq!((proofs_of(&ann), proofs_of(&therapist)), ((1, 0), of_others));

    // The session lives, and proves nothing any more.
    assert_eq!(sessions(&other).await, 2);
    begin(&other).send().await.expect(403).refused("step_up_required");
    begin(&ann).send().await.ok();
    // Nor is finished in it what was begun with the proof.
    let body = Authenticator::new().adds(&begun);
    let add = || other.post("/v1/me/factors/passkeys", body.clone());
    let confirm = || other.post("/v1/me/factors/totp/confirm", json!({ "code": code_of(&app, &secret) }));
    assert!(add().send().await.expect(422).body.to_string().contains("/ceremony"));
    confirm().send().await.expect(403).refused("step_up_required");
    assert_eq!((count(&app, "passkeys"), count(&app, "second_factors WHERE confirmed_at IS NOT NULL")), (0, 0));
    // Its owner proves themself, and goes on.
    proves(&other).await;
    assert_eq!(proofs_of(&ann), (2, 0));
    begin(&other).send().await.ok();
    add().send().await.created();
    confirm().send().await.ok();
}

#[actix_web::test]
async fn with_a_second_factor_a_passkey_that_was_begun_waits_for_passphrase_and_code_again() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (_, codes) = with_factor(&ann).await;
    let (mut device, id) = with_passkey(&ann).await;
    let other = Person::of(&app, &log_in(&app, &mut device).await.ok());
    let (_, body) = made(&other).await;
    let add = || other.post("/v1/me/factors/passkeys", body.clone());
    ann.delete(&format!("/v1/me/factors/passkeys/{id}")).send().await.no_content();
    // The passphrase alone is half of it.
    proves(&other).await;
    assert_eq!(proofs_of(&ann), (2, 1));
    assert!(add().send().await.expect(422).body.to_string().contains("/ceremony"));
    assert_eq!(count(&app, "passkeys"), 0);
    other.post("/v1/auth/step-up", json!({ "code": codes[0] })).send().await.ok();
    add().send().await.created();
    assert_eq!(count(&app, "passkeys"), 1);
}

#[actix_web::test]
async fn a_passkey_that_was_begun_before_there_was_a_second_factor_waits_for_its_code() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let other = again(&app, "Ann Walker").await;
    let (_, body) = made(&other).await;
    let add = || other.post("/v1/me/factors/passkeys", body.clone());
    let (_, codes) = with_factor(&ann).await;
    assert!(add().send().await.expect(422).body.to_string().contains("/ceremony"));
    assert_eq!(count(&app, "passkeys"), 0);
    // The session that has switched it on has shown a code.
    with_passkey(&ann).await;
    other.post("/v1/auth/step-up", json!({ "code": codes[0] })).send().await.ok();
    add().send().await.created();
    assert_eq!(count(&app, "passkeys"), 2);
}

#[actix_web::test]
async fn a_passkey_that_is_shown_while_it_is_taken_away_leaves_no_proof() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    for _ in 0..8 {
        let (mut device, id) = with_passkey(&ann).await;
        let answer = device.answers(&app).await;
        let remove = ann.delete(&format!("/v1/me/factors/passkeys/{id}"));
        let (shown, removed) = futures_util::future::join(finish(&app, &answer), remove.send()).await;
        removed.no_content();
        if shown.status != 200 {
            is_refused(shown);
        }
        assert_eq!((proofs_of(&ann), count(&app, "passkeys")), ((1, 0), 0));
    }
}

#[actix_web::test]
async fn an_account_has_twenty_passkeys_at_most() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (_, last) = made(&ann).await;
    for _ in 0..20 {
        with_passkey(&ann).await;
    }
    let full = ann.act("/v1/me/factors/passkeys/begin").send().await.expect(409).refused("limit_reached");
    assert!(full.body["detail"].as_str().unwrap().contains("`passkeys`"));
    // Nor with a challenge of before.
    ann.post("/v1/me/factors/passkeys", last).send().await.expect(409).refused("limit_reached");
    assert_eq!(count(&app, "passkeys"), 20);
}

#[actix_web::test]
async fn whoever_can_write_the_database_gives_nobody_a_passkey() {
    let Clinic { app, therapist, ann, .. } = Clinic::open().await;
    let (mut device, _) = with_passkey(&ann).await;
    let (mut theirs, _) = with_passkey(&therapist).await;
    let run = |statement: &str| Sql::open(&app.database.backend).run(statement);
    let id = |person: &Person| Sql::open(&app.database.backend).id(&person.account);
    run("CREATE TABLE kept AS SELECT * FROM passkeys");
    let (hers, of_therapist) = (id(&ann), id(&therapist));
    for change in [
        format!("UPDATE passkeys SET account_id = {hers}"),
        format!("UPDATE passkeys SET doc = (SELECT doc FROM kept WHERE account_id = {of_therapist})"),
        "UPDATE passkeys SET version = version + 1".to_owned(),
    ] {
        run(&change);
        let answer = log_in(&app, &mut theirs).await;
        // A document that is whole and stands where it belongs opens to its owner alone.
        if answer.status == 200 {
            assert_eq!(answer.body["account"]["id"], json!(therapist.account), "{change}");
        }
        let answer = log_in(&app, &mut device).await;
        assert_ne!(answer.body["account"]["id"], json!(therapist.account), "{change}");
        run("DELETE FROM passkeys");
        run("INSERT INTO passkeys SELECT * FROM kept");
    }
    assert_eq!(count(&app, "passkeys"), 2);
}

#[actix_web::test]
async fn a_damaged_passkey_lets_nobody_in_and_can_be_taken_away() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (mut device, id) = with_passkey(&ann).await;
    for manner in 0..4 {
        let damaged = Damaged::new(&app, ("passkeys", "doc"), "version > 0", manner);
        is_refused(log_in(&app, &mut device).await);
        let shown = passkeys(&ann).await[0].clone();
        assert_eq!((&shown["id"], shown.get("name"), &shown["unreadable"]), (&json!(id), None, &json!(true)));
        damaged.mend(&app);
    }
    log_in(&app, &mut device).await.ok();
    Damaged::new(&app, ("passkeys", "doc"), "version > 0", 0);
    // Another one can be added beside it.
    let (mut other, _) = with_passkey(&ann).await;
    log_in(&app, &mut other).await.ok();
    ann.delete(&format!("/v1/me/factors/passkeys/{id}")).send().await.no_content();
    assert_eq!(passkeys(&ann).await.len(), 1);
}

#[actix_web::test]
async fn a_server_without_passkeys_says_so() {
    let app = TestApp::start_with(|config| config.passkeys = None).await;
    let admin = app.admin().await;
    assert_eq!(app.get("/v1/meta").send().await.ok().body.get("passkey_rp_id"), None);
    let off = |answer: Answer| answer.expect(409).refused("passkeys_off");
    off(app.request(reqwest::Method::POST, "/v1/auth/passkey/begin").send().await);
    off(admin.act("/v1/me/factors/passkeys/begin").send().await);
    let nothing = json!({ "ceremony": "x", "credential": {} });
    off(finish(&app, &nothing).await);
    off(admin.post("/v1/auth/step-up", json!({ "passkey": nothing })).send().await);
    assert_eq!(passkeys(&admin).await, Vec::<Value>::new());
    let app = TestApp::start().await;
    assert_eq!(app.get("/v1/meta").send().await.ok().body["passkey_rp_id"], RP_ID);
}

/// Every passkey is taken away when the passphrase is reset: a stranger's must not come after.
#[actix_web::test]
async fn a_stranger_adds_no_passkey_while_a_reset_ends_their_session() {
    if !on_postgres() {
        return;
    }
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (_, body) = made(&ann).await;
    let resets = format!(
        "SELECT id FROM accounts WHERE id = '{0}' FOR UPDATE; \
         UPDATE sessions SET revoked_at = created_at, revoked_cause = 7 WHERE account_id = '{0}'",
        ann.account
    );
    let adds = ann.post("/v1/me/factors/passkeys", body).send();
    beside(&app.database.backend, &resets, adds).await.expect(422);
    assert_eq!(count(&app, "passkeys"), 0);
}
