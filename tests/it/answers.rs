//! What a patient does with a prompt, whatever became of it meanwhile; and why it comes when it comes.

use afterglow::app;
use afterglow::delivery::LogChannel;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::delivery::{World, hours, minutes};
use crate::support::app::{Answer, TestApp, new_id};
use crate::support::journal::{reflection, two, with};
use crate::support::people::{Person, completed};
use crate::support::world::planned_for;

async fn of(ann: &Person, id: &str) -> Value {
    let prompts = ann.prompts().await;
    prompts.into_iter().find(|prompt| prompt["id"] == json!(id)).unwrap()
}

/// Writes in answer to a prompt at this time; the entry.
async fn answer(ann: &Person, prompt: &str, occurred_at: Timestamp) -> String {
    let body = json!({ "prompt_id": prompt, "occurred_at": occurred_at.to_string() });
    ann.writes(with(reflection("The lake"), body)).await
}

async fn snooze(ann: &Person, id: &str, until: &str) -> Answer {
    ann.post(&ann.my(&format!("/prompts/{id}/snooze")), json!({ "until": until })).send().await
}

/// Does what is due.
async fn works(app: &TestApp) {
    while app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap().next == Some(app.now()) {}
}

#[actix_web::test]
async fn rule_an_answer_is_always_stored_and_one_in_time_completes_from_any_state() {
    let world = World::new().await;
    let start = world.app.now();
    let mut ids = Vec::new();
    for due in [1, 1, 1, 1, 1, 90] {
        ids.push(world.plant_as(minutes(due), |planned| planned.expires_at = start + hours(3)).await.to_string());
    }
    let [lapsed, late, skipped, opened, put_off, withdrawn] = &ids[..] else { panic!("six") };
    world.app.wait(minutes(2));
    world.work().await;
    let act = async |id: &str, act: &str| {
        world.ann.post(&world.ann.my(&format!("/prompts/{id}/{act}")), json!({})).send().await.ok();
    };
    act(skipped, "skip").await;
    world.ann.act(&world.ann.my(&format!("/prompts/{opened}/open"))).send().await.ok();
    snooze(&world.ann, put_off, "tomorrow").await.ok();
    // A pause withdraws what waits, and what was put off.
    let pause = world.ann.my(&format!("/pauses/{}", new_id(&world.app)));
    world.ann.put(&pause, json!({ "until": (start + hours(48)).to_string() })).send().await.created();
    for id in [put_off, withdrawn] {
        assert_eq!(of(&world.ann, id).await["state"], "cancelled");
    }
    world.app.wait(hours(5));
    world.work().await;

    // Hours later the phone finds a network: it was written in time.
    for id in [lapsed, skipped, opened, put_off, withdrawn] {
        let entry = answer(&world.ann, id, start + hours(2)).await;
        let done = of(&world.ann, id).await;
        assert_eq!((&done["state"], &done["detail"]["answer_id"]), (&json!("completed"), &json!(entry)));
    }
    // What was written too late is kept, with its link, and completes nothing.
    let entry = answer(&world.ann, late, start + hours(3)).await;
    assert_eq!(world.ann.entry(&entry).await.ok().body["prompt_id"], json!(late));
    assert_ne!(of(&world.ann, late).await["state"], "completed");
}

#[actix_web::test]
async fn rule_an_answer_in_time_counts_though_the_server_was_away() {
    let world = World::new().await;
    let start = world.app.now();
    let first = world.plant_as(minutes(10), |planned| planned.expires_at = start + hours(8)).await;
    let second = world.plant_as(hours(1), |planned| planned.expires_at = start + hours(8)).await;
    world.app.wait(hours(4));
    world.work().await;
    assert_eq!(
        (world.sent(), world.state(first).await),
        (vec![second], "due".to_owned()),
        "one of them goes, none lapses"
    );
    // The phone asked by its own plan, and knows that there is time until five.
    world.app.wait(hours(1));
    answer(&world.ann, &first.to_string(), world.app.now()).await;
    assert_eq!(world.state(first).await, "completed");
}

#[actix_web::test]
async fn rule_a_prompt_is_put_off_three_times_at_most_and_never_into_the_night() {
    let world = World::new().await;
    let id = world.plant_as(minutes(10), |planned| planned.minutes = 1).await.to_string();
    for time in ["2026-03-10T09:00:00Z", "2026-03-10T17:30:00Z"] {
        let until = if time.contains("T09") { "hour" } else { "evening" };
        assert_eq!(snooze(&world.ann, &id, until).await.ok().text("/detail/due_at"), time);
    }
    // At a quarter past eight in the evening an hour later is night.
    world.app.set_clock("2026-03-10T19:15:00Z");
    assert_eq!(snooze(&world.ann, &id, "hour").await.ok().text("/detail/due_at"), "2026-03-11T07:00:00Z");
    snooze(&world.ann, &id, "tomorrow").await.expect(409).refused("state_conflict");
    assert_eq!(of(&world.ann, &id).await["detail"]["due_at"], "2026-03-11T07:00:00Z");
}

#[actix_web::test]
async fn rule_what_a_patient_puts_off_into_quiet_hours_that_the_clocks_show_twice_waits_for_their_second_end() {
    let app = TestApp::start().await;
    // The afternoon before the clocks of Berlin go back, from three to two.
    app.set_clock("2026-10-24T12:30:00Z");
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - minutes(30)).await;
    ann.sets(json!({ "quiet_hours": { "from": "20:00", "to": "02:30" } })).await.ok();
    let prompts = ann.prompts().await;
    let fragments = prompts.iter().find(|prompt| prompt["rule_key"] == "d0.fragments").unwrap()["id"].as_str().unwrap();
    // At ten past two she wants it in an hour: that is ten past two again.
    app.set_clock("2026-10-25T00:10:00Z");
    let later = snooze(&ann, fragments, "hour").await.ok();
    assert_eq!((later.text("/state"), later.text("/detail/due_at")), ("planned".into(), "2026-10-25T01:30:00Z".into()));
}

#[actix_web::test]
async fn rule_a_snooze_that_is_sent_twice_is_one_and_none_brings_a_prompt_forward() {
    let world = World::new().await;
    let id = world.plant_as(hours(5), |planned| planned.expires_at = planned.due_at + hours(4)).await.to_string();
    let due = of(&world.ann, &id).await["detail"]["due_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let first = snooze(&world.ann, &id, "hour").await.ok();
    assert_eq!(first.text("/detail/due_at"), (due + hours(1)).to_string(), "an hour after the time that it had");
    world.app.wait(minutes(1));
    let again = snooze(&world.ann, &id, "hour").await.ok();
    assert_eq!(again.body, first.body, "the reply was lost and the app asks again");
    world.app.wait(minutes(10));
    let later = snooze(&world.ann, &id, "hour").await.ok();
    assert_eq!(later.text("/detail/due_at"), (due + hours(2)).to_string());
    assert_eq!(later.body["detail"]["version"].as_i64(), first.body["detail"]["version"].as_i64().map(|n| n + 1));
}

#[actix_web::test]
async fn rule_what_was_put_off_shows_the_clock_of_where_the_patient_lives_now() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - hours(1)).await;
    let prompts = ann.prompts().await;
    let fragments = prompts.iter().find(|prompt| prompt["rule_key"] == "d0.fragments").unwrap()["id"].as_str().unwrap();
    app.set_clock("2026-03-10T11:02:00Z");
    let here = snooze(&ann, fragments, "hour").await.ok();
    assert_eq!(
        (here.text("/detail/zone"), here.text("/detail/local_time")),
        ("Europe/Berlin".into(), "13:02:00".into())
    );
    ann.sets(json!({ "time_zone": "Europe/Lisbon" })).await.ok();
    let there = of(&ann, fragments).await["detail"].clone();
    assert_eq!((&there["zone"], &there["local_time"]), (&json!("Europe/Lisbon"), &json!("12:02:00")));
}

#[actix_web::test]
async fn rule_what_was_put_off_keeps_half_an_hour_from_its_neighbours() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - hours(1)).await;
    app.set_clock("2026-03-11T15:00:00Z");
    works(&app).await;
    let out =
        ann.prompts().await.into_iter().filter(|prompt| prompt["state"] == "delivered" || prompt["state"] == "due");
    let out: Vec<_> = out.map(|prompt| prompt["id"].as_str().unwrap().to_owned()).collect();
    assert!(out.len() >= 2, "{out:?}");
    let mut times = Vec::new();
    for id in &out[..2] {
        times.push(snooze(&ann, id, "evening").await.ok().text("/detail/due_at").parse::<Timestamp>().unwrap());
        app.wait(minutes(1));
    }
    assert_eq!(times[1].duration_since(times[0]), minutes(30), "the one that is put off now moves");
    assert_eq!(of(&ann, &out[0]).await["detail"]["due_at"], times[0].to_string());
    assert!(times.iter().all(|time| time.duration_since(app.now()) <= hours(5)), "{times:?}");
}

#[actix_web::test]
async fn rule_what_hangs_on_an_infusion_that_never_was_ends_delivered_or_not_unless_it_was_answered() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let infusion = theo.records(&ann, app.now() - hours(1)).await;
    let key = async |key: &str| {
        let prompts = ann.prompts().await;
        prompts.into_iter().find(|prompt| prompt["rule_key"] == key).unwrap()
    };
    let id = |prompt: &Value| prompt["id"].as_str().unwrap().to_owned();
    let (fragments, tell) = (key("d0.fragments").await, key("d1.tell").await);
    app.set_clock("2026-03-10T13:00:00Z");
    works(&app).await;
    ann.act(&ann.my(&format!("/prompts/{}/complete", id(&fragments)))).send().await.ok();
    app.set_clock("2026-03-11T12:30:00Z");
    works(&app).await;
    let state = async |prompt: &Value| of(&ann, &id(prompt)).await["state"].clone();
    assert_eq!((state(&fragments).await, state(&tell).await), (json!("completed"), json!("delivered")));
    // It was somebody else's chart.
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    let tag = theo.get(&path).send().await.ok().etag();
    theo.patch(&path, json!({ "status": "cancelled" })).if_match(&tag).send().await.ok();
    assert_eq!((state(&fragments).await, state(&tell).await), (json!("completed"), json!("cancelled")));
    let waiting = ann.prompts().await.into_iter().filter(|prompt| prompt["state"] == "planned");
    assert_eq!(waiting.count(), 0);
}

#[actix_web::test]
async fn rule_what_is_put_off_takes_its_place_and_the_plan_makes_room_at_once() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - hours(1)).await;
    let prompts = ann.prompts().await;
    let one = |key: &str| prompts.iter().find(|prompt| prompt["rule_key"] == key).unwrap()["id"].as_str().unwrap();
    let (fragments, tell) = (one("d0.fragments"), one("d1.tell"));
    let due = |prompt: &Value| prompt["detail"]["due_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    // Tomorrow at nine; three hours later is after the start of midday.
    app.set_clock("2026-03-10T08:02:00Z");
    let put_off = snooze(&ann, fragments, "tomorrow").await.ok().body;
    let before = prompts.iter().find(|prompt| prompt["id"] == json!(tell)).unwrap();
    let after = of(&ann, tell).await;
    assert!(due(before) < due(&put_off) + hours(3), "they would have been too close");
    assert_eq!(due(&after), due(&put_off) + hours(3));
    assert_eq!((&after["state"], &after["detail"]["cause"]), (&json!("planned"), &json!("spacing")), "and it says why");
    assert_eq!(after["detail"]["why"], "spacing");
}

#[actix_web::test]
async fn rule_a_prompt_that_moved_says_why() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let infusion = theo.records(&ann, app.now() - hours(1)).await;
    let people = async || {
        let found = ann.prompts().await.into_iter().find(|prompt| prompt["rule_key"] == "d6.people").unwrap();
        (found["detail"]["why"].clone(), found["detail"].get("cause").cloned())
    };
    assert_eq!(people().await, (json!("window"), None), "it sits where its rule puts it");
    ann.sets(json!({ "quiet_hours": { "from": "22:00", "to": "12:00" } })).await.ok();
    assert_eq!(people().await, (json!("quiet_hours"), Some(json!("quiet_hours"))));
    ann.sets(json!({ "quiet_hours": { "from": "21:00", "to": "08:00" } })).await.ok();
    assert_eq!(people().await, (json!("window"), Some(json!("window"))));
    ann.sets(json!({ "time_zone": "Europe/London" })).await.ok();
    assert_eq!(people().await, (json!("window"), Some(json!("zone"))));
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    let tag = theo.get(&path).send().await.ok().etag();
    theo.put(&path, completed(app.now() - hours(25))).if_match(&tag).send().await.ok();
    assert_eq!(people().await, (json!("window"), Some(json!("infusion"))));
}

#[actix_web::test]
async fn rule_a_prompt_that_was_never_planned_says_why_to_its_owner_alone() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let infusion = theo.records(&ann, app.now() - hours(1)).await;
    let list = async |who: &Person, query: &str| {
        who.get(&ann.of_theirs(&format!("/prompts?limit=200{query}"))).send().await.ok().body
    };
    assert_eq!(list(&ann, "").await.get("not_asked"), None, "who wants to know asks");
    let told = list(&ann, "&not_asked=true").await["not_asked"].as_array().unwrap().clone();
    let reason = |key: &str| told.iter().find(|one| one["rule_key"] == key).map(|one| one["reason"].clone());
    assert_eq!(reason("d8.review"), Some(json!("prerequisite")), "nothing was written yet");
    assert_eq!(reason("d1.check"), Some(json!("capability")));
    assert_eq!(reason("d1.tell"), None, "that is asked");
    let whole = |one: &&Value| one["infusion_id"] == json!(infusion) && one["reason_in_words"].is_string();
    assert!(told.iter().filter(whole).count() > 5);
    // What was planned and withdrawn says so itself.
    let pause = ann.my(&format!("/pauses/{}", new_id(&app)));
    ann.put(&pause, json!({ "until": (app.now() + hours(72)).to_string() })).send().await.created();
    let now = list(&ann, "&not_asked=true").await;
    assert!(now["not_asked"].as_array().unwrap().iter().all(|one| one["rule_key"] != "d1.tell"));
    let tell = now["items"].as_array().unwrap().iter().find(|one| one["rule_key"] == "d1.tell").unwrap();
    assert_eq!((&tell["state"], &tell["detail"]["cause"]), (&json!("cancelled"), &json!("paused")));
    assert_eq!(list(&theo, "&not_asked=true").await, list(&theo, "").await, "pauses are not the therapist's business");
}

#[actix_web::test]
async fn rule_the_weekly_prompt_comes_on_the_patients_day() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now()).await;
    app.wait(hours(24 * 16));
    let weekly = async |day: &str| {
        ann.sets(json!({ "weekly_day": day })).await.ok();
        let prompts = ann.prompts().await.into_iter();
        let waiting = prompts.filter(|prompt| prompt["rule_key"] == "mnt.weekly" && prompt["state"] == "planned");
        waiting.map(|prompt| prompt["detail"]["local_date"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(weekly("friday").await, ["2026-03-27", "2026-04-03"]);
    assert_eq!(weekly("sunday").await, ["2026-03-29", "2026-04-05"]);
    // In the week before a session, the preparation asks.
    let next = planned_for(app.now() + hours(24 * 12));
    theo.put(&ann.of_theirs(&format!("/infusions/{}", new_id(&app))), next).send().await.created();
    assert_eq!(weekly("sunday").await, ["2026-03-29"]);
}
