//! Two versions of a protocol: a prompt keeps the one that it was planned by, planning uses the newest.

use std::sync::Arc;

use afterglow::delivery::LogChannel;
use afterglow::planning::{Protocol, Protocols, Rule};
use afterglow::schedule::horizon;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::journal::{reflection, two, with};
use crate::support::people::Person;

const KEY: &str = "of-two-versions";

/// One rule of the fixture: on a day, in a part of it.
fn rule(key: &str, day: i32, part: &str, version: u32) -> Rule {
    let exercise = if version == 1 { "box-breath" } else { "body-scan" };
    let rule = json!({
        "key": key, "kind": "exercise", "anchor": { "day": day }, "window": [part], "minutes": 4 + version,
        "expires": { "hours": 48 }, "priority": 3, "push": true, "effort": "effortful", "exercises": [exercise],
        "text": format!("Version {version} of {key}: {{ex:{exercise}}}"),
    });
    serde_json::from_value(rule).unwrap()
}

/// The second version asks for the same in other words, and no longer for `step`.
fn version(version: u32) -> Protocol {
    let mut rules = vec![
        rule("note", 1, "midday", version),
        rule("practice", 1, "afternoon", version),
        rule("step", 2, "morning", version),
        rule("later", 4, "midday", version),
    ];
    rules.retain(|rule| version == 1 || rule.key != "step");
    Protocol { key: KEY.to_owned(), version, series: Vec::new(), rules, ..Protocol::default_v1().clone() }
}

async fn rounds(app: &TestApp) {
    let state = &app.server.state;
    horizon::follow_protocol(state, state.protocols.known().current(), app.now()).await.unwrap();
    while afterglow::app::tick(state, &LogChannel, app.now()).await.unwrap().next.is_some_and(|next| next <= app.now())
    {
    }
}

async fn prompt(ann: &Person, key: &str) -> Value {
    ann.prompts().await.into_iter().find(|prompt| prompt["rule_key"] == key).unwrap()
}

fn id(prompt: &Value) -> &str {
    prompt["id"].as_str().unwrap()
}

#[track_caller]
fn is_of(prompt: &Value, version: u32) {
    let key = prompt["rule_key"].as_str().unwrap();
    let (title, exercise) =
        if version == 1 { ("Box breath", "box-breath") } else { ("Slow tour of the body", "body-scan") };
    assert_eq!(prompt["detail"]["minutes"], 4 + version, "{key}");
    assert_eq!(prompt["detail"]["exercises"], json!([exercise]), "{key}");
    let text = prompt["detail"]["text"].as_str().unwrap();
    assert!(text.starts_with(&format!("Version {version} of {key}: ")), "{text}");
    assert!(!text.contains('{') && (version == 1 || text.ends_with(title)), "{text}");
}

/// Ann, the evening after the first day of a plan by the first version, on a server that has learned the second: `note`
/// and `practice` have gone out, `step` is put off to the day after next, `later` waits.
pub async fn upgraded() -> (Arc<TestApp>, Person) {
    let app = TestApp::start_planning_by(Protocols::new(version(1), [])).await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    rounds(&app).await;
    for _ in 0..36 {
        app.wait(SignedDuration::from_hours(1));
        rounds(&app).await;
    }
    let step = prompt(&ann, "step").await;
    is_of(&step, 1);
    ann.post(&ann.my(&format!("/prompts/{}/snooze", id(&step))), json!({ "until": "tomorrow" })).send().await.ok();
    let (theo, ann) = (theo.absent(), ann.absent());
    drop(theo);
    let app = app.restart_planning_by(Protocols::new(version(1), [version(2)])).await;
    let ann = ann.at(&app);
    rounds(&app).await;
    (app, ann)
}

#[actix_web::test]
async fn rule_an_old_prompt_keeps_its_protocol_and_what_is_planned_anew_has_the_newest() {
    let (app, ann) = upgraded().await;
    for key in ["note", "practice", "step"] {
        is_of(&prompt(&ann, key).await, 1);
    }
    is_of(&prompt(&ann, "later").await, 2);
    let shown = ann.get("/v1/protocols").send().await.ok();
    assert_eq!((&shown.body["items"][0]["version"], shown.body["items"].as_array().unwrap().len()), (&json!(2), 1));
    assert_eq!(ann.get(&format!("/v1/protocols/{KEY}")).send().await.ok().body["version"], 2);
    drop(app);
}

#[actix_web::test]
async fn rule_an_old_prompt_keeps_its_protocol_when_it_is_answered_or_put_off() {
    let (app, ann) = upgraded().await;
    let practice = prompt(&ann, "practice").await;
    // What is suggested is what the prompt pointed to.
    let found = ann.get(&ann.my("/exercises/suggested?limit=22")).send().await.ok().body["items"].clone();
    let pointed = found.as_array().unwrap().iter().find(|one| one["prompt_id"] == practice["id"]).unwrap();
    assert_eq!(pointed["exercise"]["key"], "box-breath");
    let answered = ann.post(&ann.my(&format!("/prompts/{}/complete", id(&practice))), json!({})).send().await.ok();
    is_of(&answered.body, 1);
    let note = prompt(&ann, "note").await;
    let later =
        ann.post(&ann.my(&format!("/prompts/{}/snooze", id(&note))), json!({ "until": "tomorrow" })).send().await.ok();
    is_of(&later.body, 1);
    ann.writes(with(reflection("Lake"), json!({ "prompt_id": id(&note), "occurred_at": app.now().to_string() }))).await;
    let note = prompt(&ann, "note").await;
    assert_eq!(note["state"], "completed");
    is_of(&note, 1);
    // The newest version does not know `step`; a pause withdraws it by the rule that made it.
    let until = app.now() + SignedDuration::from_hours(72);
    ann.put(&ann.my(&format!("/pauses/{}", new_id(&app))), json!({ "until": until.to_string() }))
        .send()
        .await
        .created();
    let step = prompt(&ann, "step").await;
    assert_eq!((&step["state"], &step["detail"]["cause"]), (&json!("cancelled"), &json!("paused")));
    is_of(&step, 1);
}
