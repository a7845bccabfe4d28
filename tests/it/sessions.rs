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
use crate::support::journal::two;
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
async fn a_patient_may_be_away_for_ninety_days_and_no_session_lives_for_ever() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let staff = account(&app, ANN).await;
    let day = SignedDuration::from_hours(24);
    let (mut of_patient, mut of_staff) = (ann.refresh_token().await, staff.refresh);
    // Both are used every fifty days: the one of staff ends after 180 all the same, the one of the patient after 400.
    let (mut staff_days, mut patient_days) = (0, 0);
    for days in (50..=450).step_by(50) {
        app.wait(day * 50);
        let (one, other) = (refresh(&app, &of_staff).await, refresh(&app, &of_patient).await);
        if one.status == 200 {
            (of_staff, staff_days) = (one.text("/tokens/refresh_token"), days);
        }
        if other.status == 200 {
            (of_patient, patient_days) = (other.text("/tokens/refresh_token"), days);
        }
    }
    assert_eq!((staff_days, patient_days), (150, 350));

    let email = "ann.lind@example.org";
    let idle = log_in(&app, email, PASSPHRASE).await.ok().text("/tokens/refresh_token");
    app.wait(day * 90 - SignedDuration::from_secs(1));
    let idle = refresh(&app, &idle).await.ok().text("/tokens/refresh_token");
    app.wait(day * 90);
    refresh(&app, &idle).await.expect(401).refused("refresh_invalid");
}

/// The sessions of an account, as it lists them: id, name of the device, and whether it is the one that asks.
async fn listed(app: &Arc<TestApp>, token: &str) -> Vec<(String, String, bool)> {
    let list = app.get("/v1/me/sessions").bearer(token).send().await.ok();
    let text = |item: &Value, name: &str| item[name].as_str().unwrap_or_default().to_owned();
    list.items().iter().map(|item| (text(item, "id"), text(item, "device_name"), item["current"] == true)).collect()
}

async fn events(app: &Arc<TestApp>, token: &str) -> Vec<String> {
    let list = app.get("/v1/me/security-events").bearer(token).send().await.ok();
    list.items().iter().map(|item| item["event"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn sessions_are_listed_with_the_names_of_their_devices_and_the_hour_of_their_last_use() {
    let app = TestApp::start_on_disk().await;
    let ann = account(&app, ANN).await;
    let bo = account(&app, "bo@example.org").await;
    app.wait(SignedDuration::from_mins(7));
    let body = json!({ "email": ANN, "passphrase": PASSPHRASE, "device_name": "Ann's phone" });
    let phone = app.post("/v1/auth/login", body.clone()).send().await.ok();
    let (id, access) = (phone.text("/tokens/session_id"), phone.text("/tokens/access_token"));
    let own = ann.session.to_string();
    let all = [(id.clone(), "Ann's phone".to_owned(), true), (own.clone(), String::new(), false)];
    assert_eq!(listed(&app, &access).await, all);
    assert_eq!(listed(&app, &bo.access).await.len(), 1);
    let items = app.get("/v1/me/sessions").bearer(&access).send().await.ok().items().to_vec();
    assert!(items[0]["last_used_at"].as_str().unwrap().ends_with(":00:00Z"), "{}", items[0]);

    // Named anew, from another device; what does not fit names nothing.
    let path = format!("/v1/me/sessions/{id}");
    let patch = |body: Value| app.request(reqwest::Method::PATCH, &path).json(body).bearer(&ann.access);
    let tag = items[0]["etag"].as_str().unwrap();
    patch(json!({ "device_name": "The tablet" })).send().await.expect(428).refused("precondition_required");
    patch(json!({ "device_name": "The tablet" })).if_match("\"v999\"").send().await.expect(412).refused("stale");
    patch(json!({ "device_name": " " })).if_match(tag).send().await.expect(422).refused("invalid");
    let named = patch(json!({ "device_name": "The tablet" })).if_match(tag).send().await.ok();
    assert_ne!(named.etag(), tag);
    patch(json!({ "device_name": "The tablet" })).if_match(tag).send().await.ok();
    let others = app.request(reqwest::Method::PATCH, &path).json(json!({ "device_name": "Mine" }));
    others.bearer(&bo.access).if_match(&named.etag()).send().await.not_found();
    let app = app.restart().await;
    assert_eq!(listed(&app, &access).await[0].1, "The tablet");
}

#[actix_web::test]
async fn a_session_that_its_owner_ends_is_refused_at_once_and_nobody_else_ends_it() {
    let app = TestApp::start_on_disk().await;
    let (ann, bo) = (account(&app, ANN).await, account(&app, "bo@example.org").await);
    let lost = log_in(&app, ANN, PASSPHRASE).await.ok();
    let (id, access) = (lost.text("/tokens/session_id"), lost.text("/tokens/access_token"));
    let path = format!("/v1/me/sessions/{id}");
    let end = |token: &str| app.request(reqwest::Method::DELETE, &path).bearer(token).send();
    end(&bo.access).await.not_found();
    me(&app, &access).await.ok();
    end(&ann.access).await.no_content();
    let refused = me(&app, &access).await.expect(401).refused("session_revoked");
    assert_eq!(refused.body["client_action"], "erase");
    refresh(&app, &lost.text("/tokens/refresh_token")).await.expect(401).refused("refresh_invalid");
    end(&ann.access).await.no_content();
    me(&app, &ann.access).await.ok();
    assert_eq!(listed(&app, &ann.access).await.len(), 1);
    assert_eq!(events(&app, &ann.access).await, ["session_ended", "log_in_new_device"]);
    let app = app.restart().await;
    me(&app, &access).await.expect(401).refused("session_revoked");
}

#[actix_web::test]
async fn all_other_sessions_end_at_once_and_the_own_goes_on() {
    let app = TestApp::start().await;
    let (ann, bo) = (account(&app, ANN).await, account(&app, "bo@example.org").await);
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/access_token"));
    }
    for _ in 0..2 {
        app.request(reqwest::Method::DELETE, "/v1/me/sessions").bearer(&ann.access).send().await.no_content();
    }
    for other in &others {
        me(&app, other).await.expect(401).refused("session_revoked");
    }
    me(&app, &ann.access).await.ok();
    me(&app, &bo.access).await.ok();
    assert_eq!(count(&app, "SELECT count(*) AS n FROM sessions WHERE revoked_at IS NOT NULL").await, 3);
    let told = events(&app, &ann.access).await;
    assert_eq!(told.iter().filter(|event| *event == "other_sessions_ended").count(), 1, "{told:?}");
}

#[actix_web::test]
async fn the_owner_is_told_of_new_devices_and_of_a_token_that_came_twice() {
    let app = TestApp::start().await;
    let ann = account(&app, ANN).await;
    let bo = account(&app, "bo@example.org").await;
    log_in(&app, ANN, PASSPHRASE).await.ok();
    let known = json!({ "email": ANN, "passphrase": PASSPHRASE, "device_token": ann.device });
    let here = app.post("/v1/auth/login", known).send().await.ok();
    let once = log_in(&app, ANN, PASSPHRASE).await.ok();
    let stolen = once.text("/tokens/refresh_token");
    let next = refresh(&app, &stolen).await.ok().text("/tokens/refresh_token");
    refresh(&app, &next).await.ok();
    refresh(&app, &stolen).await.expect(401);
    let access = here.text("/tokens/access_token");
    let told = ["refresh_reused", "log_in_new_device", "log_in", "log_in_new_device"];
    assert_eq!(events(&app, &access).await, told);
    let list = app.get("/v1/me/security-events?limit=1").bearer(&access).send().await.ok();
    assert_eq!(list.items()[0]["session_id"], once.text("/tokens/session_id"));
    assert!(list.body["next_cursor"].is_string());
    assert!(events(&app, &bo.access).await.is_empty());
}

async fn revoke(app: &Arc<TestApp>, form: &str) -> Answer {
    let call = app.request(reqwest::Method::POST, "/v1/auth/revoke");
    call.bytes("application/x-www-form-urlencoded", form).send().await
}

#[actix_web::test]
async fn a_token_is_revoked_with_its_session_whichever_it_is() {
    let app = TestApp::start().await;
    let ann = account(&app, ANN).await;
    let (one, two) = (log_in(&app, ANN, PASSPHRASE).await.ok(), log_in(&app, ANN, PASSPHRASE).await.ok());
    let token = |answer: &Answer, name: &str| answer.text(&format!("/tokens/{name}"));
    revoke(&app, &format!("token={}&token_type_hint=access_token", token(&one, "access_token"))).await.ok();
    // The answer to a refresh got lost: the token that the app still has ends the session all the same.
    refresh(&app, &token(&two, "refresh_token")).await.ok();
    revoke(&app, &format!("token={}&colour=blue", token(&two, "refresh_token"))).await.ok();
    for ended in [&one, &two] {
        me(&app, &token(ended, "access_token")).await.expect(401).refused("session_revoked");
        refresh(&app, &token(ended, "refresh_token")).await.expect(401).refused("refresh_invalid");
    }
    // Unknown ones are answered the same; a spent one whose successor was used ends nothing.
    let next = refresh(&app, &ann.refresh).await.ok().text("/tokens/refresh_token");
    refresh(&app, &next).await.ok();
    for token in ["never", ann.refresh.as_str(), ann.device.as_str()] {
        revoke(&app, &format!("token={token}")).await.ok();
    }
    me(&app, &ann.access).await.ok();
    for form in ["", "token=", "token_type_hint=access_token", "token=a&token=b"] {
        revoke(&app, form).await.expect(400).refused("malformed");
    }
    app.post("/v1/auth/revoke", json!({ "token": ann.access })).send().await.expect(415);
    me(&app, &ann.access).await.ok();
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
async fn s7_neither_a_registration_nor_an_invitation_tells_known_addresses_from_others() {
    let app = TestApp::start().await;
    let (theo, _ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    disable(&app, ben.account.parse().unwrap()).await;
    // One that is known, one that is not, and a disabled one, all of one length.
    let names = ["Ann Lind", "Dan Ives", "Ben Roth"];
    let (mut refused, mut invited) = (Vec::new(), Vec::new());
    for name in names {
        let body = registration(name, "0000-0000-0000-0000");
        let email = body["email"].clone();
        let answer = app.post("/v1/auth/register", body).send().await.expect(422).refused("code_invalid");
        refused.push(seen(&answer));
        // Who invites is answered with the code, whoever has the address.
        let wish = json!({ "kind": "patient", "email": email });
        let mut answer = theo.post("/v1/invitations", wish).send().await.created();
        assert_eq!(answer.body["email"], email);
        for own in ["id", "email", "code"] {
            answer.body[own] = Value::Null;
        }
        answer.headers.retain(|header, _| !["location", "etag"].contains(&header.as_str()));
        invited.push(seen(&answer));
    }
    assert!(refused.iter().all(|answer| *answer == refused[0]), "{refused:?}");
    assert!(invited.iter().all(|answer| *answer == invited[0]), "{invited:?}");
    // A code that is good opens no account that is there, and tells nothing of whether it is disabled.
    let code = theo.code_for_patient().await;
    for name in ["Ann Lind", "Ben Roth"] {
        let answer = app.post("/v1/auth/register", registration(name, &code)).send().await;
        assert_eq!(seen(&answer), refused[0], "{name}");
    }
    app.register("Dan Ives", &code).await;
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
