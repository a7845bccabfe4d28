//! S6: failed log-ins lock out those who fail, and nobody else.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use afterglow::config::Config;
use afterglow::kernel::Clock;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::accounts::{PASSPHRASE, account};
use crate::support::app::{Answer, START, TestApp, document};
use crate::support::database::{Count, Database};
use crate::support::sql::Sql;

const ANN: &str = "ann@example.org";
const WRONG: &str = "a loud river at noon";

/// A proxy in front names the client.
fn behind_a_proxy(config: &mut Config) {
    config.trusted_hops = 1;
}

async fn start() -> Arc<TestApp> {
    TestApp::on(Database::fresh(), Clock::manual(START.parse().unwrap()), behind_a_proxy).await
}

async fn restarted(app: Arc<TestApp>) -> Arc<TestApp> {
    let clock = Clock::manual(app.now());
    TestApp::on(app.stop(), clock, behind_a_proxy).await
}

async fn send(app: &Arc<TestApp>, network: &str, body: Value) -> Answer {
    app.post("/v1/auth/login", body).header("x-forwarded-for", network).send().await
}

/// A log-in with Ann's address of a device that she never used.
async fn stranger(app: &Arc<TestApp>, network: &str, passphrase: &str) -> Answer {
    send(app, network, json!({ "email": ANN, "passphrase": passphrase })).await
}

/// A log-in with Ann's address of a device that presents this token.
async fn device(app: &Arc<TestApp>, network: &str, token: &str, passphrase: &str) -> Answer {
    send(app, network, json!({ "email": ANN, "passphrase": passphrase, "device_token": token })).await
}

async fn fails(app: &Arc<TestApp>, network: &str, times: usize) {
    for _ in 0..times {
        stranger(app, network, WRONG).await.expect(401).refused("credentials_wrong");
    }
}

fn count(app: &TestApp, rows: &str) -> i64 {
    Sql::open(&app.database.backend).rows::<Count>(&format!("SELECT count(*) AS n FROM log_in_failures {rows}"))[0].n
}

#[actix_web::test]
async fn a_strangers_failures_do_not_lock_out_a_known_device_nor_another_network() {
    let app = start().await;
    let ann = account(&app, ANN).await;
    fails(&app, "192.0.2.1", 10).await;
    stranger(&app, "192.0.2.1", PASSPHRASE).await.expect(401).refused("credentials_wrong");
    // From the same Wi-Fi, the phone that the account knows gets in; so does a new one from elsewhere.
    let next = device(&app, "192.0.2.1", &ann.device, PASSPHRASE).await.ok().text("/tokens/device_token");
    device(&app, "192.0.2.1", &next, PASSPHRASE).await.ok();
    stranger(&app, "198.51.100.7", PASSPHRASE).await.ok();
    stranger(&app, "192.0.2.1", PASSPHRASE).await.expect(401);
    app.wait(SignedDuration::from_mins(15));
    stranger(&app, "192.0.2.1", PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn a_household_of_ipv6_is_one_network() {
    let app = start().await;
    account(&app, ANN).await;
    for host in 1..=10 {
        stranger(&app, &format!("2001:db8::{host}"), WRONG).await.expect(401);
    }
    stranger(&app, "2001:db8::77", PASSPHRASE).await.expect(401);
    stranger(&app, "2001:db8:0:1::1", PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn a_hundred_failures_with_an_address_rest_all_strangers_and_survive_a_restart() {
    let app = start().await;
    let ann = account(&app, ANN).await;
    for network in 1..=10 {
        fails(&app, &format!("192.0.2.{network}"), 10).await;
    }
    assert_eq!(count(&app, "WHERE failures = 100 AND locked_until IS NOT NULL"), 1);
    stranger(&app, "192.0.2.200", PASSPHRASE).await.expect(401).refused("credentials_wrong");
    let app = restarted(app).await;
    stranger(&app, "192.0.2.200", PASSPHRASE).await.expect(401).refused("credentials_wrong");
    device(&app, "192.0.2.200", &ann.device, PASSPHRASE).await.ok();
    app.wait(SignedDuration::from_hours(1));
    stranger(&app, "192.0.2.200", PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn a_known_device_that_guesses_rests_alone() {
    let app = start().await;
    let ann = account(&app, ANN).await;
    for _ in 0..10 {
        device(&app, "192.0.2.1", &ann.device, WRONG).await.expect(401).refused("credentials_wrong");
    }
    let app = restarted(app).await;
    device(&app, "192.0.2.9", &ann.device, PASSPHRASE).await.expect(401).refused("credentials_wrong");
    let other = stranger(&app, "192.0.2.1", PASSPHRASE).await.ok().text("/tokens/device_token");
    device(&app, "192.0.2.1", &other, PASSPHRASE).await.ok();
    app.wait(SignedDuration::from_mins(15));
    device(&app, "192.0.2.9", &ann.device, PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn a_device_token_is_of_one_account_and_opens_nothing() {
    let app = start().await;
    let (ann, bo) = (account(&app, ANN).await, account(&app, "bo@example.org").await);
    fails(&app, "192.0.2.1", 10).await;
    let cut = &ann.device[..ann.device.len() - 2];
    let long = ann.device.repeat(20);
    for token in [bo.device.as_str(), "", "never", cut, long.as_str(), ann.access.as_str(), ann.refresh.as_str()] {
        device(&app, "192.0.2.1", token, PASSPHRASE).await.expect(401).refused("credentials_wrong");
    }
    device(&app, "192.0.2.1", &ann.device, WRONG).await.expect(401);
    app.get("/v1/me").bearer(&ann.device).send().await.expect(401).refused("unauthenticated");
    let body = json!({ "refresh_token": ann.device });
    app.post("/v1/auth/refresh", body).send().await.expect(401).refused("refresh_invalid");
    device(&app, "192.0.2.1", &ann.device, PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn unknown_addresses_are_counted_in_the_same_rows() {
    let app = start().await;
    let ann = account(&app, ANN).await;
    fails(&app, "192.0.2.1", 3).await;
    assert_eq!(count(&app, "WHERE failures = 3"), 2);
    for _ in 0..3 {
        let body = json!({ "email": "nobody@example.org", "passphrase": WRONG, "device_token": ann.device });
        send(&app, "192.0.2.1", body).await.expect(401).refused("credentials_wrong");
    }
    assert_eq!((count(&app, "WHERE failures = 3"), count(&app, "")), (4, 4));
}

/// What somebody sends who guesses: the address, the body, and whether they are logged in.
fn guesses() -> Vec<(&'static str, Value, bool)> {
    let (code, passphrase) = ("0000-0000-0000-0000", "a quiet heron at noon");
    let person = json!({ "code": code, "name": "Mallory", "email": "mallory@example.org", "passphrase": passphrase,
        "adult": true, "time_zone": "Europe/Berlin" });
    let set_up = json!({ "code": code, "clinic_name": "Another", "name": "Mallory", "email": "mallory@example.org",
        "passphrase": passphrase });
    vec![
        ("/v1/auth/login", json!({ "email": ANN, "passphrase": WRONG }), false),
        ("/v1/auth/register", person, false),
        ("/v1/auth/passphrase-reset", json!({ "email": "no address" }), false),
        ("/v1/auth/passphrase-reset/confirm", json!({ "code": code, "passphrase": passphrase }), false),
        ("/v1/auth/staff-reset", json!({ "code": code, "email": ANN, "passphrase": passphrase }), false),
        ("/v1/auth/verify-email", json!({ "code": code }), true),
        ("/v1/setup", set_up, false),
        ("/v1/invitations/accept", json!({ "code": code }), true),
        ("/v1/me/passphrase", json!({ "passphrase": WRONG, "new_passphrase": passphrase }), true),
        ("/v1/me/email", json!({ "email": "another@example.org", "passphrase": WRONG }), true),
        ("/v1/me/disable", json!({ "passphrase": WRONG }), true),
        ("/v1/auth/step-up", json!({ "passphrase": WRONG }), true),
    ]
}

/// Addresses below `/v1/auth` where nothing can be guessed: what they take has 256 bits, or is signed, or is nothing.
const LONG_SECRETS: [&str; 5] =
    ["/v1/auth/logout", "/v1/auth/passkey/begin", "/v1/auth/passkey/finish", "/v1/auth/refresh", "/v1/auth/revoke"];

#[actix_web::test]
async fn s6_ten_guesses_a_minute_from_a_network_at_every_door() {
    let document = document()["paths"].as_object().unwrap();
    let doors: BTreeSet<&str> = guesses().into_iter().map(|(path, ..)| path).collect();
    let public = document.keys().filter(|path| path.starts_with("/v1/auth/") || *path == "/v1/setup");
    for path in public.filter(|path| !LONG_SECRETS.contains(&path.as_str())) {
        assert!(doors.contains(path.as_str()), "{path}: how does somebody guess there?");
    }
    let limited = |config: &mut Config| {
        behind_a_proxy(config);
        config.auth_per_minute = NonZeroU32::new(10);
    };
    let app = TestApp::start_with(limited).await;
    app.admin().await;
    let ann = account(&app, ANN).await;
    for (number, (path, body, logged_in)) in guesses().into_iter().enumerate() {
        let network = format!("192.0.2.{number}");
        let guess = async || {
            let call = app.post(path, body.clone()).header("x-forwarded-for", &network);
            if logged_in { call.bearer(&ann.access) } else { call }.send().await
        };
        for _ in 0..10 {
            let status = guess().await.status;
            assert!(status.is_client_error() && status != 429, "{path}: {status}");
        }
        // One more comes back every six seconds: on a slow machine another one or two are taken.
        let mut more = 0;
        while guess().await.status != 429 {
            more += 1;
            assert!(more < 5, "{path} is not limited");
        }
        // The limit is of the network, not of the door, and of no other network.
        stranger(&app, &network, PASSPHRASE).await.expect(429).refused("too_many_requests");
        app.get("/v1/me").bearer(&ann.access).header("x-forwarded-for", &network).send().await.ok();
    }
    // What was guessed in her session has made her device rest.
    app.wait(SignedDuration::from_mins(16));
    device(&app, "198.51.100.7", &ann.device, PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn s6_the_address_that_the_operators_own_proxy_saw_counts_and_none_that_a_client_claims() {
    let limited = |config: &mut Config| {
        behind_a_proxy(config);
        config.auth_per_minute = NonZeroU32::new(10);
    };
    let app = TestApp::start_with(limited).await;
    account(&app, ANN).await;
    for turn in 0..10 {
        stranger(&app, &format!("198.51.100.{turn}, 192.0.2.1"), WRONG).await.expect(401);
    }
    let mut more = 0;
    while stranger(&app, "203.0.113.9, 192.0.2.1", WRONG).await.status != 429 {
        more += 1;
        assert!(more < 5, "what a client claims hides it");
    }
    stranger(&app, "192.0.2.1, 203.0.113.9", PASSPHRASE).await.ok();
}
