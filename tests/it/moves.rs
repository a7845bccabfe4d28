//! Changes of the patient's zone that are told afterwards.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of};
use crate::support::journal::{two, with};

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

#[actix_web::test]
async fn rule_a_zone_change_in_the_past_moves_what_is_not_yet_due() {
    let app = TestApp::start_on_fixture().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - hours(1)).await;
    app.wait(hours(30));
    let note = json!({ "kind": "note", "occurred_at": (app.now() - hours(10)).to_string(), "text": { "body": "On the way." } });
    let (plain, zoned) =
        (ann.writes(note.clone()).await, ann.writes(with(note, json!({ "zone": "Europe/Berlin" }))).await);
    let date = async |id: &str| ann.entry(id).await.ok().text("/local_date");
    let there = date(&plain).await;
    assert_eq!(there, date(&zoned).await);
    let before = ann.prompts().await;
    let now = app.now();
    let moved_at = now - hours(20);
    let answer = ann.sets(json!({ "time_zone": "Pacific/Honolulu", "effective_at": moved_at.to_string() })).await.ok();
    assert_eq!(answer.text("/time_zone"), "Pacific/Honolulu");
    let zones = answer.body["zones"].as_array().unwrap();
    let last = zones.last().unwrap();
    let from: Timestamp = last["from"].as_str().unwrap().parse().unwrap();
    assert_eq!((zones.len(), &last["time_zone"], from), (2, &json!("Pacific/Honolulu"), moved_at));
    // What was due by then stays as it was; the rest is by the new clock.
    let after = ann.prompts().await;
    let due = |prompt: &Value| prompt["detail"]["due_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let mut counts = (0, 0);
    for old in &before {
        let new = after.iter().find(|new| id_of(new) == id_of(old)).unwrap();
        if due(old) <= now {
            assert_eq!(new, old);
            counts.0 += 1;
        } else if new["state"] == "planned" {
            assert_eq!(new["detail"]["zone"], "Pacific/Honolulu");
            let local = new["detail"]["local_time"].as_str().unwrap();
            assert!(("08:00:00".."21:00:00").contains(&local), "{new}");
            counts.1 += 1;
        }
    }
    assert!(counts.0 > 0 && counts.1 > 8, "{counts:?}");
    // The date of what names no zone is by where the patient was; what names one keeps it.
    assert_ne!(date(&plain).await, there);
    assert_eq!(date(&zoned).await, there);
}

#[actix_web::test]
async fn rule_a_zone_change_lies_between_the_last_one_and_now() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    app.wait(hours(48));
    let moved_at = app.now() - hours(10);
    let change = |zone: &str, at: Timestamp| json!({ "time_zone": zone, "effective_at": at.to_string() });
    ann.sets(change("Asia/Tokyo", moved_at)).await.ok();
    let settings = ann.get("/v1/me").send().await.ok().body;
    for (zone, at, why) in [
        ("America/Lima", moved_at - hours(1), "must not lie before the last change of zone"),
        ("Asia/Tokyo", moved_at - hours(1), "must not lie before the last change of zone"),
        ("America/Lima", app.now() + hours(1), "must not lie in the future"),
        ("Asia/Tokyo", app.now() + hours(1), "must not lie in the future"),
    ] {
        let refused = ann.sets(change(zone, at)).await.expect(422);
        let fault = &refused.body["errors"][0];
        assert_eq!((&fault["pointer"], &fault["detail"]), (&json!("/effective_at"), &json!(why)), "{zone} {at}");
        assert_eq!(ann.get("/v1/me").send().await.ok().body, settings, "nothing changed");
    }
    // Said again, it is the same; told better, the last one is replaced.
    ann.sets(change("Asia/Tokyo", moved_at)).await.ok();
    assert_eq!(ann.get("/v1/me").send().await.ok().body, settings);
    let better = ann.sets(change("Asia/Seoul", moved_at)).await.ok();
    let zones = better.body["zones"].as_array().unwrap();
    assert_eq!((zones.len(), zones[1]["time_zone"].as_str()), (2, Some("Asia/Seoul")));
}

#[actix_web::test]
async fn rule_day_0_of_the_window_is_that_of_the_plan_also_after_a_flight() {
    let app = TestApp::start_on_fixture().await;
    let (theo, ann) = two(&app).await;
    // At eight in Berlin, the evening before in Honolulu.
    theo.records(&ann, app.now() - hours(1)).await;
    let day = async |at: &str| ann.get(&ann.my(&format!("/window?at={at}"))).send().await.ok().body["day"].clone();
    app.wait(hours(30));
    let now = app.now().to_string();
    assert_eq!(day(&now).await, 1);
    ann.sets(json!({ "time_zone": "Pacific/Honolulu" })).await.ok();
    assert_eq!(day(&now).await, 1, "it is still the day after");
    let clinical = theo.reads(&ann, &format!("/window/clinical?at={now}")).await.ok();
    assert_eq!(clinical.body["day"], 1);
    let prompts = ann.prompts().await;
    let later = prompts.iter().find(|prompt| prompt["rule_key"] == "d4.ifthen").unwrap();
    assert_eq!(day(later["detail"]["due_at"].as_str().unwrap()).await, later["day"]);
}
