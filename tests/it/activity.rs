//! What follows when a patient is silent: one gentle message after an infusion, and weekly prompts that rest.

use afterglow::app;
use afterglow::db::schema::patients;
use afterglow::delivery::MemoryChannel;
use afterglow::kernel::id::{Patient, Prompt};
use afterglow::planning::Protocols;
use afterglow::planning::protocol::Anchor;
use afterglow::planning::window::Phase;
use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::delivery::{World, hours};
use crate::support::app::{TestApp, fixture, id_of, new_id};
use crate::support::exercises::work;
use crate::support::journal::{reflection, two, with};

/// The prompts that leave in `time`, without their reminders, at their times, with the keys of the rules.
async fn live(world: &World, time: SignedDuration) -> Vec<(String, Timestamp)> {
    let (before, until) = (world.sent().len(), world.app.now() + time);
    let mut left = Vec::new();
    // In steps, so that the time of each is known to the hour.
    while world.app.now() < until {
        let to = (world.app.now() + hours(1)).min(until);
        app::advance(&world.app.server.state, &world.channel, to).await.unwrap();
        left.resize(world.sent().len() - before, to);
    }
    let prompts = own(world, "").await;
    let key = |id: &afterglow::kernel::Id<Prompt>| {
        let of = prompts.iter().find(|prompt| id_of(prompt) == id.to_string()).unwrap();
        of["rule_key"].as_str().unwrap().to_owned()
    };
    let sent = world.sent();
    let first = |(n, _): &(usize, Timestamp)| !sent[..before + n].contains(&sent[before + n]);
    left.into_iter().enumerate().filter(first).map(|(n, at)| (key(&sent[before + n]), at)).collect()
}

/// The patient's own prompts, also those of the last weeks.
async fn own(world: &World, more: &str) -> Vec<Value> {
    let from = (world.app.now() - hours(24 * 45)).strftime("%Y-%m-%d");
    let path = format!("/v1/patients/me/prompts?limit=200&from={from}{more}");
    world.ann.get(&path).send().await.ok().items().to_vec()
}

async fn find(world: &World, key: &str) -> Vec<Value> {
    own(world, "").await.into_iter().filter(|prompt| prompt["rule_key"] == key).collect()
}

fn times(sent: &[(String, Timestamp)], key: &str) -> Vec<Timestamp> {
    sent.iter().filter(|(of, _)| of == key).map(|(_, at)| *at).collect()
}

#[actix_web::test]
async fn a_silent_patient_gets_one_gentle_message_and_no_more() {
    let world = World::new().await;
    let end = world.app.now();
    world.tess().records(&world.ann, end).await;
    // Nothing of it is seen before its time.
    live(&world, hours(40)).await;
    assert_eq!(find(&world, "adapt.quiet").await, Vec::<Value>::new());
    let sent = live(&world, hours(24 * 9)).await;
    let [at] = times(&sent, "adapt.quiet")[..] else { panic!("{sent:?}") };
    let after = at.duration_since(end);
    assert!(hours(48) <= after && after < hours(73), "{after}");
    let [message] = &find(&world, "adapt.quiet").await[..] else { panic!("it is there once") };
    assert_eq!((&message["kind"], &message["state"]), (&json!("on_demand"), &json!("lapsed")));
    let detail = &message["detail"];
    assert_eq!(detail["text"], "No catching up needed. If you want, tap one word for how things are.");
    assert_eq!(detail["because"], "It has been quiet for two days, and one word is plenty.");
    assert_eq!(detail["minutes"], 1);
    // It took a place and added none: what had less weight on that date was not asked.
    assert_eq!(times(&sent, "d2.different"), []);
    // The therapist sees nothing of it: not that it came, and so not that Ann was silent.
    let from = (end - hours(24)).strftime("%Y-%m-%d");
    let path = format!("{}?from={from}&limit=200", world.ann.of_theirs("/prompts"));
    let outline = world.tess().get(&path).send().await.ok().items().to_vec();
    assert!(!outline.is_empty() && outline.iter().all(|prompt| prompt["kind"] != "on_demand"), "{outline:?}");
}

#[actix_web::test]
async fn a_patient_who_answers_gets_none() {
    let world = World::new().await;
    world.tess().records(&world.ann, world.app.now()).await;
    live(&world, hours(30)).await;
    let tell = find(&world, "d1.tell").await;
    let answer = json!({ "prompt_id": id_of(&tell[0]) });
    world.ann.writes(with(reflection("Lake"), answer)).await;
    let sent = live(&world, hours(24 * 6)).await;
    assert_eq!(times(&sent, "adapt.quiet"), []);
    assert_eq!(times(&sent, "d2.different").len(), 1, "nothing took its place");
    assert_eq!(find(&world, "adapt.quiet").await, Vec::<Value>::new());
}

/// Whether a gentle message leaves after the patient did `deed` an hour before it would have.
async fn leaves_after(deed: impl AsyncFnOnce(&World)) -> bool {
    let world = World::new().await;
    world.tess().records(&world.ann, world.app.now()).await;
    live(&world, hours(47)).await;
    let reached = world.app.now() + hours(1);
    deed(&world).await;
    let sent = live(&world, hours(24 * 2)).await;
    assert!(times(&sent, "adapt.quiet").iter().all(|at| *at >= reached));
    !times(&sent, "adapt.quiet").is_empty()
}

#[actix_web::test]
async fn any_activity_before_it_leaves_withdraws_the_message() {
    assert!(leaves_after(async |_| {}).await, "the message would have left");
    let act = async |world: &World, deed: &str, body: Value| {
        let prompt = id_of(&find(world, "d1.tell").await[0]);
        world.ann.post(&format!("/v1/patients/me/prompts/{prompt}/{deed}"), body).send().await.ok();
    };
    assert!(!leaves_after(async |world| act(world, "open", Value::Null).await).await, "opened, though it lapsed");
    let coming = async |world: &World, deed: &str, body: Value| {
        let prompt = id_of(&find(world, "d2.thought").await[0]);
        world.ann.post(&format!("/v1/patients/me/prompts/{prompt}/{deed}"), body).send().await.ok();
    };
    assert!(!leaves_after(async |world| coming(world, "skip", json!({})).await).await, "skipped");
    assert!(!leaves_after(async |world| coming(world, "snooze", json!({ "until": "hour" })).await).await, "put off");
    assert!(!leaves_after(async |world| drop(world.ann.writes(reflection("Lake")).await)).await, "written");
    assert!(!leaves_after(async |world| drop(world.ann.works(work()).await)).await, "worked on");
    let draft = async |world: &World| {
        let body = with(reflection("Lake"), json!({ "status": "draft" }));
        world.ann.put_entry(&new_id(&world.app), body).send().await.created();
    };
    assert!(!leaves_after(draft).await, "begun to write");
    // What others do is no activity of hers.
    assert!(leaves_after(async |world| drop(world.tess().assigns(&world.ann, "values-sort").await)).await, "assigned");
}

#[actix_web::test]
async fn a_message_about_a_silence_that_came_on_its_second_day_does_not_come_again_after_the_next_silence() {
    let mut protocol = fixture();
    let quiet = protocol.rules.iter_mut().find(|rule| rule.key == "adapt.quiet").unwrap();
    quiet.anchor = Anchor::AfterSilence { hours: 72, phase: Phase::Maintenance };
    let app = TestApp::start_planning_by(Protocols::new(protocol, [])).await;
    let (theo, ann) = two(&app).await;
    let channel = MemoryChannel::default();
    theo.records(&ann, app.now()).await;
    let until = async |at: &str| {
        app::advance(&app.server.state, &channel, at.parse().unwrap()).await.unwrap();
    };
    // She writes every few days from the end of the window on. Three days after the fifth time it is a Sunday evening,
    // which belongs to the weekly prompt; three days after the last time it is nearly four weeks later.
    let days = ["03-24T05", "03-26T17", "03-29T11", "03-31T05", "04-02T17", "04-28T11"];
    for active_at in days.map(|day| format!("2026-{day}:00:00Z")) {
        until(&active_at).await;
        ann.writes(reflection("Lake")).await;
    }
    until("2026-05-03T08:00:00Z").await;
    let list = ann.get(&ann.my("/prompts?from=2026-03-01&to=2026-06-01&limit=200")).send().await.ok();
    let dates = list.items().iter().filter(|prompt| prompt["rule_key"] == "adapt.quiet");
    assert_eq!(dates.map(|prompt| &prompt["detail"]["local_date"]).collect::<Vec<_>>(), ["2026-04-06"]);
}

/// Whether the plan is made again with whatever she writes, and its version.
async fn awaits(world: &World) -> (bool, i64) {
    let ann: afterglow::kernel::Id<Patient> = world.ann.patient.parse().unwrap();
    let unit = move |tx: &mut afterglow::db::Tx<'_>| {
        let own = patients::table.filter(patients::id.eq(ann));
        Ok(own.select((patients::awaits_activity, patients::plan_version)).first(tx.conn())?)
    };
    world.app.server.state.db.read(unit).await.unwrap()
}

#[actix_web::test]
async fn what_is_written_makes_the_plan_again_only_while_that_waits_for_activity() {
    let world = World::new().await;
    let entry = world.ann.writes(reflection("Lake")).await;
    world.tess().records(&world.ann, world.app.now()).await;
    let (waits, version) = awaits(&world).await;
    assert!(!waits);
    world.ann.edits(&entry, json!({ "text": { "body": "Another word." } })).await;
    assert_eq!(awaits(&world).await, (false, version));
    // The evening before: the message is foreseen, and what it would take the place of is not asked.
    live(&world, hours(40)).await;
    let (waits, version) = awaits(&world).await;
    assert!(waits);
    world.ann.edits(&entry, json!({ "text": { "body": "A third." } })).await;
    assert_eq!(awaits(&world).await, (false, version + 1));
    assert_eq!(find(&world, "d2.different").await[0]["state"], "planned", "it has its place again");
}

#[actix_web::test]
async fn editing_or_deleting_what_was_written_is_activity_too() {
    let written = async |world: &World| world.ann.writes(reflection("Lake")).await;
    for deed in ["nothing", "edit", "delete"] {
        let world = World::new().await;
        let entry = written(&world).await;
        // Enough that no other fact of the plan changes.
        written(&world).await;
        written(&world).await;
        world.tess().records(&world.ann, world.app.now()).await;
        live(&world, hours(47)).await;
        match deed {
            "delete" => drop(world.ann.delete(&world.ann.my(&format!("/entries/{entry}"))).send().await.no_content()),
            "edit" => drop(world.ann.edits(&entry, json!({ "text": { "body": "Another word." } })).await),
            _ => {}
        }
        let sent = live(&world, hours(48)).await;
        assert_eq!(times(&sent, "adapt.quiet").is_empty(), deed != "nothing", "{deed}");
    }
}

#[actix_web::test]
async fn four_weekly_prompts_that_lapse_in_a_row_end_with_one_message_until_something_is_written() {
    let world = World::new().await;
    world.tess().records(&world.ann, world.app.now()).await;
    let week = hours(24 * 7);
    let mut sent = live(&world, week * 3).await;
    for _ in 0..5 {
        sent.extend(live(&world, week).await);
    }
    assert_eq!(times(&sent, "mnt.weekly").len(), 4, "{sent:?}");
    let [message] = times(&sent, "mnt.rest")[..] else { panic!("{sent:?}") };
    // In the place of the fifth, give or take the minutes by which prompts differ and the hour of a step of `live`.
    let apart = message.duration_since(times(&sent, "mnt.weekly")[3]).as_mins();
    assert!((apart - 7 * 24 * 60).abs() <= 20 + 60, "{apart} minutes after the fourth");
    let [shown] = &find(&world, "mnt.rest").await[..] else { panic!("it is there once") };
    assert!(shown["detail"]["text"].as_str().unwrap().starts_with("The weekly lines take a rest now"), "{shown}");
    // Then none, for months.
    for _ in 0..12 {
        let sent = live(&world, week).await;
        assert!(sent.iter().all(|(key, _)| !key.starts_with("mnt.")), "{sent:?}");
    }
    let waiting = own(&world, "&state=planned").await;
    assert!(waiting.iter().all(|prompt| !prompt["rule_key"].as_str().unwrap().starts_with("mnt.")), "{waiting:?}");
    // An entry starts them again.
    world.ann.writes(reflection("Lake")).await;
    let waiting = own(&world, "&state=planned").await;
    assert!(waiting.iter().any(|prompt| prompt["rule_key"] == "mnt.weekly"), "at once: {waiting:?}");
    let sent = live(&world, week * 2).await;
    assert_eq!((times(&sent, "mnt.weekly").len(), times(&sent, "mnt.rest").len()), (2, 0), "{sent:?}");
}

#[actix_web::test]
async fn an_exercise_for_one_evening_comes_once_more_on_the_next_day_if_that_has_room() {
    for room in [true, false] {
        let world = World::new().await;
        if room {
            let hers = world.ann.of_theirs("/overrides");
            let tag = world.tess().get(&hers).send().await.ok().etag();
            let items = json!([{ "rule_key": "d2.different", "left_out": true }]);
            world.tess().put(&hers, json!({ "items": items })).if_match(&tag).send().await.ok();
        }
        world.tess().records(&world.ann, world.app.now()).await;
        live(&world, hours(30)).await;
        // Not silent: she only does not do that exercise.
        world.ann.writes(reflection("Lake")).await;
        live(&world, hours(24 * 4)).await;
        let cards = find(&world, "d1.wind").await;
        assert_eq!(cards.len(), 1 + usize::from(room), "{cards:?}");
        let Some(again) = cards.get(1) else { continue };
        let date = |card: &Value| card["detail"]["local_date"].as_str().unwrap().parse::<jiff::civil::Date>().unwrap();
        assert_eq!(date(again), date(&cards[0]).tomorrow().unwrap());
        // Three hours after the exercise of the afternoon, or at the start of the evening: that is by lot.
        let why = again["detail"]["why"].as_str().unwrap();
        assert!(["carried_over", "spacing"].contains(&why) && again["detail"]["optional"] == true, "{again}");
        assert_eq!((&cards[0]["state"], &again["state"]), (&json!("lapsed"), &json!("lapsed")), "and then no more");
    }
}
