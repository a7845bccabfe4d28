//! The life of an account: forgotten and changed passphrases, addresses, names, the end; and the letters about them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use afterglow::account::operator;
use afterglow::app;
use afterglow::channels::MailSettings;
use afterglow::config::Config;
use afterglow::db::Tx;
use afterglow::db::schema::letters as letter_rows;
use afterglow::delivery::LogChannel;
use afterglow::kernel::id::Letter;
use afterglow::kernel::{Clock, Email, Error, Id};
use afterglow::letters::{self, LetterDoc, LetterKind};
use diesel::prelude::*;
use futures_util::future::{join, join_all};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::known_faults::{refuse, refuse_no_more};
use crate::support::accounts::{code_of, disable, enable, has_proved_address, with_factor};
use crate::support::app::{Answer, START, TestApp};
use crate::support::authenticator::with_passkey;
use crate::support::database::{Count, Database};
use crate::support::journal::{reflection, with};
use crate::support::people::{PASSPHRASE, Person, registration};
use crate::support::sql::Sql;
use crate::tasks::{Tables, settled};
use crate::unreadable::Damaged;

const NEW: &str = "a loud waterfall at noon";
pub const ANN: &str = "ann.walker@example.org";
const SECOND: SignedDuration = SignedDuration::from_secs(1);

pub fn into_a_folder(config: &mut Config) {
    config.mail = MailSettings::Folder(config.data_dir.join("letters"));
}

/// A clinic with a therapist and Ann, whose letters lie in a folder.
pub struct Scene {
    pub app: Arc<TestApp>,
    pub admin: Person,
    pub therapist: Person,
    pub ann: Person,
}

impl Scene {
    async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let app = TestApp::start_with(|config| {
            into_a_folder(config);
            change(config);
        })
        .await;
        let admin = app.admin().await;
        let therapist = app.staff(&admin, "Thea Brandt", &["care"]).await;
        let ann = app.patient(&therapist, "Ann Walker").await;
        clears_letters(&app).await;
        Self { app, admin, therapist, ann }
    }
}

/// Clears the letters that asked for the proofs of addresses when people joined, and these proofs.
async fn clears_letters(app: &Arc<TestApp>) {
    settled(app).await;
    for file in std::fs::read_dir(folder(app)).into_iter().flatten() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    Sql::open(&app.database.backend).run("DELETE FROM letters; DELETE FROM address_proofs");
}

/// A letter that has left.
#[derive(Debug)]
pub struct Post {
    pub subject: String,
    pub body: String,
}

impl Post {
    /// The code on a line of its own.
    #[track_caller]
    pub fn code(&self) -> String {
        let is_code = |line: &&str| line.len() == 19 && line.split('-').all(|part| part.len() == 4);
        let found = self.body.lines().find(is_code);
        found.unwrap_or_else(|| panic!("no code in {self:?}")).to_owned()
    }
}

fn folder(app: &TestApp) -> PathBuf {
    app.database.folder.path().join("data").join("letters")
}

/// The subject of the letter about a device that the account did not know: every log-in of these tests is on one.
pub const NEW_DEVICE: &str = "A new device in your account";

/// The letters to an address that have left since this was asked last, but for those about new devices.
pub async fn mail(app: &Arc<TestApp>, to: &str) -> Vec<Post> {
    let mut found = all_mail(app, to).await;
    found.retain(|post| post.subject != NEW_DEVICE);
    found
}

/// The letters to an address that have left since this was asked last.
pub async fn all_mail(app: &Arc<TestApp>, to: &str) -> Vec<Post> {
    settled(app).await;
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder(app)).into_iter().flatten() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        if header("To: ") == to {
            found.push(Post { subject: header("Subject: "), body: body.to_owned() });
            std::fs::remove_file(path).unwrap();
        }
    }
    found
}

/// The one letter to an address that has left since.
pub async fn letter(app: &Arc<TestApp>, to: &str) -> Post {
    let mut found = mail(app, to).await;
    assert_eq!(found.len(), 1, "{to}: {found:?}");
    found.remove(0)
}

pub async fn forgets(app: &Arc<TestApp>, email: &str) -> Answer {
    app.post("/v1/auth/passphrase-reset", json!({ "email": email })).send().await.expect(202)
}

pub async fn sets(app: &Arc<TestApp>, code: &str, passphrase: &str) -> Answer {
    let body = json!({ "code": code, "passphrase": passphrase });
    app.post("/v1/auth/passphrase-reset/confirm", body).send().await
}

pub async fn log_in(app: &Arc<TestApp>, email: &str, passphrase: &str) -> Answer {
    app.post("/v1/auth/login", json!({ "email": email, "passphrase": passphrase })).send().await
}

/// A log-in of a device that was logged in before.
pub async fn log_in_again(app: &Arc<TestApp>, passphrase: &str, device: &str) -> Answer {
    let body = json!({ "email": ANN, "passphrase": passphrase, "device_token": device });
    app.post("/v1/auth/login", body).send().await
}

pub async fn proves(person: &Person, code: &str) -> Answer {
    person.post("/v1/auth/verify-email", json!({ "code": code })).send().await
}

pub async fn profile(person: &Person) -> Value {
    person.get("/v1/me/profile").send().await.ok().body
}

/// What a stranger sees of an answer, but for what names the request or the time.
pub fn seen(answer: &Answer) -> (u16, BTreeMap<String, String>, Value) {
    let mut headers: BTreeMap<String, String> = answer.headers.clone().into_iter().collect();
    headers.retain(|name, _| !["x-request-id", "date"].contains(&name.as_str()));
    let mut body = answer.body.clone();
    if let Some(object) = body.as_object_mut() {
        object.remove("request_id");
    }
    (answer.status.as_u16(), headers, body)
}

/// The number of rows of every table that somebody without a log-in can write to.
pub fn written(app: &TestApp) -> Vec<i64> {
    let mut tables = Tables::of(app);
    let all = ["letters", "address_proofs", "accounts", "sessions", "audit_log", "log_in_failures"];
    all.into_iter().map(|table| tables.count(table)).collect()
}

#[actix_web::test]
async fn a_forgotten_passphrase_is_not_a_lost_journal() {
    let Scene { app, ann, .. } = Scene::open().await;
    has_proved_address(&ann).await;
    let entry = ann.writes(with(reflection("x"), json!({ "text": { "title": "By the lake" } }))).await;
    let known = log_in(&app, ANN, PASSPHRASE).await.ok();
    let (phone, device) = (Person::of(&app, &known), known.text("/tokens/device_token"));

    forgets(&app, " Ann.Walker@Example.ORG").await;
    let sent = letter(&app, ANN).await;
    for word in ["ketamin", "therap", "clinic", "lakeside", "walker"] {
        assert!(!format!("{} {}", sent.subject, sent.body).to_lowercase().contains(word), "{word}: {sent:?}");
    }
    sets(&app, &sent.code().to_lowercase().replace('-', " "), NEW).await.ok();

    // Every session has ended; its device keeps what it holds.
    app.wait(SECOND);
    for device in [&ann, &phone] {
        let refused = device.get("/v1/me").send().await.expect(401).refused("unauthenticated");
        assert_eq!(refused.body["client_action"], "relogin");
    }
    log_in(&app, ANN, PASSPHRASE).await.expect(401).refused("credentials_wrong");
    let ann = Person::of(&app, &log_in_again(&app, NEW, &device).await.ok());
    assert_eq!(ann.entry(&entry).await.ok().text("/text/title"), "By the lake");
    assert_eq!(profile(&ann).await["email_verified"], json!(true));
    assert_eq!(letter(&app, ANN).await.subject, "Your passphrase was changed");
}

#[actix_web::test]
async fn a_code_works_once_for_half_an_hour_and_for_what_it_was_sent_for() {
    let Scene { app, ann, .. } = Scene::open().await;
    has_proved_address(&ann).await;
    let device = log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/device_token");
    for impossible in ["", "no code", "0000-0000-0000-0000"] {
        sets(&app, impossible, NEW).await.expect(422).refused("code_invalid");
        proves(&ann, impossible).await.expect(422).refused("code_invalid");
    }
    forgets(&app, ANN).await;
    let code = letter(&app, ANN).await.code();
    proves(&ann, &code).await.expect(422).refused("code_invalid");
    // A passphrase that is refused does not use it up.
    let easy = sets(&app, &code, "short").await.expect(422).refused("invalid");
    assert_eq!(easy.body["errors"][0]["pointer"], "/passphrase");
    app.wait(SignedDuration::from_mins(30) - SECOND);
    sets(&app, &code, NEW).await.ok();
    sets(&app, &code, PASSPHRASE).await.expect(422).refused("code_invalid");
    log_in_again(&app, NEW, &device).await.ok();

    forgets(&app, ANN).await;
    let late = mail(&app, ANN).await.iter().find(|post| post.subject.contains("new passphrase")).unwrap().code();
    app.wait(SignedDuration::from_mins(30));
    sets(&app, &late, PASSPHRASE).await.expect(422).refused("code_invalid");
    log_in_again(&app, NEW, &device).await.ok();

    // Whoever uses one up ends those that were sent before it.
    forgets(&app, ANN).await;
    let first = letter(&app, ANN).await.code();
    forgets(&app, ANN).await;
    let second = letter(&app, ANN).await.code();
    sets(&app, &second, PASSPHRASE).await.ok();
    sets(&app, &first, NEW).await.expect(422).refused("code_invalid");
    let ann = Person::of(&app, &log_in_again(&app, PASSPHRASE, &device).await.ok());
    ann.act("/v1/me/email/verification").send().await.expect(409).refused("state_conflict");
}

/// Somebody else may read the mail.
#[actix_web::test]
async fn for_a_day_after_a_reset_only_a_device_that_the_account_knows_logs_in() {
    let Scene { app, therapist, ann, .. } = Scene::open().await;
    has_proved_address(&ann).await;
    let device = log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/device_token");
    let sessions = || Tables::of(&app).count("sessions WHERE revoked_at IS NULL");
    let resets = async |passphrase: &str| {
        forgets(&app, ANN).await;
        let sent = mail(&app, ANN).await;
        let code = sent.iter().find(|post| post.subject.contains("new passphrase")).unwrap().code();
        sets(&app, &code, passphrase).await.ok();
    };
    resets(NEW).await;
    let before = sessions();
    let refused = log_in(&app, ANN, NEW).await.expect(401).refused("known_device_required");
    assert_eq!(refused.body["client_action"], "keep");
    // Another reset, when no session is left, does not lift it.
    app.wait(SignedDuration::from_hours(2));
    resets("another river at dusk").await;
    log_in(&app, ANN, "another river at dusk").await.expect(401).refused("known_device_required");
    // Nobody learns from it who does not have the passphrase.
    log_in(&app, ANN, NEW).await.expect(401).refused("credentials_wrong");
    assert_eq!(sessions(), before);
    log_in_again(&app, "another river at dusk", "never").await.expect(401).refused("known_device_required");
    log_in_again(&app, "another river at dusk", &device).await.ok();
    assert_eq!(sessions(), before + 1);
    app.wait(SignedDuration::from_hours(22));
    log_in(&app, ANN, "another river at dusk").await.ok();

    // Where no device is known, none is asked for.
    let ben = app.patient(&therapist, "Ben Roth").await;
    clears_letters(&app).await;
    has_proved_address(&ben).await;
    let email = "ben.roth@example.org";
    operator::log_out(&app.server.state, &Email::parse(email).unwrap()).await.unwrap();
    forgets(&app, email).await;
    sets(&app, &letter(&app, email).await.code(), NEW).await.ok();
    log_in(&app, email, NEW).await.ok();
}

#[actix_web::test]
async fn after_a_reset_a_second_factor_is_as_good_as_a_known_device() {
    let Scene { app, ann, .. } = Scene::open().await;
    has_proved_address(&ann).await;
    let (secret, _) = with_factor(&ann).await;
    assert_eq!(subjects(&app, ANN).await, ["The second factor of your account"]);
    forgets(&app, ANN).await;
    sets(&app, &letter(&app, ANN).await.code(), NEW).await.ok();
    app.wait(SignedDuration::from_secs(30));
    log_in(&app, ANN, NEW).await.expect(401).refused("second_factor_required");
    let body = json!({ "email": ANN, "passphrase": NEW, "code": code_of(&app, &secret) });
    app.post("/v1/auth/login", body).send().await.ok();
}

#[actix_web::test]
async fn after_a_reset_a_passkey_beside_the_passphrase_is_as_good_as_a_known_device() {
    let Scene { app, ann, .. } = Scene::open().await;
    has_proved_address(&ann).await;
    let token = log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/device_token");
    forgets(&app, ANN).await;
    sets(&app, &letter(&app, ANN).await.code(), NEW).await.ok();
    let known = Person::of(&app, &log_in_again(&app, NEW, &token).await.ok());
    let (mut device, _) = with_passkey(&known).await;
    log_in(&app, ANN, NEW).await.expect(401).refused("known_device_required");
    let body = json!({ "email": ANN, "passphrase": NEW, "passkey": device.answers(&app).await });
    app.post("/v1/auth/login", body).send().await.ok();
}

#[actix_web::test]
async fn a_mailed_code_takes_passkeys_away_since_somebody_else_may_have_added_them() {
    let Scene { app, ann, .. } = Scene::open().await;
    has_proved_address(&ann).await;
    let (mut device, _) = with_passkey(&ann).await;
    let answer = device.answers(&app).await;
    app.post("/v1/auth/passkey/finish", answer).send().await.ok();
    forgets(&app, ANN).await;
    let sent = mail(&app, ANN).await;
    let code = sent.iter().find(|post| post.subject.contains("new passphrase")).unwrap().code();
    sets(&app, &code, NEW).await.ok();
    let answer = device.answers(&app).await;
    app.post("/v1/auth/passkey/finish", answer).send().await.expect(401).refused("passkey_refused");
    assert_eq!(Tables::of(&app).count("passkeys"), 0);
}

#[actix_web::test]
async fn an_address_moves_in_no_session_whose_proofs_were_taken_back() {
    let Scene { app, ann, .. } = Scene::open().await;
    let (_, passkey) = with_passkey(&ann).await;
    let other = Person::of(&app, &log_in(&app, ANN, PASSPHRASE).await.ok());
    let moved = "ann.lind@example.org";
    other.post("/v1/me/email", json!({ "email": moved, "passphrase": PASSPHRASE })).send().await.ok();
    let code = letter(&app, moved).await.code();
    ann.delete(&format!("/v1/me/factors/passkeys/{passkey}")).send().await.no_content();
    proves(&other, &code).await.expect(403).refused("step_up_required");
    log_in(&app, moved, PASSPHRASE).await.expect(401).refused("credentials_wrong");
    assert_eq!(Tables::of(&app).count("address_proofs WHERE used_at IS NOT NULL"), 0);
    // Its owner proves themself, and it moves.
    other.post("/v1/auth/step-up", json!({ "passphrase": PASSPHRASE })).send().await.ok();
    proves(&other, &code).await.ok();
    log_in(&app, moved, PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn a_code_opens_the_account_of_its_address_alone() {
    let Scene { app, therapist, ann, .. } = Scene::open().await;
    has_proved_address(&ann).await;
    let ben = app.patient(&therapist, "Ben Roth").await;
    forgets(&app, ANN).await;
    sets(&app, &letter(&app, ANN).await.code(), NEW).await.ok();
    ben.get("/v1/me").send().await.ok();
    log_in(&app, "ben.roth@example.org", NEW).await.expect(401);
    log_in(&app, "ben.roth@example.org", PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn a_proof_that_was_changed_from_outside_opens_nothing() {
    let Scene { app, admin, ann, .. } = Scene::open().await;
    has_proved_address(&admin).await;
    has_proved_address(&ann).await;
    forgets(&app, "ada@lakeside.example").await;
    let code = letter(&app, "ada@lakeside.example").await.code();
    let ann = "(SELECT email_key FROM accounts WHERE patient_id IS NOT NULL)";
    let mut sql = Sql::open(&app.database.backend);
    sql.run(&format!("UPDATE address_proofs SET email_key = {ann}"));
    sets(&app, &code, NEW).await.expect(422).refused("code_invalid");
    log_in(&app, ANN, PASSPHRASE).await.ok();
}

#[actix_web::test]
async fn s7_nothing_tells_whether_an_address_has_an_account() {
    let Scene { app, therapist, ann, .. } = Scene::open().await;
    has_proved_address(&ann).await;
    let ben = app.patient(&therapist, "Ben Roth").await;
    clears_letters(&app).await;
    has_proved_address(&ben).await;
    disable(&app, ben.account.parse().unwrap()).await;
    let silent = ["nobody.here@example.org", "ben.roth@example.org", "thea.brandt@example.org"];
    let mut all = Vec::new();
    for email in [ANN].into_iter().chain(silent) {
        let before = written(&app);
        let answer = forgets(&app, email).await;
        let more: Vec<i64> = written(&app).iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(more, [1, 1, 0, 0, 0, 0], "{email}");
        all.push((seen(&answer), more));
    }
    assert_eq!(all[1], all[0]);
    assert_eq!(all[2], all[0]);
    assert_eq!(all[3], all[0], "an address that nobody has proved");
    // Nor what is stored: the same columns are filled, with values as long.
    let mut tables = Tables::of(&app);
    assert_eq!(tables.count("(SELECT DISTINCT length(doc) AS n FROM letters) sizes"), 1);
    assert_eq!(tables.count("address_proofs WHERE account_id IS NULL"), 4);
    // Only one of them leaves.
    assert_eq!(mail(&app, ANN).await.len(), 1);
    for email in silent {
        assert_eq!(mail(&app, email).await.len(), 0, "{email}");
    }
    assert_eq!(tables.count("letters WHERE done_at IS NOT NULL"), 4);
    // However often somebody asks, an address gets five letters an hour.
    for email in [ANN, "nobody.here@example.org"] {
        for _ in 0..9 {
            assert_eq!(seen(&forgets(&app, email).await), all[0].0);
        }
    }
    assert_eq!(tables.count("letters"), 12);
    assert_eq!(mail(&app, ANN).await.len(), 4);
}

#[actix_web::test]
async fn a_new_passphrase_ends_the_other_sessions_at_once_and_no_more() {
    let Scene { app, ann, .. } = Scene::open().await;
    let entry = ann.writes(reflection("Lake")).await;
    let phone = Person::of(&app, &log_in(&app, ANN, PASSPHRASE).await.ok());
    let wrong = json!({ "passphrase": NEW, "new_passphrase": NEW });
    let refused = ann.post("/v1/me/passphrase", wrong).send().await.expect(422).refused("invalid");
    assert_eq!(refused.body["errors"][0]["pointer"], "/passphrase");
    let own = json!({ "passphrase": PASSPHRASE, "new_passphrase": format!("my {ANN} is easy") });
    let refused = ann.post("/v1/me/passphrase", own).send().await.expect(422).refused("invalid");
    assert_eq!(refused.body["errors"][0]["pointer"], "/new_passphrase");
    phone.get("/v1/me").send().await.ok();
    assert!(mail(&app, ANN).await.is_empty());

    let change = json!({ "passphrase": PASSPHRASE, "new_passphrase": NEW });
    ann.post("/v1/me/passphrase", change.clone()).key("a").send().await.ok();
    app.wait(SECOND);
    let refused = phone.get("/v1/me").send().await.expect(401).refused("unauthenticated");
    assert_eq!(refused.body["client_action"], "relogin");
    let spent = json!({ "refresh_token": phone.refresh_token().await });
    app.post("/v1/auth/refresh", spent).send().await.expect(401).refused("refresh_invalid");
    ann.entry(&entry).await.ok();
    log_in(&app, ANN, PASSPHRASE).await.expect(401);
    log_in(&app, ANN, NEW).await.ok();
    // A lost answer: the same request is known, although the passphrase is another one by now.
    let again = ann.post("/v1/me/passphrase", change).key("a").send().await.ok();
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(letter(&app, ANN).await.subject, "Your passphrase was changed");
}

/// Logs in again and again, until a log-in that began after `over` was answered.
async fn logs_in_until(over: &AtomicBool, app: &Arc<TestApp>, passphrase: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    loop {
        let last = over.load(Ordering::SeqCst);
        answers.push(log_in(app, ANN, passphrase).await);
        if last {
            return answers;
        }
    }
}

#[actix_web::test]
async fn no_log_in_with_the_old_passphrase_outlives_its_change() {
    let mut opened = 0;
    for _ in 0..3 {
        // Hashes that take a while: those of log-ins wait while the passphrase is changed.
        let Scene { app, ann, .. } = Scene::open_with(|config| config.passphrase_cost = (4096, 1, 1)).await;
        let over = AtomicBool::new(false);
        let changing = async {
            let change = json!({ "passphrase": PASSPHRASE, "new_passphrase": NEW });
            ann.post("/v1/me/passphrase", change).send().await.ok();
            over.store(true, Ordering::SeqCst);
        };
        let log_ins = join_all((0..6).map(|_| logs_in_until(&over, &app, PASSPHRASE)));
        let ((), answers) = join(changing, log_ins).await;
        for answer in answers.iter().flatten().filter(|answer| answer.status == 200) {
            opened += 1;
            let token = answer.text("/tokens/access_token");
            app.get("/v1/me").bearer(&token).transmit().await.expect(401);
        }
        assert_eq!(ann.get("/v1/me/sessions").send().await.ok().items().len(), 1, "the one that changed it");
    }
    assert!(opened > 0, "no log-in met the change");
}

#[actix_web::test]
async fn a_new_passphrase_stops_an_address_that_somebody_else_has_asked_for() {
    for forgotten in [true, false] {
        let Scene { app, ann, .. } = Scene::open().await;
        has_proved_address(&ann).await;
        let device = log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/device_token");
        let thief = "thief@elsewhere.example";
        ann.post("/v1/me/email", json!({ "email": thief, "passphrase": PASSPHRASE })).send().await.ok();
        let code = letter(&app, thief).await.code();
        assert_eq!(letter(&app, ANN).await.subject, "A new e-mail address for your account");
        // Ann does what the letter says.
        if forgotten {
            forgets(&app, ANN).await;
            sets(&app, &letter(&app, ANN).await.code(), NEW).await.ok();
        } else {
            let change = json!({ "passphrase": PASSPHRASE, "new_passphrase": NEW });
            ann.post("/v1/me/passphrase", change).send().await.ok();
        }
        let ann = Person::of(&app, &log_in_again(&app, NEW, &device).await.ok());
        proves(&ann, &code).await.expect(422).refused("code_invalid");
        forgets(&app, thief).await;
        assert!(mail(&app, thief).await.is_empty(), "{forgotten}");
        log_in(&app, thief, NEW).await.expect(401);
        let shown = profile(&ann).await;
        assert_eq!((&shown["email"], shown.get("pending_email")), (&json!(ANN), None), "{forgotten}");
    }
}

#[actix_web::test]
async fn s6_a_stolen_session_does_not_guess_the_passphrase() {
    let Scene { app, ann, .. } = Scene::open().await;
    for _ in 0..10 {
        let guess = json!({ "passphrase": NEW, "new_passphrase": NEW });
        ann.post("/v1/me/passphrase", guess).send().await.expect(422);
    }
    let right = json!({ "passphrase": PASSPHRASE, "new_passphrase": NEW });
    ann.post("/v1/me/passphrase", right.clone()).send().await.expect(422);
    app.wait(SignedDuration::from_mins(16));
    ann.post("/v1/me/passphrase", right).send().await.ok();
}

#[actix_web::test]
async fn a_request_that_is_sent_again_is_no_guess_and_no_letter() {
    let Scene { app, ann, .. } = Scene::open().await;
    let body = json!({ "passphrase": PASSPHRASE, "new_passphrase": NEW });
    let change = || ann.post("/v1/me/passphrase", body.clone()).key("a");
    for _ in 0..15 {
        change().send().await.ok();
    }
    let mut tables = Tables::of(&app);
    assert_eq!(tables.count("log_in_failures WHERE failures > 0"), 0);
    ann.post("/v1/auth/step-up", json!({ "passphrase": NEW })).send().await.ok();
    // Another request under the key is refused before it is looked at.
    let other = json!({ "passphrase": PASSPHRASE, "new_passphrase": "a slow brook at dusk" });
    ann.post("/v1/me/passphrase", other).key("a").send().await.expect(422).refused("idempotency_key_reused");
    assert_eq!(tables.count("log_in_failures WHERE failures > 0"), 0);
    assert_eq!(mail(&app, ANN).await.len(), 1);
}

#[actix_web::test]
async fn a_passphrase_is_hashed_anew_when_the_cost_has_risen() {
    let clock = || Clock::manual(START.parse().unwrap());
    let app = TestApp::on(Database::fresh(), clock(), |_| {}).await;
    app.admin().await;
    let app = TestApp::on(app.stop(), clock(), |config| config.passphrase_cost = (16, 1, 1)).await;
    let version = |app: &TestApp, version: i64| Tables::of(app).count(&format!("accounts WHERE version = {version}"));
    assert_eq!(version(&app, 1), 1);
    let ada = "ada@lakeside.example";
    log_in(&app, ada, NEW).await.expect(401);
    assert_eq!(version(&app, 1), 1, "a wrong passphrase is not hashed anew");
    for _ in 0..2 {
        log_in(&app, ada, PASSPHRASE).await.ok();
        assert_eq!(version(&app, 2), 1, "once");
    }
    log_in(&app, ada, NEW).await.expect(401);
}

#[actix_web::test]
async fn an_address_is_proved_by_a_code_that_was_sent_there() {
    let Scene { app, ann, .. } = Scene::open().await;
    assert_eq!(profile(&ann).await["email_verified"], json!(false));
    let answer = ann.act("/v1/me/email/verification").send().await.ok();
    assert_eq!(answer.body["expires_in"], json!(24 * 3600));
    let code = letter(&app, ANN).await.code();
    app.wait(SignedDuration::from_hours(24) - SECOND);
    proves(&ann, &code).await.ok();
    assert_eq!(profile(&ann).await["email_verified"], json!(true));
    proves(&ann, &code).await.expect(422).refused("code_invalid");
    ann.act("/v1/me/email/verification").send().await.expect(409).refused("state_conflict");
    log_in(&app, ANN, PASSPHRASE).await.ok();
}

/// Her invitation made her account without a letter.
#[actix_web::test]
async fn a_patient_whom_no_letter_reaches_is_told_to_change_her_address() {
    let Scene { app, therapist, .. } = Scene::open().await;
    let aenne = app.patient(&therapist, "Änne Lind").await;
    assert_eq!(profile(&aenne).await["email"], "änne.lind@example.org");
    let refused = aenne.act("/v1/me/email/verification").send().await.expect(409).refused("state_conflict");
    assert_eq!((&refused.body["state"], &refused.body["allowed"]), (&json!("unreachable"), &json!(["change_email"])));
    let reached = json!({ "email": "aenne.lind@example.org", "passphrase": PASSPHRASE });
    aenne.post("/v1/me/email", reached).send().await.ok();
    letter(&app, "aenne.lind@example.org").await.code();
    aenne.act("/v1/me/email/verification").send().await.ok();
}

#[actix_web::test]
async fn an_address_is_sent_five_codes_an_hour() {
    let Scene { app, ann, .. } = Scene::open().await;
    for _ in 0..5 {
        ann.act("/v1/me/email/verification").send().await.ok();
    }
    let refused = ann.act("/v1/me/email/verification").send().await.expect(429).refused("too_many_requests");
    assert_eq!(refused.headers["retry-after"], "3600");
    assert_eq!(mail(&app, ANN).await.len(), 5);
    app.wait(SignedDuration::from_hours(1));
    ann.act("/v1/me/email/verification").send().await.ok();
    assert_eq!(mail(&app, ANN).await.len(), 1);
}

#[actix_web::test]
async fn an_account_mails_ten_codes_an_hour_to_whatever_addresses() {
    let Scene { app, ann, .. } = Scene::open().await;
    let asks = |n: usize| {
        let email = format!("stranger.{n}@elsewhere.example");
        ann.post("/v1/me/email", json!({ "email": email, "passphrase": PASSPHRASE }))
    };
    for n in 0..10 {
        asks(n).send().await.ok();
    }
    let notices = mail(&app, ANN).await.len();
    let refused = asks(10).send().await.expect(429).refused("too_many_requests");
    assert_eq!(refused.headers["retry-after"], "3600");
    assert!(mail(&app, "stranger.10@elsewhere.example").await.is_empty());
    assert!(mail(&app, ANN).await.is_empty() && notices == 10, "{notices}");
    assert_eq!(profile(&ann).await["pending_email"], "stranger.9@elsewhere.example");
    app.wait(SignedDuration::from_hours(1));
    asks(10).send().await.ok();
    assert_eq!(mail(&app, "stranger.10@elsewhere.example").await.len(), 1);
}

#[actix_web::test]
async fn a_new_address_counts_once_it_is_proved_and_the_old_one_is_told() {
    let Scene { app, ann, .. } = Scene::open().await;
    let other = "ann@new.example.org";
    let ask =
        |email: &str, passphrase: &str| ann.post("/v1/me/email", json!({ "email": email, "passphrase": passphrase }));
    ask(other, NEW).send().await.expect(422).refused("invalid");
    ask("Ann.Walker@example.org", PASSPHRASE).send().await.expect(422).refused("invalid");
    // It is an address, to which no letter with a code can be sent.
    let silent = ask("änne@new.example.org", PASSPHRASE).send().await.expect(422);
    assert_eq!(silent.body["errors"][0]["pointer"], "/email");
    assert!(profile(&ann).await.get("pending_email").is_none());
    assert!(mail(&app, ANN).await.is_empty());
    ask(other, PASSPHRASE).send().await.ok();
    let shown = profile(&ann).await;
    assert_eq!((&shown["email"], &shown["pending_email"]), (&json!(ANN), &json!(other)));
    assert_eq!(letter(&app, ANN).await.subject, "A new e-mail address for your account");
    let code = letter(&app, other).await.code();
    log_in(&app, other, PASSPHRASE).await.expect(401);
    proves(&ann, &code).await.ok();
    let shown = profile(&ann).await;
    assert_eq!((&shown["email"], &shown["email_verified"]), (&json!(other), &json!(true)));
    assert!(shown.get("pending_email").is_none(), "{shown}");
    log_in(&app, other, PASSPHRASE).await.ok();
    log_in(&app, ANN, PASSPHRASE).await.expect(401);
    assert_eq!(letter(&app, ANN).await.subject, "Your account has another e-mail address");
    // A code for the old address leads nowhere.
    forgets(&app, ANN).await;
    assert!(mail(&app, ANN).await.is_empty());
}

#[actix_web::test]
async fn s7_a_new_address_that_somebody_has_is_answered_alike() {
    let Scene { app, therapist, ann, .. } = Scene::open().await;
    app.patient(&therapist, "Ben Roth").await;
    clears_letters(&app).await;
    let mut all = Vec::new();
    for email in ["ben.roth@example.org", "nobody.here@example.org"] {
        let before = written(&app);
        let body = json!({ "email": email, "passphrase": PASSPHRASE });
        let answer = ann.post("/v1/me/email", body).send().await.ok();
        let more: Vec<i64> = written(&app).iter().zip(before).map(|(after, before)| after - before).collect();
        all.push((seen(&answer), more));
    }
    // The count of wrong passphrases is a row of Ann's, made the first time.
    all[0].1[5] = 0;
    assert_eq!(all[0], all[1]);
    assert_eq!(letter(&app, "ben.roth@example.org").await.subject, "You have an account");
    // Nobody takes an address that another account got meanwhile.
    let code = letter(&app, "nobody.here@example.org").await.code();
    app.patient(&therapist, "Nobody Here").await;
    proves(&ann, &code).await.expect(422).refused("code_invalid");
    assert_eq!(profile(&ann).await["email"], ANN);
}

#[actix_web::test]
async fn a_name_changes_for_everybody_who_sees_it() {
    let Scene { therapist, ann, .. } = Scene::open().await;
    let tag = therapist.get("/v1/me/profile").send().await.ok().etag();
    let change = json!({ "name": "Dr Thea Brandt", "locale": "de_at" });
    therapist.patch("/v1/me/profile", change.clone()).send().await.expect(428);
    let changed = therapist.patch("/v1/me/profile", change.clone()).if_match(&tag).send().await.ok();
    assert_eq!((changed.text("/name"), changed.text("/locale")), ("Dr Thea Brandt".to_owned(), "de-AT".to_owned()));
    assert_ne!(changed.etag(), tag);
    // The same again is no other effect, also with the old tag.
    let again = therapist.patch("/v1/me/profile", change).if_match(&tag).send().await.ok();
    assert_eq!(again.body, changed.body);
    let stale = json!({ "name": "Somebody" });
    therapist.patch("/v1/me/profile", stale).if_match(&tag).send().await.expect(412);
    assert_eq!(ann.care_links().await[0]["name"], "Dr Thea Brandt");
    assert_eq!(therapist.get("/v1/me").send().await.ok().text("/name"), "Dr Thea Brandt");
}

#[actix_web::test]
async fn letters_are_in_the_language_of_their_reader() {
    let Scene { app, ann, .. } = Scene::open().await;
    let tag = ann.get("/v1/me/profile").send().await.ok().etag();
    ann.patch("/v1/me/profile", json!({ "locale": "de" })).if_match(&tag).send().await.ok();
    ann.act("/v1/me/email/verification").send().await.ok();
    assert_eq!(letter(&app, ANN).await.subject, "Dein Code");
}

#[actix_web::test]
async fn a_disabled_account_lets_nobody_in_and_loses_nothing() {
    let Scene { app, admin, ann, .. } = Scene::open().await;
    let entry = ann.writes(with(reflection("x"), json!({ "text": { "title": "By the lake" } }))).await;
    let phone = Person::of(&app, &log_in(&app, ANN, PASSPHRASE).await.ok());
    ann.post("/v1/me/disable", json!({ "passphrase": NEW })).send().await.expect(422).refused("invalid");
    phone.get("/v1/me").send().await.ok();
    ann.post("/v1/me/disable", json!({ "passphrase": PASSPHRASE })).send().await.ok();
    app.wait(SECOND);
    for device in [&ann, &phone] {
        let refused = device.get("/v1/me").send().await.expect(401).refused("unauthenticated");
        assert_eq!(refused.body["client_action"], "relogin");
    }
    log_in(&app, ANN, PASSPHRASE).await.expect(401).refused("credentials_wrong");
    assert_eq!(letter(&app, ANN).await.subject, "Your account is disabled");
    enable(&app, ann.account.parse().unwrap()).await;
    // The sessions stay ended.
    phone.get("/v1/me").send().await.expect(401);
    let ann = Person::of(&app, &log_in(&app, ANN, PASSPHRASE).await.ok());
    assert_eq!(ann.entry(&entry).await.ok().text("/text/title"), "By the lake");
    // A clinic is not left without an admin.
    let last = admin.post("/v1/me/disable", json!({ "passphrase": PASSPHRASE })).send().await.expect(409);
    assert_eq!(last.refused("state_conflict").body["state"], "last_admin");
    admin.get("/v1/me").send().await.ok();
}

#[actix_web::test]
async fn without_an_invitation_nobody_registers_unless_the_operator_says_so() {
    let Scene { app, .. } = Scene::open().await;
    let mut form = registration("Cleo Hart", "");
    form.as_object_mut().unwrap().remove("code");
    let refused = app.post("/v1/auth/register", form).send().await.expect(422).refused("invalid");
    assert_eq!(refused.body["errors"][0]["pointer"], "/code");
    assert!(mail(&app, "cleo.hart@example.org").await.is_empty());
}

/// The subjects of letters to an address that have left since this was asked last.
pub async fn subjects(app: &Arc<TestApp>, to: &str) -> Vec<String> {
    let mut subjects: Vec<String> = all_mail(app, to).await.into_iter().map(|post| post.subject).collect();
    subjects.sort();
    subjects
}

#[actix_web::test]
async fn a_log_in_on_a_new_device_is_told_to_its_owner_once_an_hour() {
    let Scene { app, .. } = Scene::open().await;
    assert!(subjects(&app, ANN).await.is_empty());
    log_in(&app, ANN, NEW).await.expect(401);
    let known = log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/device_token");
    for _ in 0..5 {
        log_in(&app, ANN, PASSPHRASE).await.ok();
    }
    let told = all_mail(&app, ANN).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].subject, NEW_DEVICE);
    assert!(!told[0].body.contains("http"), "it leads nowhere: {told:?}");
    app.wait(SignedDuration::from_mins(59));
    log_in(&app, ANN, PASSPHRASE).await.ok();
    assert!(subjects(&app, ANN).await.is_empty());
    app.wait(SignedDuration::from_mins(1));
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE], "it was put off");
    app.wait(SignedDuration::from_hours(1));
    let body = json!({ "email": ANN, "passphrase": PASSPHRASE, "device_token": known });
    app.post("/v1/auth/login", body).send().await.ok();
    assert!(subjects(&app, ANN).await.is_empty(), "a device that it knows");
    log_in(&app, ANN, PASSPHRASE).await.ok();
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
}

#[actix_web::test]
async fn the_owner_of_an_account_that_is_disabled_is_told_of_its_end_and_of_who_got_in_before() {
    let Scene { app, ann, .. } = Scene::open().await;
    assert!(subjects(&app, ANN).await.is_empty());
    // The letter about it is not written yet.
    log_in(&app, ANN, PASSPHRASE).await.ok();
    ann.post("/v1/me/disable", json!({ "passphrase": PASSPHRASE })).send().await.ok();
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE, "Your account is disabled"]);
    enable(&app, ann.account.parse().unwrap()).await;
    app.wait(SignedDuration::from_hours(1));
    assert!(subjects(&app, ANN).await.is_empty(), "each is told once");
    log_in(&app, ANN, PASSPHRASE).await.ok();
    assert_eq!(subjects(&app, ANN).await, [NEW_DEVICE]);
}

#[actix_web::test]
async fn a_spent_token_that_comes_again_is_told_to_the_owner() {
    let Scene { app, .. } = Scene::open().await;
    let first = log_in(&app, ANN, PASSPHRASE).await.ok().text("/tokens/refresh_token");
    let refresh = async |token: &str| app.post("/v1/auth/refresh", json!({ "refresh_token": token })).send().await;
    let second = refresh(&first).await.ok().text("/tokens/refresh_token");
    refresh(&second).await.ok();
    all_mail(&app, ANN).await;
    refresh(&first).await.expect(401).refused("refresh_invalid");
    assert_eq!(subjects(&app, ANN).await, ["A device was logged out"]);
    refresh(&first).await.expect(401);
    assert!(subjects(&app, ANN).await.is_empty(), "its session has ended");
}

#[actix_web::test]
async fn whoever_an_admin_disables_or_helps_to_a_new_passphrase_is_told() {
    let Scene { app, admin, therapist, .. } = Scene::open().await;
    let clinic = admin.get("/v1/invitations").send().await.ok().text("/items/0/clinic_id");
    let member = format!("/v1/clinics/{clinic}/members/{}", therapist.account);
    let thea = "thea.brandt@example.org";
    let code = admin.act(&format!("{member}/credential-reset")).send().await.ok().text("/code");
    let body = json!({ "code": code, "email": thea, "passphrase": NEW });
    app.post("/v1/auth/staff-reset", body).send().await.ok();
    assert_eq!(subjects(&app, thea).await, ["Your passphrase was changed"]);
    admin.act(&format!("{member}/disable")).send().await.ok();
    admin.act(&format!("{member}/disable")).send().await.ok();
    assert_eq!(subjects(&app, thea).await, ["Your account was disabled"]);
}

/// A letter to Ann that is not about anything in particular.
fn notice() -> LetterDoc {
    let to = Email::parse(ANN).unwrap();
    LetterDoc { kind: LetterKind::PassphraseChanged, to, locale: "en".to_owned(), proof: None }
}

async fn posts(app: &Arc<TestApp>, commits: bool) {
    let (state, now) = (app.server.state.clone(), app.now());
    let prepared = letters::prepare(&state, &notice(), now).await.unwrap();
    let vault = state.vault.clone();
    let unit = state.db.write(move |tx: &mut Tx<'_>| {
        letters::post(tx, &vault, &prepared)?;
        if commits { Ok(()) } else { Err(Error::NotFound) }
    });
    assert_eq!(unit.await.is_ok(), commits);
}

#[actix_web::test]
async fn a_letter_leaves_once_if_its_unit_commits_and_not_otherwise() {
    let app = TestApp::start_with(into_a_folder).await;
    posts(&app, false).await;
    assert!(mail(&app, ANN).await.is_empty());
    posts(&app, true).await;
    assert_eq!(mail(&app, ANN).await.len(), 1);
    for _ in 0..3 {
        app.wait(SignedDuration::from_hours(1));
        assert!(mail(&app, ANN).await.is_empty());
    }
    assert_eq!(Tables::of(&app).count("letters WHERE attempts = 1 AND done_at IS NOT NULL"), 1);
}

#[actix_web::test]
async fn of_letters_that_left_together_none_leaves_again_because_one_could_not_be_noted() {
    let app = TestApp::start_with(into_a_folder).await;
    posts(&app, true).await;
    posts(&app, true).await;
    refuse(&app, ("UPDATE OF done_at", "letters"), "the write is refused");
    app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap_err();
    refuse_no_more(&app);
    assert_eq!(mail(&app, ANN).await.len(), 2);
    app.wait(SignedDuration::from_hours(1));
    assert!(mail(&app, ANN).await.is_empty());
    assert_eq!(Tables::of(&app).count("letters WHERE done_at IS NULL"), 0);
}

#[actix_web::test]
async fn a_letter_that_fails_is_tried_again_and_given_up_after_a_day() {
    let app = TestApp::start_with(into_a_folder).await;
    let place = folder(&app);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(&place, "no folder").unwrap();
    posts(&app, true).await;
    settled(&app).await;
    let mut tables = Tables::of(&app);
    assert_eq!(tables.count("letters WHERE attempts = 1 AND done_at IS NULL"), 1);
    app.wait(SignedDuration::from_secs(59));
    settled(&app).await;
    assert_eq!(tables.count("letters WHERE attempts = 1"), 1, "not yet");
    app.wait(SignedDuration::from_secs(17));
    settled(&app).await;
    assert_eq!(tables.count("letters WHERE attempts = 2"), 1);
    std::fs::remove_file(&place).unwrap();
    app.wait(SignedDuration::from_mins(7));
    assert_eq!(mail(&app, ANN).await.len(), 1);
    assert_eq!(tables.count("letters WHERE attempts = 3 AND done_at IS NOT NULL"), 1);

    // Another one never can.
    std::fs::remove_dir_all(&place).unwrap();
    std::fs::write(&place, "no folder").unwrap();
    posts(&app, true).await;
    for _ in 0..30 {
        settled(&app).await;
        app.wait(SignedDuration::from_hours(1));
    }
    assert_eq!(tables.count("letters WHERE done_at IS NOT NULL"), 2);
    std::fs::remove_file(&place).unwrap();
    app.wait(SignedDuration::from_hours(24));
    assert!(mail(&app, ANN).await.is_empty());
}

#[actix_web::test]
async fn a_letter_that_a_dead_worker_has_taken_comes_back_within_a_minute() {
    let app = TestApp::start_with(into_a_folder).await;
    posts(&app, true).await;
    // The worker took it, and ended.
    let later = match &app.database.backend {
        afterglow::db::Backend::Sqlite(_) => "due_at + 60000000",
        afterglow::db::Backend::Postgres(_) => "due_at + interval '60 s'",
    };
    Sql::open(&app.database.backend).run(&format!("UPDATE letters SET attempts = 1, due_at = {later}"));
    assert!(mail(&app, ANN).await.is_empty());
    app.wait(SignedDuration::from_secs(60));
    assert_eq!(mail(&app, ANN).await.len(), 1);
}

#[actix_web::test]
async fn a_letter_that_does_not_open_is_given_up_and_the_others_leave() {
    let app = TestApp::start_with(into_a_folder).await;
    posts(&app, true).await;
    posts(&app, true).await;
    let one = "id = (SELECT id FROM letters ORDER BY id LIMIT 1)";
    let _damaged = Damaged::new(&app, ("letters", "doc"), one, 0);
    assert_eq!(mail(&app, ANN).await.len(), 1);
    assert_eq!(Tables::of(&app).count("letters WHERE done_at IS NOT NULL"), 2);
}

/// How many letters still have keys.
async fn keys(app: &Arc<TestApp>) -> usize {
    let state = &app.server.state;
    let all: Vec<Id<Letter>> =
        state.db.read(|tx| Ok(letter_rows::table.select(letter_rows::id).load(tx.conn())?)).await.unwrap();
    let mut found = 0;
    for id in all {
        found += usize::from(state.vault.keys_from_keyring(id.uuid()).await.unwrap().is_some());
    }
    found
}

#[actix_web::test]
async fn what_was_written_cannot_be_read_once_it_has_left() {
    let app = TestApp::start_with(into_a_folder).await;
    posts(&app, true).await;
    assert_eq!(keys(&app).await, 1);
    app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    assert_eq!(mail(&app, ANN).await.len(), 1);
    assert_eq!(keys(&app).await, 0, "its keys are destroyed");
}

#[actix_web::test]
async fn the_letters_of_a_request_that_is_refused_leave_no_keys_behind() {
    let Scene { app, therapist, ann, .. } = Scene::open().await;
    let cleo = "cleo.hart@example.org";
    ann.post("/v1/me/email", json!({ "email": cleo, "passphrase": PASSPHRASE })).send().await.ok();
    let code = letter(&app, cleo).await.code();
    // The address is somebody else's by the time at which Ann proves it.
    app.patient(&therapist, "Cleo Hart").await;
    settled(&app).await;
    let mut keyring = Sql::open(&app.server.state.config.vault().keyring());
    let mut keys = || keyring.rows::<Count>("SELECT count(*) AS n FROM wrapped_keys")[0].n;
    let before = keys();
    for _ in 0..3 {
        proves(&ann, &code).await.expect(422).refused("code_invalid");
    }
    app.server.state.vault.tend().await;
    assert_eq!(keys(), before);
    // Those of a letter that may be on its way stay.
    posts(&app, true).await;
    app.server.state.vault.tend().await;
    assert_eq!(keys(), before + 1);
}
