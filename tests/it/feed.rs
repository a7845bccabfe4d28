//! The feed of therapists: what they may see comes, what they may see no longer goes, and nothing else leaves a trace.

pub mod history;
mod pages;
mod random;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::exercises::work;
use crate::support::journal::{grant, reflection, two, with};
use crate::support::people::{Clinic, Person};
use crate::support::reader::{Reader, feed_page, new_reader, stored};
use crate::tasks::settled;

/// The types, kinds and ids of events.
fn told(events: &[Value]) -> Vec<(String, String, String)> {
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    events.iter().map(|event| (text(event, "type"), text(event, "kind"), text(event, "id"))).collect()
}

fn removed(kind: &str, id: &str) -> (String, String, String) {
    ("item.removed".to_owned(), kind.to_owned(), id.to_owned())
}

async fn deletes(person: &Person, entry: &str) {
    let tag = person.entry(entry).await.ok().etag();
    person.delete(&person.my(&format!("/entries/{entry}"))).if_match(&tag).send().await.no_content();
}

async fn push(person: &Person, mutation: Value) -> Value {
    let epoch = person.get(&person.my("/changes?limit=1")).send().await.ok().body["epoch"].clone();
    let mut whole = json!({ "mutation_id": new_id(&person.app), "patient_id": person.patient });
    whole.as_object_mut().unwrap().extend(mutation.as_object().unwrap().clone());
    let body = json!({ "epoch": epoch, "mutations": [whole] });
    person.post(&person.my("/mutations"), body).send().await.ok().body["results"][0].clone()
}

#[actix_web::test]
async fn what_is_granted_appears_and_nothing_else() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut reader = Reader::default();
    assert_eq!(reader.pull(&theo, 20).await, Vec::<Value>::new());
    let open = ann.writes(reflection("Lake")).await;
    ann.writes(reflection("Secret")).await;
    assert_eq!(reader.pull(&theo, 20).await, Vec::<Value>::new(), "nothing is open");
    let id = ann.opens(&open, &["text"], &theo).await;
    let events = reader.pull(&theo, 20).await;
    let mut kinds = told(&events);
    kinds.sort();
    let item = |kind: &str, id: &str| ("item".to_owned(), kind.to_owned(), id.to_owned());
    assert_eq!(kinds, [item("entry", &open), item("grant", &id)]);
    let shown = reader.item("entry", &open).unwrap();
    assert_eq!((&shown["text"]["title"], &shown["sections"]), (&json!("Lake"), &json!(["text"])));
    assert_eq!(
        (&shown["kind"], &shown["local_date"], &shown["phase"]),
        (&json!("reflection"), &json!("2026-03-10"), &json!("none"))
    );
    assert!(shown.get("mood").is_none() && shown.get("id").is_none());
    let page = String::from_utf8(feed_page(&theo, None, 20).await.ok().bytes).unwrap();
    for word in ["\"version\"", "\"seq\"", "Secret", "valence", "occurred_at"] {
        assert!(!page.contains(word), "{word} in {page}");
    }
    // A change of what is open comes, with another tag.
    let tag = |reader: &Reader| reader.things.values().find(|event| event["kind"] == "entry").unwrap()["etag"].clone();
    let before = tag(&reader);
    ann.edits(&open, json!({ "text": { "body": "It was loud." } })).await;
    assert_eq!(told(&reader.pull(&theo, 20).await), [item("entry", &open)]);
    assert_eq!(reader.item("entry", &open).unwrap()["text"]["body"], "It was loud.");
    assert_ne!(tag(&reader), before);
    // Another section is opened.
    ann.opens(&open, &["mood"], &theo).await;
    reader.pull(&theo, 1).await;
    assert_eq!(reader.item("entry", &open).unwrap()["mood"]["valence"], 7);
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
    reader.equals(&new_reader(&theo).await);
    ann.get("/v1/me/feed/changes").send().await.expect(403).refused("forbidden");
}

#[actix_web::test]
async fn what_may_be_seen_no_longer_goes_without_a_reason() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut reader = Reader::default();
    let mut open = Vec::new();
    for title in ["Revoked", "Deleted", "Restored", "Expires"] {
        open.push(ann.writes(reflection(title)).await);
    }
    let [revoked, gone, restored, expires] = open.try_into().unwrap();
    let id: String = ann.opens(&revoked, &["text"], &theo).await;
    ann.opens(&gone, &["text"], &theo).await;
    ann.edits(&restored, json!({ "text": { "body": "Another." } })).await;
    let alone = ann.opens(&restored, &["text"], &theo).await;
    let until = app.now().checked_add(SignedDuration::from_hours(1)).unwrap().to_string();
    let short = new_id(&app);
    let body = with(grant(&expires, &["text"], &theo), json!({ "expires_at": until }));
    ann.put_grant(&short, body).send().await.created();
    reader.pull(&theo, 20).await;
    assert_eq!(reader.ids("entry").len(), 4);
    let sorted = |mut list: Vec<_>| {
        list.sort();
        list
    };

    ann.revokes(&id).await;
    let expected = sorted(vec![removed("entry", &revoked), removed("grant", &id)]);
    assert_eq!(sorted(told(&reader.pull(&theo, 20).await)), expected);
    ann.revokes(&id).await;
    assert_eq!(reader.pull(&theo, 20).await, Vec::<Value>::new(), "a repetition changes nothing");

    deletes(&ann, &gone).await;
    assert_eq!(told(&reader.pull(&theo, 20).await), [removed("entry", &gone)]);
    ann.act(&ann.my(&format!("/entries/{gone}/undelete"))).send().await.ok();
    reader.pull(&theo, 20).await;
    assert!(reader.item("entry", &gone).is_none(), "what comes back is open to nobody");

    let tag = ann.entry(&restored).await.ok().etag();
    ann.act(&ann.my(&format!("/entries/{restored}/revisions/1/restore"))).if_match(&tag).send().await.ok();
    let expected = sorted(vec![removed("entry", &restored), removed("grant", &alone)]);
    assert_eq!(sorted(told(&reader.pull(&theo, 20).await)), expected);

    app.wait(SignedDuration::from_mins(61));
    settled(&app).await;
    let expected = sorted(vec![removed("entry", &expires), removed("grant", &short)]);
    assert_eq!(sorted(told(&reader.pull(&theo, 20).await)), expected);
    assert!(reader.things.is_empty());
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
    // Who begins now is told nothing of it.
    let new = new_reader(&theo).await;
    assert!(new.mentioned.is_empty());
}

/// A read that comes before the task has ended the grant decides by the clock.
#[actix_web::test]
async fn an_expired_grant_shows_nothing_though_its_task_is_late() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let until = app.now().checked_add(SignedDuration::from_hours(1)).unwrap().to_string();
    let body = with(grant(&entry, &["text"], &theo), json!({ "expires_at": until }));
    ann.put_grant(&new_id(&app), body).send().await.created();
    app.wait(SignedDuration::from_mins(61));
    let page = feed_page(&theo, None, 20).await.ok();
    assert!(page.body["events"].as_array().unwrap().iter().all(|event| event["type"] == "item.removed"));
}

#[actix_web::test]
async fn the_end_of_a_link_removes_the_patient_and_a_new_one_begins_empty() {
    let Clinic { app, admin, ann, therapist: thea, nurse, link, .. } = Clinic::open().await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    let (mut hers, mut umas) = (Reader::default(), Reader::default());
    let other = ann.linked_to(&uma).await;
    let entry = ann.writes(reflection("Lake")).await;
    for reader in [&thea, &uma] {
        ann.opens(&entry, &["text"], reader).await;
    }
    nurse.records(&ann, app.now()).await;
    hers.pull(&thea, 20).await;
    umas.pull(&uma, 20).await;
    assert_eq!((hers.things.len(), umas.things.len()), (3, 3));
    let of_uma = |rows: Vec<String>| {
        let account = uma.account.replace('-', "").to_uppercase();
        rows.into_iter().filter(|row| row.replace('-', "").to_uppercase().contains(&account)).collect::<Vec<_>>()
    };
    let before = of_uma(stored(&app));
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    let events = hers.pull(&thea, 20).await;
    assert_eq!(events, [json!({ "type": "patient.removed", "patient_id": ann.patient })]);
    assert!(hers.things.is_empty());
    assert_eq!(of_uma(stored(&app)), before, "another therapist's feed stands still");
    assert_eq!(umas.pull(&uma, 20).await, Vec::<Value>::new());
    // The link begins anew: with what everybody sees over a link, and no grant.
    let new = ann.linked_to(&thea).await;
    assert_ne!(new, link);
    hers.pull(&thea, 20).await;
    assert_eq!(hers.things.keys().map(|(_, kind, _)| kind.as_str()).collect::<Vec<_>>(), ["infusion"]);
    hers.holds_what_it_may_see(&thea, &[&ann]).await;
    new_reader(&thea).await.equals(&hers);
    // Whoever loses the capability loses the links.
    let clinic = ann.care_links().await[0]["clinic_id"].as_str().unwrap().to_owned();
    let list = format!("/v1/clinics/{clinic}/members");
    let members = admin.get(&list).send().await.ok();
    let member = members.items().iter().find(|member| member["account_id"] == uma.account.as_str()).unwrap();
    let tag = member["etag"].as_str().unwrap().to_owned();
    let change = admin.patch(&format!("{list}/{}", uma.account), json!({ "capabilities": ["record"] }));
    change.if_match(&tag).send().await.ok();
    assert_eq!(umas.pull(&uma, 20).await, [json!({ "type": "patient.removed", "patient_id": ann.patient })]);
    assert!(ann.care_links().await.iter().any(|link| link["id"] == other.as_str() && link["state"] == "ended"));
}

/// I8, through both doors: what is not open changes no byte, and so no cursor and no wake-up.
#[actix_web::test]
async fn an_edit_of_what_is_not_open_changes_no_byte() {
    let Clinic { app, admin, ann, therapist: thea, .. } = Clinic::open().await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    ann.linked_to(&uma).await;
    let open = ann.writes(reflection("Lake")).await;
    let secret = ann.writes(reflection("Secret")).await;
    let draft = ann.writes(with(reflection("Draft"), json!({ "status": "draft" }))).await;
    let response = ann.works(work()).await;
    ann.opens(&open, &["text"], &thea).await;
    let mut reader = Reader::default();
    reader.pull(&thea, 20).await;
    let before = (stored(&app), reader.cursor.clone());
    let same = async |step: &str, reader: &mut Reader| {
        assert_eq!(stored(&app), before.0, "{step}");
        assert_eq!(reader.pull(&thea, 20).await, Vec::<Value>::new(), "{step}");
        assert_eq!(reader.cursor, before.1, "{step}");
    };
    // One door.
    ann.edits(&open, json!({ "mood": { "valence": 1 } })).await;
    same("another section of what is open", &mut reader).await;
    ann.edits(&open, json!({ "tags": ["lake", "quiet"] })).await;
    same("the tags", &mut reader).await;
    ann.edits(&open, json!({ "occurred_at": "2026-03-10T09:45:00+01:00", "recorded_at": "2026-03-10T09:50:00+01:00" }))
        .await;
    same("the hour, on the same date and in the same phase", &mut reader).await;
    ann.edits(&secret, json!({ "text": { "body": "More." }, "kind": "dream" })).await;
    same("what is open to nobody", &mut reader).await;
    ann.edits(&draft, json!({ "text": { "body": "More." } })).await;
    ann.edits(&draft, json!({ "status": "done" })).await;
    same("a draft", &mut reader).await;
    deletes(&ann, &secret).await;
    ann.act(&ann.my(&format!("/entries/{secret}/undelete"))).send().await.ok();
    same("a deletion", &mut reader).await;
    ann.resumes(&response, json!({ "distress": { "after": 1 } })).await;
    same("a response", &mut reader).await;
    ann.sets(json!({ "weekly_day": "friday" })).await;
    let pause = ann.my(&format!("/pauses/{}", new_id(&app)));
    ann.put(&pause, json!({ "from": "2026-04-01T00:00:00Z", "until": "2026-04-05T00:00:00Z" })).send().await.created();
    same("settings and pauses", &mut reader).await;
    // The other door.
    let version = |id: String| {
        let ann = ann.clone();
        async move { ann.entry(&id).await.ok().body["version"].clone() }
    };
    for (id, section) in [
        (&open, json!({ "mood": { "valence": 3 } })),
        (&open, json!({ "tags": ["lake"] })),
        (&secret, json!({ "text": { "body": "Other." } })),
    ] {
        let mut sent = json!({ "kind": "entry", "id": id, "base_version": version(id.clone()).await });
        sent.as_object_mut().unwrap().extend(section.as_object().unwrap().clone());
        assert_eq!(push(&ann, sent).await["status"], "applied");
        same("a push", &mut reader).await;
    }
    let new = new_id(&app);
    let sent = json!({
        "kind": "entry", "id": new, "base_version": 0, "text": { "body": "New." },
        "header": { "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00" },
    });
    assert_eq!(push(&ann, sent).await["status"], "applied");
    let sent = json!({ "kind": "entry", "id": new, "base_version": 1, "op": "delete" });
    assert_eq!(push(&ann, sent).await["status"], "applied");
    same("a pushed entry and its deletion", &mut reader).await;
    // What is opened to another is not told.
    let numbers = |rows: Vec<String>| {
        let account = thea.account.replace('-', "").to_uppercase();
        rows.into_iter().filter(|row| row.replace('-', "").to_uppercase().contains(&account)).collect::<Vec<_>>()
    };
    ann.opens(&open, &["mood"], &uma).await;
    assert_eq!(numbers(stored(&app)), numbers(before.0.clone()));
    assert_eq!(reader.pull(&thea, 20).await, Vec::<Value>::new());
    // And what is open does move: by either door.
    let sent = json!({ "kind": "entry", "id": open, "base_version": version(open.clone()).await, "text": { "body": "Loud." } });
    assert_eq!(push(&ann, sent).await["status"], "applied");
    assert_eq!(told(&reader.pull(&thea, 20).await).len(), 1);
    assert_eq!(reader.item("entry", &open).unwrap()["text"], json!({ "body": "Loud." }));
}

/// I8 for the place where a page ends, in the feed and in the list.
#[actix_web::test]
async fn an_edit_of_what_is_not_open_ends_no_page_sooner() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut entries = Vec::new();
    for title in ["One", "Two", "Three", "Four", "Five"] {
        let id = ann.writes(reflection(title)).await;
        ann.opens(&id, &["mood"], &theo).await;
        entries.push(id);
    }
    let look = async || {
        let feed = feed_page(&theo, None, 200).await.ok().body;
        (feed, theo.reads(&ann, "/entries").await.ok().body)
    };
    look().await;
    let before = look().await;
    assert_eq!(before.1["items"].as_array().unwrap().len(), entries.len());
    // All texts together are more than a page holds.
    for id in &entries {
        ann.edits(id, json!({ "text": { "body": "x".repeat(250_000) } })).await;
    }
    assert_eq!(look().await, before);
}

#[actix_web::test]
async fn a_rule_opens_many_at_once_and_what_comes_to_fall_under_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    for n in 0..30 {
        ann.writes(reflection(&format!("Lake {n}"))).await;
    }
    let dream = ann.writes(with(reflection("Dream"), json!({ "kind": "dream" }))).await;
    let mut reader = new_reader(&theo).await;
    let rule = new_id(&app);
    let body = json!({
        "rule": { "kind": "reflection" }, "sections": ["text"],
        "reader": { "type": "therapist", "account_id": theo.account },
    });
    ann.put_grant(&rule, body).send().await.created();
    let heads = |rows: &[String]| rows.iter().filter(|row| row.starts_with("feed_heads")).cloned().collect::<Vec<_>>();
    assert_eq!(heads(&stored(&app)).len(), 1);
    let events = reader.pull(&theo, 7).await;
    assert_eq!(events.len(), 31, "the entries and the grant, each once");
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
    let written = ann.writes(reflection("Later")).await;
    let draft = ann.writes(with(reflection("Draft"), json!({ "status": "draft" }))).await;
    assert_eq!(told(&reader.pull(&theo, 20).await).len(), 1, "the done one alone");
    ann.edits(&draft, json!({ "status": "done" })).await;
    ann.edits(&dream, json!({ "kind": "reflection" })).await;
    ann.edits(&written, json!({ "kind": "dream" })).await;
    reader.pull(&theo, 20).await;
    assert!(reader.item("entry", &draft).is_some() && reader.item("entry", &dream).is_some());
    assert!(reader.item("entry", &written).is_none(), "it falls under the rule no longer");
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
    ann.revokes(&rule).await;
    let events = reader.pull(&theo, 200).await;
    assert!(events.len() == 33 && events.iter().all(|event| event["type"] == "item.removed"), "{}", events.len());
    assert!(reader.things.is_empty());
}

#[actix_web::test]
async fn comments_come_in_their_own_thread_while_the_entry_is_open() {
    let Clinic { app, admin, ann, therapist: thea, link, .. } = Clinic::open().await;
    let uma = app.staff(&admin, "Uma Beck", &["care"]).await;
    ann.linked_to(&uma).await;
    let entry = ann.writes(reflection("Lake")).await;
    let open = ann.opens(&entry, &["text"], &thea).await;
    ann.opens(&entry, &["text"], &uma).await;
    let (mut hers, mut umas) = (new_reader(&thea).await, new_reader(&uma).await);
    let thread = ann.of_theirs(&format!("/entries/{entry}/comments"));
    let comment = thea.says(&thread, json!({ "body": "Thank you." })).send().await.created().id();
    let reply = ann.says(&thread, json!({ "body": "You are welcome.", "thread_id": link })).send().await.created().id();
    assert_eq!(told(&hers.pull(&thea, 20).await).len(), 2);
    assert_eq!(hers.item("comment", &reply).unwrap()["body"], "You are welcome.");
    assert_eq!(hers.item("comment", &comment).unwrap()["author_id"], thea.account.as_str());
    assert_eq!(umas.pull(&uma, 20).await, Vec::<Value>::new(), "another thread");
    ann.revokes(&open).await;
    hers.pull(&thea, 20).await;
    assert!(hers.things.is_empty(), "they go with the entry");
    ann.opens(&entry, &["mood"], &thea).await;
    hers.pull(&thea, 20).await;
    assert_eq!(hers.ids("comment").len(), 2, "and come with it");
    hers.holds_what_it_may_see(&thea, &[&ann]).await;
    deletes(&ann, &entry).await;
    hers.pull(&thea, 20).await;
    assert_eq!(hers.ids("comment").len(), 0);
}

#[actix_web::test]
async fn a_corrected_infusion_moves_the_phases_of_what_is_open() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(with(reflection("Lake"), json!({ "occurred_at": "2026-03-10T07:00:00Z" }))).await;
    let earlier = ann.writes(with(reflection("Before"), json!({ "occurred_at": "2026-03-01T07:00:00Z" }))).await;
    for id in [&entry, &earlier] {
        ann.opens(id, &["text"], &theo).await;
    }
    let mut reader = new_reader(&theo).await;
    assert_eq!(reader.item("entry", &entry).unwrap()["phase"], "none");
    let infusion = theo.records(&ann, "2026-03-09T10:00:00Z".parse().unwrap()).await;
    let events = reader.pull(&theo, 20).await;
    assert_eq!(events.len(), 2, "what happened before stays: {events:?}");
    let phase = reader.item("entry", &entry).unwrap()["phase"].clone();
    assert_ne!(phase, "none");
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
    let path = ann.of_theirs(&format!("/infusions/{infusion}"));
    let tag = theo.get(&path).send().await.ok().etag();
    theo.patch(&path, json!({ "note": "Room 3" })).if_match(&tag).send().await.ok();
    assert_eq!(told(&reader.pull(&theo, 20).await).len(), 1, "no phase follows from a note");
    let tag = theo.get(&path).send().await.ok().etag();
    let times = json!({ "started_at": "2026-03-05T09:00:00Z", "ended_at": "2026-03-05T09:40:00Z" });
    theo.patch(&path, times).if_match(&tag).send().await.ok();
    reader.pull(&theo, 20).await;
    assert_ne!(reader.item("entry", &entry).unwrap()["phase"], phase);
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
    // So does the zone in which the patient was, for what names none.
    app.wait(SignedDuration::from_hours(20));
    let floating =
        ann.writes(json!({ "kind": "note", "occurred_at": "2026-03-11T02:00:00Z", "text": { "body": "x" } })).await;
    ann.opens(&floating, &["text"], &theo).await;
    reader.pull(&theo, 20).await;
    ann.sets(json!({ "time_zone": "Pacific/Honolulu", "effective_at": "2026-03-10T20:00:00Z" })).await.ok();
    reader.pull(&theo, 20).await;
    assert_eq!(reader.item("entry", &floating).unwrap()["local_date"], "2026-03-10");
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
}

#[actix_web::test]
async fn an_assignment_shows_its_response_while_that_is_open() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut reader = new_reader(&theo).await;
    let id = theo.assigns(&ann, "leaves-defusion").await;
    reader.pull(&theo, 20).await;
    assert_eq!(reader.item("assignment", &id).unwrap()["state"], "assigned");
    let response = ann.works(with(work(), json!({ "assignment_id": id }))).await;
    reader.pull(&theo, 20).await;
    assert_eq!(reader.item("assignment", &id).unwrap()["state"], "done");
    assert!(reader.item("assignment", &id).unwrap().get("response_id").is_none());
    let open = ann.opens_response(&response, &["answers"], &theo).await;
    reader.pull(&theo, 20).await;
    assert_eq!(reader.item("assignment", &id).unwrap()["response_id"], response.as_str());
    assert!(reader.item("exercise_response", &response).unwrap()["answers"].is_object());
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
    ann.revokes(&open).await;
    reader.pull(&theo, 20).await;
    reader.holds_what_it_may_see(&theo, &[&ann]).await;
    assert!(reader.item("assignment", &id).unwrap().get("response_id").is_none());
}
