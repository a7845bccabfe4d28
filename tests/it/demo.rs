//! The demo: what it fills, whom it lets in, what it prints.

use std::sync::Arc;

use afterglow::app::Server;
use afterglow::config::Config;
use afterglow::demo::{self, Filled, PASSPHRASE};
use afterglow::kernel::{Clock, Entropy};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::database::Database;
use crate::support::shell;

const NOW: &str = "2026-03-10T08:00:00Z";

async fn filled(database: &Database, now: Timestamp) -> Result<Filled, String> {
    let mut config = Config::in_folder(database.folder.path().join("data"));
    config.database = database.backend.clone();
    config.passphrase_cost = (8, 1, 1);
    let server = Server::open(config, Clock::manual(demo::beginning(now)), Entropy::System).await.unwrap();
    let filled = demo::fill(&server, now).await;
    server.close();
    filled.map_err(|error| format!("{error:?}"))
}

struct Visitor {
    app: Arc<TestApp>,
    token: String,
}

impl Visitor {
    async fn log_in(app: &Arc<TestApp>, email: &str) -> Self {
        let body = json!({ "email": email, "passphrase": PASSPHRASE });
        let token = app.post("/v1/auth/login", body).send().await.ok().text("/access_token");
        Self { app: Arc::clone(app), token }
    }

    async fn get(&self, path: &str) -> Value {
        self.app.get(path).bearer(&self.token).send().await.ok().body
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        self.get(path).await["items"].as_array().unwrap().clone()
    }
}

fn states(prompts: &[Value], state: &str) -> usize {
    prompts.iter().filter(|prompt| prompt["state"] == state).count()
}

#[actix_web::test]
async fn a_new_database_is_filled_with_a_clinic_mid_course() {
    let database = Database::fresh();
    let now: Timestamp = NOW.parse().unwrap();
    let filled = filled(&database, now).await.unwrap();
    assert_eq!(filled.people.len(), 5);
    let app = TestApp::on(database, Clock::manual(now), |_| {}).await;
    let find = |role: &str| filled.people.iter().filter(|who| who.role == role).cloned().collect::<Vec<_>>();

    let mut written = 0;
    let patients = find("patient");
    for patient in &patients {
        let visitor = Visitor::log_in(&app, &patient.email).await;
        let entries = visitor.list("/v1/patients/me/entries?limit=200").await;
        written += entries.len();
        assert!(entries.iter().any(|entry| entry["status"] == "draft"), "{}", patient.name);
        assert!(entries.iter().any(|entry| entry.get("mood").is_some()), "{}", patient.name);
        let infusions = visitor.list("/v1/patients/me/infusions").await;
        let done = infusions.iter().filter(|infusion| infusion["status"] == "completed").count();
        assert_eq!(done, 3, "{}", patient.name);
        assert!(infusions.iter().any(|infusion| infusion["status"] == "planned"), "{}", patient.name);
        let prompts = visitor.list("/v1/patients/me/prompts?limit=200").await;
        for state in ["planned", "completed", "skipped", "lapsed"] {
            assert!(states(&prompts, state) > 0, "{}: nothing is {state}", patient.name);
        }
        assert!(!visitor.list("/v1/patients/me/grants").await.is_empty());
        let log = visitor.list("/v1/patients/me/access-log?limit=200").await;
        for act in
            ["confirm_care_link", "put_infusion", "end_infusion", "get_entry", "mark_entry_opened", "post_comment"]
        {
            assert!(log.iter().any(|row| row["act"] == act), "{}: no {act}", patient.name);
        }
        assert!(log.iter().all(|row| row["at"].as_str().unwrap() < NOW));
    }
    assert_eq!(written, filled.entries);
    assert!(written >= 12, "{written} entries");

    let tess = Visitor::log_in(&app, &find("therapist")[0].email).await;
    let roster = tess.list("/v1/me/patients").await;
    assert_eq!(roster.len(), 2);
    let mut shared = Vec::new();
    for patient in &roster {
        let id = patient["patient_id"].as_str().unwrap();
        shared.extend(tess.list(&format!("/v1/patients/{id}/entries")).await);
    }
    assert!(shared.len() >= 6 && shared.len() < written, "{} of {written} are shared", shared.len());
    assert!(shared.iter().any(|entry| entry.get("text").is_none() && entry.get("mood").is_some()), "one section only");
    let ferry = shared.iter().filter(|entry| entry.to_string().contains("library")).count();
    assert_eq!(ferry, 0, "what was taken back is not there");
    let (patient, entry) = filled.shared;
    let comments = tess.list(&format!("/v1/patients/{patient}/entries/{entry}/comments")).await;
    assert_eq!(comments.len(), 2);

    Visitor::log_in(&app, &find("admin")[0].email).await.get("/v1/me").await;
    let nurse = Visitor::log_in(&app, &find("nurse")[0].email).await;
    assert_eq!(nurse.list(&format!("/v1/patients/{patient}/infusions")).await.len(), 4);
    app.get(&format!("/v1/patients/{patient}/entries")).bearer(&nurse.token).send().await.not_found();
}

#[actix_web::test]
async fn a_database_that_has_a_clinic_is_refused() {
    let database = Database::fresh();
    let now: Timestamp = NOW.parse().unwrap();
    filled(&database, now).await.unwrap();
    let again = filled(&database, now).await.unwrap_err();
    assert!(again.contains("there is a clinic"), "{again}");
}

/// Midnights, both changes of the clock in Berlin and in New York, the turn of a year.
#[actix_web::test]
async fn the_story_fits_into_any_three_weeks() {
    for now in [
        "2026-03-29T00:30:00Z",
        "2026-10-25T04:10:00Z",
        "2026-03-08T06:59:00Z",
        "2026-11-01T05:30:00Z",
        "2027-01-01T22:59:59Z",
    ] {
        let filled = filled(&Database::fresh(), now.parse().unwrap()).await;
        assert!(filled.is_ok(), "{now}: {filled:?}");
    }
}

#[actix_web::test]
async fn what_it_prints_can_be_pasted() {
    if !shell::can_curl() {
        return;
    }
    let database = Database::fresh();
    let now: Timestamp = NOW.parse().unwrap();
    let filled = filled(&database, now).await.unwrap();
    let app = TestApp::on(database, Clock::manual(now), |_| {}).await;
    assert!(filled.guide(&app.url).ends_with(&filled.script(&app.url)));
    let script = filled.script(&app.url);
    let said = tokio::task::spawn_blocking(move || shell::run(&script)).await.unwrap();
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 5, "{said}");
    assert!(!answers[0]["items"].as_array().unwrap().is_empty());
    assert_eq!(answers[2]["items"].as_array().unwrap().len(), 2);
    assert!(answers[3]["text"]["body"].is_string());
    assert_eq!(answers[4]["items"][0]["act"], "get_entry", "the therapist's reading is the newest row");
}
