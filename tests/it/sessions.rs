//! S4, S6, S7: sessions live as long as they should, and an answer at the door says nothing about who lives there.

use std::collections::BTreeMap;
use std::sync::Arc;

use afterglow::kernel::Clock;
use diesel::prelude::*;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::accounts::{PASSPHRASE, account, disable};
use crate::support::app::{Answer, START, TestApp};
use crate::support::database::{Count, Database};
use crate::support::people::registration;

const ANN: &str = "ann@example.org";

async fn log_in(app: &Arc<TestApp>, email: &str, passphrase: &str) -> Answer {
    app.post("/v1/auth/login", json!({ "email": email, "passphrase": passphrase })).send().await
}

async fn refresh(app: &Arc<TestApp>, token: &str) -> Answer {
    app.post("/v1/auth/refresh", json!({ "refresh_token": token })).send().await
}

async fn me(app: &Arc<TestApp>, token: &str) -> Answer {
    app.get("/v1/me").bearer(token).send().await
}

async fn count(app: &TestApp, sql: &'static str) -> i64 {
    let unit = app.server.state.db.read(move |tx| Ok(diesel::sql_query(sql).get_result::<Count>(tx.conn())?.n));
    unit.await.unwrap()
}

#[actix_web::test]
async fn a_log_in_gives_tokens_that_work_and_nobody_may_store() {
    let app = TestApp::start().await;
    account(&app, ANN).await;
    let answer = log_in(&app, ANN, PASSPHRASE).await.ok();
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(
        (&answer.body["tokens"]["token_type"], &answer.body["tokens"]["expires_in"]),
        (&json!("Bearer"), &json!(600))
    );
    assert_eq!(me(&app, &answer.text("/tokens/access_token")).await.ok().text("/email"), ANN);
    log_in(&app, " Ann@Example.ORG", PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn each_refresh_gives_the_next_token_and_new_access() {
    let app = TestApp::start().await;
    let ann = account(&app, ANN).await;
    let (mut token, mut seen) = (ann.refresh.clone(), vec![ann.refresh.clone()]);
    for _ in 0..5 {
        app.wait(SignedDuration::from_mins(9));
        let answer = refresh(&app, &token).await.ok();
        token = answer.text("/tokens/refresh_token");
        assert!(!seen.contains(&token), "a refresh token came back");
        seen.push(token.clone());
        assert_eq!(answer.text("/tokens/session_id"), ann.session.to_string());
        me(&app, &answer.text("/tokens/access_token")).await.ok();
    }
    me(&app, &ann.access).await.expect(401).refused("unauthenticated");
}

#[actix_web::test]
async fn a7_a_lost_reply_is_given_again_until_its_token_is_used_and_does_not_log_out() {
    let app = TestApp::start_on_disk().await;
    let ann = account(&app, ANN).await;
    let first = refresh(&app, &ann.refresh).await.ok().text("/tokens/refresh_token");
    app.wait(SignedDuration::from_secs(61));
    assert_eq!(refresh(&app, &ann.refresh).await.ok().text("/tokens/refresh_token"), first);
    // Also by a server that was started in between.
    let app = app.restart().await;
    app.wait(SignedDuration::from_hours(59 * 24));
    assert_eq!(refresh(&app, &ann.refresh).await.ok().text("/tokens/refresh_token"), first);
    let third = refresh(&app, &first).await.ok();
    refresh(&app, &ann.refresh).await.expect(401).refused("refresh_invalid");
    assert_ended(app, &third).await;
}

#[actix_web::test]
async fn a7_a_spent_token_lives_as_long_as_its_session() {
    let app = TestApp::start().await;
    let ann = account(&app, ANN).await;
    refresh(&app, &ann.refresh).await.ok();
    app.wait(SignedDuration::from_hours(60 * 24));
    refresh(&app, &ann.refresh).await.expect(401).refused("refresh_invalid");
}

#[actix_web::test]
async fn a7_whoever_logs_in_is_told_who_they_are_in_one_shape() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let code = app.staff(&admin, "Thea Brandt", &["care"]).await.code_for_patient().await;
    let registered = app.post("/v1/auth/register", registration("Ann Walker", &code)).send().await.created();
    let logged_in = log_in(&app, "ann.walker@example.org", PASSPHRASE).await.ok();
    let refreshed = refresh(&app, &logged_in.text("/tokens/refresh_token")).await.ok();
    let members = |answer: &Answer| -> Vec<String> { answer.body.as_object().unwrap().keys().cloned().collect() };
    let tokens =
        |answer: &Answer| -> Vec<String> { answer.body["tokens"].as_object().unwrap().keys().cloned().collect() };
    for answer in [&registered, &logged_in, &refreshed] {
        assert_eq!(members(answer), ["account", "tokens"]);
        assert_eq!(answer.body["account"], registered.body["account"]);
        assert_eq!(answer.text("/account/name"), "Ann Walker");
        assert_eq!(tokens(answer), tokens(&registered));
        me(&app, &answer.text("/tokens/access_token")).await.ok();
    }
}

#[actix_web::test]
async fn a_spent_token_after_its_successor_was_used_ends_the_session_at_once() {
    let app = TestApp::start_on_disk().await;
    let ann = account(&app, ANN).await;
    let next = refresh(&app, &ann.refresh).await.ok();
    let third = refresh(&app, &next.text("/tokens/refresh_token")).await.ok();
    refresh(&app, &ann.refresh).await.expect(401).refused("refresh_invalid");
    assert_ended(app, &third).await;
}

/// The refusal was answered *and* the end of the session is durable, with its row in the owner's log.
async fn assert_ended(app: Arc<TestApp>, tokens: &Answer) {
    let app = app.restart().await;
    // Nobody asked to erase the phone: this is no `session_revoked`.
    me(&app, &tokens.text("/tokens/access_token")).await.expect(401).refused("unauthenticated");
    refresh(&app, &tokens.text("/tokens/refresh_token")).await.expect(401).refused("refresh_invalid");
    assert_eq!(count(&app, "SELECT count(*) AS n FROM sessions WHERE revoked_at IS NOT NULL").await, 1);
    log_in(&app, ANN, PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn twenty_refreshes_at_once_leave_one_family_alive() {
    let app = TestApp::start().await;
    let ann = account(&app, ANN).await;
    let answers = futures_util::future::join_all((0..20).map(|_| refresh(&app, &ann.refresh))).await;
    let next: Vec<String> = answers.into_iter().map(|answer| answer.ok().text("/tokens/refresh_token")).collect();
    assert!(next.iter().all(|token| *token == next[0]), "twenty devices, one successor");
    assert_eq!(count(&app, "SELECT count(*) AS n FROM refresh_tokens WHERE spent_at IS NULL").await, 1);
    assert_eq!(count(&app, "SELECT count(*) AS n FROM refresh_tokens").await, 2);
    assert_eq!(count(&app, "SELECT count(*) AS n FROM sessions WHERE revoked_at IS NULL").await, 1);
    refresh(&app, &next[0]).await.ok();
}

#[actix_web::test]
async fn a_log_out_is_felt_at_once_by_this_session_and_no_other() {
    let app = TestApp::start_on_disk().await;
    let ann = account(&app, ANN).await;
    let phone = log_in(&app, ANN, PASSPHRASE).await.ok();
    me(&app, &ann.access).await.ok();
    app.request(reqwest::Method::POST, "/v1/auth/logout").bearer(&ann.access).send().await.no_content();
    let refused = me(&app, &ann.access).await.expect(401).refused("session_revoked");
    assert_eq!(refused.body["client_action"], "erase");
    refresh(&app, &ann.refresh).await.expect(401).refused("refresh_invalid");
    // A spent or dead token says nothing more about the session than that.
    let again = app.request(reqwest::Method::POST, "/v1/auth/logout").bearer(&ann.access).send().await;
    again.expect(401).refused("session_revoked");
    me(&app, &phone.text("/tokens/access_token")).await.ok();
    let app = app.restart().await;
    me(&app, &ann.access).await.expect(401).refused("session_revoked");
    me(&app, &phone.text("/tokens/access_token")).await.ok();
}

#[actix_web::test]
async fn a_session_that_is_not_used_for_sixty_days_is_over() {
    let app = TestApp::start().await;
    let (ann, bo) = (account(&app, ANN).await, account(&app, "bo@example.org").await);
    let day = SignedDuration::from_hours(24);
    app.wait(day * 59);
    let next = refresh(&app, &ann.refresh).await.ok().text("/tokens/refresh_token");
    app.wait(day * 2);
    // Bo was away for 61 days, Ann for two.
    let refused = refresh(&app, &bo.refresh).await.expect(401).refused("refresh_invalid");
    assert_eq!(refused.body["client_action"], "relogin");
    let next = refresh(&app, &next).await.ok().text("/tokens/refresh_token");
    app.wait(day * 60);
    refresh(&app, &next).await.expect(401).refused("refresh_invalid");
}

#[actix_web::test]
async fn a_disabled_account_is_refused_at_once_on_every_device() {
    let app = TestApp::start().await;
    let ann = account(&app, ANN).await;
    let phone = log_in(&app, ANN, PASSPHRASE).await.ok();
    me(&app, &ann.access).await.ok();
    disable(&app, ann.account).await;
    for (access, token) in
        [(ann.access, ann.refresh), (phone.text("/tokens/access_token"), phone.text("/tokens/refresh_token"))]
    {
        me(&app, &access).await.expect(401).refused("unauthenticated");
        refresh(&app, &token).await.expect(401).refused("refresh_invalid");
    }
}

/// What a stranger sees of an answer; what must differ is taken out.
fn seen(answer: &Answer) -> (u16, BTreeMap<String, String>, Value) {
    let mut headers: BTreeMap<String, String> = answer.headers.clone().into_iter().collect();
    for name in ["x-request-id", "date"] {
        assert!(headers.remove(name).is_some(), "{name}");
    }
    let mut body = answer.body.clone();
    body["request_id"] = Value::Null;
    (answer.status.as_u16(), headers, body)
}

#[actix_web::test]
async fn a_stranger_cannot_tell_an_unknown_address_from_a_wrong_passphrase_or_a_disabled_account() {
    let app = TestApp::start().await;
    account(&app, ANN).await;
    let bo = account(&app, "bo@example.org").await;
    disable(&app, bo.account).await;
    let unknown = log_in(&app, "nobody@example.org", PASSPHRASE).await.expect(401).refused("credentials_wrong");
    for (email, passphrase) in [
        (ANN, "a loud river at noon"),
        (ANN, ""),
        ("bo@example.org", PASSPHRASE),
        ("bo@example.org", "a loud river at noon"),
        ("nobody@example.org", ""),
    ] {
        assert_eq!(seen(&log_in(&app, email, passphrase).await), seen(&unknown), "{email}");
    }
    for _ in 0..12 {
        log_in(&app, ANN, "a loud river at noon").await;
    }
    assert_eq!(seen(&log_in(&app, ANN, PASSPHRASE).await), seen(&unknown), "a resting account");
    // A refresh token of a disabled account is worth as much as one that never was.
    let never = refresh(&app, "never").await.expect(401).refused("refresh_invalid");
    assert_eq!(seen(&refresh(&app, &bo.refresh).await), seen(&never));
}

#[actix_web::test]
async fn ten_failures_rest_the_account_for_a_quarter_of_an_hour_and_other_devices_go_on() {
    let app = TestApp::start_on_disk().await;
    let phone = account(&app, ANN).await;
    for _ in 0..4 {
        log_in(&app, ANN, "a loud river at noon").await.expect(401);
    }
    assert_eq!(count(&app, "SELECT CAST(failures AS bigint) AS n FROM log_in_failures").await, 4);
    let app = app.restart().await;
    for _ in 0..6 {
        log_in(&app, ANN, "a loud river at noon").await.expect(401);
    }
    // The right passphrase is refused too: otherwise a guesser would learn that it was right.
    log_in(&app, ANN, PASSPHRASE).await.expect(401).refused("credentials_wrong");
    me(&app, &phone.access).await.ok();
    refresh(&app, &phone.refresh).await.ok();
    let app = app.restart().await;
    app.wait(SignedDuration::from_mins(15) - SignedDuration::from_secs(1));
    log_in(&app, ANN, PASSPHRASE).await.expect(401).refused("credentials_wrong");
    app.wait(SignedDuration::from_secs(1));
    log_in(&app, ANN, PASSPHRASE).await.ok();
    assert_eq!(count(&app, "SELECT CAST(failures AS bigint) AS n FROM log_in_failures").await, 0);
}

#[actix_web::test]
async fn guesses_at_once_are_all_counted() {
    let app = TestApp::start().await;
    account(&app, ANN).await;
    let guesses = (0..20).map(|_| log_in(&app, ANN, "a loud river at noon"));
    for answer in futures_util::future::join_all(guesses).await {
        answer.expect(401).refused("credentials_wrong");
    }
    // The tenth makes the account rest, and what comes then is not counted; none of the ten is lost.
    assert_eq!(count(&app, "SELECT CAST(failures AS bigint) AS n FROM log_in_failures").await, 10);
    log_in(&app, ANN, PASSPHRASE).await.expect(401);
}

#[actix_web::test]
async fn an_address_may_guess_ten_times_a_minute_and_cannot_hide_behind_a_header() {
    let limit = |config: &mut afterglow::config::Config| config.auth_per_minute = std::num::NonZeroU32::new(10);
    let app = TestApp::start_with(limit).await;
    account(&app, ANN).await;
    for turn in 0..10 {
        let call = app.post("/v1/auth/login", json!({ "email": "nobody@example.org", "passphrase": "x" }));
        call.header("x-forwarded-for", format!("192.0.2.{turn}")).send().await.expect(401);
    }
    let call = app.post("/v1/auth/login", json!({ "email": ANN, "passphrase": PASSPHRASE }));
    let refused = call.header("x-forwarded-for", "198.51.100.7").send().await.expect(429).refused("too_many_requests");
    assert!(refused.headers["retry-after"].parse::<u32>().unwrap() > 0);
}

#[actix_web::test]
async fn neither_tokens_nor_addresses_nor_passphrases_lie_in_the_database_in_the_clear() {
    let database = Database::sqlite();
    let app = TestApp::on(database, Clock::manual(START.parse().unwrap()), |_| {}).await;
    let ann = account(&app, ANN).await;
    let next = refresh(&app, &ann.refresh).await.ok();
    let database = app.stop();
    let secrets = [ANN, PASSPHRASE, "Somebody", &ann.refresh, &ann.access, &next.text("/tokens/refresh_token")]
        .map(str::to_owned);
    let mut read = 0;
    for entry in std::fs::read_dir(database.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            read += bytes.len();
            for secret in &secrets {
                assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", path.display());
            }
        }
    }
    assert!(read > 10_000, "the database was read");
}
