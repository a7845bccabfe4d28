//! What a protocol would ask, for infusions that are made up.

use afterglow::kernel::Zone;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::journal::{two, with};
use crate::support::people::Person;

#[actix_web::test]
async fn a_protocol_is_previewed_for_made_up_infusions_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let path = "/v1/protocols/afterglow-default/preview";
    let body = json!({
        "infusions": [
            { "planned_start": "2026-03-24T09:00:00+01:00", "ended_at": "2026-03-24T10:00:00+01:00" },
            { "planned_start": "2026-03-27T09:00:00+01:00", "ended_at": "2026-03-27T10:00:00+01:00" },
        ],
        "zones": [{ "time_zone": "Europe/Berlin" }, { "time_zone": "America/New_York", "from": "2026-04-01T12:00:00Z" }],
        "capabilities": ["checks", "measures"],
        "quiet_hours": { "from": "20:00", "to": "09:00" },
    });
    let seen = ann.post(path, body.clone()).send().await.ok().body;
    let prompts = seen["prompts"].as_array().unwrap();
    let one = |key: &str, infusion: u64| {
        prompts.iter().find(|prompt| prompt["rule_key"] == key && prompt["infusion"] == infusion)
    };
    assert!(one("d0.landing", 0).is_some() && one("d0.landing", 1).is_some());
    assert!(one("prep.safety", 1).is_some_and(|prompt| prompt["local_date"] == "2026-03-26" && prompt["day"] == -1));
    assert!(prompts.iter().any(|prompt| prompt["time_zone"] == "America/New_York"));
    let dropped = seen["dropped"].as_array().unwrap();
    let why = |key: &str, infusion: u64| {
        let found = dropped.iter().find(|one| one["rule_key"] == key && one["infusion"] == infusion);
        found.map(|one| one["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(why("d2.mood", 0).as_deref(), Some("series"));
    assert_eq!(why("d4.ifthen", 0).as_deref(), Some("series"));
    assert!(dropped.iter().all(|one| !one["reason_in_words"].as_str().unwrap().is_empty()));
    let times: Vec<&str> = prompts.iter().map(|prompt| prompt["local_time"].as_str().unwrap()).collect();
    let checks = ["d0.landing"];
    for (prompt, time) in prompts.iter().zip(times) {
        let awake = checks.contains(&prompt["rule_key"].as_str().unwrap());
        assert!(awake || ("09:00:00".."20:00:00").contains(&time), "{} at {time}", prompt["rule_key"]);
    }
    assert!(ann.prompts().await.is_empty(), "nothing is stored");
    assert_eq!(ann.post(path, body.clone()).send().await.ok().body, seen, "and it says the same again");
    for (pointer, change) in [
        ("/infusions", json!({ "infusions": [] })),
        ("/infusions/0", json!({ "infusions": [{}] })),
        (
            "/infusions",
            json!({ "infusions": [{ "ended_at": "2026-01-01T00:00:00Z" }, { "ended_at": "2026-12-01T00:00:00Z" }] }),
        ),
        ("/zones/0/time_zone", json!({ "zones": [{ "time_zone": "Mars/Olympus" }] })),
        ("/holds/0", json!({ "holds": ["courage"] })),
        ("/quiet_hours", json!({ "quiet_hours": { "from": "08:00", "to": "07:00" } })),
    ] {
        let refused = ann.post(path, with(body.clone(), change)).send().await.expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
    }
    ann.post("/v1/protocols/another/preview", body).send().await.not_found();
}

/// A preview for one infusion in Berlin at ten past the autumn change of the clock, as `change` has it.
async fn seen(ann: &Person, change: Value) -> Value {
    let body = json!({
        "infusions": [{ "planned_start": "2026-10-22T09:00:00+02:00", "ended_at": "2026-10-22T10:00:00+02:00" }],
        "zones": [{ "time_zone": "Europe/Berlin" }],
        "capabilities": ["checks", "measures"],
    });
    ann.post("/v1/protocols/afterglow-default/preview", with(body, change)).send().await.ok().body
}

/// What is said of a rule, asked or not.
fn of<'a>(seen: &'a Value, list: &str, key: &str) -> Option<&'a Value> {
    seen[list].as_array().unwrap().iter().find(|one| one["rule_key"] == key)
}

#[actix_web::test]
async fn rule_a_preview_says_of_each_prompt_which_rule_made_it_when_it_comes_and_why_there() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let usual = seen(&ann, json!({})).await;
    for prompt in usual["prompts"].as_array().unwrap() {
        let zone = Zone::parse(prompt["time_zone"].as_str().unwrap()).unwrap();
        let local = zone.local(prompt["due_at"].as_str().unwrap().parse().unwrap());
        let said = format!("{}T{}", prompt["local_date"].as_str().unwrap(), prompt["local_time"].as_str().unwrap());
        assert_eq!(local.to_string(), said, "local and UTC times are one, on both sides of the change");
        assert!(!prompt["why_in_words"].as_str().unwrap().is_empty() && prompt["rule_key"].is_string());
    }
    let utc = |key: &str| of(&usual, "prompts", key).unwrap()["due_at"].as_str().unwrap()[11..13].to_owned();
    assert_eq!((utc("d2.mood"), utc("d4.ifthen")), ("06".to_owned(), "07".to_owned()), "half past eight in Berlin");

    // What moves a prompt, or leaves it out, is said with it.
    let early = seen(&ann, json!({ "quiet_hours": { "from": "17:00", "to": "07:00" } })).await;
    assert_eq!(of(&early, "prompts", "d3.share").unwrap()["why"], "quiet_hours");
    for (change, key, reason) in [
        (json!({ "quiet_hours": { "from": "17:00", "to": "07:00" } }), "d2.different", "quiet_hours"),
        (json!({ "holds": [] }), "d8.review", "prerequisite"),
        (json!({ "capabilities": [] }), "d1.check", "capability"),
        (json!({ "overrides": [{ "rule_key": "d5.parts", "left_out": true }] }), "d5.parts", "left_out"),
        (
            json!({ "pauses": [{ "from": "2026-10-23T00:00:00Z", "until": "2026-10-24T00:00:00Z" }] }),
            "d1.tell",
            "paused",
        ),
        (
            json!({ "condition": { "dissociation": { "value": 6, "answered_at": "2026-10-23T08:45:00+02:00" } } }),
            "d1.tell",
            "not_ready",
        ),
        (
            json!({ "condition": { "suspended": { "from": "2026-10-23T00:00:00Z", "until": "2026-10-24T00:00:00Z" } } }),
            "d1.tell",
            "suspended",
        ),
        (
            json!({ "infusions": [{ "ended_at": "2026-10-22T10:00:00+02:00", "provisional": true }] }),
            "d2.mood",
            "provisional",
        ),
    ] {
        assert!(of(&usual, "prompts", key).is_some(), "{key}");
        let changed = seen(&ann, change).await;
        assert!(of(&changed, "prompts", key).is_none(), "{key}");
        assert_eq!(of(&changed, "dropped", key).map(|one| &one["reason"]), Some(&json!(reason)), "{key}");
    }
}
