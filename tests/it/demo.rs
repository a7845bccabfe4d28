//! The demo: what it fills, that it is the same for the same seed and time, what it prints. Its story is walked in
//! [`crate::clinic`].

use std::collections::{BTreeMap, BTreeSet};

use afterglow::care::{Access, Read};
use afterglow::demo::{self, PASSPHRASE};
use afterglow::kernel::Entropy;
use afterglow::prompts::store;
use afterglow::settings::settings;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;

use crate::support::app::TestApp;
use crate::support::child;
use crate::support::database::Database;
use crate::support::lakeside::{ALL, Filling, MARA, NOW, Visitor, deeds, fill, in_memory, lakeside};
use crate::support::shell;

#[actix_web::test]
async fn a_database_that_has_a_clinic_is_refused() {
    let app = TestApp::start_on_disk().await;
    app.admin().await;
    let database = app.stop();
    let again = fill(&database, NOW).await.unwrap_err();
    assert!(again.contains("there is a clinic"), "{again}");
    assert!(again.contains("--data-dir afterglow-demo"), "and it says what to do: {again}");
}

/// The story that ends at `now` can be told, and the plan of the patient where clocks change keeps to quiet hours and
/// caps; `told` is whether they change in these weeks.
async fn fits(now: &str, told: bool) {
    let there = in_memory(now, demo::entropy(0)).await;
    let said = there.filled.log_ins();
    assert_eq!((there.filled.people.len(), said.contains("across a change of the clocks")), (9, told), "{now}: {said}");
    let (patient, ..) = there.filled.shown;
    let state = &there.server.state;
    let (keys, at) = (state.vault.keys(patient.uuid()).await.unwrap(), state.clock.now());
    let read = state.db.read(move |tx| {
        let access = Access::<Read>::for_server(patient, keys.clone(), at);
        let prompts = store::list_opened(tx, &access, (Timestamp::MIN, Timestamp::MAX))?;
        Ok((settings(tx, &access)?.0, prompts))
    });
    let (settings, prompts) = read.await.unwrap();
    let zone = settings.zone_at(at);
    let mut days: BTreeMap<_, usize> = BTreeMap::new();
    for prompt in prompts.list.iter().filter(|prompt| prompt.state(at) != "cancelled") {
        let (local, rule) = (zone.local(prompt.due_at), &prompt.doc.planned.rule_key);
        assert!(!settings.quiet_hours.contains(local.time()), "{now}: {rule} at {local}");
        *days.entry(local.date()).or_default() += usize::from(!rule.ends_with(".mood"));
    }
    assert!(days.len() > 10 && days.values().all(|count| *count <= 3), "{now}: {days:?}");
    there.server.close();
}

#[actix_web::test]
async fn the_story_fits_around_a_midnight_before_clocks_go_forward() {
    fits("2026-03-29T00:30:00Z", true).await;
}

#[actix_web::test]
async fn the_story_fits_where_a_clock_changes_by_half_an_hour() {
    fits("2026-04-04T15:00:00Z", true).await;
}

#[actix_web::test]
async fn the_story_fits_into_weeks_in_which_no_clock_changes() {
    fits("2026-07-15T12:00:00Z", false).await;
}

#[actix_web::test]
async fn the_story_fits_around_an_hour_that_comes_twice() {
    fits("2026-11-01T05:30:00Z", true).await;
}

#[actix_web::test]
async fn the_story_fits_around_the_turn_of_a_year() {
    fits("2027-01-01T22:59:59Z", false).await;
}

/// The first patient's prompts as they are stored.
async fn planned(there: &Filling) -> BTreeSet<String> {
    let (patient, ..) = there.filled.shown;
    let state = &there.server.state;
    let (keys, at) = (state.vault.keys(patient.uuid()).await.unwrap(), state.clock.now());
    let plan = state.db.read(move |tx| {
        let access = Access::<Read>::for_server(patient, keys.clone(), at);
        let all = store::list_opened(tx, &access, (Timestamp::MIN, Timestamp::MAX))?;
        Ok(all.list.iter().map(|one| format!("{} {} {}", one.id, one.due_at, one.state(at))).collect())
    });
    plan.await.unwrap()
}

#[actix_web::test]
async fn the_same_seed_and_time_give_the_same_ids_and_plans() {
    let there = in_memory(NOW, demo::entropy(0)).await;
    let app = lakeside().await;
    let mara = Visitor::log_in(&app, MARA).await;
    let text = |one: &Value, pointer: &str| one.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    let said = |one: &Value| format!("{} {} {}", text(one, "/id"), text(one, "/detail/due_at"), text(one, "/state"));
    let again: BTreeSet<String> = mara.mine(ALL).await.iter().map(said).collect();
    assert!(again.len() > 40, "{} prompts", again.len());
    assert_eq!(planned(&there).await, again);
    let (patient, entry, response, assignment) = there.filled.shown;
    assert_eq!(mara.patient, patient.to_string());
    for path in
        [format!("entries/{entry}"), format!("exercise-responses/{response}"), format!("assignments/{assignment}")]
    {
        mara.get(&format!("/v1/patients/me/{path}")).await;
    }
    there.server.close();
}

#[actix_web::test]
async fn another_seed_gives_other_ids_to_the_same_people() {
    let there = in_memory(NOW, demo::entropy(8)).await;
    let app = lakeside().await;
    let mara = Visitor::log_in(&app, MARA).await;
    assert_ne!(mara.patient, there.filled.shown.0.to_string());
    assert_eq!((there.filled.entries, there.filled.responses), (deeds("write"), deeds("practise")));
    there.server.close();
}

#[actix_web::test]
async fn the_command_fills_the_database_of_a_server_and_names_everybody() {
    let database = Database::fresh();
    let (status, said) = child::run(&database, &["demo", "--seed", "3", "--now", NOW, "--log", "warn"]);
    assert!(status.success(), "{said}");
    for word in [PASSPHRASE, MARA, "in maintenance", "without a clinic", "has ended the link", "/assignments/"] {
        assert!(said.contains(word), "no {word} in {said}");
    }
    let (status, said) = child::run(&database, &["demo", "--log", "warn"]);
    assert!(!status.success() && said.contains("--data-dir afterglow-demo"), "{said}");
    let server = child::Child::serve(&database, &[]).await;
    let web = crate::support::child::Web::new(&server.url);
    let body = serde_json::json!({ "email": MARA, "passphrase": PASSPHRASE });
    let answer = web.expect(Method::POST, "/v1/auth/login", body, 200).await;
    let mara = web.as_whom(answer["tokens"]["access_token"].as_str().unwrap());
    let entries = mara.expect(Method::GET, "/v1/patients/me/entries?limit=200", Value::Null, 200).await;
    assert!(entries["items"].as_array().unwrap().len() > 10);
    let (status, said) = child::run(&database, &["audit", "verify", "--log", "warn"]);
    assert!(status.success() && said.contains("chains fit"), "{said}");
}

#[actix_web::test]
async fn what_it_prints_can_be_pasted() {
    if !shell::can_curl() {
        return;
    }
    let app = lakeside().await;
    // The same seed and time: the same ids, wherever it lies. So does the sandbox draw.
    let there = in_memory(NOW, Entropy::seeded(0)).await;
    let filled = &there.filled;
    assert!(filled.guide(&app.url).ends_with(&filled.script(&app.url)));
    let script = filled.script(&app.url);
    let said = tokio::task::spawn_blocking(move || shell::run(&script)).await.unwrap();
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 9, "{said}");
    for list in [0, 2, 3] {
        assert!(!answers[list]["items"].as_array().unwrap().is_empty(), "{list}: {said}");
    }
    assert_eq!(answers[4]["items"].as_array().unwrap().len(), 2, "the roster");
    assert_eq!(answers[5]["state"], "done");
    assert!(answers[6]["answers"]["place"].is_string());
    assert!(answers[7]["text"]["body"].is_string());
    assert_eq!(answers[8]["items"][0]["act"], "get_entry", "the therapist's reading is the newest row");
    there.server.close();
}
