//! The demo's clinic, filled for a test, and what its people do with a client of their own.

use std::sync::Arc;

use afterglow::app::Server;
use afterglow::config::Config;
use afterglow::db::Memory;
use afterglow::demo::{self, DemoClinic, PASSPHRASE};
use afterglow::kernel::{Clock, Entropy};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::app::{Answer, TestApp, new_id};
use super::database::Database;

/// The present of the story, unless a test says otherwise: two days after clocks went forward in New York.
pub const NOW: &str = "2026-03-10T08:00:00Z";

pub const TESS: &str = "tess@lakeside.example";
pub const SAMIR: &str = "samir@lakeside.example";
pub const NOOR: &str = "noor@lakeside.example";
pub const ADA: &str = "ada@lakeside.example";
pub const MARA: &str = "mara@example.org";
pub const JONAH: &str = "jonah@example.org";
pub const IDA: &str = "ida@example.org";
pub const ELIF: &str = "elif@example.org";
pub const NIAMH: &str = "niamh@example.org";
pub const PATIENTS: [&str; 5] = [MARA, JONAH, IDA, ELIF, NIAMH];

/// All prompts of a patient, from before the story to after its plan.
pub const ALL: &str = "prompts?from=2025-12-01&to=2026-06-01";

/// Fills a database as `afterglow demo` does.
pub async fn fill(database: &Database, now: &str) -> Result<DemoClinic, String> {
    let mut config = Config::in_folder(database.folder.path().join("data"));
    config.database = database.backend.clone();
    config.passphrase_cost = (8, 1, 1);
    let now: Timestamp = now.parse().unwrap();
    let server = Server::open(config, Clock::manual(demo::beginning(now)), demo::entropy(0)).await.unwrap();
    let filled = demo::fill(&server, now).await;
    server.close();
    filled.map_err(|error| format!("{error:?}"))
}

/// A filled clinic in memory: what a story needs that nobody visits over HTTP.
pub struct Filling {
    pub server: Server,
    pub filled: DemoClinic,
    _memory: [Memory; 2],
}

pub async fn in_memory(now: &str, entropy: Entropy) -> Filling {
    let memory = [Memory::new().unwrap(), Memory::new().unwrap()];
    let mut config = Config::in_folder("/nowhere/at/all");
    config.database = memory[0].backend();
    config.keyring = Some(memory[1].backend());
    config.root_key = Some(Entropy::System.bytes::<32>().to_vec());
    config.passphrase_cost = (8, 1, 1);
    let now: Timestamp = now.parse().unwrap();
    let server = Server::open(config, Clock::manual(demo::beginning(now)), entropy).await.unwrap();
    let filled = demo::fill(&server, now).await.unwrap_or_else(|error| panic!("{now}: {error:?}"));
    Filling { server, filled, _memory: memory }
}

/// The clinic, with a server that answers for it at the last moment of the story.
pub async fn lakeside() -> Arc<TestApp> {
    let database = Database::made_once("lakeside", async |database| {
        fill(&database, NOW).await.unwrap();
        database
    });
    let database = database.await;
    TestApp::on(database, Clock::manual(NOW.parse().unwrap()), |_| {}).await
}

/// How often each deed stands in the story's files.
pub fn deeds(deed: &str) -> usize {
    let files = [
        include_str!("../../../src/demo/story/mara.json"),
        include_str!("../../../src/demo/story/jonah.json"),
        include_str!("../../../src/demo/story/ida.json"),
        include_str!("../../../src/demo/story/elif.json"),
        include_str!("../../../src/demo/story/niamh.json"),
    ];
    let told = files.into_iter().flat_map(|file| {
        let story: Value = serde_json::from_str(file).unwrap();
        story["events"].as_array().unwrap().clone()
    });
    told.filter(|event| event.get(deed).is_some()).count()
}

/// Somebody of the story who has logged in.
pub struct Visitor {
    app: Arc<TestApp>,
    token: String,
    /// The patient they are; empty for staff.
    pub patient: String,
    pub account: String,
}

impl Visitor {
    pub async fn log_in(app: &Arc<TestApp>, email: &str) -> Self {
        let body = json!({ "email": email, "passphrase": PASSPHRASE });
        let token = app.post("/v1/auth/login", body).send().await.ok().text("/tokens/access_token");
        let me = app.get("/v1/me").bearer(&token).send().await.ok();
        let patient = me.body["patient_id"].as_str().unwrap_or_default().to_owned();
        Self { app: Arc::clone(app), token, patient, account: me.text("/account_id") }
    }

    pub async fn ask(&self, path: &str) -> Answer {
        self.app.get(path).bearer(&self.token).send().await
    }

    /// Adds a comment to a thread.
    pub async fn says(&self, thread: &str, body: Value) -> Answer {
        let path = format!("{thread}/{}", new_id(&self.app));
        self.app.request(Method::PUT, &path).json(body).bearer(&self.token).send().await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ask(path).await.ok().body
    }

    /// All of a list, which fits a page of 200.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let whole = ["/infusions", "/courses", "/care-team", "/pauses", "/exercises", "/suggested", "/overrides"]
            .iter()
            .any(|end| path.ends_with(end));
        let page = if whole { self.get(path).await } else { self.get(&format!("{path}{mark}limit=200")).await };
        assert!(page.get("next_cursor").is_none(), "{path} has more than a page");
        page["items"].as_array().unwrap().clone()
    }

    /// A list of their own as a patient.
    pub async fn mine(&self, what: &str) -> Vec<Value> {
        self.list(&format!("/v1/patients/me/{what}")).await
    }

    /// A list of somebody else's.
    pub async fn of(&self, patient: &Visitor, what: &str) -> Vec<Value> {
        self.list(&format!("/v1/patients/{}/{what}", patient.patient)).await
    }
}

/// The values of one field.
pub fn each<'v>(items: &'v [Value], pointer: &str) -> Vec<&'v str> {
    items.iter().filter_map(|item| item.pointer(pointer)?.as_str()).collect()
}

/// How many items have this state.
pub fn in_state(items: &[Value], state: &str) -> usize {
    items.iter().filter(|item| item["state"] == state).count()
}

/// The one item whose field says this.
#[track_caller]
pub fn one<'v>(items: &'v [Value], pointer: &str, value: &str) -> &'v Value {
    let found: Vec<&Value> = items.iter().filter(|item| item.pointer(pointer) == Some(&json!(value))).collect();
    assert_eq!(found.len(), 1, "{pointer} is {value} in {items:#?}");
    found[0]
}
