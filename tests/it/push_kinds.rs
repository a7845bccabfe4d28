//! Comments and pauses that phones push: each by the rule of its kind.

use reqwest::Method;
use serde_json::{Value, json};

use crate::push::changes;
use crate::support::app::{TestApp, new_id};
use crate::support::journal::{reflection, two};
use crate::support::people::Person;
use crate::support::phone::{is, mutation, new_phone};

/// The mutation of a new comment.
fn comment(person: &Person, id: &str, entry: &str, thread: &str, body: &str) -> Value {
    mutation(person, "comment", id, 0, json!({ "entry_id": entry, "thread_id": thread, "body": body }))
}

/// The link between a patient and a therapist.
async fn link(ann: &Person, theo: &Person) -> String {
    let links = ann.care_links().await;
    links.iter().find(|link| link["name"] == json!(theo.name)).unwrap()["id"].as_str().unwrap().to_owned()
}

/// The texts of the comments on an entry that somebody is shown.
async fn texts(reader: &Person, path: &str) -> Vec<String> {
    let list = reader.get(&format!("{path}/comments")).send().await.ok();
    let mut texts: Vec<_> = list.items().iter().map(|one| one["body"].as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

#[actix_web::test]
async fn a_comment_that_was_written_offline_is_stored_once_and_its_words_do_not_change() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (entry, thread) = (ann.writes(reflection("Lake")).await, link(&ann, &theo).await);
    ann.opens(&entry, &["text"], &theo).await;
    let (path, id) = (ann.of_theirs(&format!("/entries/{entry}")), new_id(&app));
    let sent = comment(&ann, &id, &entry, &thread, "Thank you.");
    let first = ann.pushes(&sent).await;
    assert_eq!((&first["status"], &first["version"]), (&json!("applied"), &json!(1)), "{first:#}");
    assert_eq!(texts(&theo, &path).await, ["Thank you."], "it is no other than one that was put");
    let before = changes(&app);
    let again = ann.pushes(&sent).await;
    assert_eq!((&again["status"], &again["was"]), (&json!("replayed"), &json!("applied")));
    // The answer was lost, and the phone sends it anew; by the other door; and the other way round.
    is(&ann.pushes(&comment(&ann, &id, &entry, &thread, "Thank you.")).await, "applied");
    let rest =
        |id: &str| ann.put(&format!("{path}/comments/{id}"), json!({ "body": "Thank you.", "thread_id": thread }));
    rest(&id).send().await.ok();
    assert_eq!(changes(&app), before);
    let other = new_id(&app);
    rest(&other).send().await.created();
    is(&ann.pushes(&comment(&ann, &other, &entry, &thread, "Thank you.")).await, "applied");
    // Other words under its id, on either phone, and words under the id of the therapist's.
    let theirs = new_id(&app);
    theo.put(&format!("{path}/comments/{theirs}"), json!({ "body": "Well done." })).send().await.created();
    for (id, holds) in [(&id, "Thank you."), (&theirs, "Well done.")] {
        let clash = ann.pushes(&comment(&ann, id, &entry, &thread, "No.")).await;
        assert_eq!((&clash["status"], &clash["sections"]), (&json!("conflict"), &json!(["body"])));
        assert_eq!((&clash["current"]["body"], &clash["current"]["id"]), (&json!(holds), &json!(id)));
    }
    // A phone that sends all it holds to a restored server does not say what others said.
    let mut echo = comment(&ann, &new_id(&app), &entry, &thread, "Well done.");
    echo["author_id"] = json!(theo.account);
    let refused = ann.pushes(&echo).await;
    assert_eq!((&refused["status"], &refused["problem"]["code"]), (&json!("rejected"), &json!("not_found")));
    for op in ["delete", "undelete", "open"] {
        let sent = mutation(&ann, "comment", &id, 1, json!({ "op": op }));
        is(&ann.pushes(&sent).await, "rejected");
    }
    assert_eq!(texts(&ann, &path).await, ["Thank you.", "Thank you.", "Well done."]);
}

#[actix_web::test]
async fn a_comment_into_a_closed_thread_is_held_and_is_the_patients_alone_for_good() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (entry, thread) = (ann.writes(reflection("Lake")).await, link(&ann, &theo).await);
    let grant = ann.opens(&entry, &["text"], &theo).await;
    let path = ann.of_theirs(&format!("/entries/{entry}"));
    theo.says(&format!("{path}/comments"), json!({ "body": "Tell me more." })).send().await.created();
    ann.revokes(&grant).await;
    let id = new_id(&app);
    let sent = comment(&ann, &id, &entry, &thread, "I was afraid.");
    let held = ann.pushes(&sent).await;
    assert_eq!((&held["status"], &held["code"]), (&json!("merged"), &json!("thread_closed")), "{held:#}");
    assert_eq!((&held["item"]["held"], &held["warnings"][0]["pointer"]), (&json!(true), &json!("/thread_id")));
    let again = ann.pushes(&sent).await;
    assert_eq!(
        (&again["status"], &again["was"], &again["item"]),
        (&json!("replayed"), &json!("merged"), &held["item"])
    );
    let anew = ann.pushes(&comment(&ann, &id, &entry, &thread, "I was afraid.")).await;
    assert_eq!((&anew["status"], &anew["item"]), (&json!("merged"), &held["item"]));
    // By the other door the person is there to hear of it: nothing is stored.
    let here = json!({ "body": "Now.", "thread_id": thread });
    ann.says(&format!("{path}/comments"), here).send().await.expect(409);
    // A thread of nobody's, of another patient's, and none: the words are kept.
    let bea = app.patient(&theo, "Bea Holt").await;
    let foreign = link(&bea, &theo).await;
    let mut none = comment(&ann, &new_id(&app), &entry, "", "Three.");
    none.as_object_mut().unwrap().remove("thread_id");
    for (sent, says) in [
        (comment(&ann, &new_id(&app), &entry, &new_id(&app), "One."), "One."),
        (comment(&ann, &new_id(&app), &entry, &foreign, "Two."), "Two."),
        (none, "Three."),
    ] {
        let result = ann.pushes(&sent).await;
        assert_eq!((&result["status"], &result["item"]["body"]), (&json!("merged"), &json!(says)), "{result:#}");
        assert_eq!((&result["item"]["held"], result["item"].get("thread_id")), (&json!(true), None));
    }
    // The thread opens again: what was held stays with the patient, by every door.
    ann.opens(&entry, &["text"], &theo).await;
    assert_eq!(texts(&theo, &path).await, ["Tell me more."]);
    let probe = theo.put(&format!("{path}/comments/{id}"), json!({ "body": "I was afraid." })).send().await;
    probe.expect(409).refused("already_exists");
    let mine = ann.get(&format!("{path}/comments")).send().await.ok();
    let held: Vec<(&Value, Option<&Value>)> = mine.items().iter().map(|one| (&one["body"], one.get("held"))).collect();
    let yes = json!(true);
    let bodies = ["I was afraid.", "One.", "Two.", "Three."].map(|body| json!(body));
    for body in &bodies {
        assert!(held.contains(&(body, Some(&yes))), "{held:?}");
    }
    assert!(held.contains(&(&json!("Tell me more."), None)), "{held:?}");
    let phone = new_phone(&ann).await;
    let pulled: Vec<_> = phone.of_kind("comment").into_iter().filter(|one| one["held"] == true).collect();
    assert_eq!(pulled.len(), 4);
    assert_eq!(phone.item("comment", &id)["thread_id"], json!(thread));
    assert_eq!(phone.compare(&ann).await["differ"], json!([]));
}

#[actix_web::test]
async fn a_comment_about_a_deleted_entry_goes_and_comes_back_with_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (entry, thread) = (ann.writes(reflection("Lake")).await, link(&ann, &theo).await);
    ann.opens(&entry, &["text"], &theo).await;
    is(&ann.pushes(&mutation(&ann, "entry", &entry, 1, json!({ "op": "delete" }))).await, "applied");
    let late = comment(&ann, &new_id(&app), &entry, &thread, "Later.");
    let held = ann.pushes(&late).await;
    assert_eq!((&held["status"], &held["item"]["held"]), (&json!("merged"), &json!(true)), "{held:#}");
    is(&ann.pushes(&mutation(&ann, "entry", &entry, 2, json!({ "op": "undelete" }))).await, "applied");
    let path = ann.of_theirs(&format!("/entries/{entry}"));
    assert_eq!(texts(&ann, &path).await, ["Later."]);
    // Of an entry that is not there, or is another patient's, there is no place for words.
    let bea = app.patient(&theo, "Bea Holt").await;
    let foreign = bea.writes(reflection("Hers")).await;
    for entry in [&new_id(&app), &foreign] {
        let refused = ann.pushes(&comment(&ann, &new_id(&app), entry, &thread, "Lost.")).await;
        assert_eq!((&refused["status"], &refused["problem"]["code"]), (&json!("rejected"), &json!("not_found")));
    }
    let bad = ann.pushes(&comment(&ann, &new_id(&app), &entry, &thread, " ")).await;
    assert_eq!(
        (&bad["problem"]["code"], &bad["problem"]["errors"][0]["pointer"]),
        (&json!("invalid"), &json!("/body"))
    );
}

#[actix_web::test]
async fn a_pause_is_one_value_and_ended_is_final() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let april = |day: &str| json!({ "fields": { "from": "2026-04-01T00:00:00Z", "until": format!("2026-04-{day}T00:00:00Z") } });
    let id = new_id(&app);
    let new = mutation(&ann, "pause", &id, 0, april("05"));
    is(&ann.pushes(&new).await, "applied");
    let listed = async || {
        let list = ann.get(&ann.my("/pauses")).send().await.ok();
        list.items().iter().map(|one| one["until"].as_str().unwrap()[8..10].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, ["05"]);
    // The answer was lost: by either door nothing is new.
    let before = changes(&app);
    is(&ann.pushes(&new).await, "replayed");
    is(&ann.pushes(&mutation(&ann, "pause", &id, 0, april("05"))).await, "applied");
    ann.put(&ann.my(&format!("/pauses/{id}")), april("05")["fields"].clone()).send().await.ok();
    assert_eq!(changes(&app), before);
    // Two phones: the first changes it, the second had not seen that.
    is(&ann.pushes(&mutation(&ann, "pause", &id, 1, april("06"))).await, "applied");
    let late = ann.pushes(&mutation(&ann, "pause", &id, 1, april("09"))).await;
    assert_eq!((&late["status"], &late["sections"]), (&json!("conflict"), &json!(["fields"])), "{late:#}");
    assert_eq!(
        (&late["current"]["version"], &late["current"]["fields"]["until"]),
        (&json!(2), &json!("2026-04-06T00:00:00Z"))
    );
    let same = ann.pushes(&mutation(&ann, "pause", &id, 1, april("06"))).await;
    assert_eq!((&same["status"], &same["item"]["version"]), (&json!("merged"), &json!(2)), "both said the same");
    is(&ann.pushes(&mutation(&ann, "pause", &id, 2, april("05"))).await, "applied");
    assert_eq!(listed().await, ["05"], "also back to what it was at first");
    // Ended, in both orders.
    let end = |base| mutation(&ann, "pause", &id, base, json!({ "op": "delete" }));
    let ended = end(1);
    let told = ann.pushes(&ended).await;
    assert_eq!((&told["status"], &told["version"]), (&json!("applied"), &json!(4)), "{told:#}");
    assert!(listed().await.is_empty());
    is(&ann.pushes(&ended).await, "replayed");
    is(&ann.pushes(&end(3)).await, "applied");
    let late = ann.pushes(&mutation(&ann, "pause", &id, 3, april("20"))).await;
    assert_eq!((&late["status"], &late["item"]["deleted"]), (&json!("merged"), &json!(true)), "{late:#}");
    assert!(listed().await.is_empty());
    let unknown = mutation(&ann, "pause", &new_id(&app), 3, json!({ "op": "delete" }));
    is(&ann.pushes(&unknown).await, "applied");
    let gone = ann.pushes(&mutation(&ann, "pause", &new_id(&app), 3, april("20"))).await;
    assert_eq!((&gone["status"], gone.get("current")), (&json!("conflict"), None));
    // What is wrong is told where it stands; another patient's pause is none of hers.
    let bea = app.patient(&theo, "Bea Holt").await;
    let hers = new_id(&app);
    bea.put(&bea.my(&format!("/pauses/{hers}")), april("05")["fields"].clone()).send().await.created();
    is(&ann.pushes(&mutation(&ann, "pause", &hers, 1, json!({ "op": "delete" }))).await, "applied");
    assert_eq!(bea.get(&bea.my("/pauses")).send().await.ok().items().len(), 1);
    let wrong = ann.pushes(&mutation(&ann, "pause", &new_id(&app), 0, json!({ "fields": { "until": "soon" } }))).await;
    assert_eq!(wrong["problem"]["errors"][0]["pointer"], "/fields/until", "{wrong:#}");
    is(&ann.pushes(&mutation(&ann, "pause", &new_id(&app), 0, json!({}))).await, "rejected");
    ann.request(Method::GET, &ann.my("/pauses")).send().await.ok();
}

/// What the patient's settings are.
async fn me(ann: &Person) -> Value {
    ann.get("/v1/me").send().await.ok().body["settings"].clone()
}

#[actix_web::test]
async fn settings_are_merged_field_by_field_and_the_zones_are_a_set() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = ann.patient.clone();
    let sets = |base: i64, fields: Value| mutation(&ann, "settings", &id, base, json!({ "fields": fields }));
    let base = new_phone(&ann).await.item("settings", &id)["version"].as_i64().unwrap();
    // A phone that sends all it shows changes what it changed.
    let one = sets(base, json!({ "weekly_day": "friday", "quiet_hours": { "from": "22:00", "to": "07:00" } }));
    let first = ann.pushes(&one).await;
    assert_eq!((&first["status"], &first["version"]), (&json!("applied"), &json!(base + 1)), "{first:#}");
    let before = changes(&app);
    is(&ann.pushes(&one).await, "replayed");
    assert_eq!(changes(&app), before);
    // The second phone had not seen that. It says what the first was, and other things.
    let stale =
        sets(base, json!({ "weekly_day": "sunday", "country": "DE", "notifications": false, "colour": "blue" }));
    let merged = ann.pushes(&stale).await;
    is(&merged, "merged");
    let fields = &merged["item"]["fields"];
    assert_eq!(
        [&fields["weekly_day"], &fields["country"], &fields["notifications"], &fields["quiet_hours"]["from"]],
        [&json!("friday"), &json!("DE"), &json!(false), &json!("22:00")]
    );
    assert_eq!(merged["warnings"][0]["pointer"], "/fields/colour");
    assert_eq!(me(&ann).await["weekly_day"], "friday");
    let again = ann.pushes(&stale).await;
    assert_eq!((&again["was"], &again["item"]), (&json!("merged"), &merged["item"]));
    // The same field to two values: nothing is stored, also of the rest. And both to one value.
    let before = changes(&app);
    let clash = ann.pushes(&sets(base, json!({ "weekly_day": "monday", "locale": "de" }))).await;
    assert_eq!((&clash["status"], &clash["sections"]), (&json!("conflict"), &json!(["weekly_day"])), "{clash:#}");
    assert_eq!(clash["current"]["fields"]["weekly_day"], "friday");
    is(&ann.pushes(&sets(base, json!({ "weekly_day": "friday" }))).await, "merged");
    assert_eq!((changes(&app), &me(&ann).await["locale"]), (before, &json!("en")));
    // By the other door in between: what a therapist changes of the plan is no field of the patient's.
    ann.sets(json!({ "locale": "de" })).await.ok();
    is(&ann.pushes(&sets(base + 2, json!({ "country": null }))).await, "merged");
    assert_eq!(me(&ann).await.get("country"), None);
    // Moves: told late and out of order, of a clock that runs ahead, and unreadable.
    let now = app.now();
    let ago = |hours: i64| now.checked_sub(jiff::SignedDuration::from_hours(hours)).unwrap().to_string();
    let ahead = now.checked_add(jiff::SignedDuration::from_hours(48)).unwrap().to_string();
    let zones = |list: Value| json!({ "zones": list });
    let period = |zone: &str, from: &str| json!({ "time_zone": zone, "from": from });
    app.wait(jiff::SignedDuration::from_hours(100));
    let version = me(&ann).await["version"].as_i64().unwrap();
    let later = app.now().checked_sub(jiff::SignedDuration::from_hours(10)).unwrap().to_string();
    is(&ann.pushes(&sets(version, zones(json!([period("Asia/Tokyo", &later)])))).await, "applied");
    let told = ann.pushes(&sets(version, zones(json!([period("America/New_York", &ahead)])))).await;
    is(&told, "merged");
    let names = |list: &Value| {
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["time_zone"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&told["item"]["fields"]["zones"]), ["Europe/Berlin", "America/New_York", "Asia/Tokyo"]);
    assert_eq!(me(&ann).await["time_zone"], "Asia/Tokyo", "what was told of later days stands");
    let before = changes(&app);
    is(&ann.pushes(&sets(version, zones(told["item"]["fields"]["zones"].clone()))).await, "merged");
    assert_eq!(changes(&app), before, "what is known is not added");
    let tomorrow = app.now().checked_add(jiff::SignedDuration::from_hours(30)).unwrap().to_string();
    let odd = zones(json!([period("Europe/Paris", &tomorrow), period("Mars/Olympus", &ago(1)), 7]));
    let odd = ann.pushes(&sets(version, odd)).await;
    assert_eq!(odd["warnings"].as_array().unwrap().len(), 4, "{odd:#}");
    assert_eq!(me(&ann).await["time_zone"], "Europe/Paris");
    assert_eq!(names(&me(&ann).await["zones"]).len(), 4);
    // Another patient's, and what cannot be.
    let bea = app.patient(&theo, "Bea Holt").await;
    let hers = mutation(&ann, "settings", &bea.patient, 1, json!({ "fields": { "locale": "fr" } }));
    assert_eq!(ann.pushes(&hers).await["problem"]["code"], "not_found");
    assert_eq!(me(&bea).await["locale"], "en");
    let wrong = ann.pushes(&sets(version, json!({ "quiet_hours": { "from": "1", "to": "08:00" } }))).await;
    assert_eq!(wrong["problem"]["errors"][0]["pointer"], "/fields/quiet_hours/from", "{wrong:#}");
}

#[actix_web::test]
async fn a_patient_who_has_come_home_is_at_home_in_whatever_order_a_phone_lists_the_moves() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    app.wait(jiff::SignedDuration::from_hours(100));
    let moved = |zone: &str, hours: i64| {
        let from = app.now().checked_sub(jiff::SignedDuration::from_hours(hours)).unwrap().to_string();
        json!({ "time_zone": zone, "from": from })
    };
    let zones = json!({ "fields": { "zones": [moved("Europe/Berlin", 10), moved("Asia/Tokyo", 50)] } });
    let version = me(&ann).await["version"].as_i64().unwrap();
    is(&ann.pushes(&mutation(&ann, "settings", &ann.patient, version, zones)).await, "applied");
    let settings = me(&ann).await;
    let stored: Vec<_> = settings["zones"].as_array().unwrap().iter().map(|one| one["time_zone"].clone()).collect();
    assert_eq!(stored, ["Europe/Berlin", "Asia/Tokyo", "Europe/Berlin"]);
    assert_eq!(settings["time_zone"], "Europe/Berlin");
}

#[actix_web::test]
async fn the_patients_report_of_an_infusion_is_merged_field_by_field() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = new_id(&app);
    let put = |base: i64, fields: Value| mutation(&ann, "infusion", &id, base, json!({ "fields": fields }));
    let ended = crate::support::people::completed(app.now());
    let new = put(0, ended.clone());
    is(&ann.pushes(&new).await, "applied");
    let read = async || ann.get(&ann.my(&format!("/infusions/{id}"))).send().await.ok().body;
    let first = read().await;
    assert_eq!((&first["source"], &first["dose_mg"]), (&json!("patient"), &json!(35.0)));
    assert!(!ann.prompts().await.is_empty(), "the plan has followed");
    let before = changes(&app);
    is(&ann.pushes(&new).await, "replayed");
    is(&ann.pushes(&put(0, ended.clone())).await, "applied");
    ann.put(&ann.my(&format!("/infusions/{id}")), ended.clone()).send().await.ok();
    assert_eq!(changes(&app), before);
    // Two phones: other fields; the same field to two values; a phone that sends all it shows.
    is(&ann.pushes(&put(1, json!({ "dose_mg": 40.0 }))).await, "applied");
    let mut all = ended.clone();
    all["note"] = json!("It was cold.");
    let merged = ann.pushes(&put(1, all)).await;
    is(&merged, "merged");
    assert_eq!(
        (&merged["item"]["fields"]["dose_mg"], &merged["item"]["fields"]["note"]),
        (&json!(40.0), &json!("It was cold."))
    );
    let late = ann.pushes(&put(1, json!({ "dose_mg": 50.0, "weight_kg": 71.0 }))).await;
    assert_eq!((&late["status"], &late["warnings"][0]["pointer"]), (&json!("merged"), &json!("/fields/dose_mg")));
    let stored = read().await;
    assert_eq!((&stored["dose_mg"], &stored["weight_kg"]), (&json!(40.0), &json!(71.0)));
    // What fits each by itself and not together is for a person to decide.
    let version = stored["version"].as_i64().unwrap();
    let earlier = app.now().checked_sub(jiff::SignedDuration::from_mins(30)).unwrap().to_string();
    is(&ann.pushes(&put(version, json!({ "ended_at": earlier }))).await, "applied");
    let start = app.now().checked_sub(jiff::SignedDuration::from_mins(10)).unwrap().to_string();
    let clash = ann.pushes(&put(version, json!({ "started_at": start }))).await;
    assert_eq!((&clash["status"], &clash["sections"]), (&json!("conflict"), &json!(["started_at"])), "{clash:#}");
    assert_eq!(ann.pushes(&put(version + 1, json!({ "started_at": start }))).await["problem"]["code"], "invalid");
    // Another one within six hours, and what is not hers.
    let other = mutation(&ann, "infusion", &new_id(&app), 0, json!({ "fields": ended }));
    let refused = ann.pushes(&other).await;
    assert_eq!(
        (&refused["problem"]["code"], &refused["problem"]["conflicting_id"]),
        (&json!("infusion_overlaps"), &json!(id))
    );
    let bea = app.patient(&theo, "Bea Holt").await;
    let hers = theo.records(&bea, app.now()).await;
    let foreign = ann.pushes(&mutation(&ann, "infusion", &hers, 1, json!({ "fields": { "dose_mg": 1.0 } }))).await;
    assert_eq!((&foreign["status"], foreign.get("current")), (&json!("conflict"), None));
    let wrong = ann.pushes(&put(version + 1, json!({ "route": "by mouth" }))).await;
    assert_eq!(wrong["problem"]["errors"][0]["pointer"], "/fields/route");
    is(&ann.pushes(&mutation(&ann, "infusion", &id, 9, json!({ "op": "delete" }))).await, "rejected");
}

#[actix_web::test]
async fn a_patient_who_changes_what_was_cancelled_is_told_its_state_and_what_it_allows() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = new_id(&app);
    let put = |base: i64, fields: Value| mutation(&ann, "infusion", &id, base, json!({ "fields": fields }));
    is(&ann.pushes(&put(0, crate::support::people::completed(app.now()))).await, "applied");
    is(&ann.pushes(&put(1, json!({ "status": "cancelled" }))).await, "applied");
    let late = put(2, json!({ "dose_mg": 40.0 }));
    // Sent again, it is refused in the same words.
    for _ in 0..2 {
        let problem = ann.pushes(&late).await["problem"].clone();
        assert_eq!(
            (&problem["code"], &problem["state"], &problem["allowed"]),
            (&json!("state_conflict"), &json!("cancelled"), &json!([]))
        );
    }
}

#[actix_web::test]
async fn the_clinics_record_stands_over_what_the_patient_says_and_that_is_kept_beside_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = new_id(&app);
    let at = |minutes: i64| app.now().checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap().to_string();
    let planned = json!({ "status": "planned", "route": "iv_infusion", "planned_start": at(0), "planned_minutes": 40, "dose_mg": 35.0 });
    theo.put(&ann.of_theirs(&format!("/infusions/{id}")), planned).send().await.created();
    let put = |base: i64, fields: Value| mutation(&ann, "infusion", &id, base, json!({ "fields": fields }));
    let read = async || ann.get(&ann.my(&format!("/infusions/{id}"))).send().await.ok().body;
    // "It has begun", then "I am done", said offline.
    is(&ann.pushes(&put(1, json!({ "started_at": at(0) }))).await, "applied");
    app.wait(jiff::SignedDuration::from_mins(60));
    let (start, end) = (at(-60), at(-15));
    let done = put(2, json!({ "status": "completed", "started_at": start, "ended_at": end }));
    let told = ann.pushes(&done).await;
    is(&told, "applied");
    let stored = read().await;
    assert_eq!((&stored["status"], &stored["ended_at"]), (&json!("completed"), &json!(end)));
    assert_eq!(stored["reported"]["ended_at"], json!(end));
    // A second phone that had not seen it says another end: the first stands, and is told.
    let before = changes(&app);
    let late = ann.pushes(&put(2, json!({ "status": "completed", "ended_at": at(-20) }))).await;
    assert_eq!((&late["status"], &late["item"]["fields"]["ended_at"]), (&json!("merged"), &json!(end)), "{late:#}");
    assert_eq!(changes(&app), before);
    // The clinic says when it really ended. What the patient says afterwards is kept beside it.
    let tag = theo.get(&ann.of_theirs(&format!("/infusions/{id}"))).send().await.ok().etag();
    let clinic = json!({ "ended_at": at(-10) });
    theo.post(&ann.of_theirs(&format!("/infusions/{id}/end")), clinic).if_match(&tag).send().await.ok();
    let version = read().await["version"].as_i64().unwrap();
    let said = ann.pushes(&put(version, json!({ "status": "completed", "ended_at": at(-12), "dose_mg": 99.0 }))).await;
    is(&said, "merged");
    let stored = read().await;
    assert_eq!(
        (&stored["ended_at"], &stored["reported"]["ended_at"]),
        (&json!(at(-10)), &json!(at(-12))),
        "{stored:#}"
    );
    assert_eq!((&stored["dose_mg"], &stored["source"]), (&json!(35.0), &json!("clinic")));
    let pointers: Vec<_> = said["warnings"].as_array().unwrap().iter().map(|one| one["pointer"].clone()).collect();
    assert_eq!(pointers, ["/fields/dose_mg"]);
    // Nothing that is the clinic's is changed by it.
    let before = changes(&app);
    is(&ann.pushes(&put(version + 1, json!({ "note": "mine", "status": "cancelled" }))).await, "merged");
    assert_eq!((changes(&app), read().await), (before, stored));
}
