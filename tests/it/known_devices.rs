//! Devices that an account knows: by its id, whatever its address, and for a day after a mailed reset only if nobody has
//! thrown them out.

use std::sync::Arc;

use afterglow::account::operator;
use afterglow::db::Tx;
use afterglow::identity::end_all_sessions;
use afterglow::kernel::Email;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::account_life::{
    ANN, NEW_DEVICE, Scene, forgets, letter, log_in, log_in_again, mail, proves, sets, subjects,
};
use crate::support::accounts::has_proved_address;
use crate::support::app::{Answer, TestApp};
use crate::support::authenticator::with_passkey;
use crate::support::database::on_postgres;
use crate::support::people::{PASSPHRASE, Person};
use crate::support::sql::beside;
use crate::tasks::Tables;

const NEW: &str = "a loud waterfall at noon";
const OTHER: &str = "another river at dusk";
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a log-in gave.
fn token(answer: &Answer, name: &str) -> String {
    answer.text(&format!("/tokens/{name}"))
}

/// A log-in on a device that the account does not know.
async fn another_device(app: &Arc<TestApp>) -> Answer {
    log_in(app, ANN, PASSPHRASE).await.ok()
}

/// Sets a new passphrase with a code from a letter.
async fn resets(app: &Arc<TestApp>) {
    forgets(app, ANN).await;
    let sent = mail(app, ANN).await;
    let code = sent.iter().find(|post| post.subject.contains("new passphrase")).unwrap().code();
    sets(app, &code, NEW).await.ok();
}

fn live_sessions(app: &TestApp) -> i64 {
    Tables::of(app).count("sessions WHERE revoked_at IS NULL")
}

#[actix_web::test]
async fn a_phone_stays_known_when_the_address_of_its_account_moves() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    let device = token(&another_device(&app).await, "device_token");
    let moved = "ann.lind@example.org";
    ann.post("/v1/me/email", json!({ "email": moved, "passphrase": PASSPHRASE })).send().await.ok();
    proves(&ann, &letter(&app, moved).await.code()).await.ok();

    // Strangers who know the new address keep themselves out, not the phone.
    for _ in 0..10 {
        log_in(&app, moved, NEW).await.expect(401).refused("credentials_wrong");
    }
    log_in(&app, moved, PASSPHRASE).await.expect(401).refused("credentials_wrong");
    let body = json!({ "email": moved, "passphrase": PASSPHRASE, "device_token": device });
    app.post("/v1/auth/login", body).send().await.ok();
    let events = ann.get("/v1/me/security-events?limit=1").send().await.ok();
    assert_eq!(events.items()[0]["event"], json!("log_in"), "no new device");
}

#[actix_web::test]
async fn for_a_day_after_a_reset_a_device_that_was_thrown_out_is_a_strangers() {
    let Scene { app, therapist, ann, .. } = Scene::open_with(|_| {}).await;
    has_proved_address(&ann).await;
    let [ended, stolen, left, other] = [
        another_device(&app).await,
        another_device(&app).await,
        another_device(&app).await,
        another_device(&app).await,
    ];
    let kept = another_device(&app).await;
    let phone = Person::of(&app, &kept);
    // One is ended from the phone, one by a refresh token that came twice; one logs out by itself and is then among all
    // that the phone logs out, with one that was live until then.
    phone.delete(&format!("/v1/me/sessions/{}", token(&ended, "session_id"))).send().await.no_content();
    let refresh = async |token: &str| app.post("/v1/auth/refresh", json!({ "refresh_token": token })).send().await;
    let first = token(&stolen, "refresh_token");
    let second = refresh(&first).await.ok().text("/tokens/refresh_token");
    refresh(&second).await.ok();
    refresh(&first).await.expect(401).refused("refresh_invalid");
    Person::of(&app, &left).act("/v1/auth/logout").send().await.no_content();
    phone.delete("/v1/me/sessions").send().await.no_content();

    resets(&app).await;
    let before = live_sessions(&app);
    for (way, lost) in [("ended", &ended), ("stolen", &stolen), ("left", &left), ("other", &other)] {
        let answer = log_in_again(&app, NEW, &token(lost, "device_token")).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (401, &json!("known_device_required")), "{way}");
    }
    assert_eq!(live_sessions(&app), before, "nothing was opened");
    log_in_again(&app, NEW, &token(&kept, "device_token")).await.ok();
    assert_eq!(live_sessions(&app), before + 1);
    therapist.get("/v1/me").send().await.ok();

    // A day later it is a device like any other.
    app.wait(DAY);
    log_in_again(&app, NEW, &token(&ended, "device_token")).await.ok();
}

#[actix_web::test]
async fn a_phone_that_logged_out_by_itself_is_known_after_a_reset_and_a_stranger_is_not() {
    for way in ["logout", "revoke", "own session"] {
        let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
        has_proved_address(&ann).await;
        ann.act("/v1/auth/logout").send().await.no_content();
        let answer = another_device(&app).await;
        let phone = Person::of(&app, &answer);
        let ended = match way {
            "logout" => phone.act("/v1/auth/logout").send().await,
            "revoke" => {
                let form = format!("token={}", token(&answer, "refresh_token"));
                let call = app.request(reqwest::Method::POST, "/v1/auth/revoke");
                call.bytes("application/x-www-form-urlencoded", form).send().await
            }
            _ => phone.delete(&format!("/v1/me/sessions/{}", token(&answer, "session_id"))).send().await,
        };
        assert!(ended.status.is_success(), "{way}");
        // It erases what it holds, as before.
        let access = token(&answer, "access_token");
        app.get("/v1/me").bearer(&access).send().await.expect(401).refused("session_revoked");
        let before = live_sessions(&app);
        resets(&app).await;
        log_in(&app, ANN, NEW).await.expect(401).refused("known_device_required");
        assert_eq!(live_sessions(&app), before, "{way}");
        log_in_again(&app, NEW, &token(&answer, "device_token")).await.ok();
        assert_eq!(live_sessions(&app), before + 1, "{way}");
    }
}

#[actix_web::test]
async fn a_phone_that_logged_out_is_forgotten_when_it_would_have_been_logged_out_for_being_away() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    has_proved_address(&ann).await;
    ann.act("/v1/auth/logout").send().await.no_content();
    app.wait(DAY * 90);
    resets(&app).await;
    assert_eq!(Tables::of(&app).count("accounts WHERE guarded_until IS NOT NULL"), 0);
    log_in(&app, ANN, NEW).await.ok();
}

#[actix_web::test]
async fn a_session_that_ran_out_leaves_its_device_known_for_a_day() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    has_proved_address(&ann).await;
    let early = another_device(&app).await;
    app.wait(DAY * 2);
    let late = another_device(&app).await;
    app.wait(DAY * 50);
    ann.get("/v1/me").send().await.ok();
    // The early one ran out two and a half days ago, the late one half a day ago, and Ann's phone lives.
    app.wait(DAY * 40 + SignedDuration::from_hours(12));
    resets(&app).await;
    log_in_again(&app, NEW, &token(&early, "device_token")).await.expect(401).refused("known_device_required");
    log_in_again(&app, NEW, &token(&late, "device_token")).await.ok();
}

#[actix_web::test]
async fn after_the_operators_log_out_no_device_is_known_and_none_is_asked_for() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    has_proved_address(&ann).await;
    let left = another_device(&app).await;
    Person::of(&app, &left).act("/v1/auth/logout").send().await.no_content();
    operator::log_out(&app.server.state, &Email::parse(ANN).unwrap()).await.unwrap();
    assert_eq!(live_sessions_of_patients(&app), 0);
    resets(&app).await;
    assert_eq!(Tables::of(&app).count("accounts WHERE guarded_until IS NOT NULL"), 0, "nobody could pass");
    log_in(&app, ANN, NEW).await.ok();
    assert_eq!(live_sessions_of_patients(&app), 1);
}

/// Logs Ann in with a device token, and returns the event of which she is told.
async fn event_of_log_in(app: &Arc<TestApp>, passphrase: &str, device: &str) -> Value {
    let ann = Person::of(app, &log_in_again(app, passphrase, device).await.ok());
    ann.get("/v1/me/security-events?limit=1").send().await.ok().items()[0]["event"].clone()
}

/// Of sessions that a reset has ended or that logged out by themselves the devices are thrown out like those of live
/// ones.
#[actix_web::test]
async fn whoever_throws_devices_out_throws_those_out_whose_sessions_are_over() {
    for way in ["passphrase", "others", "one", "operator"] {
        let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
        has_proved_address(&ann).await;
        let (own, reset) = (another_device(&app).await, another_device(&app).await);
        resets(&app).await;
        let phone = Person::of(&app, &log_in_again(&app, NEW, &token(&own, "device_token")).await.ok());
        let left = log_in_again(&app, NEW, &token(&own, "device_token")).await.ok();
        Person::of(&app, &left).act("/v1/auth/logout").send().await.no_content();
        let over = [&reset, &left];
        match way {
            "passphrase" => {
                let change = json!({ "passphrase": NEW, "new_passphrase": OTHER });
                phone.post("/v1/me/passphrase", change).send().await.ok();
            }
            "others" => {
                phone.delete("/v1/me/sessions").send().await.no_content();
            }
            "one" => {
                for session in over {
                    let path = format!("/v1/me/sessions/{}", token(session, "session_id"));
                    phone.delete(&path).send().await.no_content();
                    phone.delete(&path).send().await.no_content();
                }
                let told = phone.get("/v1/me/security-events?limit=200").send().await.ok();
                let ended = told.items().iter().filter(|one| one["event"] == json!("session_ended")).count();
                assert_eq!(ended, over.len(), "once for each");
            }
            _ => operator::log_out(&app.server.state, &Email::parse(ANN).unwrap()).await.unwrap(),
        }
        if way != "one" {
            let of_patients = "account_id IN (SELECT id FROM accounts WHERE patient_id IS NOT NULL)";
            let known = format!("sessions WHERE revoked_cause IN (6, 7) AND {of_patients}");
            assert_eq!(Tables::of(&app).count(&known), 0, "{way}");
        }
        let passphrase = if way == "passphrase" { OTHER } else { NEW };
        let before = live_sessions(&app);
        for session in over {
            let answer = log_in_again(&app, passphrase, &token(session, "device_token")).await;
            if way == "operator" {
                // The operator has judged: nobody is kept out, and the log-in is told as that of a stranger's device.
                let back = Person::of(&app, &answer.ok());
                let events = back.get("/v1/me/security-events?limit=1").send().await.ok();
                assert_eq!(events.items()[0]["event"], json!("log_in_new_device"));
            } else {
                answer.expect(401).refused("known_device_required");
                assert_eq!(live_sessions(&app), before, "{way}");
            }
        }
    }
}

#[actix_web::test]
async fn a_device_whose_session_ran_out_is_thrown_out_with_the_others() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    has_proved_address(&ann).await;
    let early = another_device(&app).await;
    app.wait(DAY * 50);
    let late = another_device(&app).await;
    // The early one ran out half an hour ago.
    app.wait(DAY * 40 + SignedDuration::from_mins(30));
    let refresh = json!({ "refresh_token": token(&late, "refresh_token") });
    let phone = Person::of(&app, &app.post("/v1/auth/refresh", refresh).send().await.ok());
    let change = json!({ "passphrase": PASSPHRASE, "new_passphrase": OTHER });
    phone.post("/v1/me/passphrase", change).send().await.ok();
    resets(&app).await;
    let before = live_sessions(&app);
    log_in_again(&app, NEW, &token(&early, "device_token")).await.expect(401).refused("known_device_required");
    assert_eq!(live_sessions(&app), before);
    log_in_again(&app, NEW, &token(&late, "device_token")).await.ok();
}

#[actix_web::test]
async fn of_a_log_in_on_a_device_that_was_thrown_out_a_letter_tells() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    let (mut device, _) = with_passkey(&ann).await;
    let (stolen, kept) = (another_device(&app).await, another_device(&app).await);
    ann.delete(&format!("/v1/me/sessions/{}", token(&stolen, "session_id"))).send().await.no_content();
    subjects(&app, ANN).await;
    app.wait(SignedDuration::from_hours(2));
    assert_eq!(event_of_log_in(&app, PASSPHRASE, &token(&kept, "device_token")).await, json!("log_in"));
    assert!(subjects(&app, ANN).await.is_empty(), "a device that it knows");
    assert_eq!(event_of_log_in(&app, PASSPHRASE, &token(&stolen, "device_token")).await, json!("log_in_new_device"));
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);

    // With a passkey as well.
    app.wait(SignedDuration::from_hours(2));
    let mut answer = device.answers(&app).await;
    answer["device_token"] = json!(token(&stolen, "device_token"));
    app.post("/v1/auth/passkey/finish", answer).send().await.ok();
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
}

#[actix_web::test]
async fn after_a_new_epoch_the_devices_of_before_guard_a_reset_for_a_day() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    has_proved_address(&ann).await;
    let phone = another_device(&app).await;
    let now = app.now();
    app.server.state.db.write(move |tx: &mut Tx<'_>| end_all_sessions(tx, now)).await.unwrap();
    assert_eq!(live_sessions(&app), 0);
    app.wait(SignedDuration::from_hours(2));
    resets(&app).await;
    log_in(&app, ANN, NEW).await.expect(401).refused("known_device_required");
    assert_eq!(live_sessions(&app), 0, "nothing was opened");
    log_in_again(&app, NEW, &token(&phone, "device_token")).await.ok();
    assert_eq!(live_sessions(&app), 1);
    // It ends when no device of before is known any more, so that nobody is kept out.
    app.wait(SignedDuration::from_hours(22));
    log_in(&app, ANN, NEW).await.ok();
}

#[actix_web::test]
async fn the_operators_log_out_and_the_enabling_of_an_account_end_a_guard() {
    for way in ["log-out", "enable"] {
        let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
        has_proved_address(&ann).await;
        let own = another_device(&app).await;
        resets(&app).await;
        log_in(&app, ANN, NEW).await.expect(401).refused("known_device_required");
        let (state, address) = (&app.server.state, Email::parse(ANN).unwrap());
        if way == "enable" {
            let phone = Person::of(&app, &log_in_again(&app, NEW, &token(&own, "device_token")).await.ok());
            phone.post("/v1/me/disable", json!({ "passphrase": NEW })).send().await.ok();
            assert!(operator::enable(state, &address).await.unwrap());
        } else {
            operator::log_out(state, &address).await.unwrap();
        }
        assert_eq!(Tables::of(&app).count("accounts WHERE guarded_until IS NOT NULL"), 0, "{way}");
        assert_eq!(live_sessions_of_patients(&app), 0, "{way}");
        log_in(&app, ANN, NEW).await.ok();
        assert_eq!(live_sessions_of_patients(&app), 1, "{way}");
    }
}

/// The live sessions of the one patient.
fn live_sessions_of_patients(app: &TestApp) -> i64 {
    let patients = "(SELECT id FROM accounts WHERE patient_id IS NOT NULL)";
    Tables::of(app).count(&format!("sessions WHERE revoked_at IS NULL AND account_id IN {patients}"))
}

#[actix_web::test]
async fn of_devices_that_logged_out_by_themselves_the_newest_hundred_stay_known() {
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    has_proved_address(&ann).await;
    let mut left = Vec::new();
    for _ in 0..102 {
        let device = another_device(&app).await;
        app.wait(SignedDuration::from_secs(1));
        Person::of(&app, &device).act("/v1/auth/logout").send().await.no_content();
        left.push(device);
    }
    resets(&app).await;
    for oldest in &left[..2] {
        let answer = log_in_again(&app, NEW, &token(oldest, "device_token")).await;
        answer.expect(401).refused("known_device_required");
    }
    for known in [&left[2], &left[101]] {
        log_in_again(&app, NEW, &token(known, "device_token")).await.ok();
    }
}

/// The hundred newest sessions live: the next log-in ends the oldest, whose device then keeps its data.
#[actix_web::test]
async fn a_lost_phone_that_is_told_to_erase_its_data_is_told_so_though_a_newer_one_takes_its_place() {
    if !on_postgres() {
        return;
    }
    let Scene { app, ann, .. } = Scene::open_with(|_| {}).await;
    let (mut tables, hers) = (Tables::of(&app), format!("account_id = '{}'", ann.account));
    while tables.count(&format!("sessions WHERE revoked_at IS NULL AND {hers}")) < 100 {
        app.wait(SignedDuration::from_secs(1));
        another_device(&app).await;
    }
    app.wait(SignedDuration::from_secs(1));
    let ends = format!(
        "UPDATE sessions SET revoked_at = created_at, revoked_cause = 1 \
         WHERE id = (SELECT id FROM sessions WHERE {hers} ORDER BY last_used_at, id LIMIT 1)"
    );
    beside(&app.database.backend, &ends, another_device(&app)).await;
    assert_eq!(tables.count("sessions WHERE revoked_cause = 1"), 1);
}
