//! The rules of planning over HTTP: what is planned, what a change of facts moves, and what a therapist sees of it.

use std::collections::{BTreeMap, BTreeSet};

use afterglow::care::Access;
use afterglow::changes::{FeedsPlan, PlanRequest};
use afterglow::db::Tx;
use afterglow::delivery::LogChannel;
use afterglow::kernel::Id;
use afterglow::kernel::id::Patient;
use afterglow::planning::{Protocol, Protocols};
use afterglow::schedule::horizon;
use afterglow::{app, schedule};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::app::{TestApp, fixture, id_of, new_id};
use crate::support::journal::{grant, reflection, two, with};
use crate::support::people::{Person, completed};
use crate::support::world::planned_for;

fn after(at: Timestamp, hours: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(hours)).unwrap()
}

fn due(prompt: &Value) -> Timestamp {
    prompt["detail"]["due_at"].as_str().unwrap().parse().unwrap()
}

fn by_id(prompts: &[Value]) -> BTreeMap<String, Value> {
    let by: BTreeMap<_, _> = prompts.iter().map(|prompt| (id_of(prompt), prompt.clone())).collect();
    assert_eq!(by.len(), prompts.len(), "no prompt twice");
    by
}

fn waiting(prompts: &[Value]) -> Vec<Value> {
    prompts.iter().filter(|prompt| prompt["state"] == "planned").cloned().collect()
}

/// Ann, an hour after an infusion at noon in Berlin, with a plan.
async fn planned() -> (std::sync::Arc<TestApp>, Person, Person, String) {
    let app = TestApp::start_on_fixture().await;
    let (theo, ann) = two(&app).await;
    let infusion = theo.records(&ann, after(app.now(), -1)).await;
    (app, theo, ann, infusion)
}

#[actix_web::test]
async fn rule_what_needs_a_capability_is_in_the_protocol_and_not_in_the_plan() {
    let (app, _, ann, _) = planned().await;
    let protocols = ann.get("/v1/protocols").send().await.ok();
    let key = protocols.text("/items/0/key");
    let protocol = ann.get(&format!("/v1/protocols/{key}")).send().await.ok();
    let rules = protocol.body["rules"].as_array().unwrap();
    let needing: BTreeSet<&str> = rules
        .iter()
        .filter(|rule| rule["needs"].as_array().is_some_and(|needs| !needs.is_empty()))
        .map(|rule| rule["key"].as_str().unwrap())
        .collect();
    assert!(needing.contains("d1.check") && needing.contains("d7.measures"), "{needing:?}");
    let planned: BTreeSet<String> =
        ann.prompts().await.iter().map(|prompt| prompt["rule_key"].as_str().unwrap().to_owned()).collect();
    assert!(planned.len() > 10);
    assert!(planned.iter().all(|key| !needing.contains(key.as_str())), "{planned:?}");
    // Nobody is asked about suicidality before somebody can answer.
    assert!(ann.prompts().await.iter().all(|prompt| prompt["kind"] != "safety" && prompt["kind"] != "measure"));
    drop(app);
}

#[actix_web::test]
async fn rule_the_id_of_a_prompt_stays_the_same_however_often_it_is_planned() {
    let (app, theo, ann, infusion) = planned().await;
    let before = by_id(&ann.prompts().await);
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    for minutes in [10, 25, 0] {
        let tag = theo.get(&path).send().await.ok().etag();
        let end = after(app.now(), -1).checked_add(SignedDuration::from_mins(minutes)).unwrap();
        theo.put(&path, completed(end)).if_match(&tag).send().await.ok();
        let now = by_id(&ann.prompts().await);
        assert_eq!(now.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{minutes}");
    }
    let now = by_id(&ann.prompts().await);
    for (id, prompt) in &before {
        assert_eq!((due(&now[id]), &now[id]["rule_key"]), (due(prompt), &prompt["rule_key"]), "back where it was");
    }
}

#[actix_web::test]
async fn rule_quiet_hours_move_what_is_to_come_and_nothing_else() {
    let (app, _, ann, _) = planned().await;
    app.wait(SignedDuration::from_hours(30));
    let before = by_id(&ann.prompts().await);
    let now = app.now();
    let past: Vec<&Value> = before.values().filter(|prompt| due(prompt) <= now).collect();
    assert!(!past.is_empty(), "something has come due meanwhile");
    let answered = id_of(past[0]);
    ann.writes(with(reflection("Lake"), json!({ "prompt_id": answered, "occurred_at": now.to_string() }))).await;
    let before = by_id(&ann.prompts().await);
    ann.sets(json!({ "quiet_hours": { "from": "18:00", "to": "08:00" } })).await.ok();
    let changed = by_id(&ann.prompts().await);
    for (id, prompt) in &before {
        if due(prompt) <= now || prompt["state"] == "completed" {
            assert_eq!(&changed[id], prompt, "what is past or answered is left alone");
        }
    }
    for prompt in waiting(&changed.into_values().collect::<Vec<_>>()) {
        let local = prompt["detail"]["local_time"].as_str().unwrap();
        assert!(("08:00:00".."18:00:00").contains(&local), "{} at {local}", prompt["rule_key"]);
    }
    // Said again, nothing changes; taken back, everything is where it was.
    let settled = ann.prompts().await;
    ann.sets(json!({ "quiet_hours": { "from": "18:00", "to": "08:00" } })).await.ok();
    assert_eq!(ann.prompts().await, settled);
    ann.sets(json!({ "quiet_hours": { "from": "21:00", "to": "08:00" } })).await.ok();
    let back = by_id(&ann.prompts().await);
    for (id, prompt) in &before {
        assert_eq!((due(&back[id]), &back[id]["state"]), (due(prompt), &prompt["state"]), "{}", prompt["rule_key"]);
    }
    ann.sets(json!({ "quiet_hours": { "from": "18:00", "to": "08:01" } })).await.expect(422);
}

#[actix_web::test]
async fn rule_another_zone_keeps_the_time_on_the_wall() {
    let (app, _, ann, _) = planned().await;
    let before = by_id(&ann.prompts().await);
    ann.sets(json!({ "time_zone": "America/New_York" })).await.ok();
    let now = by_id(&ann.prompts().await);
    let mut moved = 0;
    for prompt in waiting(&now.clone().into_values().collect::<Vec<_>>()) {
        let old = &before[prompt["id"].as_str().unwrap()];
        assert_eq!(prompt["detail"]["zone"], "America/New_York");
        moved += usize::from(due(&prompt) != due(old));
        assert!(due(&prompt) > app.now());
    }
    assert!(moved > 8, "only {moved} moved");
    let early = json!({ "time_zone": "Asia/Tokyo", "effective_at": "2026-01-01T00:00:00Z" });
    ann.sets(early).await.expect(422);
}

#[actix_web::test]
async fn a_session_that_is_put_off_by_two_months_is_prepared_when_it_comes() {
    for (opens, state, date) in [(false, "planned", "2026-05-11"), (true, "lapsed", "2026-03-12")] {
        let app = TestApp::start_on_fixture().await;
        let (theo, ann) = two(&app).await;
        let path = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
        let session = theo.put(&path, planned_for(after(app.now(), 24 * 3))).send().await.created();
        let prompts = ann.prompts().await;
        let id = id_of(prompts.iter().find(|prompt| prompt["rule_key"] == "prep.intention").unwrap());
        if opens {
            ann.act(&ann.my(&format!("/prompts/{id}/open"))).send().await.ok();
        }
        let later = json!({ "planned_start": after(app.now(), 24 * 63).to_string() });
        theo.patch(&path, later).if_match(&session.etag()).send().await.ok();
        // Three days before it, a change of hers makes another plan, in which the prompt has the same id.
        app.wait(SignedDuration::from_hours(24 * 60));
        ann.sets(json!({ "weekly_day": "monday" })).await.ok();
        let now = by_id(&ann.prompts().await);
        assert_eq!((&now[&id]["state"], &now[&id]["detail"]["local_date"]), (&json!(state), &json!(date)));
    }
}

#[actix_web::test]
async fn rule_a_pause_withdraws_and_its_end_brings_back() {
    let (app, _, ann, _) = planned().await;
    let before = by_id(&ann.prompts().await);
    let id = new_id(&app);
    let (from, until) = (after(app.now(), 24), after(app.now(), 24 * 5));
    let pause = json!({ "from": from.to_string(), "until": until.to_string() });
    ann.put(&ann.my(&format!("/pauses/{id}")), pause).send().await.created();
    let paused = by_id(&ann.prompts().await);
    let mut withdrawn = 0;
    for (id, prompt) in &paused {
        let inside = from <= due(prompt) && due(prompt) < until;
        assert!(!(inside && prompt["state"] == "planned"), "{} is asked in the pause", prompt["rule_key"]);
        if prompt["state"] == "cancelled" && before.get(id).is_some_and(|old| old["state"] == "planned") {
            withdrawn += 1;
        }
    }
    assert!(withdrawn > 3, "only {withdrawn} withdrawn");
    ann.delete(&ann.my(&format!("/pauses/{id}"))).send().await.no_content();
    let back = by_id(&ann.prompts().await);
    for (id, prompt) in &before {
        assert_eq!((due(&back[id]), &back[id]["state"]), (due(prompt), &prompt["state"]), "{}", prompt["rule_key"]);
    }
}

#[actix_web::test]
async fn a_pause_that_is_sent_again_when_it_is_over_is_the_same_pause() {
    let (app, _, ann, _) = planned().await;
    let path = ann.my(&format!("/pauses/{}", new_id(&app)));
    let body = json!({ "until": after(app.now(), 24).to_string() });
    let paused = ann.put(&path, body.clone()).send().await.created();
    app.wait(SignedDuration::from_hours(30));
    assert_eq!(ann.put(&path, body).send().await.ok().body, paused.body);
    let late = json!({ "until": after(app.now(), -1).to_string() });
    ann.put(&ann.my(&format!("/pauses/{}", new_id(&app))), late).send().await.expect(422);
    // Another period is a change of what is recorded.
    let longer = json!({ "from": paused.text("/from"), "until": after(app.now(), 24).to_string() });
    ann.put(&path, longer.clone()).send().await.expect(428).refused("precondition_required");
    let changed = ann.put(&path, longer).if_match(&paused.etag()).send().await.ok();
    assert_eq!((&changed.body["version"], &changed.body["from"]), (&json!(2), &paused.body["from"]));
}

#[actix_web::test]
async fn rule_a_cancelled_infusion_withdraws_what_is_to_come_and_not_what_was_answered() {
    let (app, theo, ann, infusion) = planned().await;
    let first = id_of(&waiting(&ann.prompts().await)[0]);
    let words = with(reflection("Lake"), json!({ "prompt_id": first, "occurred_at": app.now().to_string() }));
    ann.writes(words).await;
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    let tag = theo.get(&path).send().await.ok().etag();
    theo.patch(&path, json!({ "status": "cancelled" })).if_match(&tag).send().await.ok();
    let left = by_id(&ann.prompts().await);
    assert_eq!(left[&first]["state"], "completed");
    let of_it = left.values().filter(|prompt| prompt["detail"]["infusion_id"] == json!(infusion));
    assert!(of_it.clone().count() > 5);
    for prompt in of_it {
        assert!(["completed", "cancelled"].contains(&prompt["state"].as_str().unwrap()), "{prompt}");
    }
}

#[actix_web::test]
async fn rule_open_complete_snooze_and_skip_are_four_operations_and_twice_is_once() {
    let (app, _, ann, _) = planned().await;
    let ids: Vec<String> = waiting(&ann.prompts().await).iter().map(id_of).collect();
    for (place, (act, body, state)) in [
        ("open", Value::Null, "opened"),
        ("complete", json!({}), "completed"),
        ("snooze", json!({ "until": "tomorrow" }), "planned"),
        ("skip", json!({ "reason": "not today" }), "skipped"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = ann.my(&format!("/prompts/{}/{act}", ids[place]));
        let call = || if body.is_null() { ann.act(&path) } else { ann.post(&path, body.clone()) };
        let once = call().send().await.ok();
        assert_eq!(once.body["state"], state, "{act}");
        assert_eq!(call().send().await.ok().body, once.body, "{act} twice");
        assert_eq!(call().key(act).send().await.ok().body, once.body, "{act} with a key");
        let missing = ann.my(&format!("/prompts/{}/{act}", new_id(&app)));
        ann.post(&missing, if body.is_null() { json!({}) } else { body.clone() }).send().await.not_found();
    }
    // Long after: opening what has lapsed is allowed, and twice is once.
    app.wait(SignedDuration::from_hours(24 * 9));
    let lapsed = ann.prompts().await.into_iter().find(|prompt| prompt["state"] == "lapsed").unwrap();
    let path = ann.my(&format!("/prompts/{}/open", lapsed["id"].as_str().unwrap()));
    let once = ann.act(&path).send().await.ok();
    assert_eq!(ann.act(&path).send().await.ok().body, once.body, "a lapsed one opened twice");
}

#[actix_web::test]
async fn a_page_of_prompts_follows_another_though_time_passes() {
    let (app, theo, ann, _) = planned().await;
    for (who, path) in [(&ann, ann.my("/prompts?limit=5")), (&theo, ann.of_theirs("/prompts?limit=5"))] {
        let (mut seen, mut next) = (Vec::new(), path.clone());
        loop {
            let page = who.get(&next).send().await.ok();
            seen.extend(page.items().to_vec());
            let Some(cursor) = page.body["next_cursor"].as_str() else { break };
            next = format!("{path}&cursor={cursor}");
            app.wait(SignedDuration::from_secs(1));
        }
        assert!(seen.len() > 10);
        by_id(&seen);
    }
}

#[actix_web::test]
async fn rule_a_therapist_sees_the_protocol_and_nothing_that_the_patient_did() {
    let (app, theo, ann, _) = planned().await;
    let look = async |query: &str| {
        let answer = theo.get(&ann.of_theirs(&format!("/prompts?limit=200{query}"))).send().await.ok();
        answer.body["items"].clone()
    };
    let list = look("").await;
    for prompt in list.as_array().unwrap() {
        let fields: BTreeSet<&str> = prompt.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(fields.is_subset(&BTreeSet::from(["id", "rule_key", "kind", "day"])), "{prompt}");
    }
    let own = waiting(&ann.prompts().await);
    let id = |place: usize| id_of(&own[place]);
    let act = |place: usize, act: &str| ann.my(&format!("/prompts/{}/{act}", id(place)));
    let day = own[3]["detail"]["local_date"].as_str().unwrap();
    let narrow = format!("&from={day}&to={day}");
    let narrowed = look(&narrow).await;

    // None of this is the therapist's business.
    ann.post(&act(1, "snooze"), json!({ "until": "tomorrow" })).send().await.ok();
    assert_eq!(look("").await, list, "a snooze");
    ann.post(&act(3, "snooze"), json!({ "until": "tomorrow" })).send().await.ok();
    assert_eq!(look(&narrow).await, narrowed, "a snooze, looked for by time");
    ann.post(&act(2, "skip"), json!({ "reason": "not today" })).send().await.ok();
    assert_eq!(look("").await, list, "a skip");
    ann.act(&act(0, "open")).send().await.ok();
    assert_eq!(look("").await, list, "an opening");
    let pause = ann.my(&format!("/pauses/{}", new_id(&app)));
    ann.put(&pause, json!({ "until": after(app.now(), 72).to_string() })).send().await.created();
    assert_eq!(look("").await, list, "a pause");
    ann.delete(&pause).send().await.no_content();
    ann.sets(json!({ "quiet_hours": { "from": "19:00", "to": "09:00" } })).await.ok();
    assert_eq!(look("").await, list, "quiet hours");
    ann.writes(reflection("Nobody's business")).await;
    assert_eq!(look("").await, list, "an entry that was not shared");
}

#[actix_web::test]
async fn rule_what_waits_for_an_unshared_entry_comes_with_it_and_goes_when_it_is_shared() {
    let (app, theo, ann, _) = planned().await;
    app.set_clock("2026-03-13T09:00:00Z");
    // No round of the worker: the plan follows in the unit that changed something.
    let state = async |ann: &Person| {
        let prompts = ann.prompts().await;
        ["d3.share", "d8.review"].map(|key| {
            let found = prompts.iter().find(|prompt| prompt["rule_key"] == key);
            found.map_or("absent".to_owned(), |prompt| prompt["state"].as_str().unwrap().to_owned())
        })
    };
    assert_eq!(state(&ann).await, ["absent", "absent"], "nothing to share, nothing to look over");
    let entry = ann.writes(reflection("Lake")).await;
    assert_eq!(state(&ann).await, ["planned", "planned"]);
    let open = ann.opens(&entry, &["text"], &theo).await;
    assert_eq!(state(&ann).await, ["cancelled", "planned"], "all is shared");
    ann.revokes(&open).await;
    assert_eq!(state(&ann).await, ["planned", "planned"], "what was revoked is unshared");
    let soon = after(app.now(), 1);
    let hour = with(grant(&entry, &["text"], &theo), json!({ "expires_at": soon.to_string() }));
    ann.put_grant(&new_id(&app), hour).send().await.created();
    assert_eq!(state(&ann).await, ["cancelled", "planned"]);
    app.wait(SignedDuration::from_mins(61));
    app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    assert_eq!(state(&ann).await, ["planned", "planned"], "what ran out is unshared from that instant on");
    let link = id_of(&ann.care_links().await[0]);
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    assert_eq!(state(&ann).await, ["cancelled", "planned"], "nobody is there to read it");
    ann.linked_to(&theo).await;
    assert_eq!(state(&ann).await, ["planned", "planned"], "and somebody is again");
    ann.delete(&ann.my(&format!("/entries/{entry}"))).send().await.no_content();
    assert_eq!(state(&ann).await, ["cancelled", "cancelled"]);
    ann.act(&ann.my(&format!("/entries/{entry}/undelete"))).send().await.ok();
    assert_eq!(state(&ann).await, ["planned", "planned"]);
}

#[actix_web::test]
async fn rule_what_waits_for_an_entry_comes_with_the_first_one_also_if_a_rule_opens_it() {
    let (app, _, ann, _) = planned().await;
    app.set_clock("2026-03-13T09:00:00Z");
    let rule = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" } });
    ann.put_grant(&new_id(&app), rule).send().await.created();
    let waiting = async |ann: &Person| {
        let prompts = ann.prompts().await;
        ["d3.share", "d8.review"]
            .map(|key| prompts.iter().any(|prompt| prompt["rule_key"] == key && prompt["state"] == "planned"))
    };
    assert_eq!(waiting(&ann).await, [false, false], "nothing to share, nothing to look over");
    for text in ["Lake", "River"] {
        ann.writes(reflection(text)).await;
        assert_eq!(waiting(&ann).await, [false, true], "all is shared");
    }
    ann.writes(with(reflection("Sea"), json!({ "kind": "dream" }))).await;
    assert_eq!(waiting(&ann).await, [true, true], "one is not");
}

#[actix_web::test]
async fn rule_what_was_put_off_keeps_out_of_a_night_or_a_pause_that_is_set_afterwards() {
    let (app, _, ann, _) = planned().await;
    let own = waiting(&ann.prompts().await);
    let put_off = async |place: usize| {
        let path = ann.my(&format!("/prompts/{}/snooze", own[place]["id"].as_str().unwrap()));
        ann.post(&path, json!({ "until": "tomorrow" })).send().await.ok().body
    };
    let seen = async |prompt: &Value| by_id(&ann.prompts().await)[prompt["id"].as_str().unwrap()].clone();
    let first = put_off(0).await;
    assert_eq!(due(&first).to_string(), "2026-03-11T08:00:00Z", "nine in Berlin");
    ann.sets(json!({ "quiet_hours": { "from": "21:00", "to": "09:30" } })).await.ok();
    let moved = seen(&first).await;
    assert_eq!((due(&moved).to_string(), &moved["state"]), ("2026-03-11T08:30:00Z".to_owned(), &json!("planned")));
    // Nothing else has happened to it: it can still be answered, and is put off three times at most.
    assert_eq!(moved["detail"]["expires_at"], first["detail"]["expires_at"]);
    let pause = ann.my(&format!("/pauses/{}", new_id(&app)));
    ann.put(&pause, json!({ "until": after(app.now(), 72).to_string() })).send().await.created();
    let paused = seen(&first).await;
    assert_eq!((&paused["state"], &paused["detail"]["cause"]), (&json!("cancelled"), &json!("paused")));
}

#[actix_web::test]
async fn rule_a_new_version_of_the_protocol_moves_what_is_still_to_come() {
    let (app, _, ann, _) = planned().await;
    let state = &app.server.state;
    let patient: Id<Patient> = ann.patient.parse().unwrap();
    // The plan of an older version, whose midday began half an hour later.
    let mut older = Protocol { version: 0, ..fixture() };
    older.windows.midday.from = older.windows.midday.from.saturating_add(SignedDuration::from_mins(30));
    let older = Protocols::new(older, []);
    let keys = state.vault.keys(patient.uuid()).await.unwrap();
    let now = app.now();
    let unit = move |tx: &mut Tx<'_>| {
        let asked = PlanRequest { patient, keys: keys.clone(), actor: None, now, feeds: FeedsPlan::Always };
        let access = Access::for_planner(&asked);
        schedule::store::note_version(tx, "fixture", 0)?;
        schedule::replan(tx, &access, &older)
    };
    state.db.write(unit).await.unwrap();
    let before = by_id(&ann.prompts().await);
    // A day and a half later some of it has gone out.
    app.wait(SignedDuration::from_hours(36));
    while app::tick(state, &LogChannel, app.now()).await.unwrap().next == Some(app.now()) {}
    let version = async || state.db.read(|tx| schedule::store::planned_version(tx, "fixture")).await.unwrap();
    assert_eq!(version().await, Some(0));
    horizon::follow_protocol(state, &fixture(), app.now()).await.unwrap();
    assert_eq!(version().await, Some(1));
    while app::tick(state, &LogChannel, app.now()).await.unwrap().next == Some(app.now()) {}
    let after = by_id(&ann.prompts().await);
    let of = |prompts: &BTreeMap<String, Value>, key: &str| {
        prompts.values().find(|prompt| prompt["rule_key"] == key).map(due).unwrap()
    };
    assert_eq!(of(&after, "d1.tell"), of(&before, "d1.tell"), "what went out stays");
    assert_eq!(of(&after, "d6.people"), of(&before, "d6.people") - SignedDuration::from_mins(30));
    assert!(before.keys().all(|id| after.contains_key(id)), "the same prompts, under the same ids");
    // Twice is once, and an older server beside it takes nothing back.
    horizon::follow_protocol(state, &Protocol { version: 0, ..fixture() }, app.now()).await.unwrap();
    assert_eq!(version().await, Some(1));
}

#[actix_web::test]
async fn rule_a_takeaway_is_brought_along_and_quoted_to_its_owner_alone() {
    let (app, theo, ann, _) = planned().await;
    let session = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    theo.put(&session, planned_for(after(app.now(), 12 * 24))).send().await.created();
    let round = async |who: &Person| {
        let list = who.get(&ann.of_theirs("/prompts?limit=200")).send().await.ok().body["items"].clone();
        list.as_array().unwrap().iter().find(|prompt| prompt["rule_key"] == "prep.lastround").cloned()
    };
    let state = |prompt: &Option<Value>| prompt.as_ref().map_or(json!("absent"), |prompt| prompt["state"].clone());
    assert_eq!(state(&round(&ann).await), "absent", "there is nothing to bring along");
    ann.writes(reflection("Only a note")).await;
    assert_eq!(state(&round(&ann).await), "absent");

    let older = ann.writes(with(reflection("Slow is allowed"), json!({ "tags": ["Takeaway", "lake"] }))).await;
    let asked = round(&ann).await.unwrap();
    let text = asked["detail"]["text"].as_str().unwrap();
    assert!(text.contains("'Slow is allowed'"), "{text}");
    // The therapist's schedule says nothing of it, before and after.
    assert!(!theo.get(&ann.of_theirs("/prompts?limit=200")).send().await.ok().body.to_string().contains("Slow"));
    // An answer to the look back is newer.
    let newer = json!({ "occurred_at": app.now().to_string(), "tags": ["takeaway"] });
    let newer = ann.writes(with(reflection("Call my sister"), newer)).await;
    assert!(round(&ann).await.unwrap()["detail"]["text"].as_str().unwrap().contains("'Call my sister'"));
    ann.delete(&ann.my(&format!("/entries/{newer}"))).send().await.no_content();
    assert!(round(&ann).await.unwrap()["detail"]["text"].as_str().unwrap().contains("'Slow is allowed'"));
    ann.edits(&older, json!({ "tags": ["lake"] })).await.ok();
    assert_eq!(state(&round(&ann).await), "cancelled", "in the unit that took the tag away");
}
