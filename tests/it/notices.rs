//! Letters about what happened to an account: none is lost behind another one, and none goes to whoever moved the
//! address.

use std::sync::Arc;

use afterglow::db::Tx;
use afterglow::identity::{Notice, ask_notice, upkeep};
use afterglow::kernel::Error;
use afterglow::letters;
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::json;

use crate::account_life::{ANN, NEW_DEVICE, Post, Scene, all_mail, log_in, proves, subjects};
use crate::support::accounts::{code_sent_to, with_factor};
use crate::support::app::TestApp;
use crate::support::authenticator::with_passkey;
use crate::support::people::{PASSPHRASE, Person};
use crate::tasks::Tables;

const NEW: &str = "a loud waterfall at noon";
const OTHER: &str = "ann@new.example.org";
const PASSKEY: &str = "A passkey was added to your account";

fn minutes(app: &TestApp, minutes: i64) {
    app.wait(SignedDuration::from_mins(minutes));
}

/// The number of letters that are still to be written.
fn waiting(app: &TestApp) -> i64 {
    Tables::of(app).count("owner_notices WHERE due_at IS NOT NULL")
}

/// Eight units at once ask for the same letter to somebody.
async fn asks(app: &Arc<TestApp>, person: &Person, notice: Notice) {
    let (state, now) = (&app.server.state, app.now());
    let account = person.account.parse().unwrap();
    let units = (0..8).map(|_| state.db.write(move |tx: &mut Tx<'_>| ask_notice(tx, account, notice, now)));
    for asked in join_all(units).await {
        asked.unwrap();
    }
}

#[actix_web::test]
async fn what_happens_within_an_hour_of_a_letter_is_told_by_one_more_when_it_is_over() {
    let Scene { app, .. } = Scene::open_with(|_| {}).await;
    log_in(&app, ANN, PASSPHRASE).await.ok();
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
    minutes(&app, 10);
    for _ in 0..3 {
        log_in(&app, ANN, PASSPHRASE).await.ok();
        assert!(subjects(&app, ANN).await.is_empty());
    }
    minutes(&app, 49);
    log_in(&app, ANN, PASSPHRASE).await.ok();
    assert!(subjects(&app, ANN).await.is_empty());
    assert_eq!(waiting(&app), 1);
    minutes(&app, 1);
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
    assert_eq!(waiting(&app), 0);
    // The next hour begins with that one.
    minutes(&app, 1);
    log_in(&app, ANN, PASSPHRASE).await.ok();
    minutes(&app, 58);
    assert!(subjects(&app, ANN).await.is_empty());
    minutes(&app, 1);
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
    minutes(&app, 600);
    assert!(subjects(&app, ANN).await.is_empty());
}

#[actix_web::test]
async fn of_many_that_ask_at_once_none_is_lost_and_one_letter_leaves() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    asks(&app, &ann, Notice::PasskeyAdded).await;
    assert_eq!(subjects(&app, ANN).await, [PASSKEY]);
    asks(&app, &ann, Notice::PasskeyAdded).await;
    assert_eq!(waiting(&app), 1);
    assert!(subjects(&app, ANN).await.is_empty());
    minutes(&app, 60);
    assert_eq!(subjects(&app, ANN).await, [PASSKEY]);
}

#[actix_web::test]
async fn what_weakens_an_account_is_told_at_once_by_a_letter_of_its_own() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    with_factor(&ann).await;
    assert_eq!(subjects(&app, ANN).await, ["The second factor of your account"]);
    with_passkey(&ann).await;
    assert_eq!(subjects(&app, ANN).await, [PASSKEY]);
    ann.act("/v1/me/factors/recovery-codes").send().await.ok();
    assert_eq!(subjects(&app, ANN).await, ["New recovery codes for your account"]);
    ann.delete("/v1/me/factors/totp").send().await.no_content();
    assert_eq!(subjects(&app, ANN).await, ["The second factor of your account was switched off"]);
    assert_eq!(waiting(&app), 0);
}

#[actix_web::test]
async fn letters_about_who_gets_in_say_to_look_through_passkeys_and_devices() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    log_in(&app, ANN, PASSPHRASE).await.ok();
    with_passkey(&ann).await;
    let change = json!({ "passphrase": PASSPHRASE, "new_passphrase": NEW });
    ann.post("/v1/me/passphrase", change).send().await.ok();
    let sent = all_mail(&app, ANN).await;
    assert_eq!(sent.len(), 3, "{sent:?}");
    // Long lines are folded.
    let says = |post: &Post, words: &str| post.body.replace("=\r\n", "").contains(words);
    for post in &sent {
        assert!(says(post, "look through your passkeys and devices"), "{post:?}");
    }
    let changed = sent.iter().find(|post| post.subject == "Your passphrase was changed").unwrap();
    assert!(says(changed, "A passkey that was not removed still logs in"), "{changed:?}");
    assert_eq!(Tables::of(&app).count("passkeys"), 1, "it stays");
}

/// Whoever moves the address may be somebody else.
#[actix_web::test]
async fn letters_that_wait_go_to_the_address_that_an_account_leaves() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    log_in(&app, ANN, PASSPHRASE).await.ok();
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
    // This is put off, and the next is not written yet.
    log_in(&app, ANN, PASSPHRASE).await.ok();
    with_passkey(&ann).await;
    assert_eq!(waiting(&app), 2);
    ann.post("/v1/me/email", json!({ "email": OTHER, "passphrase": PASSPHRASE })).send().await.ok();
    proves(&ann, &code_sent_to(&app, OTHER).await).await.ok();
    assert_eq!(waiting(&app), 0);
    let moved = "Your account has another e-mail address";
    let told = [NEW_DEVICE, "A new e-mail address for your account", PASSKEY, moved];
    assert_eq!(subjects(&app, ANN).await, told);
    assert_eq!(subjects(&app, OTHER).await, ["Your code"]);
    minutes(&app, 60);
    // What happens from now on is told to the new one alone, within the hour.
    log_in(&app, OTHER, PASSPHRASE).await.ok();
    minutes(&app, 60);
    assert_eq!(subjects(&app, OTHER).await, [NEW_DEVICE]);
    assert!(subjects(&app, ANN).await.is_empty());
}

#[actix_web::test]
async fn an_address_that_is_proved_without_moving_sends_no_letter_sooner() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    log_in(&app, ANN, PASSPHRASE).await.ok();
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
    log_in(&app, ANN, PASSPHRASE).await.ok();
    ann.act("/v1/me/email/verification").send().await.ok();
    proves(&ann, &code_sent_to(&app, ANN).await).await.ok();
    assert_eq!(subjects(&app, ANN).await, ["Your code"]);
    assert_eq!(waiting(&app), 1);
    minutes(&app, 60);
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
}

#[actix_web::test]
async fn an_address_does_not_move_past_a_letter_that_was_asked_for_at_the_same_time() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    let state = &app.server.state;
    let own = upkeep::find(state, ann.account.parse().unwrap()).await.unwrap().unwrap();
    let prepared = letters::prepare_pending(state, &own, app.now()).await.unwrap();
    asks(&app, &ann, Notice::PasskeyAdded).await;
    let (vault, account) = (state.vault.clone(), own.account());
    let unit = state.db.write(move |tx: &mut Tx<'_>| letters::post_pending(tx, &vault, account, &prepared));
    assert!(matches!(unit.await, Err(Error::Unavailable(_))));
    assert_eq!(waiting(&app), 1);
    assert_eq!(subjects(&app, ANN).await, [PASSKEY]);
}

#[actix_web::test]
async fn what_was_to_be_told_is_told_also_when_the_account_is_disabled_meanwhile() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    log_in(&app, ANN, PASSPHRASE).await.ok();
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
    log_in(&app, ANN, PASSPHRASE).await.ok();
    // This is not written yet, and the new device is put off.
    with_passkey(&ann).await;
    ann.post("/v1/me/disable", json!({ "passphrase": PASSPHRASE })).send().await.ok();
    assert_eq!(subjects(&app, ANN).await, [PASSKEY, "Your account is disabled"]);
    minutes(&app, 60);
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
    assert_eq!(waiting(&app), 0);
}
