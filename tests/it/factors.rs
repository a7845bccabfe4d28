//! Second factors: codes that are good once, recovery codes, and log-ins that ask for one.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::accounts::{code_at, code_of, with_factor};
use crate::support::app::{Answer, TestApp};
use crate::support::people::{Clinic, PASSPHRASE, Person};
use crate::support::sql::Sql;
use crate::unreadable::Damaged;

const ANN: &str = "ann.walker@example.org";

/// A log-in of Ann's with the right passphrase.
async fn log_in(app: &Arc<TestApp>, code: Option<&str>) -> Answer {
    let mut body = json!({ "email": ANN, "passphrase": PASSPHRASE });
    if let Some(code) = code {
        body["code"] = json!(code);
    }
    app.post("/v1/auth/login", body).send().await
}

async fn is_wrong(app: &Arc<TestApp>, code: &str) {
    log_in(app, Some(code)).await.expect(401).refused("second_factor_wrong");
}

/// How Ann's second factor stands.
async fn state(ann: &Person) -> Value {
    ann.get("/v1/me/factors").send().await.ok().body
}

/// What Ann was told of, newest first.
async fn told(ann: &Person) -> Vec<String> {
    let page = ann.get("/v1/me/security-events?limit=200").send().await.ok();
    page.items().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

fn step(app: &TestApp) {
    app.wait(SignedDuration::from_secs(30));
}

#[actix_web::test]
async fn a_second_factor_counts_from_its_first_code_and_is_asked_for_at_log_ins() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    assert_eq!(state(&ann).await, json!({ "totp": "none", "passkeys": [] }));
    let begun = ann.act("/v1/me/factors/totp").send().await.ok();
    assert_eq!(begun.headers["cache-control"], "no-store");
    let secret = begun.text("/secret");
    assert_eq!(secret.len(), 32);
    assert!(begun.text("/uri").contains(&format!("secret={secret}&")), "{}", begun.body);
    assert_eq!(state(&ann).await, json!({ "totp": "awaited", "passkeys": [] }));
    log_in(&app, None).await.ok();
    let wrong = code_at(&app, &secret, 7);
    let confirm = |code: &str| ann.post("/v1/me/factors/totp/confirm", json!({ "code": code }));
    confirm(&wrong).send().await.expect(422).refused("invalid");
    assert_eq!(state(&ann).await["totp"], "awaited");
    let code = code_of(&app, &secret);
    let on = confirm(&code).send().await.ok();
    assert_eq!(on.headers["cache-control"], "no-store");
    let codes: BTreeSet<&str> =
        on.body["recovery_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(codes.len(), 10);
    let now = state(&ann).await;
    assert_eq!((&now["totp"], &now["recovery_codes_left"]), (&json!("on"), &json!(10)));
    assert_eq!(told(&ann).await[0], "second_factor_on");
    // It is shown once, and neither switched on nor begun again.
    confirm(&code).send().await.expect(409).refused("state_conflict");
    ann.act("/v1/me/factors/totp").send().await.expect(409).refused("state_conflict");

    step(&app);
    log_in(&app, None).await.expect(401).refused("second_factor_required");
    // Who has the wrong passphrase learns nothing of it.
    let code = code_of(&app, &secret);
    for body in [
        json!({ "email": ANN, "passphrase": "a loud river at noon" }),
        json!({ "email": ANN, "passphrase": "a loud river at noon", "code": code }),
        json!({ "email": "nobody@example.org", "passphrase": PASSPHRASE, "code": code }),
    ] {
        app.post("/v1/auth/login", body).send().await.expect(401).refused("credentials_wrong");
    }
    log_in(&app, Some(&format!("{} {}", &code[..3], &code[3..]))).await.ok();
}

#[actix_web::test]
async fn a_new_secret_takes_the_place_of_one_that_never_counted() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let first = ann.act("/v1/me/factors/totp").send().await.ok().text("/secret");
    let second = ann.act("/v1/me/factors/totp").send().await.ok().text("/secret");
    assert_ne!(first, second);
    let confirm = |secret: &str| ann.post("/v1/me/factors/totp/confirm", json!({ "code": code_of(&app, secret) }));
    confirm(&first).send().await.expect(422).refused("invalid");
    confirm(&second).send().await.ok();
}

#[actix_web::test]
async fn a_code_is_good_once_and_one_step_early_or_late() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (secret, _) = with_factor(&ann).await;
    // The one that switched it on is used.
    is_wrong(&app, &code_of(&app, &secret)).await;
    app.wait(SignedDuration::from_mins(5));
    for (steps, good) in [(-2, false), (2, false), (-1, true), (-1, false), (1, true), (1, false), (0, false)] {
        let answer = log_in(&app, Some(&code_at(&app, &secret, steps))).await;
        assert_eq!(answer.status.as_u16(), if good { 200 } else { 401 }, "{steps}: {}", answer.body);
    }
    // What was used a step ahead is not good again in its own step.
    step(&app);
    is_wrong(&app, &code_of(&app, &secret)).await;
    step(&app);
    let code = code_of(&app, &secret);
    log_in(&app, Some(&code)).await.ok();
    // Nor is it in a session that is open.
    ann.post("/v1/auth/step-up", json!({ "code": code })).send().await.expect(422).refused("invalid");
    step(&app);
    ann.post("/v1/auth/step-up", json!({ "code": code_of(&app, &secret) })).send().await.ok();
    is_wrong(&app, &code_of(&app, &secret)).await;
}

#[actix_web::test]
async fn a_code_that_comes_twice_at_once_opens_one_session() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (secret, _) = with_factor(&ann).await;
    step(&app);
    let code = code_of(&app, &secret);
    let answers = futures_util::future::join_all((0..8).map(|_| log_in(&app, Some(&code)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(ann.get("/v1/me/sessions").send().await.ok().items().len(), 2);
}

#[actix_web::test]
async fn a_recovery_code_is_good_once_and_a_new_set_voids_the_last() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (_, codes) = with_factor(&ann).await;
    log_in(&app, Some(&codes[3].to_lowercase())).await.ok();
    assert_eq!(told(&ann).await[1], "recovery_code_used");
    is_wrong(&app, &codes[3]).await;
    assert_eq!(state(&ann).await["recovery_codes_left"], 9);
    let renewed = ann.act("/v1/me/factors/recovery-codes").send().await.ok();
    assert_eq!(state(&ann).await["recovery_codes_left"], 10);
    let fresh = renewed.text("/recovery_codes/0");
    assert!(!codes.contains(&fresh));
    is_wrong(&app, &codes[4]).await;
    log_in(&app, Some(&fresh)).await.ok();
    assert_eq!(state(&ann).await["recovery_codes_left"], 9);
    // They prove their owner within a session, too.
    let next = renewed.text("/recovery_codes/1");
    ann.post("/v1/auth/step-up", json!({ "code": next })).send().await.ok();
    ann.post("/v1/auth/step-up", json!({ "code": next })).send().await.expect(422).refused("invalid");
    assert_eq!(state(&ann).await["recovery_codes_left"], 8);
}

#[actix_web::test]
async fn what_was_shown_in_other_sessions_is_taken_back_with_recovery_codes_and_the_second_factor() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (_, codes) = with_factor(&ann).await;
    let other = Person::of(&app, &log_in(&app, Some(&codes[0])).await.ok());
    let asks = async || other.act("/v1/me/factors/totp").send().await;
    let lacks = |answer: Answer, factors: &[&str]| {
        let answer = answer.expect(403).refused("step_up_required");
        assert_eq!(answer.body["factors"], json!(factors));
    };
    let shows = || other.post("/v1/auth/step-up", json!({ "passphrase": PASSPHRASE })).key("shows");
    shows().send().await.ok();
    // One that is on is not begun again: the proofs are good.
    asks().await.expect(409).refused("state_conflict");
    let renewed = ann.act("/v1/me/factors/recovery-codes").send().await.ok();
    lacks(asks().await, &["passphrase", "code"]);
    // The session lives, and a repeated request shows nothing again.
    assert_eq!(other.get("/v1/me/sessions").send().await.ok().items().len(), 2);
    lacks(shows().send().await, &["passphrase", "code"]);
    let both = json!({ "passphrase": PASSPHRASE, "code": renewed.text("/recovery_codes/0") });
    other.post("/v1/auth/step-up", both).send().await.ok();
    asks().await.expect(409).refused("state_conflict");

    // Those of the session that takes it away stay.
    ann.delete("/v1/me/factors/totp").send().await.no_content();
    lacks(asks().await, &["passphrase"]);
    ann.act("/v1/me/factors/totp").send().await.ok();
    other.post("/v1/auth/step-up", json!({ "passphrase": PASSPHRASE })).send().await.ok();
    asks().await.ok();
}

#[actix_web::test]
async fn wrong_codes_are_counted_and_the_right_passphrase_does_not_set_them_back() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (secret, _) = with_factor(&ann).await;
    step(&app);
    for _ in 0..10 {
        log_in(&app, None).await.expect(401).refused("second_factor_required");
        is_wrong(&app, &code_at(&app, &secret, 9)).await;
    }
    is_wrong(&app, &code_of(&app, &secret)).await;
    // Survives a restart, and rests for a quarter of an hour.
    app.wait(SignedDuration::from_mins(14));
    is_wrong(&app, &code_of(&app, &secret)).await;
    app.wait(SignedDuration::from_mins(1));
    log_in(&app, Some(&code_of(&app, &secret))).await.ok();

    // The same within a session.
    let shows = |body: Value| ann.post("/v1/auth/step-up", body);
    for _ in 0..10 {
        shows(json!({ "passphrase": PASSPHRASE })).send().await.ok();
        shows(json!({ "code": code_at(&app, &secret, 9) })).send().await.expect(422).refused("invalid");
    }
    step(&app);
    shows(json!({ "code": code_of(&app, &secret) })).send().await.expect(422).refused("invalid");
    app.wait(SignedDuration::from_mins(15));
    shows(json!({ "code": code_of(&app, &secret) })).send().await.ok();
}

#[actix_web::test]
async fn a_code_that_comes_while_codes_rest_is_not_used_up() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (secret, codes) = with_factor(&ann).await;
    step(&app);
    for _ in 0..10 {
        is_wrong(&app, &code_at(&app, &secret, 9)).await;
    }
    is_wrong(&app, &codes[0]).await;
    assert_eq!(state(&ann).await["recovery_codes_left"], 10);
    assert!(!told(&ann).await.contains(&"recovery_code_used".to_owned()));
    app.wait(SignedDuration::from_mins(15));
    log_in(&app, Some(&codes[0])).await.ok();
    assert_eq!(state(&ann).await["recovery_codes_left"], 9);
}

#[actix_web::test]
async fn a_second_factor_that_is_taken_away_while_its_first_code_is_shown_locks_nobody_out() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    for _ in 0..8 {
        let secret = ann.act("/v1/me/factors/totp").send().await.ok().text("/secret");
        let confirm = ann.post("/v1/me/factors/totp/confirm", json!({ "code": code_of(&app, &secret) }));
        let remove = ann.delete("/v1/me/factors/totp");
        let (confirmed, removed) = futures_util::future::join(confirm.send(), remove.send()).await;
        let (confirmed, removed) = (confirmed.status.as_u16(), removed.status.as_u16());
        assert!([200, 409, 503].contains(&confirmed) && [204, 503].contains(&removed), "{confirmed} {removed}");
        if state(&ann).await["totp"] == "on" {
            log_in(&app, None).await.expect(401).refused("second_factor_required");
            ann.delete("/v1/me/factors/totp").send().await.no_content();
        }
        log_in(&app, None).await.ok();
    }
}

#[actix_web::test]
async fn without_the_second_factor_a_log_in_needs_no_code_again() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    with_factor(&ann).await;
    ann.delete("/v1/me/factors/totp").send().await.no_content();
    ann.delete("/v1/me/factors/totp").send().await.no_content();
    assert_eq!(state(&ann).await, json!({ "totp": "none", "passkeys": [] }));
    assert_eq!(told(&ann).await[0], "second_factor_off");
    log_in(&app, None).await.ok();
    with_factor(&ann).await;
    log_in(&app, None).await.expect(401).refused("second_factor_required");
}

#[actix_web::test]
async fn r5_what_a_retry_gets_is_what_the_first_request_got() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let begin = || ann.act("/v1/me/factors/totp").key("begin");
    let first = begin().send().await.ok();
    assert_eq!(begin().send().await.ok().body, first.body);
    let code = code_of(&app, &first.text("/secret"));
    let confirm = || ann.post("/v1/me/factors/totp/confirm", json!({ "code": code })).key("confirm");
    let on = confirm().send().await.ok();
    assert_eq!(confirm().send().await.ok().body, on.body);
    // The secret is not shown again once it counts.
    begin().send().await.expect(409).refused("state_conflict");
    let renew = || ann.act("/v1/me/factors/recovery-codes").key("renew");
    let renewed = renew().send().await.ok();
    assert_ne!(renewed.body, on.body);
    assert_eq!(renew().send().await.ok().body, renewed.body);
    for (call, key) in [
        (ann.act("/v1/me/factors/recovery-codes"), "begin"),
        (ann.delete("/v1/me/factors/totp"), "renew"),
        (ann.post("/v1/me/factors/totp/confirm", json!({ "code": code })), "begin"),
    ] {
        call.key(key).send().await.expect(422).refused("idempotency_key_reused");
    }
    assert_eq!(state(&ann).await["totp"], "on");
    let remove = || ann.delete("/v1/me/factors/totp").key("remove");
    remove().send().await.no_content();
    remove().send().await.no_content();
}

#[actix_web::test]
async fn a_repeated_confirmation_shows_no_newer_recovery_codes_once_its_proofs_were_taken_back() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let code = code_of(&app, &ann.act("/v1/me/factors/totp").send().await.ok().text("/secret"));
    let confirm = || ann.post("/v1/me/factors/totp/confirm", json!({ "code": code })).key("confirm");
    let on = confirm().send().await.ok();
    let other = Person::of(&app, &log_in(&app, Some(&on.text("/recovery_codes/0"))).await.ok());
    let renewed = other.act("/v1/me/factors/recovery-codes").send().await.ok();
    let refuses = |answer: Answer, factors: &[&str]| {
        let refused = answer.expect(403).refused("step_up_required");
        assert_eq!(refused.body["factors"], json!(factors));
        assert!(!refused.body.to_string().contains(&renewed.text("/recovery_codes/1")));
    };
    refuses(confirm().send().await, &["passphrase", "code"]);
    ann.post("/v1/auth/step-up", json!({ "passphrase": PASSPHRASE })).send().await.ok();
    refuses(confirm().send().await, &["code"]);
    // Who has shown both could make others as well.
    let shown = json!({ "code": renewed.text("/recovery_codes/0") });
    ann.post("/v1/auth/step-up", shown).send().await.ok();
    assert_eq!(confirm().send().await.ok().body, renewed.body);
}

#[actix_web::test]
async fn whoever_can_write_the_database_takes_no_second_factor_away() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (secret, codes) = with_factor(&ann).await;
    log_in(&app, Some(&codes[0])).await.ok();
    step(&app);
    let run = |statement: &str| Sql::open(&app.database.backend).run(statement);
    // A code that was used is not made good again, and a changed row counts as none.
    run("UPDATE second_factors SET recovery_used = 0");
    is_wrong(&app, &codes[0]).await;
    is_wrong(&app, &code_of(&app, &secret)).await;
    run("DELETE FROM second_factors");
    log_in(&app, None).await.expect(401).refused("second_factor_required");
    is_wrong(&app, &codes[1]).await;
    run("UPDATE accounts SET factor_since = NULL");
    log_in(&app, None).await.expect(401).refused("credentials_wrong");
}

#[actix_web::test]
async fn a_damaged_second_factor_lets_nobody_in_and_can_be_taken_away() {
    let Clinic { app, ann, .. } = Clinic::open().await;
    let (secret, codes) = with_factor(&ann).await;
    step(&app);
    for manner in 0..4 {
        let damaged = Damaged::new(&app, ("second_factors", "doc"), "confirmed_at IS NOT NULL", manner);
        is_wrong(&app, &code_of(&app, &secret)).await;
        is_wrong(&app, &codes[0]).await;
        let shown = ann.post("/v1/auth/step-up", json!({ "code": codes[0] })).send().await;
        shown.expect(422).refused("invalid");
        assert_eq!(state(&ann).await["totp"], "on");
        damaged.mend(&app);
    }
    // Nothing of it was used up.
    log_in(&app, Some(&codes[0])).await.ok();
    log_in(&app, Some(&code_of(&app, &secret))).await.ok();
    Damaged::new(&app, ("second_factors", "doc"), "confirmed_at IS NOT NULL", 0);
    ann.delete("/v1/me/factors/totp").send().await.no_content();
    log_in(&app, None).await.ok();
}
