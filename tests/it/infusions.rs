//! Infusions as they happen: who says that one is over, and whose word counts.

use afterglow::delivery::LogChannel;
use afterglow::jobs;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::journal::{reflection, two, with};
use crate::support::people::{Person, completed};
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
async fn rule_the_patient_says_i_am_done_and_the_clinic_has_the_last_word() {
    let app = TestApp::start().await;
    let (mut theo, mut ann) = two(&app).await;
    let id = session(&app, &theo, &ann).await;
    let start = app.now();
    let path = ann.my(&format!("/infusions/{id}"));
    let started = ann.act(&format!("{path}/start")).send().await.ok();
    assert_eq!((&started.body["status"], started.text("/started_at")), (&json!("planned"), start.to_string()));
    app.wait(SignedDuration::from_mins(45));
    theo.refreshed().await;
    ann.refreshed().await;
    let done = ann.post(&format!("{path}/end"), json!({})).send().await.ok();
    assert_eq!((&done.body["status"], &done.body["source"]), (&json!("completed"), &json!("patient")));
    assert_eq!(done.text("/ended_at"), after(start, 45).to_string());
    assert!(days(&ann, &id).await.len() > 8, "all days are planned");
    let driving = done.text("/driving");
    assert!(driving.starts_with("Please do not drive before Wednesday 11 March, 09:45"), "{driving}");
    assert_eq!(ann.post(&format!("{path}/end"), json!({})).send().await.ok().body, done.body, "twice is once");

    // The clinic knows better, under the same id; what Ann said stays beside it.
    let better = json!({ "started_at": start.to_string(), "ended_at": after(start, 38).to_string(), "dose_mg": 35.0 });
    let theirs = theo.post(&format!("{}/end", ann.of_theirs(&format!("/infusions/{id}"))), better).send().await.ok();
    assert_eq!((&theirs.body["source"], theirs.text("/ended_at")), (&json!("clinic"), after(start, 38).to_string()));
    assert_eq!(theirs.text("/reported/ended_at"), after(start, 45).to_string());
    // Ann may still say when she was done, and nothing else.
    let late = json!({ "ended_at": after(start, 44).to_string(), "dose_mg": 900.0 });
    let kept = ann.post(&format!("{path}/end"), late).send().await.ok();
    assert_eq!((kept.text("/ended_at"), &kept.body["dose_mg"]), (after(start, 38).to_string(), &json!(35.0)));
    assert_eq!(kept.text("/reported/ended_at"), after(start, 44).to_string());
    let tag = kept.etag();
    ann.patch(&path, json!({ "dose_mg": 50.0 })).if_match(&tag).send().await.expect(409).refused("state_conflict");
    ann.put(&path, completed(after(start, 20))).if_match(&tag).send().await.expect(409).refused("state_conflict");
}

#[actix_web::test]
async fn rule_an_end_that_nobody_told_is_the_planned_one_and_plans_two_days() {
    let app = TestApp::start().await;
    let (mut theo, mut ann) = two(&app).await;
    let id = session(&app, &theo, &ann).await;
    let start = app.now();
    let tick = async || jobs::tick(&app.server.state, &LogChannel, app.now()).await.unwrap();
    app.wait(SignedDuration::from_mins(99));
    tick().await;
    theo.refreshed().await;
    assert_eq!(infusion(&theo, &ann, &id).await["status"], "planned", "an hour has not passed since the planned end");
    app.wait(SignedDuration::from_mins(2));
    tick().await;
    theo.refreshed().await;
    let found = infusion(&theo, &ann, &id).await;
    assert_eq!((&found["status"], &found["source"]), (&json!("completed"), &json!("provisional")));
    assert_eq!(found["ended_at"], after(start, 40).to_string());
    ann.refreshed().await;
    assert_eq!(days(&ann, &id).await, [0, 1]);

    // The true end takes its place under the same id, and the rest is planned.
    let end = json!({ "ended_at": after(start, 55).to_string() });
    let told = theo.post(&format!("{}/end", ann.of_theirs(&format!("/infusions/{id}"))), end).send().await.ok();
    assert_eq!((&told.body["source"], told.text("/ended_at")), (&json!("clinic"), after(start, 55).to_string()));
    assert!(days(&ann, &id).await.len() > 8);

    // Another one, of which it turns out that nobody came.
    app.wait(SignedDuration::from_hours(24 * 20));
    theo.refreshed().await;
    let id = session(&app, &theo, &ann).await;
    app.wait(SignedDuration::from_mins(101));
    tick().await;
    theo.refreshed().await;
    let path = ann.of_theirs(&format!("/infusions/{id}"));
    let tag = theo.get(&path).send().await.ok().etag();
    let missed = theo.patch(&path, json!({ "status": "no_show" })).if_match(&tag).send().await.ok();
    assert_eq!((&missed.body["status"], missed.body.get("ended_at")), (&json!("no_show"), None));
    ann.refreshed().await;
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
    let answered = ann.prompts().await[0]["id"].as_str().unwrap().to_owned();
    ann.writes(with(reflection("Lake"), json!({ "prompt_id": answered, "occurred_at": app.now().to_string() }))).await;
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
    // Only the patient's report that counts can be joined, and only by the clinic.
    let other = ann.of_theirs(&format!("/infusions/{}", new_id(&app)));
    let again = with(completed(after(end, -60 * 24)), json!({ "same_as": hers }));
    theo.put(&other, again.clone()).send().await.expect(422);
    ann.put(&other, again).send().await.expect(422);
}

#[actix_web::test]
async fn a_patient_without_a_clinics_record_keeps_their_own() {
    let app = TestApp::start().await;
    let (_, mut ann) = two(&app).await;
    let path = ann.my(&format!("/infusions/{}", new_id(&app)));
    let mine =
        ann.put(&path, with(planned_for(after(app.now(), 60)), json!({ "supervised": false }))).send().await.created();
    assert_eq!((&mine.body["source"], &mine.body["supervised"]), (&json!("patient"), &json!(false)));
    let moved = json!({ "planned_start": after(app.now(), 120).to_string() });
    ann.patch(&path, moved).if_match(&mine.etag()).send().await.ok();
    app.wait(SignedDuration::from_mins(180));
    ann.refreshed().await;
    ann.act(&format!("{path}/start")).send().await.ok();
    app.wait(SignedDuration::from_mins(4));
    ann.post(&format!("{path}/end"), json!({})).send().await.ok();
    ann.act(&format!("{path}/start")).send().await.ok();
    let odd = json!({ "started_at": after(app.now(), -90).to_string() });
    ann.post(&format!("{path}/start"), odd).send().await.expect(409).refused("state_conflict");
}

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

#[actix_web::test]
async fn a_course_is_what_the_infusions_make_of_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let courses = async |who: &Person| {
        who.get(&ann.of_theirs("/courses")).send().await.ok().body["items"].as_array().unwrap().clone()
    };
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
