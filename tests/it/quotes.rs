//! Prompts that quote the patient: to the patient alone, rendered when they are read, and stored nowhere.

use std::sync::Arc;

use afterglow::delivery::{MemoryChannel, TEXT};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::clinic_protocols::{a_minute_later, choose, clinic, rounds};
use crate::delivery::work;
use crate::support::app::{TestApp, new_id};
use crate::support::journal::{reflection, two, with};
use crate::support::people::Person;
use crate::support::protocols::{content, publishes, rule};
use crate::support::world::planned_for;
use crate::unreadable::Damaged;

/// Six days after an infusion, just before the when-then plan is asked about.
async fn day_five() -> (Arc<TestApp>, Person, Person) {
    let app = TestApp::start_on_fixture().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    app.wait(SignedDuration::from_hours(24 * 4));
    (app, theo, ann)
}

fn plan(app: &TestApp, when: &str, then: &str) -> Value {
    json!({ "exercise_key": "if-then-habit", "exercise_version": 1, "occurred_at": app.now().to_string(),
        "answers": { "when": when, "then": then } })
}

async fn prompt(ann: &Person, key: &str) -> Value {
    let path = "/prompts?from=2026-01-01&to=2026-12-01&limit=200";
    let list = ann.get(&ann.my(path)).send().await.ok();
    list.items().iter().find(|prompt| prompt["rule_key"] == key).unwrap_or_else(|| panic!("no {key}")).clone()
}

async fn text(ann: &Person, key: &str) -> String {
    prompt(ann, key).await["detail"]["text"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn rule_a_when_then_plan_is_quoted_to_its_owner_alone() {
    let (app, theo, ann) = day_five().await;
    let first = ann.works(plan(&app, "the kettle {boils}", "breathe out")).await;
    for key in ["d5.habit", "d10.habit"] {
        assert_eq!(text(&ann, key).await, format!("Text of {key}. 'the kettle {{boils}} – breathe out'"));
    }
    // The newest plan counts, and what the patient makes of it.
    app.wait(SignedDuration::from_mins(1));
    let second = ann.works(plan(&app, "I sit down on the tram", "look out of the window")).await;
    assert_eq!(text(&ann, "d5.habit").await, "Text of d5.habit. 'I sit down on the tram – look out of the window'");
    ann.resumes(&second, json!({ "answers": { "then": "count three trees" } })).await;
    assert!(text(&ann, "d5.habit").await.contains("'I sit down on the tram – count three trees'"));
    // Only what is done is a plan.
    app.wait(SignedDuration::from_mins(1));
    ann.works(with(plan(&app, "draft", "draft"), json!({ "status": "draft" }))).await;
    assert!(text(&ann, "d5.habit").await.contains("tram"));
    // One that is deleted is none, one that is brought back is.
    let path = ann.my(&format!("/exercise-responses/{second}"));
    ann.delete(&path).send().await.no_content();
    assert!(text(&ann, "d5.habit").await.contains("kettle"));
    ann.act(&format!("{path}/undelete")).send().await.ok();
    assert!(text(&ann, "d5.habit").await.contains("tram"));

    // A push says nothing, and neither does what a therapist sees.
    let channel = MemoryChannel::default();
    let id = prompt(&ann, "d5.habit").await["id"].clone();
    for _ in 0..48 {
        app.wait(SignedDuration::from_hours(1));
        work(&app, &channel).await;
    }
    let sent: Vec<_> = channel.sent().into_iter().filter(|push| json!(push.prompt.to_string()) == id).collect();
    assert!(!sent.is_empty() && sent.iter().all(|push| push.text == TEXT), "{sent:?}");
    assert!(text(&ann, "d5.habit").await.contains("tram"), "also when it is out");
    let seen = theo.get(&ann.of_theirs("/prompts?from=2026-01-01&limit=200")).send().await.ok();
    assert!(seen.body.to_string().contains("d5.habit") && !seen.body.to_string().contains("tram"));

    // Without a plan it asks in plain words, also after it went out.
    ann.delete(&path).send().await.no_content();
    ann.delete(&ann.my(&format!("/exercise-responses/{first}"))).send().await.no_content();
    assert_eq!(text(&ann, "d5.habit").await, "Plain text of d5.habit.");
}

#[actix_web::test]
async fn a_when_then_plan_is_asked_about_as_late_as_the_clinic_wants_it() {
    let app = TestApp::start().await;
    let (admin, _theo, ann, clinic) = clinic(&app).await;
    let mut ours = content("Three weeks");
    rule(&mut ours, "d10.habit")["anchor"] = json!({ "day": 21 });
    let id = publishes(&admin, &clinic, ours).await;
    choose(&admin, &clinic, json!({ "protocol_id": id })).await;
    a_minute_later(&app).await;
    // No prompt asked her for it, so that only the plan itself tells of it.
    ann.works(plan(&app, "the kettle boils", "breathe out")).await;
    app.wait(SignedDuration::from_hours(24 * 16));
    rounds(&app).await;
    assert_eq!(prompt(&ann, "d10.habit").await["state"], "planned");
}

#[actix_web::test]
async fn a_when_then_plan_is_asked_about_before_a_session_that_comes_weeks_after_the_last_one() {
    let app = TestApp::start().await;
    let (admin, theo, ann, clinic) = clinic(&app).await;
    let mut ours = content("Before the next one");
    rule(&mut ours, "d10.habit")["anchor"] = json!({ "before_next_days": [2] });
    let id = publishes(&admin, &clinic, ours).await;
    choose(&admin, &clinic, json!({ "protocol_id": id })).await;
    a_minute_later(&app).await;
    ann.works(plan(&app, "the kettle boils", "breathe out")).await;
    app.wait(SignedDuration::from_hours(24 * 40));
    let session = planned_for(app.now() + SignedDuration::from_hours(24 * 4));
    theo.put(&ann.of_theirs(&format!("/infusions/{}", new_id(&app))), session).send().await.created();
    assert_eq!(prompt(&ann, "d10.habit").await["state"], "planned");
}

#[actix_web::test]
async fn a_takeaway_is_asked_about_on_a_day_after_the_infusion_also_where_no_session_is_planned() {
    let app = TestApp::start().await;
    let (admin, _theo, ann, clinic) = clinic(&app).await;
    let mut ours = content("What stays");
    rule(&mut ours, "d9.rehearse")["requires"] = json!(["takeaway"]);
    let id = publishes(&admin, &clinic, ours).await;
    choose(&admin, &clinic, json!({ "protocol_id": id })).await;
    a_minute_later(&app).await;
    let takeaway = json!({ "tags": ["takeaway"], "occurred_at": app.now().to_string() });
    ann.writes(with(reflection("The lake is quiet"), takeaway)).await;
    assert_eq!(prompt(&ann, "d9.rehearse").await["state"], "planned");
}

#[actix_web::test]
async fn rule_a_plan_that_cannot_be_read_is_not_quoted() {
    let (app, _, ann) = day_five().await;
    ann.works(plan(&app, "the kettle boils", "breathe out")).await;
    app.wait(SignedDuration::from_mins(1));
    ann.works(plan(&app, "the tram comes", "count trees")).await;
    for column in ["answers", "meta"] {
        // The older one would be taken for the newest.
        let newest = "occurred_at = (SELECT max(occurred_at) FROM exercise_responses)";
        let damaged = Damaged::new(&app, ("exercise_responses", column), newest, 0);
        assert_eq!(text(&ann, "d5.habit").await, "Plain text of d5.habit.", "{column}");
        damaged.mend(&app);
        assert!(text(&ann, "d5.habit").await.contains("tram"));
    }
    app.wait(SignedDuration::from_mins(1));
    let half = json!({ "exercise_key": "if-then-habit", "exercise_version": 1, "occurred_at": app.now().to_string(),
        "answers": { "when": "the bus comes" } });
    ann.works(half).await;
    assert_eq!(text(&ann, "d5.habit").await, "Plain text of d5.habit.", "half a plan is none");
}

#[actix_web::test]
async fn rule_a_long_quote_is_cut_between_two_characters() {
    let (app, _, ann) = day_five().await;
    let family = "👩‍👩‍👧‍👦";
    ann.works(plan(&app, &family.repeat(40), "one\nline \u{202e}only")).await;
    let text = text(&ann, "d5.habit").await;
    let quoted = text.strip_prefix("Text of d5.habit. '").unwrap();
    let (families, rest) = quoted.split_once(" … – ").unwrap();
    assert_eq!((families, rest), (family.repeat(20).as_str(), "one line only'"));
}

/// Ids in an order that says nothing about what was written first.
const IDS: [&str; 4] = [
    "70000000-0000-4000-8000-000000000001",
    "10000000-0000-4000-8000-000000000001",
    "e0000000-0000-4000-8000-000000000001",
    "40000000-0000-4000-8000-000000000001",
];

#[actix_web::test]
async fn rule_of_plans_of_one_second_the_one_that_was_changed_last_is_quoted() {
    let (app, _, ann) = day_five().await;
    for id in IDS {
        let path = ann.my(&format!("/exercise-responses/{id}"));
        ann.put(&path, plan(&app, &format!("it is {id}"), "breathe out")).send().await.created();
        assert!(text(&ann, "d5.habit").await.contains(id), "{id} was written last");
    }
    for id in IDS {
        ann.resumes(id, json!({ "answers": { "then": "count three trees" } })).await;
        assert!(text(&ann, "d5.habit").await.contains(&format!("'it is {id} – count three trees'")), "{id}");
    }
}

#[actix_web::test]
async fn rule_of_takeaways_of_one_second_the_one_that_was_changed_last_is_quoted() {
    let (app, theo, ann) = day_five().await;
    let session = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    theo.put(&session, planned_for(app.now() + SignedDuration::from_hours(24 * 12))).send().await.created();
    let takeaway = json!({ "tags": ["takeaway"], "occurred_at": app.now().to_string() });
    for id in IDS {
        ann.put_entry(id, with(reflection(&format!("It is {id}")), takeaway.clone())).send().await.created();
        let quoted = text(&ann, "prep.lastround").await;
        assert!(quoted.contains(id), "{id} was written last: {quoted}");
    }
}
