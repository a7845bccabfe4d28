//! Notes that come back to their writer on the date that they chose.

use std::sync::Arc;

use afterglow::db::schema::exercise_responses;
use afterglow::delivery::{MemoryChannel, TEXT};
use afterglow::kernel::id::Response;
use afterglow::kernel::{Entropy, Id, Zone};
use diesel::prelude::*;
use jiff::SignedDuration;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::delivery::work;
use crate::support::app::TestApp;
use crate::support::database::on_postgres;
use crate::support::journal::{two, with};
use crate::support::people::Person;
use crate::support::sql::Sql;
use crate::unreadable::Damaged;

const BODY: &str = "Dear me, the {lake} was still there";

async fn start() -> (Arc<TestApp>, Person, Person) {
    let app = TestApp::start_on_fixture().await;
    let (theo, ann) = two(&app).await;
    (app, theo, ann)
}

fn day(app: &TestApp, days: i64) -> Date {
    Zone::parse("Europe/Berlin").unwrap().date(app.now() + SignedDuration::from_hours(24 * days))
}

fn note(app: &TestApp, date: Option<Date>) -> Value {
    let mut answers = json!({ "body": BODY });
    if let Some(date) = date {
        answers["open_on"] = json!(date);
    }
    json!({ "exercise_key": "future-note", "exercise_version": 1, "occurred_at": app.now().to_string(), "answers": answers })
}

async fn all(ann: &Person) -> Vec<Value> {
    let path = "/prompts?from=2026-01-01&to=2027-12-01&limit=200";
    ann.get(&ann.my(path)).send().await.ok().items().to_vec()
}

/// The prompts that bring a note back: date, state and text.
async fn returning(ann: &Person) -> Vec<(Date, String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let row = |prompt: &Value| {
        let date = word(&prompt["detail"]["local_date"]).parse().unwrap();
        (date, word(&prompt["state"]), word(&prompt["detail"]["text"]))
    };
    all(ann).await.iter().filter(|prompt| prompt["rule_key"] == "note.returned").map(row).collect()
}

async fn states(ann: &Person) -> Vec<(Date, String)> {
    returning(ann).await.into_iter().map(|(date, state, _)| (date, state)).collect()
}

fn path(ann: &Person, id: &str) -> String {
    ann.my(&format!("/exercise-responses/{id}"))
}

async fn passes(app: &TestApp, channel: &MemoryChannel, days: i64) {
    for _ in 0..days * 24 {
        app.wait(SignedDuration::from_hours(1));
        work(app, channel).await;
    }
}

#[actix_web::test]
async fn rule_a_note_comes_back_to_its_writer_on_the_date_they_chose() {
    let (app, theo, ann) = start().await;
    let channel = MemoryChannel::default();
    let date = day(&app, 20);
    let id = ann.works(note(&app, Some(date))).await;
    ann.works(note(&app, None)).await;
    assert!(returning(&ann).await.is_empty(), "beyond the horizon");
    passes(&app, &channel, 19).await;
    assert_eq!(returning(&ann).await, [(date, "planned".to_owned(), format!("Text of note.returned. '{BODY}'"))]);
    let prompt = all(&ann).await.into_iter().find(|prompt| prompt["rule_key"] == "note.returned").unwrap();
    assert_eq!(prompt["detail"]["response_id"], json!(id));
    passes(&app, &channel, 2).await;
    assert_eq!(returning(&ann).await, [(date, "delivered".to_owned(), format!("Text of note.returned. '{BODY}'"))]);
    let sent: Vec<_> =
        channel.sent().into_iter().filter(|push| json!(push.prompt.to_string()) == prompt["id"]).collect();
    assert!(!sent.is_empty() && sent.iter().all(|push| push.text == TEXT), "{sent:?}");
    // A therapist sees neither the prompt nor that there is one.
    let seen = theo.get(&ann.of_theirs("/prompts?from=2026-01-01&to=2027-01-01&limit=200"));
    assert!(!seen.send().await.ok().body.to_string().contains("note.returned"));
    // What is read is the note as it is.
    ann.resumes(&id, json!({ "answers": { "body": "Dear me, go for a swim" } })).await;
    assert_eq!(returning(&ann).await[0].2, "Text of note.returned. 'Dear me, go for a swim'");
    let damaged = Damaged::new(&app, ("exercise_responses", "answers"), "version = 2", 0);
    assert_eq!(returning(&ann).await[0].2, "Plain text of note.returned.");
    damaged.mend(&app);
    // It came back once. Weeks later, another date brings it back again.
    passes(&app, &channel, 30).await;
    assert_eq!(states(&ann).await, [(date, "lapsed".to_owned())]);
    let later = day(&app, 3);
    ann.resumes(&id, json!({ "answers": { "open_on": later } })).await;
    assert_eq!(states(&ann).await, [(date, "lapsed".to_owned()), (later, "planned".to_owned())]);
}

#[actix_web::test]
async fn rule_a_note_follows_its_date_and_goes_with_its_response() {
    let (app, _, ann) = start().await;
    let (first, second) = (day(&app, 5), day(&app, 9));
    let id = ann.works(note(&app, Some(first))).await;
    assert_eq!(states(&ann).await, [(first, "planned".to_owned())]);
    ann.resumes(&id, json!({ "answers": { "open_on": second } })).await;
    assert_eq!(states(&ann).await, [(second, "planned".to_owned())], "the same prompt, moved");
    ann.delete(&path(&ann, &id)).send().await.no_content();
    assert_eq!(states(&ann).await, [(second, "cancelled".to_owned())]);
    ann.act(&format!("{}/undelete", path(&ann, &id))).send().await.ok();
    assert_eq!(states(&ann).await, [(second, "planned".to_owned())]);
    ann.resumes(&id, json!({ "answers": { "open_on": null } })).await;
    assert_eq!(states(&ann).await, [(second, "cancelled".to_owned())], "without a date it stays where it is");
    // Weeks later it is brought back under the id that it has.
    let channel = MemoryChannel::default();
    passes(&app, &channel, 40).await;
    let third = day(&app, 2);
    ann.resumes(&id, json!({ "answers": { "open_on": third } })).await;
    assert_eq!(states(&ann).await, [(third, "planned".to_owned())]);
    // Out, and then deleted: it is taken back.
    passes(&app, &channel, 3).await;
    assert_eq!(states(&ann).await, [(third, "delivered".to_owned())]);
    ann.delete(&path(&ann, &id)).send().await.no_content();
    assert_eq!(states(&ann).await, [(third, "cancelled".to_owned())]);
}

#[actix_web::test]
async fn rule_a_full_day_a_pause_or_a_session_does_not_lose_a_note() {
    let (app, theo, ann) = start().await;
    theo.records(&ann, app.now() - SignedDuration::from_hours(1)).await;
    let date = day(&app, 1);
    ann.works(note(&app, Some(date))).await;
    assert_eq!(states(&ann).await, [(date, "planned".to_owned())], "day 1 is full, and the note comes all the same");
    let id = crate::support::app::new_id(&app);
    let until = app.now() + SignedDuration::from_hours(48);
    let pause = json!({ "from": app.now().to_string(), "until": until.to_string() });
    ann.put(&ann.my(&format!("/pauses/{id}")), pause).send().await.created();
    assert_eq!(states(&ann).await, [(day(&app, 2), "planned".to_owned())], "on the first day after the pause");
}

#[actix_web::test]
async fn rule_a_note_for_today_has_the_rest_of_the_day() {
    let (app, _, ann) = start().await;
    let channel = MemoryChannel::default();
    let today = day(&app, 0);
    // In the morning, at noon, in the afternoon.
    for (n, wait) in [0, 4, 4].into_iter().enumerate() {
        app.wait(SignedDuration::from_hours(wait));
        work(&app, &channel).await;
        ann.works(note(&app, Some(today))).await;
        assert_eq!(states(&ann).await.len(), n + 1, "{:?}", app.now());
    }
    passes(&app, &channel, 1).await;
    let states = states(&ann).await;
    assert!(states.iter().all(|(date, state)| *date == today && state == "delivered"), "{states:?}");
    assert_eq!((states.len(), channel.sent().len()), (3, 3));
}

#[actix_web::test]
async fn rule_a_note_waits_for_the_end_of_a_pause_however_long_it_is() {
    for days in [5, 10, 25] {
        let (app, _, ann) = start().await;
        let channel = MemoryChannel::default();
        ann.works(note(&app, Some(day(&app, 1)))).await;
        let id = crate::support::app::new_id(&app);
        let until = app.now() + SignedDuration::from_hours(24 * days);
        let pause = json!({ "from": app.now().to_string(), "until": until.to_string() });
        ann.put(&ann.my(&format!("/pauses/{id}")), pause).send().await.created();
        passes(&app, &channel, days - 1).await;
        assert_eq!(channel.sent().len(), 0, "{days}");
        passes(&app, &channel, 2).await;
        let states = states(&ann).await;
        assert_eq!((states.len(), &*states[0].1, channel.sent().len()), (1, "delivered", 1), "{days}: {states:?}");
    }
}

#[actix_web::test]
async fn rule_a_note_that_expired_in_an_outage_comes_again() {
    // Without a worker for four, ten and forty days: a note is of use for three.
    for days in [4, 10, 40] {
        let (app, _, ann) = start().await;
        let channel = MemoryChannel::default();
        let date = day(&app, 2);
        let id = ann.works(note(&app, Some(date))).await;
        passes(&app, &channel, 1).await;
        assert_eq!(states(&ann).await, [(date, "planned".to_owned())]);
        app.wait(SignedDuration::from_hours(24 * (days + 1)));
        let now = day(&app, 0);
        passes(&app, &channel, 1).await;
        let found = returning(&ann).await;
        assert_eq!(found.len(), 2, "{days}: {found:?}");
        assert_eq!((found[0].0, &*found[0].1), (date, "lapsed"), "{days}");
        let back = (now, "delivered".to_owned(), format!("Text of note.returned. '{BODY}'"));
        assert_eq!(found[1], back, "{days}");
        assert!(is_marked(&app, &id).await, "{days}: it is out");
        let sent = channel.sent();
        let of = all(&ann).await.into_iter().filter(|prompt| prompt["detail"]["response_id"] == json!(id));
        let ids: Vec<_> = of.map(|prompt| prompt["id"].clone()).collect();
        let pushes = sent.iter().filter(|push| ids.contains(&json!(push.prompt.to_string()))).count();
        assert!(pushes >= 1, "{days}: {sent:?}");
        // The patient had it: once it has lapsed, it is over.
        passes(&app, &channel, 5).await;
        assert_eq!(states(&ann).await.len(), 2, "{days}");
        assert!(!is_marked(&app, &id).await, "{days}");
    }
    // What the patient has opened while no worker ran has come back to them.
    let (app, _, ann) = start().await;
    let channel = MemoryChannel::default();
    let id = ann.works(note(&app, Some(day(&app, 1)))).await;
    app.wait(SignedDuration::from_hours(48));
    let prompt = all(&ann).await.into_iter().find(|prompt| prompt["rule_key"] == "note.returned").unwrap();
    let path = format!("/prompts/{}/open", prompt["id"].as_str().unwrap());
    ann.post(&ann.my(&path), json!({})).send().await.ok();
    app.wait(SignedDuration::from_hours(24 * 4));
    passes(&app, &channel, 2).await;
    assert_eq!((states(&ann).await.len(), is_marked(&app, &id).await), (1, false));
}

/// Whether a response is marked as one with a date to come.
async fn is_marked(app: &TestApp, id: &str) -> bool {
    let id: Id<Response> = id.parse().unwrap();
    let read = app.server.state.db.read(move |tx| {
        let own = exercise_responses::table.filter(exercise_responses::id.eq(id));
        Ok(own.select(exercise_responses::date_to_come).first(tx.conn())?)
    });
    read.await.unwrap()
}

#[actix_web::test]
async fn rule_a_note_is_marked_from_its_writing_until_it_has_come_back() {
    let (app, _, ann) = start().await;
    let channel = MemoryChannel::default();
    let without = ann.works(note(&app, None)).await;
    let draft = ann.works(with(note(&app, Some(day(&app, 2))), json!({ "status": "draft" }))).await;
    let id = ann.works(note(&app, Some(day(&app, 2)))).await;
    assert!(is_marked(&app, &id).await && !is_marked(&app, &without).await && !is_marked(&app, &draft).await);
    ann.resumes(&id, json!({ "answers": { "open_on": null } })).await;
    assert!(!is_marked(&app, &id).await);
    let restore = format!("{}/revisions/1/restore", path(&ann, &id));
    let tag = ann.response(&id).await.ok().etag();
    ann.act(&restore).if_match(&tag).send().await.ok();
    assert!(is_marked(&app, &id).await, "the restored version has a date");
    ann.resumes(&draft, json!({ "status": "done" })).await;
    assert!(is_marked(&app, &draft).await);
    passes(&app, &channel, 3).await;
    assert!(is_marked(&app, &id).await, "it is out, and is taken back if the note is deleted");
    passes(&app, &channel, 4).await;
    assert!(!is_marked(&app, &id).await && !is_marked(&app, &draft).await, "it came back");
    assert_eq!(states(&ann).await.iter().filter(|(_, state)| state == "lapsed").count(), 2);
    ann.resumes(&id, json!({ "answers": { "open_on": day(&app, 3) } })).await;
    assert!(is_marked(&app, &id).await);
}

#[actix_web::test]
async fn rule_a_note_comes_back_however_much_was_done_since() {
    let (app, _, ann) = start().await;
    let id = ann.works(note(&app, Some(day(&app, 5)))).await;
    app.wait(SignedDuration::from_mins(1));
    ann.works(note(&app, None)).await;
    // More newer ones than any search of the newest reaches: copies of one, under ids of their own.
    let now = app.now();
    let copied = app.server.state.db.write(move |tx| {
        let columns = "version, meta, meta_rev, answers, answers_rev, distress, distress_rev, draft, prompt_id, \
                       assignment_id, occurred_at, received_at, updated_at, deleted_at, purge_at, date_to_come";
        for _ in 0..1100 {
            let copy = literal(Entropy::System.id(now));
            let sql = format!(
                "INSERT INTO exercise_responses (patient_id, id, {columns}) SELECT patient_id, {copy}, {columns} \
                 FROM exercise_responses WHERE NOT date_to_come LIMIT 1"
            );
            diesel::sql_query(sql).execute(tx.conn())?;
        }
        Ok(())
    });
    copied.await.unwrap();
    let later = day(&app, 7);
    ann.resumes(&id, json!({ "answers": { "open_on": later } })).await;
    assert_eq!(states(&ann).await, [(later, "planned".to_owned())]);
}

fn literal(id: Id<Response>) -> String {
    let hex = id.uuid().simple();
    if on_postgres() { format!("'{hex}'::uuid") } else { format!("x'{hex}'") }
}

#[actix_web::test]
async fn rule_a_note_whose_date_has_passed_when_it_arrives_comes_at_once() {
    let (app, _, ann) = start().await;
    let channel = MemoryChannel::default();
    for days in [-1, -200] {
        ann.works(note(&app, Some(day(&app, days)))).await;
    }
    ann.works(note(&app, Some("1900-01-01".parse().unwrap()))).await;
    passes(&app, &channel, 1).await;
    assert_eq!(channel.sent().len(), 3, "{:?}", states(&ann).await);
    passes(&app, &channel, 9).await;
    let states = states(&ann).await;
    assert!(states.len() == 3 && states.iter().all(|(_, state)| state == "lapsed"), "once: {states:?}");
    // Neither before 1900 nor after 2199.
    for date in ["1899-12-31", "2200-01-01"] {
        let mut body = note(&app, None);
        body["answers"]["open_on"] = json!(date);
        let id = crate::support::app::new_id(&app);
        let refused = ann.put(&path(&ann, &id), body).send().await.expect(422);
        assert!(refused.body.to_string().contains("/answers/open_on"), "{date}");
        ann.response(&id).await.not_found();
    }
}

#[actix_web::test]
async fn a_note_that_is_out_does_not_come_again_when_the_patient_tells_of_a_move_afterwards() {
    let (app, _, ann) = start().await;
    let channel = MemoryChannel::default();
    let date = day(&app, 1);
    ann.works(note(&app, Some(date))).await;
    passes(&app, &channel, 1).await;
    // In Honolulu, where she had been by then, it was still the day before.
    let moved_at = (app.now() - SignedDuration::from_hours(2)).to_string();
    ann.sets(json!({ "time_zone": "Pacific/Honolulu", "effective_at": moved_at })).await.ok();
    assert_eq!(states(&ann).await, [(date, "delivered".to_owned())]);
}

#[actix_web::test]
async fn a_note_that_is_put_off_to_the_date_that_it_is_given_then_is_over_once_it_has_lapsed() {
    let (app, _, ann) = start().await;
    let channel = MemoryChannel::default();
    let id = ann.works(note(&app, Some(day(&app, 1)))).await;
    passes(&app, &channel, 1).await;
    let prompt = all(&ann).await.into_iter().find(|prompt| prompt["rule_key"] == "note.returned").unwrap();
    let path = format!("/prompts/{}/snooze", prompt["id"].as_str().unwrap());
    ann.post(&ann.my(&path), json!({ "until": "tomorrow" })).send().await.ok();
    ann.resumes(&id, json!({ "answers": { "open_on": day(&app, 1) } })).await;
    passes(&app, &channel, 5).await;
    let states = states(&ann).await;
    assert_eq!((states.len(), &*states[0].1, is_marked(&app, &id).await), (1, "lapsed", false));
}

/// Marks all responses as ones with a date to come, or none.
fn mark_all(app: &TestApp, marked: bool) {
    Sql::open(&app.database.backend).run(&format!("UPDATE exercise_responses SET date_to_come = {marked}"));
}

#[actix_web::test]
async fn rule_no_note_is_refused_or_lost_beyond_the_number_that_is_planned_at_once() {
    let (app, _, ann) = start().await;
    let channel = MemoryChannel::default();
    let most = app.get("/v1/meta").send().await.ok().body["limits"]["dated_responses"].as_u64().unwrap();
    assert_eq!(most, 200);
    // The first to arrive, without a date for now. The others are marked at the end only: each plan reads what is marked.
    let undated = ann.works(note(&app, None)).await;
    let mut far = Vec::new();
    for n in 0..most {
        far.push(ann.works(note(&app, Some(day(&app, 400)))).await);
        if n % 20 == 0 {
            mark_all(&app, false);
        }
    }
    mark_all(&app, true);
    app.wait(SignedDuration::from_mins(1));
    let soon = day(&app, 2);
    let first = ann.works(note(&app, Some(soon))).await;
    app.wait(SignedDuration::from_mins(1));
    let second = ann.works(note(&app, Some(day(&app, 3)))).await;
    // Both are stored as they were written, and wait.
    assert_eq!(ann.response(&first).await.ok().body["answers"], json!({ "body": BODY, "open_on": soon }));
    passes(&app, &channel, 1).await;
    assert_eq!(states(&ann).await, []);
    ann.delete(&path(&ann, &far[0])).send().await.no_content();
    assert_eq!(states(&ann).await, [(soon, "planned".to_owned())], "there is room for one");
    // An older one that gets a date goes first, and what is planned already stays.
    ann.resumes(&undated, json!({ "answers": { "open_on": day(&app, 400) } })).await;
    assert_eq!(states(&ann).await, [(soon, "planned".to_owned())]);
    passes(&app, &channel, 2).await;
    assert_eq!(states(&ann).await, [(soon, "delivered".to_owned())]);
    // There is room again, for the other one too: it comes late, and goes with its response.
    for id in &far[1..4] {
        ann.delete(&path(&ann, id)).send().await.no_content();
    }
    passes(&app, &channel, 1).await;
    assert_eq!(states(&ann).await.iter().filter(|(_, state)| state == "delivered").count(), 2);
    ann.delete(&path(&ann, &second)).send().await.no_content();
    assert_eq!(states(&ann).await.iter().filter(|(_, state)| state == "cancelled").count(), 1);
}
