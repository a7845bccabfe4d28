//! Who acts in the tests: an admin, staff and patients, made over HTTP as the real ones are.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::accounts::code_sent_to;
use super::app::{Answer, Call, TestApp, id_of, new_id};
use super::journal::with;

/// Long enough and not easy to guess.
pub const PASSPHRASE: &str = "a quiet river at dawn";

/// Somebody who is logged in.
#[derive(Clone)]
pub struct Person {
    pub app: Arc<TestApp>,
    pub name: String,
    pub account: String,
    /// The patient they are; empty for staff.
    pub patient: String,
    pub(super) session: Arc<Session>,
}

/// Somebody whose server has stopped.
pub struct Absent {
    name: String,
    account: String,
    patient: String,
    session: Arc<Session>,
}

impl Absent {
    /// The same person, in the same session, at another server on the same data.
    pub fn at(self, app: &Arc<TestApp>) -> Person {
        let Self { name, account, patient, session } = self;
        Person { app: Arc::clone(app), name, account, patient, session }
    }
}

/// The tokens of somebody who is logged in. They are refreshed when a request would be sent with an expired one.
#[derive(Debug)]
pub struct Session(tokio::sync::Mutex<Tokens>);

#[derive(Debug)]
struct Tokens {
    access: String,
    refresh: String,
    expires_at: Timestamp,
}

impl Session {
    /// The session that an answer to a log-in has opened; its tokens stand at `pointer`.
    pub fn of(app: &TestApp, answer: &Answer, pointer: &str) -> Arc<Self> {
        Arc::new(Self(tokio::sync::Mutex::new(Tokens::of(app, answer, pointer))))
    }

    /// An access token that is good at the app's time, unless the session has ended.
    pub async fn access(&self, app: &Arc<TestApp>) -> String {
        let mut tokens = self.0.lock().await;
        if tokens.expires_at <= app.now() {
            let body = json!({ "refresh_token": tokens.refresh });
            let answer = app.post("/v1/auth/refresh", body).transmit().await;
            if answer.status == 200 {
                *tokens = Tokens::of(app, &answer, "/tokens");
            }
        }
        tokens.access.clone()
    }
}

impl Tokens {
    fn of(app: &TestApp, answer: &Answer, pointer: &str) -> Self {
        let lifetime = answer.body.pointer(&format!("{pointer}/expires_in")).and_then(Value::as_i64).unwrap();
        Self {
            access: answer.text(&format!("{pointer}/access_token")),
            refresh: answer.text(&format!("{pointer}/refresh_token")),
            expires_at: app.now() + SignedDuration::from_secs(lifetime),
        }
    }
}

impl Person {
    pub fn of(app: &Arc<TestApp>, answer: &Answer) -> Self {
        let text = |pointer: &str| answer.text(pointer);
        Self {
            app: Arc::clone(app),
            name: text("/account/name"),
            account: text("/account/id"),
            patient: answer.body["account"]["patient_id"].as_str().unwrap_or_default().to_owned(),
            session: Session::of(app, answer, "/tokens"),
        }
    }

    /// The same person on another device, which has these tokens.
    pub fn with_session(&self, access: &str, refresh: &str) -> Self {
        let expires_at = self.app.now() + afterglow::identity::ACCESS_TOKEN_LIFETIME;
        let tokens = Tokens { access: access.to_owned(), refresh: refresh.to_owned(), expires_at };
        Self { session: Arc::new(Session(tokio::sync::Mutex::new(tokens))), ..self.clone() }
    }

    /// An access token.
    pub async fn token(&self) -> String {
        self.session.access(&self.app).await
    }

    /// The refresh token.
    pub async fn refresh_token(&self) -> String {
        self.session.0.lock().await.refresh.clone()
    }

    /// Who this is, without the server.
    pub fn absent(self) -> Absent {
        Absent { name: self.name, account: self.account, patient: self.patient, session: self.session }
    }

    pub fn request(&self, method: Method, path: &str) -> Call {
        self.app.request(method, path).within(&self.session)
    }

    pub fn get(&self, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: Value) -> Call {
        self.request(Method::POST, path).json(body)
    }

    pub fn put(&self, path: &str, body: Value) -> Call {
        self.request(Method::PUT, path).json(body)
    }

    pub fn patch(&self, path: &str, body: Value) -> Call {
        self.request(Method::PATCH, path).json(body)
    }

    /// Changes the own settings, as they are now.
    pub async fn sets(&self, body: Value) -> Answer {
        let tag = self.get("/v1/me").send().await.ok().etag();
        self.patch("/v1/me", body).if_match(&tag).send().await
    }

    /// Adds a comment to a thread.
    pub fn says(&self, thread: &str, body: Value) -> Call {
        self.put(&format!("{thread}/{}", new_id(&self.app)), body)
    }

    /// A POST without a body.
    pub fn act(&self, path: &str) -> Call {
        self.request(Method::POST, path)
    }

    pub fn delete(&self, path: &str) -> Call {
        self.request(Method::DELETE, path)
    }

    /// A code for somebody to work at this admin's clinic.
    pub async fn code_for_staff(&self, capabilities: &[&str]) -> String {
        let wish = json!({ "kind": "staff", "capabilities": capabilities });
        self.post("/v1/invitations", wish).send().await.created().text("/code")
    }

    /// A code for a patient of this therapist's.
    pub async fn code_for_patient(&self) -> String {
        self.post("/v1/invitations", json!({ "kind": "patient" })).send().await.created().text("/code")
    }

    /// The care links that this person sees.
    pub async fn care_links(&self) -> Vec<Value> {
        self.get("/v1/care-links").send().await.ok().items().to_vec()
    }

    /// Takes a therapist on and is confirmed by them; answers the link.
    pub async fn linked_to(&self, therapist: &Person) -> String {
        let link = self
            .care_links()
            .await
            .into_iter()
            .find(|link| link["name"] == json!(therapist.name) && link["state"] != "ended");
        let id = match link {
            Some(link) => id_of(&link),
            None => {
                let code = therapist.code_for_patient().await;
                let answer = self.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok();
                answer.text("/care_link/id")
            }
        };
        therapist.post(&format!("/v1/care-links/{id}/confirm"), json!({})).send().await.ok();
        id
    }
}

impl Person {
    /// Records an infusion of a patient's that ended at `ended_at`; answers its id.
    pub async fn records(&self, patient: &Person, ended_at: Timestamp) -> String {
        let id = new_id(&self.app);
        self.put(&patient.of_theirs(&format!("/infusions/{id}")), completed(ended_at)).send().await.created();
        id
    }

    /// This patient's prompts, all pages.
    pub async fn prompts(&self) -> Vec<Value> {
        self.get("/v1/patients/me/prompts?from=2025-12-01&limit=200").send().await.ok().items().to_vec()
    }
}

/// Logs somebody in again.
pub async fn again(app: &Arc<TestApp>, name: &str) -> Person {
    let email = format!("{}@example.org", name.to_lowercase().replace(' ', "."));
    let body = json!({ "email": email, "passphrase": PASSPHRASE });
    Person::of(app, &app.post("/v1/auth/login", body).send().await.ok())
}

/// An infusion that ended at `ended_at` after forty minutes.
pub fn completed(ended_at: Timestamp) -> Value {
    let started = ended_at.checked_sub(SignedDuration::from_mins(40)).unwrap();
    json!({
        "status": "completed", "route": "iv_infusion", "dose_mg": 35.0, "weight_kg": 70.0,
        "started_at": started.to_string(), "ended_at": ended_at.to_string(), "setting": "Room 2",
    })
}

/// The body of a registration.
pub fn registration(name: &str, code: &str) -> Value {
    json!({
        "code": code,
        "name": name,
        "email": format!("{}@example.org", name.to_lowercase().replace(' ', ".")),
        "passphrase": PASSPHRASE,
        "adult": true,
        "time_zone": "Europe/Berlin",
    })
}

impl TestApp {
    /// The first-run code, as the server prints it.
    pub async fn first_run_code(&self) -> Option<String> {
        afterglow::onboarding::setup::first_run_code(&self.server.state).await.unwrap()
    }

    /// Sets the server up; the admin of the first clinic.
    pub async fn admin(self: &Arc<Self>) -> Person {
        let body = json!({
            "code": self.first_run_code().await.unwrap(),
            "clinic_name": "Lakeside Clinic",
            "name": "Ada Keller",
            "email": "ada@lakeside.example",
            "passphrase": PASSPHRASE,
        });
        Person::of(self, &self.post("/v1/setup", body).send().await.created())
    }

    /// Registers somebody with a code; where registration is open, also with that of the letter which asks for it.
    pub async fn register(self: &Arc<Self>, name: &str, code: &str) -> Person {
        let form = registration(name, code);
        let mut answer = self.post("/v1/auth/register", form.clone()).send().await;
        if answer.status == 202 {
            let email_code = code_sent_to(self, form["email"].as_str().unwrap()).await;
            let form = with(form, json!({ "email_code": email_code }));
            answer = self.post("/v1/auth/register", form).send().await;
        }
        Person::of(self, &answer.created())
    }

    /// Somebody who works at the admin's clinic.
    pub async fn staff(self: &Arc<Self>, admin: &Person, name: &str, capabilities: &[&str]) -> Person {
        self.register(name, &admin.code_for_staff(capabilities).await).await
    }

    /// A patient with an active link to this therapist.
    pub async fn patient(self: &Arc<Self>, therapist: &Person, name: &str) -> Person {
        let patient = self.register(name, &therapist.code_for_patient().await).await;
        patient.linked_to(therapist).await;
        patient
    }
}

/// One clinic with a therapist, a nurse and one linked patient.
pub struct Clinic {
    pub app: Arc<TestApp>,
    pub admin: Person,
    pub therapist: Person,
    pub nurse: Person,
    pub ann: Person,
    pub link: String,
}

impl Clinic {
    pub async fn open() -> Self {
        let app = TestApp::start().await;
        let admin = app.admin().await;
        let therapist = app.staff(&admin, "Thea Brandt", &["care"]).await;
        let nurse = app.staff(&admin, "Noor Haddad", &["record"]).await;
        let ann = app.register("Ann Walker", &therapist.code_for_patient().await).await;
        let link = ann.linked_to(&therapist).await;
        Self { app, admin, therapist, nurse, ann, link }
    }
}
