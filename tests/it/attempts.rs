//! S6: failed log-ins lock out those who fail, and nobody else.

use std::sync::Arc;

use afterglow::config::Config;
use afterglow::kernel::Clock;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::accounts::{PASSPHRASE, account};
use crate::support::app::{Answer, START, TestApp};
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
