//! What a phone holds, compared with the data: after a restore it is told what was lost, and that is all it learns.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::limits::fill;
use crate::support::app::{Answer, TestApp, new_id};
use crate::support::journal::{reflection, two};
use crate::support::people::Person;
use crate::support::phone::{Phone, live, new_phone};
use crate::support::sql::Sql;
use crate::tasks::settled;

fn named(kind: &str, id: &str, version: i64) -> Value {
    json!({ "kind": kind, "id": id, "version": version })
}

fn tombstone(kind: &str, id: &str, version: i64) -> Value {
    json!({ "kind": kind, "id": id, "version": version, "deleted": true })
}

fn differs(kind: &str, id: &str, state: &str, version: i64) -> Value {
    json!({ "kind": kind, "id": id, "state": state, "version": version, "deleted": false })
}

async fn ask(person: &Person, have: &[Value]) -> Answer {
    person.post(&person.my("/integrity"), json!({ "epoch": "of another age", "have": have })).send().await
}

async fn compare(person: &Person, have: &[Value]) -> Value {
    ask(person, have).await.ok().body
}

#[track_caller]
fn is_equal(answer: &Value, phone: &Phone) {
    let expected = json!({
        "epoch": phone.epoch, "equal": phone.have().len(), "differ": [], "missing": [], "more": false,
        "cursor": answer["cursor"],
    });
    assert_eq!(*answer, expected);
}

async fn deletes_entry(person: &Person, id: &str) {
    let tag = person.entry(id).await.ok().etag();
    person.delete(&person.my(&format!("/entries/{id}"))).if_match(&tag).send().await.no_content();
}

/// What the tables that any request could write to hold.
fn written(app: &TestApp) -> String {
    #[derive(diesel::QueryableByName)]
    struct Sum {
        #[diesel(sql_type = diesel::sql_types::Text)]
        text: String,
    }
    let counts = "SELECT CAST((SELECT count(*) FROM changes) AS text) || ' ' || CAST((SELECT count(*) FROM audit_log) \
                  AS text) || ' ' || CAST((SELECT count(*) FROM idempotency_records) AS text) || ' ' || \
                  CAST((SELECT sum(change_seq) FROM patient_heads) AS text) || ' ' || \
                  CAST((SELECT sum(audit_seq) FROM patient_heads) AS text) AS text";
    let rows: Vec<Sum> = Sql::open(&app.database.backend).rows(counts);
    rows[0].text.clone()
}

#[actix_web::test]
async fn a_phone_that_has_pulled_everything_is_equal_whatever_it_lived_through() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut phones = [(1, new_phone(&ann).await), (200, new_phone(&ann).await)];
    for (_, phone) in &phones {
        is_equal(&phone.compare(&ann).await, phone);
    }
    for day in ["monday", "tuesday"] {
        live(&app, &theo, &ann).await;
        ann.sets(json!({ "weekly_day": day })).await.ok();
        app.wait(SignedDuration::from_hours(30));
        settled(&app).await;
        let prompt = ann.prompts().await.into_iter().find(|prompt| prompt["state"] == "planned").unwrap();
        let path = ann.my(&format!("/prompts/{}/snooze", prompt["id"].as_str().unwrap()));
        ann.post(&path, json!({ "until": "tomorrow" })).send().await.ok();
        for (limit, phone) in &mut phones {
            phone.pull(&ann, *limit).await;
            is_equal(&phone.compare(&ann).await, phone);
        }
    }
    // What was deleted has lost its words; its tombstones are as they were.
    app.wait(SignedDuration::from_hours(24 * 40));
    settled(&app).await;
    let link = phones[0].1.of_kind("care_link")[0]["id"].as_str().unwrap().to_owned();
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    for (limit, phone) in &mut phones {
        phone.pull(&ann, *limit).await;
        assert!(phone.tombstones.len() > 5, "{}", phone.tombstones.len());
        is_equal(&phone.compare(&ann).await, phone);
    }
    let new = new_phone(&ann).await;
    assert!(new.tombstones.is_empty());
    is_equal(&new.compare(&ann).await, &new);
}

#[actix_web::test]
async fn an_older_version_of_the_history_is_behind_a_first_one_too() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let (kept, gone) = (ann.writes(reflection("Lake")).await, ann.writes(reflection("Gone")).await);
    let phone = new_phone(&ann).await;
    ann.edits(&kept, json!({ "tags": ["shore"] })).await;
    ann.edits(&kept, json!({ "tags": ["takeaway"] })).await;
    deletes_entry(&ann, &gone).await;
    // Settings are made with their patient, by no change.
    ann.sets(json!({ "weekly_day": "friday" })).await.ok();
    let answer = phone.compare(&ann).await;
    let differ: BTreeSet<String> = answer["differ"].as_array().unwrap().iter().map(Value::to_string).collect();
    let mut deleted = differs("entry", &gone, "behind", 2);
    deleted["deleted"] = json!(true);
    let expected = [deleted, differs("entry", &kept, "behind", 3), differs("settings", &ann.patient, "behind", 2)];
    assert_eq!(differ, expected.iter().map(Value::to_string).collect(), "a tombstone is told: no first pull brings it");
    assert_eq!(answer["equal"], phone.have().len() - 3);
    assert_eq!((&answer["missing"], &answer["more"]), (&json!([]), &json!(false)));
}

/// The data of a backup: without the last versions, and without the history that made them.
#[actix_web::test]
async fn after_a_restore_lost_versions_are_ahead_and_diverged_and_lost_things_unknown() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let (ahead, diverged) = (ann.writes(reflection("Lake")).await, ann.writes(reflection("River")).await);
    let infusion = ann.records(&ann, app.now()).await;
    let path = ann.my(&format!("/infusions/{infusion}"));
    let tag = ann.get(&path).send().await.ok().etag();
    ann.patch(&path, json!({ "dose_mg": 40 })).if_match(&tag).send().await.ok();
    for entry in [&ahead, &diverged] {
        ann.edits(entry, json!({ "tags": ["shore"] })).await;
    }
    let lost = ann.writes(reflection("Lost")).await;
    let phone = new_phone(&ann).await;
    let mut sql = Sql::open(&app.database.backend);
    for (table, id) in [("entries", &ahead), ("entries", &diverged), ("infusions", &infusion)] {
        let id = sql.id(id);
        sql.run(&format!("DELETE FROM changes WHERE entity_id = {id} AND version = 2"));
        sql.run(&format!("UPDATE {table} SET version = 1 WHERE id = {id}"));
    }
    let id = sql.id(&lost);
    sql.run(&format!("DELETE FROM changes WHERE entity_id = {id}; DELETE FROM entries WHERE id = {id}"));
    // Life goes on, above the floor of versions.
    let id = sql.id(&diverged);
    sql.run(&format!("UPDATE entries SET version = 9 WHERE id = {id}"));
    ann.edits(&diverged, json!({ "tags": ["other"] })).await;
    let answer = phone.compare(&ann).await;
    let differ: BTreeSet<String> = answer["differ"].as_array().unwrap().iter().map(Value::to_string).collect();
    let expected = [
        differs("entry", &ahead, "ahead", 1),
        differs("entry", &diverged, "diverged", 10),
        differs("entry", &lost, "unknown", 0),
        differs("infusion", &infusion, "ahead", 1),
    ];
    assert_eq!(differ, expected.iter().map(Value::to_string).collect());
    assert_eq!(answer["equal"], phone.have().len() - 4, "the rest is as it was");
    assert_eq!(answer["missing"], json!([]));
    // The first version stands in the history, and a forged one does not.
    let older = compare(&ann, &[named("entry", &diverged, 1), named("entry", &diverged, 5)]).await;
    let expected = [differs("entry", &diverged, "behind", 10), differs("entry", &diverged, "diverged", 10)];
    assert_eq!(older["differ"], json!(expected));
}

#[actix_web::test]
async fn of_one_version_a_tombstone_and_a_thing_differ_and_two_tombstones_do_not() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (kept, gone) = (ann.writes(reflection("Lake")).await, ann.writes(reflection("Gone")).await);
    ann.opens(&gone, &["text"], &theo).await;
    let thread = ann.of_theirs(&format!("/entries/{gone}/comments/{}", new_id(&app)));
    let comment = theo.put(&thread, json!({ "body": "Thank you." })).send().await.created().text("/id");
    deletes_entry(&ann, &gone).await;
    let asked = [
        named("entry", &gone, 2),
        tombstone("entry", &gone, 2),
        tombstone("entry", &kept, 1),
        named("entry", &kept, 1),
        named("comment", &comment, 1),
    ];
    let mut there = differs("entry", &gone, "deleted", 2);
    there["deleted"] = json!(true);
    let answer = compare(&ann, &asked).await;
    assert_eq!(answer["differ"], json!([there, differs("entry", &kept, "deleted", 1)]), "in the order of the request");
    assert_eq!(answer["equal"], 3);
    // A phone that removed the comments with their entry lacks nothing.
    let kinds = |answer: &Value| -> BTreeSet<String> {
        answer["missing"].as_array().unwrap().iter().map(|thing| thing["kind"].to_string()).collect()
    };
    assert!(!kinds(&compare(&ann, &asked[..4]).await).contains("\"comment\""));
    // When the entry can come back no more its comments are gone with their rows.
    app.wait(SignedDuration::from_hours(24 * 31));
    settled(&app).await;
    let mut left = differs("comment", &comment, "deleted", 1);
    left["deleted"] = json!(true);
    let answer = compare(&ann, &[named("comment", &comment, 1), tombstone("comment", &comment, 0)]).await;
    assert_eq!((&answer["differ"], &answer["equal"]), (&json!([left]), &json!(1)));
    assert_eq!(compare(&ann, &[tombstone("entry", &gone, 2)]).await["equal"], 1);
}

#[actix_web::test]
async fn what_a_phone_lacks_is_missing_and_what_was_deleted_is_not() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let early = new_phone(&ann).await;
    live(&app, &theo, &ann).await;
    let late = new_phone(&ann).await;
    let answer = early.compare(&ann).await;
    let expected: Vec<Value> = late
        .have()
        .into_iter()
        .filter(|thing| !early.have().iter().any(|held| held["id"] == thing["id"] && held["kind"] == thing["kind"]))
        .collect();
    let key = |thing: &Value| (thing["kind"].to_string(), thing["id"].to_string());
    let mut missing = answer["missing"].as_array().unwrap().clone();
    missing.sort_by_key(key);
    assert!(missing.len() > 10, "{answer}");
    assert_eq!(missing, expected);
    let kinds: BTreeSet<&str> = missing.iter().map(|thing| thing["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 9, "all but the settings and the care link: {kinds:?}");
    assert_eq!(compare(&ann, &[]).await["missing"].as_array().unwrap().len(), late.have().len());
}

#[actix_web::test]
async fn the_missing_are_bounded() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let pause = json!({ "from": "2026-04-01T00:00:00Z", "until": "2026-04-05T00:00:00Z" });
    ann.put(&ann.my(&format!("/pauses/{}", new_id(&app))), pause).send().await.created();
    fill(&app, "pauses", "patient_id, id=id, doc, version, created_at, updated_at", 5001);
    let answer = compare(&ann, &[]).await;
    assert_eq!(answer["missing"].as_array().unwrap().len(), 5000);
    assert_eq!(answer["more"], true);
    let limits = app.get("/v1/meta").send().await.ok().body["limits"].clone();
    assert_eq!(limits["integrity_items"], 5000);
}

#[actix_web::test]
async fn others_and_their_things_are_unknown() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let bea = app.patient(&theo, "Bea Holt").await;
    live(&app, &theo, &ann).await;
    let (hers, mut own) = (new_phone(&ann).await, new_phone(&bea).await);
    own.things.extend(hers.things.clone());
    let answer = own.compare(&bea).await;
    let expected: Vec<Value> = hers
        .have()
        .iter()
        .map(|thing| differs(thing["kind"].as_str().unwrap(), thing["id"].as_str().unwrap(), "unknown", 0))
        .collect();
    let mut differ = answer["differ"].as_array().unwrap().clone();
    differ.sort_by_key(|thing| (thing["kind"].to_string(), thing["id"].to_string()));
    assert_eq!(differ, expected);
    assert_eq!(answer["missing"], json!([]));
    // The same of an id that was never given, of another kind than its own, and of a kind that is not known here.
    let entry = own.of_kind("settings")[0]["id"].as_str().unwrap().to_owned();
    let nobody = new_id(&app);
    let asked = [named("entry", &nobody, 1), named("entry", &entry, 1), named("poem", &nobody, 3)];
    let answer = compare(&bea, &asked).await;
    let states: Vec<&str> =
        answer["differ"].as_array().unwrap().iter().map(|thing| thing["state"].as_str().unwrap()).collect();
    assert_eq!((states, &answer["equal"]), (vec!["unknown"; 3], &json!(0)));
    assert_eq!(answer["differ"][2], differs("poem", &nobody, "unknown", 0));
}

#[actix_web::test]
async fn the_request_is_bounded_and_the_door_is_the_owners() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let phone = new_phone(&ann).await;
    let asked = json!({ "epoch": phone.epoch, "have": phone.have() });
    theo.post(&ann.of_theirs("/integrity"), asked.clone()).send().await.expect(403);
    let bea = app.patient(&theo, "Bea Holt").await;
    bea.post(&ann.of_theirs("/integrity"), asked).send().await.not_found();
    let id = new_id(&app);
    let many = |count: usize| vec![named("exercise_response", &id, i64::MAX); count];
    assert_eq!(compare(&ann, &many(5000)).await["differ"].as_array().unwrap().len(), 5000);
    let refused = ask(&ann, &many(5001)).await.expect(422);
    assert_eq!(refused.body["errors"][0]["pointer"], "/have");
    for (wrong, pointer) in [
        (named("entry", &id, -1), "/have/0/version"),
        (named(&"x".repeat(65), &id, 1), "/have/0/kind"),
        (named("entry", "lake", 1), "/have/0/id"),
    ] {
        assert_eq!(ask(&ann, &[wrong]).await.expect(422).body["errors"][0]["pointer"], pointer);
    }
}

#[actix_web::test]
async fn a_comparison_writes_nothing_and_opens_nothing() {
    let app: Arc<TestApp> = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let phone = new_phone(&ann).await;
    live(&app, &theo, &ann).await;
    let mut sql = Sql::open(&app.database.backend);
    for (table, column) in [("entries", "text"), ("infusions", "doc"), ("prompts", "doc"), ("grants", "doc")] {
        let nothing = if matches!(sql, Sql::Sqlite(_)) { "x'00'" } else { "decode('00', 'hex')" };
        sql.run(&format!("UPDATE {table} SET {column} = {nothing}"));
    }
    let before = written(&app);
    let answer = phone.compare(&ann).await;
    assert!(answer["missing"].as_array().unwrap().len() > 10, "damaged rows have versions: {answer}");
    assert_eq!(written(&app), before);
}
