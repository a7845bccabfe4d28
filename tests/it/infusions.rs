//! Infusions as they happen: who says that one is over, and whose word counts.

use afterglow::app;
use afterglow::delivery::LogChannel;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::app::{TestApp, id_of, new_id};
use crate::support::journal::{reflection, two, with};
use crate::support::people::{Clinic, Person, completed};
use crate::support::world::planned_for;

fn after(at: Timestamp, minutes: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_mins(minutes)).unwrap()
}

async fn infusion(who: &Person, ann: &Person, id: &str) -> Value {
    who.get(&ann.of_theirs(&format!("/infusions/{id}"))).send().await.ok().body
}

/// The days that wait for an answer to this infusion.
async fn days(ann: &Person, id: &str) -> Vec<i64> {
    let prompts = ann.prompts().await;
    let of_it = prompts.iter().filter(|prompt| prompt["detail"]["infusion_id"] == json!(id));
    let waiting = of_it.filter(|prompt| prompt["state"] == "planned");
    let mut days: Vec<i64> = waiting.map(|prompt| prompt["day"].as_i64().unwrap()).collect();
    days.sort_unstable();
    days.dedup();
    days
}

/// A session that the clinic planned for now, of forty minutes.
async fn session(app: &TestApp, theo: &Person, ann: &Person) -> String {
    let id = new_id(app);
    theo.put(&ann.of_theirs(&format!("/infusions/{id}")), planned_for(app.now())).send().await.created();
    id
}

#[actix_web::test]
async fn calling_a_session_off_twice_is_calling_it_off_once() {
    let Clinic { app, ann, therapist, .. } = Clinic::open().await;
    for (status, planned) in [("cancelled", "2026-03-20T09:00:00Z"), ("no_show", "2026-03-24T09:00:00Z")] {
        let path = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
        let session = json!({ "status": "planned", "route": "im", "planned_start": planned, "planned_minutes": 40 });
        let tag = therapist.put(&path, session).send().await.created().etag();
        let off = || therapist.patch(&path, json!({ "status": status })).if_match(&tag);
        let first = off().send().await.ok();
        // The reply was lost, and the nurse's phone says it again.
        let again = off().send().await.ok();
        assert_eq!((first.body, first.headers["etag"].clone()), (again.body.clone(), again.etag()));
        let more = therapist.patch(&path, json!({ "status": status, "note": "Ill." })).if_match(&again.etag());
        more.send().await.expect(409);
    }
}

/// The words are the same before the flight and after it, so a phone may keep them.
#[actix_web::test]
async fn a_patient_who_flies_east_reads_by_which_clock_they_do_not_drive() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now()).await;
    app.wait(SignedDuration::from_hours(3));
    for here in ["Europe/Berlin", "Asia/Tokyo"] {
        ann.sets(json!({ "time_zone": here })).await.ok();
        for (who, time) in [(&ann, "09:00 Berlin time (UTC+01)"), (&theo, "09:00")] {
            let listed = who.get(&ann.of_theirs("/infusions")).send().await.ok();
            let words = listed.items()[0]["driving"].as_str().unwrap();
            let before = format!("Please do not drive before Wednesday 11 March, {time}, and");
            assert!(words.starts_with(&before), "in {here}: {words}");
        }
    }
}

#[actix_web::test]
async fn rule_the_patient_says_i_am_done_and_the_clinic_has_the_last_word() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = session(&app, &theo, &ann).await;
    let start = app.now();
    let path = ann.my(&format!("/infusions/{id}"));
    let started = ann.act(&format!("{path}/start")).send().await.ok();
    assert_eq!((&started.body["status"], started.text("/started_at")), (&json!("planned"), start.to_string()));
    app.wait(SignedDuration::from_mins(45));
    let done = ann.post(&format!("{path}/end"), json!({})).send().await.ok();
    assert_eq!((&done.body["status"], &done.body["source"]), (&json!("completed"), &json!("patient")));
    assert_eq!(done.text("/ended_at"), after(start, 45).to_string());
    assert!(days(&ann, &id).await.len() > 8, "all days are planned");
    let driving = done.text("/driving");
    assert!(driving.starts_with("Please do not drive before Wednesday 11 March, 09:45"), "{driving}");
    assert_eq!(ann.post(&format!("{path}/end"), json!({})).send().await.ok().body, done.body, "twice is once");
    // It is still the clinic's record: she says when it ended, and no more.
    let dose = ann.patch(&path, json!({ "dose_mg": 50.0 })).if_match(&done.etag()).send().await;
    dose.expect(409).refused("state_conflict");

    // The clinic knows better, under the same id; what Ann said stays beside it.
    let better = json!({ "started_at": start.to_string(), "ended_at": after(start, 38).to_string(), "dose_mg": 35.0 });
    let theirs = theo.post(&format!("{}/end", ann.of_theirs(&format!("/infusions/{id}"))), better).send().await.ok();
    assert_eq!((&theirs.body["source"], theirs.text("/ended_at")), (&json!("clinic"), after(start, 38).to_string()));
    assert_eq!(theirs.text("/reported/ended_at"), after(start, 45).to_string());
    // Ann may still say when she was done, and nothing else.
    let late = json!({ "ended_at": after(start, 44).to_string(), "dose_mg": 900.0 });
    let again = ann.post(&format!("{path}/end"), json!({})).send().await.ok();
    assert_eq!(again.text("/reported/ended_at"), after(start, 45).to_string(), "sent again, it says nothing new");
    ann.post(&format!("{path}/end"), late.clone()).send().await.expect(428).refused("precondition_required");
    let kept = ann.post(&format!("{path}/end"), late).if_match(&theirs.etag()).send().await.ok();
    assert_eq!((kept.text("/ended_at"), &kept.body["dose_mg"]), (after(start, 38).to_string(), &json!(35.0)));
    assert_eq!(kept.text("/reported/ended_at"), after(start, 44).to_string());
    let tag = kept.etag();
    ann.patch(&path, json!({ "dose_mg": 50.0 })).if_match(&tag).send().await.expect(409).refused("state_conflict");
    ann.put(&path, completed(after(start, 20))).if_match(&tag).send().await.expect(409).refused("state_conflict");
}

#[actix_web::test]
async fn rule_an_end_that_nobody_told_is_the_planned_one_and_plans_two_days() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = session(&app, &theo, &ann).await;
    let start = app.now();
    let tick = async || app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    app.wait(SignedDuration::from_mins(99));
    tick().await;
    assert_eq!(infusion(&theo, &ann, &id).await["status"], "planned", "an hour has not passed since the planned end");
    app.wait(SignedDuration::from_mins(2));
    tick().await;
    let found = infusion(&theo, &ann, &id).await;
    assert_eq!((&found["status"], &found["source"]), (&json!("completed"), &json!("provisional")));
    assert_eq!(found["ended_at"], after(start, 40).to_string());
    assert_eq!(days(&ann, &id).await, [0, 1]);

    // The true end takes its place under the same id, and the rest is planned.
    let end = json!({ "ended_at": after(start, 55).to_string() });
    let told = theo.post(&format!("{}/end", ann.of_theirs(&format!("/infusions/{id}"))), end).send().await.ok();
    assert_eq!((&told.body["source"], told.text("/ended_at")), (&json!("clinic"), after(start, 55).to_string()));
    assert!(days(&ann, &id).await.len() > 8);

    // Another one, of which it turns out that nobody came.
    app.wait(SignedDuration::from_hours(24 * 20));
    let id = session(&app, &theo, &ann).await;
    app.wait(SignedDuration::from_mins(101));
    tick().await;
    let path = ann.of_theirs(&format!("/infusions/{id}"));
    let tag = theo.get(&path).send().await.ok().etag();
    let missed = theo.patch(&path, json!({ "status": "no_show" })).if_match(&tag).send().await.ok();
    assert_eq!((&missed.body["status"], missed.body.get("ended_at")), (&json!("no_show"), None));
    assert_eq!(days(&ann, &id).await, Vec::<i64>::new());
}

#[actix_web::test]
async fn rule_two_reports_of_one_administration_are_joined() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (hers, theirs) = (new_id(&app), new_id(&app));
    let end = after(app.now(), -60);
    let report = ann.put(&ann.my(&format!("/infusions/{hers}")), completed(end)).send().await.created();
    assert_eq!(report.body["source"], "patient");
    let answered = id_of(&ann.prompts().await[0]);
    ann.writes(with(reflection("Lake"), json!({ "prompt_id": answered, "occurred_at": app.now().to_string() }))).await;
    let before = ann.prompts().await;
    let path = ann.of_theirs(&format!("/infusions/{theirs}"));
    let clash = theo.put(&path, completed(after(end, 5))).send().await.expect(409).refused("infusion_overlaps");
    assert_eq!(clash.body["conflicting_id"], json!(hers));
    let joined = with(completed(after(end, 5)), json!({ "same_as": hers }));
    let kept = theo.put(&path, joined.clone()).send().await.created();
    assert_eq!((&kept.body["source"], kept.text("/ended_at")), (&json!("clinic"), after(end, 5).to_string()));
    assert_eq!(kept.text("/reported/ended_at"), end.to_string());
    assert_eq!(theo.put(&path, joined).send().await.ok().body, kept.body, "sent again, nothing changes");
    let old = infusion(&theo, &ann, &hers).await;
    assert_eq!((&old["status"], &old["same_as"]), (&json!("cancelled"), &json!(theirs)));
    assert!(days(&ann, &hers).await.is_empty(), "nothing is asked twice");
    assert!(days(&ann, &theirs).await.len() > 8);
    let prompts = ann.prompts().await;
    let done = prompts.iter().find(|prompt| prompt["id"] == json!(answered)).unwrap();
    assert_eq!(done["state"], "completed", "an answer stays an answer");
    let ids = |prompts: &[Value]| -> Vec<Value> { prompts.iter().map(|prompt| prompt["id"].clone()).collect() };
    assert_eq!(ids(&prompts), ids(&before), "what was asked for her report is what is asked for theirs");
    // Only the patient's report that counts can be joined, and only by the clinic.
    let other = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    let again = with(completed(after(end, -60 * 24)), json!({ "same_as": hers }));
    theo.put(&other, again.clone()).send().await.expect(422);
    ann.put(&other, again).send().await.expect(422);
}

#[actix_web::test]
async fn rule_a_planned_record_takes_the_place_of_a_report_too() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    // Planned for the evening, given in the morning; Ann was faster to say so.
    let planned = new_id(&app);
    let path = ann.of_theirs(&format!("/infusions/{planned}"));
    let tag = theo.put(&path, planned_for(after(app.now(), 9 * 60))).send().await.created().etag();
    let hers = new_id(&app);
    ann.put(&ann.my(&format!("/infusions/{hers}")), completed(after(app.now(), -30))).send().await.created();
    let held = completed(after(app.now(), -35));
    let clash = theo.put(&path, held.clone()).if_match(&tag).send().await.expect(409).refused("infusion_overlaps");
    assert_eq!(clash.body["conflicting_id"], json!(hers));
    let joining = with(held, json!({ "same_as": hers }));
    theo.put(&path, joining.clone()).send().await.expect(428).refused("precondition_required");
    let joined = theo.put(&path, joining.clone()).if_match(&tag).send().await.ok();
    assert_eq!(joined.text("/reported/ended_at"), after(app.now(), -30).to_string());
    assert_eq!(infusion(&theo, &ann, &hers).await["same_as"], json!(planned));
    assert_eq!(theo.put(&path, joining).if_match(&tag).send().await.ok().body, joined.body, "twice is once");
    let itself = with(completed(after(app.now(), -35)), json!({ "same_as": planned }));
    theo.put(&path, itself).if_match(&joined.etag()).send().await.expect(422);
}

#[actix_web::test]
async fn rule_what_is_another_administration_within_six_hours_says_so() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let first = theo.records(&ann, after(app.now(), -300)).await;
    let path = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    let clash = theo.put(&path, completed(app.now())).send().await.expect(409).refused("infusion_overlaps");
    assert_eq!(clash.body["conflicting_id"], json!(first));
    let other = with(completed(app.now()), json!({ "distinct_from": [new_id(&app)] }));
    theo.put(&path, other).send().await.expect(409).refused("infusion_overlaps");
    let named = with(completed(app.now()), json!({ "distinct_from": [first] }));
    let kept = theo.put(&path, named).send().await.created();
    // Nor may a correction bring two together that were apart, or take the name away.
    let unnamed = theo.patch(&path, json!({ "distinct_from": [] })).if_match(&kept.etag()).send().await;
    unnamed.expect(409).refused("infusion_overlaps");
}

#[actix_web::test]
async fn rule_two_on_one_date_have_one_day_zero_and_what_waits_from_the_first_is_merged() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let first = theo.records(&ann, app.now()).await;
    let prompts = ann.prompts().await;
    let key = |prompt: &&Value, key: &str| prompt["rule_key"] == key;
    let fragments = prompts.iter().find(|prompt| key(prompt, "d0.fragments")).unwrap()["id"].clone();
    let tell = prompts.iter().find(|prompt| key(prompt, "d1.tell")).unwrap()["id"].clone();
    // Ann puts off what was asked of day 0; six hours later there is another infusion.
    let put_off = ann.my(&format!("/prompts/{}/snooze", fragments.as_str().unwrap()));
    ann.post(&put_off, json!({ "until": "tomorrow" })).send().await.ok();
    app.wait(SignedDuration::from_mins(7 * 60));
    let second = theo.records(&ann, app.now()).await;
    let now = ann.prompts().await;
    for id in [fragments, tell] {
        let merged = now.iter().find(|prompt| prompt["id"] == id).unwrap();
        assert_eq!((&merged["state"], &merged["detail"]["cause"]), (&json!("cancelled"), &json!("merged")));
    }
    assert!(days(&ann, &first).await.is_empty());
    assert!(days(&ann, &second).await.len() > 8);
}

#[actix_web::test]
async fn an_infusion_that_began_after_its_planned_end_has_not_ended() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = session(&app, &theo, &ann).await;
    app.wait(SignedDuration::from_mins(101));
    app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    assert_eq!(infusion(&theo, &ann, &id).await["source"], "provisional");
    // The clinic was late: it begins only now.
    let began = app.now();
    let path = ann.of_theirs(&format!("/infusions/{id}"));
    let started = theo.act(&format!("{path}/start")).send().await.ok();
    assert_eq!((&started.body["status"], &started.body["source"]), (&json!("planned"), &json!("clinic")));
    assert_eq!((started.text("/started_at"), started.body.get("ended_at")), (began.to_string(), None));
    assert_eq!(theo.act(&format!("{path}/start")).send().await.ok().body, started.body, "twice is once");
    assert!(days(&ann, &id).await.is_empty(), "what was planned for an end that was none is withdrawn");
    let window = ann.get(&ann.my("/window")).send().await.ok();
    assert_eq!(window.text("/phase"), "in_session");
    app.wait(SignedDuration::from_mins(40));
    let over = ann.act(&ann.my(&format!("/infusions/{id}/end"))).send().await.ok();
    assert_eq!((over.text("/started_at"), &over.body["source"]), (began.to_string(), &json!("patient")));
    assert!(days(&ann, &id).await.len() > 8);
}

#[actix_web::test]
async fn an_end_that_is_sent_again_does_not_undo_a_correction() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = session(&app, &theo, &ann).await;
    app.wait(SignedDuration::from_mins(50));
    let path = ann.of_theirs(&format!("/infusions/{id}"));
    let began = json!({ "started_at": after(app.now(), -45).to_string() });
    theo.post(&format!("{path}/start"), began.clone()).send().await.ok();
    let mistyped = json!({ "ended_at": after(app.now(), -30).to_string() });
    theo.post(&format!("{path}/end"), mistyped.clone()).send().await.ok();
    let right = json!({ "ended_at": after(app.now(), -5).to_string() });
    let tag = theo.get(&path).send().await.ok().etag();
    theo.patch(&path, right.clone()).if_match(&tag).send().await.ok();
    let corrected = theo.get(&path).send().await.ok();
    // The phone sends again what it was not sure about.
    theo.post(&format!("{path}/end"), mistyped.clone()).send().await.expect(428).refused("precondition_required");
    theo.post(&format!("{path}/end"), mistyped.clone()).if_match("\"v1\"").send().await.expect(412).refused("stale");
    theo.post(&format!("{path}/start"), began).send().await.ok();
    assert_eq!(theo.get(&path).send().await.ok().body, corrected.body);
    // Somebody who has seen the correction may still change their mind.
    let again = theo.post(&format!("{path}/end"), mistyped.clone()).if_match(&corrected.etag()).send().await.ok();
    assert_eq!(again.body["ended_at"], mistyped["ended_at"]);
}

#[actix_web::test]
async fn what_a_patient_planned_alone_stays_theirs_though_nobody_said_that_it_ended() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let path = ann.my(&format!("/infusions/{}", new_id(&app)));
    ann.put(&path, planned_for(app.now())).send().await.created();
    app.wait(SignedDuration::from_mins(101));
    app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    let unsaid = ann.get(&path).send().await.ok();
    assert_eq!(unsaid.body["source"], "provisional");
    let missed = ann.patch(&path, json!({ "status": "no_show" })).if_match(&unsaid.etag()).send().await.ok();
    assert_eq!((&missed.body["status"], &missed.body["source"]), (&json!("no_show"), &json!("patient")));
}

#[actix_web::test]
async fn a_patient_without_a_clinics_record_keeps_their_own() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let path = ann.my(&format!("/infusions/{}", new_id(&app)));
    let mine =
        ann.put(&path, with(planned_for(after(app.now(), 60)), json!({ "supervised": false }))).send().await.created();
    assert_eq!((&mine.body["source"], &mine.body["supervised"]), (&json!("patient"), &json!(false)));
    let moved = json!({ "planned_start": after(app.now(), 120).to_string() });
    ann.patch(&path, moved).if_match(&mine.etag()).send().await.ok();
    app.wait(SignedDuration::from_mins(180));
    ann.act(&format!("{path}/start")).send().await.ok();
    app.wait(SignedDuration::from_mins(4));
    ann.post(&format!("{path}/end"), json!({})).send().await.ok();
    ann.act(&format!("{path}/start")).send().await.ok();
    let odd = json!({ "started_at": after(app.now(), -90).to_string() });
    ann.post(&format!("{path}/start"), odd).send().await.expect(409).refused("state_conflict");
}

#[actix_web::test]
async fn a_course_is_what_the_infusions_make_of_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let courses = async |who: &Person| who.get(&ann.of_theirs("/courses")).send().await.ok().items().to_vec();
    assert!(courses(&ann).await.is_empty());
    let (first, second, later) = (new_id(&app), new_id(&app), new_id(&app));
    let path = |id: &str| ann.of_theirs(&format!("/infusions/{id}"));
    let induction = with(completed(after(app.now(), -60)), json!({ "course": "induction" }));
    let tag = theo.put(&path(&first), induction).send().await.created().etag();
    theo.put(&path(&second), planned_for(after(app.now(), 3 * 24 * 60))).send().await.created();
    let keeping = with(planned_for(after(app.now(), 30 * 24 * 60)), json!({ "course": "maintenance" }));
    let kept = theo.put(&path(&later), keeping).send().await.created();
    assert_eq!(kept.body["course"], "maintenance");
    let told = courses(&theo).await;
    assert_eq!(told, courses(&ann).await, "both see the same");
    let brief: Vec<_> = told.iter().map(|one| (&one["kind"], &one["infusion_ids"], &one["completed"])).collect();
    assert_eq!(
        brief,
        [
            (&json!("induction"), &json!([first, second]), &json!(1)),
            (&json!("maintenance"), &json!([later]), &json!(0))
        ]
    );
    assert_eq!(told[0]["series_ends"], json!([second]));
    let odd =
        theo.patch(&path(&later), json!({ "course": "sometimes" })).if_match(&kept.etag()).send().await.expect(422);
    assert_eq!(odd.body["errors"][0]["pointer"], "/course");
    // Nobody has to say it twice: a kind that is taken back is that of its neighbours.
    theo.patch(&path(&first), json!({ "course": null })).if_match(&tag).send().await.ok();
    assert_eq!(courses(&theo).await[0].get("kind"), None);
}

#[actix_web::test]
async fn the_creating_body_come_again_changes_nothing() {
    let Clinic { app, ann, therapist, .. } = Clinic::open().await;
    let path = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    let start = after(app.now(), 60);
    let body = json!({ "status": "planned", "route": "im", "planned_start": start.to_string(), "dose_mg": 35 });
    let first = ann.put(&path, body.clone()).send().await.created();
    // Her phone has not seen the answer and is offline; the clinic moves the session meanwhile.
    let moved = json!({ "planned_start": after(start, 30).to_string(), "note": "Room 2 is taken." });
    let now = therapist.patch(&path, moved).if_match(&first.etag()).send().await.ok();
    let again = ann.put(&path, body.clone()).send().await.ok();
    assert_eq!((&again.body, again.etag()), (&now.body, now.etag()));
    // Written in another order and notation, it is the same body.
    let rewritten = json!({ "dose_mg": 35.0, "note": null, "planned_start": start.to_string().replace('Z', "+00:00"),
        "route": "im", "status": "planned", "distinct_from": [] });
    assert_eq!(ann.put(&path, rewritten).send().await.ok().body, now.body);
    // Another body is a change, and one that names a version is meant as one.
    ann.put(&path, with(body.clone(), json!({ "dose_mg": 40 }))).send().await.expect(409).refused("state_conflict");
    therapist.put(&path, with(body.clone(), json!({ "dose_mg": 40 }))).send().await.expect(428);
    let back = therapist.put(&path, body).if_match(&now.etag()).send().await.ok();
    assert_eq!((back.text("/planned_start"), back.body.get("note")), (start.to_string(), None));
}

#[actix_web::test]
async fn rule_a_weight_stays_the_number_that_was_sent() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    // 220.5 pounds, as a phone works it out.
    let weight = json!({ "weight_kg": 100.017_117_585_000_01 });
    let path = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    theo.put(&path, with(completed(app.now()), weight)).send().await.created();
    let shown = theo.get(&path).begin().await.text().await.unwrap();
    assert!(shown.contains(r#""weight_kg":100.01711758500001"#), "{shown}");
}

#[actix_web::test]
async fn a_pause_that_began_when_it_was_asked_for_is_asked_for_once() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let path = ann.my(&format!("/pauses/{}", new_id(&app)));
    let body = json!({ "until": after(app.now(), 24 * 60).to_string() });
    let first = ann.put(&path, body.clone()).send().await.created();
    app.wait(SignedDuration::from_mins(30));
    assert_eq!(ann.put(&path, body).send().await.ok().body, first.body, "the reply was lost; it still began then");
    let longer = json!({ "from": first.body["from"], "until": after(app.now(), 48 * 60).to_string() });
    let changed = ann.put(&path, longer).if_match(&first.etag()).send().await.ok();
    assert_eq!(changed.body["version"], 2);
}

#[actix_web::test]
async fn a_patch_is_a_patch_of_the_body_that_records_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = session(&app, &theo, &ann).await;
    app.wait(SignedDuration::from_mins(101));
    app::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    let path = ann.of_theirs(&format!("/infusions/{id}"));
    let provisional = theo.get(&path).send().await.ok();
    // Whoever adds a word to what nobody told confirms it.
    let noted = theo.patch(&path, json!({ "note": "Calm." })).if_match(&provisional.etag()).send().await.ok();
    assert_eq!((&noted.body["source"], &noted.body["ended_at"]), (&json!("clinic"), &provisional.body["ended_at"]));
    let tag = noted.etag();
    let cleared = theo.patch(&path, json!({ "note": null, "distinct_from": null })).if_match(&tag).send().await.ok();
    assert_eq!((cleared.body.get("note"), &cleared.body["distinct_from"]), (None, &json!([])));
    for (patch, pointer) in [
        (json!({ "supervised": null }), "/supervised"),
        (json!({ "route": null }), "/route"),
        (json!({ "ended_at": null }), "/ended_at"),
        (json!({ "dose_mg": "much" }), "/dose_mg"),
    ] {
        let refused = theo.patch(&path, patch).if_match(&cleared.etag()).send().await.expect(422);
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
    }
}
