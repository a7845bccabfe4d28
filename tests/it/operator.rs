//! What the operator does for owners of accounts who have proved who they are: they are let in again, and lost factors
//! are taken away.

use std::sync::Arc;

use afterglow::account::operator::{self, Forgetting};
use afterglow::kernel::{Clock, Email, Error};
use jiff::SignedDuration;
use serde_json::json;

use crate::account_life::{ANN, Scene, forgets, log_in, log_in_again, mail, proves, seen, sets, written};
use crate::support::accounts::{code_sent_to, has_proved_address, with_factor};
use crate::support::app::TestApp;
use crate::support::authenticator::with_passkey;
use crate::support::child;
use crate::support::database::{Database, on_postgres};
use crate::support::journal::{reflection, with};
use crate::support::people::{PASSPHRASE, Person, again};
use crate::tasks::Tables;

const NEW: &str = "a loud waterfall at noon";
const BEN: &str = "ben.roth@example.org";

fn at(address: &str) -> Email {
    Email::parse(address).unwrap()
}

async fn forgets_factors(app: &TestApp, address: &str, force: bool) -> Forgetting {
    operator::forget_factors(&app.server.state, &at(address), force).await.unwrap()
}

/// How often somebody was told of an event.
async fn told(person: &Person, event: &str) -> usize {
    let page = person.get("/v1/me/security-events?limit=200").send().await.ok();
    page.items().iter().filter(|one| one["event"] == json!(event)).count()
}

/// Sets a new passphrase with a code from a letter.
async fn resets(app: &Arc<TestApp>, address: &str) {
    forgets(app, address).await;
    let sent = mail(app, address).await;
    let code = sent.iter().find(|post| post.subject.contains("new passphrase")).unwrap().code();
    let (_, is_reset_lately) = operator::summary(&app.server.state, &at(address)).await.unwrap();
    assert!(!is_reset_lately, "a code that nobody has used sets nothing");
    sets(app, &code, NEW).await.ok();
}

#[actix_web::test]
async fn the_operator_ends_every_session_of_one_account() {
    let Scene { app, therapist, ann, .. } = Scene::open_with(|_| {}).await;
    let phone = again(&app, "Ann Walker").await;
    operator::log_out(&app.server.state, &at(ANN)).await.unwrap();
    for session in [&ann, &phone] {
        let token = session.token().await;
        let refused = app.get("/v1/me").bearer(&token).transmit().await.expect(401).refused("unauthenticated");
        assert_eq!(refused.body["client_action"], "relogin", "what was not pushed yet is kept");
    }
    assert_eq!(told(&again(&app, "Ann Walker").await, "other_sessions_ended").await, 1);
    therapist.get("/v1/me").send().await.ok();
}

#[actix_web::test]
async fn whoever_never_proved_the_address_and_lost_everything_is_let_in_by_the_operator() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    let state = &app.server.state;
    let entry = ann.writes(with(reflection("x"), json!({ "text": { "title": "By the lake" } }))).await;
    ann.act("/v1/auth/logout").send().await.no_content();
    forgets(&app, ANN).await;
    assert!(mail(&app, ANN).await.is_empty(), "the mailbox may be anybody's");
    assert!(operator::prove_address(state, &at(ANN)).await.unwrap());
    assert!(!operator::prove_address(state, &at(ANN)).await.unwrap(), "again it changes nothing");
    resets(&app, ANN).await;
    // The phone that she logged out is known for a while, and might be at hand.
    log_in(&app, ANN, NEW).await.expect(401).refused("known_device_required");
    app.wait(SignedDuration::from_hours(24));
    let ann = Person::of(&app, &log_in(&app, ANN, NEW).await.ok());
    assert_eq!(ann.entry(&entry).await.ok().text("/text/title"), "By the lake");
    assert_eq!(told(&ann, "email_verified").await, 1);
}

#[actix_web::test]
async fn an_account_that_the_operator_enables_has_all_that_was_written_and_its_owner_is_told() {
    let Scene { app, therapist, ann, .. } = Scene::open_with(|_| {}).await;
    let state = &app.server.state;
    let entry = ann.writes(with(reflection("x"), json!({ "text": { "title": "By the lake" } }))).await;
    assert!(!operator::enable(state, &at(ANN)).await.unwrap(), "it is not disabled");
    assert!(matches!(operator::enable(state, &at("nobody.here@example.org")).await, Err(Error::NotFound)));
    ann.post("/v1/me/disable", json!({ "passphrase": PASSPHRASE })).send().await.ok();
    log_in(&app, ANN, PASSPHRASE).await.expect(401).refused("credentials_wrong");
    mail(&app, ANN).await;
    let (summary, _) = operator::summary(state, &at(ANN)).await.unwrap();
    assert_eq!((summary.disabled_at, summary.sessions), (Some(app.now()), 0));

    assert!(operator::enable(state, &at(ANN)).await.unwrap());
    assert!(!operator::enable(state, &at(ANN)).await.unwrap(), "a second time changes nothing");
    assert_eq!(Tables::of(&app).count("accounts WHERE disabled_at IS NOT NULL"), 0);
    ann.get("/v1/me").send().await.expect(401);
    let subjects: Vec<String> = mail(&app, ANN).await.into_iter().map(|post| post.subject).collect();
    assert_eq!(subjects, ["Your account is enabled again"]);
    let back = again(&app, "Ann Walker").await;
    assert_eq!(back.entry(&entry).await.ok().text("/text/title"), "By the lake");
    let event = "enabled_by_operator";
    assert_eq!((told(&back, event).await, told(&therapist, event).await), (1, 0));
}

#[actix_web::test]
async fn without_lost_factors_the_passphrase_alone_logs_in_and_every_session_has_ended() {
    let Scene { app, therapist, ann, .. } = Scene::open_with(|_| {}).await;
    with_factor(&therapist).await;
    with_factor(&ann).await;
    let (mut device, _) = with_passkey(&ann).await;
    let (before, is_reset_lately) = operator::summary(&app.server.state, &at(ANN)).await.unwrap();
    assert_eq!((before.factor_since, before.passkeys, before.sessions), (Some(app.now()), 1, 1));
    assert!(!is_reset_lately && !before.verified);
    log_in(&app, ANN, PASSPHRASE).await.expect(401).refused("second_factor_required");
    mail(&app, ANN).await;

    assert_eq!(forgets_factors(&app, ANN, false).await, Forgetting::Done);
    let mut tables = Tables::of(&app);
    assert_eq!((tables.count("second_factors"), tables.count("passkeys")), (1, 0), "those of others stay");
    assert_eq!(tables.count("accounts WHERE factor_since IS NOT NULL"), 1);
    assert_eq!(ann.get("/v1/me").send().await.expect(401).body["client_action"], "relogin", "the phone erases nothing");
    let subjects: Vec<String> = mail(&app, ANN).await.into_iter().map(|post| post.subject).collect();
    assert_eq!(subjects, ["The second factor of your account was taken away"]);
    let signed = device.answers(&app).await;
    app.post("/v1/auth/passkey/finish", signed).send().await.expect(401).refused("passkey_refused");
    log_in(&app, ANN, NEW).await.expect(401).refused("credentials_wrong");
    let back = again(&app, "Ann Walker").await;
    assert_eq!(back.get("/v1/me/factors").send().await.ok().body, json!({ "totp": "none", "passkeys": [] }));
    assert_eq!(told(&back, "factors_forgotten_by_operator").await, 1);

    // Once more changes nothing, also not for who has logged in since.
    assert_eq!(forgets_factors(&app, ANN, true).await, Forgetting::Nothing);
    back.get("/v1/me").send().await.ok();
    assert_eq!(told(&back, "factors_forgotten_by_operator").await, 1);
    therapist.get("/v1/me").send().await.ok();
    log_in(&app, "thea.brandt@example.org", PASSPHRASE).await.expect(401).refused("second_factor_required");
}

/// Whoever reads the mail of somebody else lacks only a code, and an operator who believes them.
#[actix_web::test]
async fn within_a_day_of_a_mailed_reset_factors_are_forgotten_only_by_force() {
    let Scene { app, therapist, ann, .. } = Scene::open_with(|_| {}).await;
    let ben = app.patient(&therapist, "Ben Roth").await;
    for who in [&ann, &ben] {
        has_proved_address(who).await;
        with_factor(who).await;
    }
    // No device of his is known, so no guard tells of the reset.
    operator::log_out(&app.server.state, &at(BEN)).await.unwrap();
    for address in [ANN, BEN] {
        resets(&app, address).await;
    }
    app.wait(SignedDuration::from_hours(24) - SignedDuration::from_secs(1));
    for address in [ANN, BEN] {
        assert_eq!(forgets_factors(&app, address, false).await, Forgetting::ResetLately, "{address}");
        log_in(&app, address, NEW).await.expect(401).refused("second_factor_required");
    }
    assert_eq!(Tables::of(&app).count("second_factors"), 2);

    // An operator who is sure lets in who has lost every device that the account knows.
    assert_eq!(forgets_factors(&app, ANN, true).await, Forgetting::Done);
    log_in(&app, ANN, NEW).await.ok();
    app.wait(SignedDuration::from_secs(1));
    assert_eq!(forgets_factors(&app, BEN, false).await, Forgetting::Done);
    log_in(&app, BEN, NEW).await.ok();
    assert_eq!(Tables::of(&app).count("second_factors"), 0);
}

/// Whoever talked the operator into it over the phone reads the mail, and would set a new passphrase next.
#[actix_web::test]
async fn for_a_day_after_factors_were_forgotten_no_mailed_code_sets_a_passphrase() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    has_proved_address(&ann).await;
    with_factor(&ann).await;
    forgets(&app, ANN).await;
    let sent = mail(&app, ANN).await;
    let early = sent.iter().find(|post| post.subject.contains("new passphrase")).unwrap().code();
    assert_eq!(forgets_factors(&app, ANN, false).await, Forgetting::Done);
    sets(&app, &early, NEW).await.expect(422).refused("code_invalid");
    mail(&app, ANN).await;

    // Who asks now is answered as ever, also with what is stored; no letter leaves, and its code would do nothing.
    app.wait(SignedDuration::from_secs(1));
    let mut asked = Vec::new();
    for address in [ANN, "nobody.here@example.org"] {
        let before = written(&app);
        let answer = forgets(&app, address).await;
        let more: Vec<i64> = written(&app).iter().zip(before).map(|(after, before)| after - before).collect();
        asked.push((seen(&answer), more));
    }
    assert_eq!(asked[0], asked[1]);
    assert!(mail(&app, ANN).await.is_empty());
    let unsent = code_sent_to(&app, ANN).await;
    sets(&app, &unsent, NEW).await.expect(422).refused("code_invalid");
    assert_eq!(Tables::of(&app).count("address_proofs WHERE used_at IS NOT NULL"), 0);

    // Nobody is kept out who knows the passphrase, on whatever device.
    log_in(&app, ANN, NEW).await.expect(401).refused("credentials_wrong");
    let device = log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/device_token");
    app.wait(SignedDuration::from_hours(24) - SignedDuration::from_secs(2));
    forgets(&app, ANN).await;
    assert!(mail(&app, ANN).await.is_empty(), "a second is left");
    app.wait(SignedDuration::from_secs(1));
    resets(&app, ANN).await;
    log_in_again(&app, NEW, &device).await.ok();
}

#[actix_web::test]
async fn mailed_codes_stay_paused_when_the_address_of_the_account_moves() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    has_proved_address(&ann).await;
    with_factor(&ann).await;
    assert_eq!(forgets_factors(&app, ANN, false).await, Forgetting::Done);
    let back = Person::of(&app, &log_in(&app, ANN, PASSPHRASE).await.ok());
    let moved = "ann.lind@example.org";
    back.post("/v1/me/email", json!({ "email": moved, "passphrase": PASSPHRASE })).send().await.ok();
    proves(&back, &code_sent_to(&app, moved).await).await.ok();
    mail(&app, moved).await;
    forgets(&app, moved).await;
    assert!(mail(&app, moved).await.is_empty());
    let unsent = code_sent_to(&app, moved).await;
    sets(&app, &unsent, NEW).await.expect(422).refused("code_invalid");
    log_in(&app, moved, NEW).await.expect(401).refused("credentials_wrong");
    app.wait(SignedDuration::from_hours(24));
    forgets(&app, moved).await;
    sets(&app, &code_sent_to(&app, moved).await, NEW).await.ok();
}

#[actix_web::test]
async fn a_mailed_reset_keeps_factors_for_a_day_also_without_a_guard_and_when_the_address_moves() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    has_proved_address(&ann).await;
    resets(&app, ANN).await;
    operator::log_out(&app.server.state, &at(ANN)).await.unwrap();
    let back = Person::of(&app, &log_in(&app, ANN, NEW).await.ok());
    with_factor(&back).await;
    let moved = "ann.lind@example.org";
    back.post("/v1/me/email", json!({ "email": moved, "passphrase": NEW })).send().await.ok();
    proves(&back, &code_sent_to(&app, moved).await).await.ok();
    assert_eq!(forgets_factors(&app, moved, false).await, Forgetting::ResetLately);
    assert_eq!(Tables::of(&app).count("second_factors"), 1);
    app.wait(SignedDuration::from_hours(24));
    assert_eq!(forgets_factors(&app, moved, false).await, Forgetting::Done);
    assert_eq!(Tables::of(&app).count("second_factors"), 0);
}

/// Runs a command on an account: whether it succeeded, and what it printed.
fn account(database: &Database, arguments: &[&str]) -> (bool, String) {
    let (status, said) = child::run(database, &[&["--log", "warn", "account"], arguments].concat());
    (status.success(), said)
}

#[actix_web::test]
async fn the_commands_on_an_account_take_its_address_and_print_a_line() {
    let database = Database::fresh();
    let (done, said) = account(&database, &["show", "--email", ANN]);
    assert!(!done && said.contains("there are no accounts"), "{said}");
    let app = TestApp::on(database, Clock::System, |_| {}).await;
    {
        let admin = app.admin().await;
        let thea = app.staff(&admin, "Thea Brandt", &["care"]).await;
        let ann = app.patient(&thea, "Ann Walker").await;
        with_factor(&ann).await;
        ann.post("/v1/me/disable", json!({ "passphrase": PASSPHRASE })).send().await.ok();
    }
    // Beside a server on PostgreSQL; an SQLite file has one server.
    let (done, said) = account(&app.database, &["show", "--email", ANN]);
    assert_eq!(done, on_postgres(), "{said}");
    assert!(done || said.contains("one SQLite file has one server"), "{said}");
    let database = app.stop();

    let (done, said) = account(&database, &["show", "--email", " Ann.Walker@Example.ORG"]);
    assert!(done && said.lines().filter(|line| line.starts_with("account ")).count() == 1, "{said}");
    for words in [
        ": patient, disabled since 2",
        "second factor: on since 2",
        "passkeys: 0",
        "live sessions: 0",
        "address: not proved",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.to_lowercase().contains("walker"), "{said}");
    for command in ["show", "enable", "log-out", "prove-address", "forget-factors"] {
        let (done, said) = account(&database, &[command, "--email", "nobody.here@example.org"]);
        assert!(!done && said.contains("no account has this address (--email)"), "{command}: {said}");
        let (done, said) = account(&database, &[command, "--email", "nobody"]);
        assert!(!done && said.contains("(--email) must be"), "{command}: {said}");
    }
    for (command, first, second) in [
        ("enable", "is enabled again", "was not disabled"),
        ("forget-factors", "passkeys are gone", "neither second factor nor passkeys"),
    ] {
        for words in [first, second] {
            let (done, said) = account(&database, &[command, "--email", ANN]);
            assert!(done && said.contains(words), "{command}: {said}");
        }
    }

    let app = TestApp::on(database, Clock::System, |_| {}).await;
    let ann = again(&app, "Ann Walker").await;
    for event in ["enabled_by_operator", "factors_forgotten_by_operator"] {
        assert_eq!(told(&ann, event).await, 1, "{event}");
    }
}
