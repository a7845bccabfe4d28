//! Addresses that nobody has proved: a mistyped one is a stranger's, who gets the letters and must not get the journal.

use serde_json::json;

use crate::account_life::{ANN, Scene, forgets, letter, log_in, log_in_again, mail, profile, proves, sets};
use crate::support::accounts::{code_sent_to, has_proved_address};
use crate::support::journal::{reflection, with};
use crate::support::people::{PASSPHRASE, Person, registration};
use crate::tasks::Tables;

const NEW: &str = "a loud waterfall at noon";

#[actix_web::test]
async fn a_letter_to_an_address_that_nobody_has_proved_opens_nothing() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    let entry = ann.writes(reflection("Lake")).await;
    forgets(&app, ANN).await;
    assert!(mail(&app, ANN).await.is_empty(), "the mailbox may be anybody's");
    // Even the code that was never sent does nothing.
    let code = code_sent_to(&app, ANN).await;
    sets(&app, &code, NEW).await.expect(422).refused("code_invalid");
    assert_eq!(Tables::of(&app).count("address_proofs WHERE used_at IS NOT NULL"), 0);
    log_in(&app, ANN, NEW).await.expect(401);
    log_in(&app, ANN, PASSPHRASE).await.ok();
    ann.entry(&entry).await.ok();
}

#[actix_web::test]
async fn the_code_of_a_letter_proves_an_address_in_a_session_of_its_account_alone() {
    let Scene { app, therapist, ann, .. } = Scene::open_with(|_| {}).await;
    let device = log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/device_token");
    let ben = app.patient(&therapist, "Ben Roth").await;
    ann.act("/v1/me/email/verification").send().await.ok();
    let code = letter(&app, ANN).await.code();
    // A stranger who reads the letter has no session, or one of their own.
    app.post("/v1/auth/verify-email", json!({ "code": code })).send().await.expect(401).refused("unauthenticated");
    proves(&ben, &code).await.expect(422).refused("code_invalid");
    assert_eq!(Tables::of(&app).count("address_proofs WHERE used_at IS NULL"), 2, "hers and his own");
    assert_eq!(profile(&ann).await["email_verified"], json!(false));
    assert_eq!(profile(&ben).await["email_verified"], json!(false));
    forgets(&app, ANN).await;
    assert!(mail(&app, ANN).await.is_empty());

    let prove = |code: &str| ann.post("/v1/auth/verify-email", json!({ "code": code })).key("prove");
    let proved = prove(&code).send().await.ok();
    assert_eq!(profile(&ann).await["email_verified"], json!(true));
    // A lost answer is given again, although the code is used up by now.
    let again = prove(&code).send().await.ok();
    assert_eq!((&again.body, &again.headers["idempotent-replayed"]), (&proved.body, &"true".to_owned()));
    prove("7K2M-9XQ4-T0VB-HS3D").send().await.expect(422).refused("idempotency_key_reused");
    forgets(&app, ANN).await;
    sets(&app, &letter(&app, ANN).await.code(), NEW).await.ok();
    log_in_again(&app, NEW, &device).await.ok();
}

#[actix_web::test]
async fn a_phone_that_is_still_logged_in_is_the_way_back_without_a_passphrase() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    let device = log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/device_token");
    let entry = ann.writes(with(reflection("x"), json!({ "text": { "title": "By the lake" } }))).await;
    ann.act("/v1/me/email/verification").send().await.ok();
    proves(&ann, &letter(&app, ANN).await.code()).await.ok();
    forgets(&app, ANN).await;
    sets(&app, &letter(&app, ANN).await.code(), NEW).await.ok();
    let ann = Person::of(&app, &log_in_again(&app, NEW, &device).await.ok());
    assert_eq!(ann.entry(&entry).await.ok().text("/text/title"), "By the lake");
}

#[actix_web::test]
async fn a_new_address_that_was_mistyped_does_not_count_by_who_reads_its_mail() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    let device = log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/device_token");
    has_proved_address(&ann).await;
    let mistyped = "ann@exmaple.org";
    let ask = json!({ "email": mistyped, "passphrase": PASSPHRASE });
    ann.post("/v1/me/email", ask).send().await.ok();
    let code = letter(&app, mistyped).await.code();
    letter(&app, ANN).await;
    app.post("/v1/auth/verify-email", json!({ "code": code })).send().await.expect(401);
    forgets(&app, mistyped).await;
    assert!(mail(&app, mistyped).await.is_empty());
    // The present address is as good as before.
    assert_eq!(profile(&ann).await["email"], json!(ANN));
    forgets(&app, ANN).await;
    sets(&app, &letter(&app, ANN).await.code(), NEW).await.ok();
    log_in_again(&app, NEW, &device).await.ok();
}

#[actix_web::test]
async fn whoever_joins_is_asked_for_the_proof_of_the_address() {
    let Scene { app, therapist, .. } = Scene::open_with(|_| {}).await;
    let ben = app.patient(&therapist, "Ben Roth").await;
    let email = "ben.roth@example.org";
    let code = letter(&app, email).await.code();
    assert_eq!(profile(&ben).await["email_verified"], json!(false));
    proves(&ben, &code).await.ok();
    assert_eq!(profile(&ben).await["email_verified"], json!(true));
    // The same registration again is no other account, and no other letter.
    let joined = therapist.code_for_patient().await;
    for status in [201, 200] {
        app.post("/v1/auth/register", registration("Cleo Hart", &joined)).send().await.expect(status);
    }
    letter(&app, "cleo.hart@example.org").await;
}
