//! Opening entries to therapists, what they see of them, and closing them again.

use std::collections::HashMap;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, id_of, new_id};
use crate::support::exercises::work;
use crate::support::journal::{grant, ids, reflection, two, with};
use crate::support::people::Person;

/// All that a reader can see of an answer, but for what names the request or the time.
fn observable(answer: &Answer) -> (u16, Vec<u8>, HashMap<String, String>) {
    let mut headers = answer.headers.clone();
    for own in ["x-request-id", "date", "traceparent"] {
        headers.remove(own);
    }
    (answer.status.as_u16(), answer.bytes.clone(), headers)
}

/// `observable`, without the cursor, which is sealed anew each time.
fn of_list(answer: &Answer) -> Value {
    answer.body["items"].clone()
}

#[actix_web::test]
async fn a_therapist_reads_what_was_opened_and_nothing_else() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let open = ann.writes(reflection("Lake")).await;
    let closed = ann.writes(reflection("Secret")).await;
    assert!(theo.finds(&ann).await.is_empty(), "nothing is open by default");
    theo.reads(&ann, &format!("/entries/{open}")).await.not_found();
    ann.opens(&open, &["text"], &theo).await;
    assert_eq!(theo.finds(&ann).await, [open.as_str()]);
    let seen = theo.reads(&ann, &format!("/entries/{open}")).await.ok();
    let mut fields: Vec<&String> = seen.body.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["etag", "id", "kind", "local_date", "phase", "sections", "text", "updated_at"]);
    assert_eq!(seen.body["text"]["title"], "Lake");
    assert_eq!(seen.body["sections"], json!(["text"]));
    let known = theo.get(&ann.of_theirs(&format!("/entries/{open}"))).header("if-none-match", seen.etag());
    known.send().await.expect(304);
    theo.reads(&ann, &format!("/entries/{closed}")).await.not_found();
    let mood = ann.opens(&open, &["mood"], &theo).await;
    let both = theo.reads(&ann, &format!("/entries/{open}")).await.ok();
    assert_eq!((&both.body["sections"], &both.body["mood"]["valence"]), (&json!(["text", "mood"]), &json!(7)));
    assert_ne!(both.etag(), seen.etag());
    ann.revokes(&mood).await;
    let back = theo.reads(&ann, &format!("/entries/{open}")).await.ok();
    assert_eq!(observable(&back), observable(&seen));
}

#[actix_web::test]
async fn s14b_nothing_of_an_ungranted_edit_is_observable() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let older = ann.writes(reflection("Older")).await;
    let entry = ann.writes(with(reflection("Lake"), json!({ "occurred_at": "2026-03-10T08:00:00+01:00" }))).await;
    for id in [&older, &entry] {
        ann.opens(id, &["text"], &theo).await;
    }
    let look = async || {
        let one = theo.reads(&ann, &format!("/entries/{entry}")).await.ok();
        let list = theo.reads(&ann, "/entries").await.ok();
        theo.reads(&ann, "/entries?tag=lake").await.expect(422);
        let comments = theo.reads(&ann, &format!("/entries/{entry}/comments")).await.ok();
        (observable(&one), observable(&list), of_list(&comments))
    };
    let before = look().await;
    app.wait(SignedDuration::from_mins(3));
    ann.edits(&entry, json!({ "mood": { "distress": 9 }, "tags": ["secret", "lake"] })).await;
    ann.edits(&entry, json!({ "occurred_at": "2026-03-10T07:00:00+01:00", "zone": null })).await;
    ann.edits(&entry, json!({ "recorded_at": "2026-03-10T08:01:00+01:00" })).await;
    let another = ann.writes(reflection("Another")).await;
    ann.edits(&another, json!({ "tags": ["x"] })).await;
    assert_eq!(look().await, before);
    ann.edits(&entry, json!({ "text": { "body": "It was loud." } })).await;
    let after = look().await;
    assert_ne!(after.0, before.0, "and an edit of what is open is seen");
    assert_ne!(after.1, before.1);
}

#[actix_web::test]
async fn s14c_after_revoking_neither_a_tag_nor_a_replay_tells_anything() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let path = ann.of_theirs(&format!("/entries/{entry}"));
    let given = ann.opens(&entry, &["text"], &theo).await;
    let tag = theo.get(&path).send().await.ok().etag();
    let id = new_id(&app);
    let comment = || theo.put(&format!("{path}/comments/{id}"), json!({ "body": "Thank you." })).key("c1");
    comment().send().await.created();
    let opened = || theo.post(&format!("{path}/opened"), json!({})).key("o1");
    opened().send().await.ok();
    ann.revokes(&given).await;
    let denied = theo.get(&path).header("if-none-match", &tag).send().await.not_found();
    comment().send().await.not_found();
    opened().send().await.not_found();
    theo.get(&format!("{path}/comments")).send().await.not_found();
    assert!(theo.finds(&ann).await.is_empty());
    let absent = theo.reads(&ann, &format!("/entries/{}", new_id(&app))).await.not_found();
    let (mut one, mut other) = (denied.body.clone(), absent.body.clone());
    for body in [&mut one, &mut other] {
        body.as_object_mut().unwrap().remove("request_id");
    }
    assert_eq!(one, other, "denied and absent look the same");
    ann.opens(&entry, &["text"], &theo).await;
    comment().send().await.created();
    let thread = theo.get(&format!("{path}/comments")).send().await.ok();
    assert_eq!(thread.items().len(), 1, "one effect");
}

#[actix_web::test]
async fn a_grant_is_made_once_and_ended_once() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let id = new_id(&app);
    let body = grant(&entry, &["text"], &theo);
    let made = ann.put_grant(&id, body.clone()).key("g").send().await.created();
    assert_eq!(made.body["readers"], json!([theo.account]));
    ann.put_grant(&id, body.clone()).key("g").send().await.created();
    assert_eq!(ann.put_grant(&id, body.clone()).send().await.ok().body, made.body);
    ann.put_grant(&id, grant(&entry, &["mood"], &theo)).send().await.expect(409).refused("already_exists");
    assert_eq!(theo.reads(&ann, "/grants").await.ok().body["items"][0]["id"], id.as_str());
    ann.revokes(&id).await;
    ann.revokes(&id).await;
    ann.put_grant(&id, body).send().await.expect(410).refused("deleted");
    ann.delete(&ann.my(&format!("/grants/{}", new_id(&app)))).send().await.not_found();
    let own = ann.get(&ann.my("/grants")).send().await.ok();
    assert_eq!((&own.body["items"][0]["live"], &own.body["items"][0]["readers"]), (&json!(false), &json!([])));
    assert!(ids(&theo.reads(&ann, "/grants").await.ok()).is_empty());
}

#[actix_web::test]
async fn what_cannot_be_opened_is_refused() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let draft = ann.writes(with(reflection("Draft"), json!({ "status": "draft" }))).await;
    let done = ann.writes(reflection("Done")).await;
    let put = async |body: Value| ann.put_grant(&new_id(&app), body).send().await;
    put(grant(&draft, &["text"], &theo)).await.expect(409).refused("not_shareable");
    put(grant(&new_id(&app), &["text"], &theo)).await.not_found();
    put(grant(&ben.writes(reflection("Ben's")).await, &["text"], &theo)).await.not_found();
    put(grant(&done, &[], &theo)).await.expect(422);
    put(grant(&done, &["zone"], &theo)).await.expect(422);
    put(grant(&done, &["text"], &ben)).await.expect(422);
    put(with(grant(&done, &["text"], &theo), json!({ "expires_at": "2026-03-01T00:00:00Z" }))).await.expect(422);
    put(with(grant(&done, &["text"], &theo), json!({ "rule": { "kind": "note" } }))).await.expect(422);
    theo.put(&ann.of_theirs(&format!("/grants/{}", new_id(&app))), grant(&done, &["text"], &theo))
        .send()
        .await
        .expect(403);
    ben.put(&ann.of_theirs(&format!("/grants/{}", new_id(&app))), grant(&done, &["text"], &theo))
        .send()
        .await
        .not_found();
    ann.delete(&ann.my(&format!("/entries/{done}"))).send().await.no_content();
    put(grant(&done, &["text"], &theo)).await.not_found();
    assert!(theo.finds(&ann).await.is_empty());
}

#[actix_web::test]
async fn a_grant_ends_at_its_time() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let id = new_id(&app);
    let body = with(grant(&entry, &["text"], &theo), json!({ "expires_at": "2026-03-10T10:00:00Z" }));
    ann.put_grant(&id, body).send().await.created();
    app.set_clock("2026-03-10T09:59:59Z");
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
    app.set_clock("2026-03-10T10:00:00Z");
    assert!(theo.finds(&ann).await.is_empty());
    theo.reads(&ann, &format!("/entries/{entry}")).await.not_found();
}

#[actix_web::test]
async fn the_care_team_is_who_was_in_it_and_another_therapist_sees_nothing() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care"]).await;
    let tina = app.staff(&admin, "Tina Voss", &["care"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    let entry = ann.writes(reflection("Lake")).await;
    let team = with(grant(&entry, &["text"], &theo), json!({ "reader": { "type": "care_team" } }));
    let id = new_id(&app);
    ann.put_grant(&id, team.clone()).send().await.created();
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
    theo.reads(&ann, &format!("/entries/{entry}")).await.ok();
    ann.linked_to(&tina).await;
    assert!(tina.finds(&ann).await.is_empty(), "came later");
    ann.put_grant(&new_id(&app), team).send().await.created();
    assert_eq!(tina.finds(&ann).await, [entry.as_str()]);
}

#[actix_web::test]
async fn ending_a_link_ends_its_grants_and_a_new_link_starts_empty() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    ann.opens(&entry, &["text"], &theo).await;
    let link = id_of(&ann.care_links().await[0]);
    ann.delete(&format!("/v1/care-links/{link}")).send().await.no_content();
    for rest in ["/entries", "/grants", &format!("/entries/{entry}")] {
        theo.reads(&ann, rest).await.not_found();
    }
    assert_eq!(ann.get(&ann.my("/grants")).send().await.ok().body["items"][0]["live"], false);
    let code = theo.code_for_patient().await;
    let again = ann.post("/v1/invitations/accept", json!({ "code": code })).send().await.ok().text("/care_link/id");
    theo.post(&format!("/v1/care-links/{again}/confirm"), json!({})).send().await.ok();
    assert!(theo.finds(&ann).await.is_empty());
    theo.reads(&ann, &format!("/entries/{entry}")).await.not_found();
}

#[actix_web::test]
async fn a_rule_opens_what_falls_under_it_now_and_later() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let first = ann.writes(reflection("First")).await;
    ann.writes(with(reflection("A dream"), json!({ "kind": "dream" }))).await;
    let draft = ann.writes(with(reflection("Draft"), json!({ "status": "draft" }))).await;
    let rule = json!({ "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" } });
    let id = new_id(&app);
    ann.put_grant(&id, rule).send().await.created();
    assert_eq!(theo.finds(&ann).await, [first.as_str()]);
    app.wait(SignedDuration::from_secs(1));
    let later = ann.writes(reflection("Later")).await;
    ann.edits(&draft, json!({ "status": "done" })).await;
    let mut all = vec![first.clone(), draft.clone(), later.clone()];
    all.sort();
    let mut found = theo.finds(&ann).await;
    found.sort();
    assert_eq!(found, all);
    ann.edits(&later, json!({ "kind": "note" })).await;
    theo.reads(&ann, &format!("/entries/{later}")).await.not_found();
    ann.revokes(&id).await;
    assert!(theo.finds(&ann).await.is_empty());
    ann.writes(reflection("After the end")).await;
    assert!(theo.finds(&ann).await.is_empty());
}

#[actix_web::test]
async fn restoring_and_undeleting_close_what_was_open() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("First")).await;
    ann.edits(&entry, json!({ "text": { "title": "Second" } })).await;
    ann.opens(&entry, &["text"], &theo).await;
    ann.act(&ann.my(&format!("/entries/{entry}/revisions/1/restore"))).if_match("\"v2\"").send().await.ok();
    theo.reads(&ann, &format!("/entries/{entry}")).await.not_found();
    ann.opens(&entry, &["text"], &theo).await;
    theo.reads(&ann, &format!("/entries/{entry}")).await.ok();
    ann.delete(&ann.my(&format!("/entries/{entry}"))).send().await.no_content();
    theo.reads(&ann, &format!("/entries/{entry}")).await.not_found();
    ann.post(&ann.my(&format!("/entries/{entry}/undelete")), json!({})).send().await.ok();
    theo.reads(&ann, &format!("/entries/{entry}")).await.not_found();
    assert!(theo.finds(&ann).await.is_empty());
}

#[actix_web::test]
async fn closing_an_entry_leaves_a_response_of_the_same_id_open_and_the_other_way_round() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    for (closed, open) in [("entries", "exercise-responses"), ("exercise-responses", "entries")] {
        let entry = ann.writes(reflection("Lake")).await;
        ann.put(&ann.my(&format!("/exercise-responses/{entry}")), work()).send().await.created();
        ann.opens(&entry, &["text"], &theo).await;
        ann.opens_response(&entry, &["answers"], &theo).await;
        let live = async || theo.reads(&ann, "/grants?limit=200").await.ok().items().len();
        let seen = live().await;
        ann.delete(&ann.my(&format!("/{closed}/{entry}"))).send().await.no_content();
        ann.post(&ann.my(&format!("/{closed}/{entry}/undelete")), json!({})).send().await.ok();
        theo.reads(&ann, &format!("/{closed}/{entry}")).await.not_found();
        theo.reads(&ann, &format!("/{open}/{entry}")).await.ok();
        assert_eq!(ids(&theo.reads(&ann, &format!("/{open}")).await.ok()), std::slice::from_ref(&entry));
        assert_eq!(live().await, seen - 1);
        ann.delete(&ann.my(&format!("/{open}/{entry}"))).send().await.no_content();
    }
}

#[actix_web::test]
async fn delivered_and_opened_are_two_facts_in_the_patients_log() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let entry = new_id(&app);
    let put = || ann.put_entry(&entry, reflection("Lake")).key("write");
    assert_eq!(put().send().await.created().body["seen_by"], json!([]));
    ann.writes(reflection("Closed")).await;
    ann.opens(&entry, &["text"], &theo).await;
    theo.finds(&ann).await;
    assert_eq!(ann.entry(&entry).await.ok().body["seen_by"], json!([]), "read is not opened");
    let path = ann.of_theirs(&format!("/entries/{entry}/opened"));
    let first = theo.post(&path, json!({})).send().await.ok();
    app.wait(SignedDuration::from_mins(1));
    assert_eq!(theo.post(&path, json!({})).send().await.ok().body, first.body, "the first time counts");
    let seen = ann.entry(&entry).await.ok();
    assert_eq!(put().send().await.created().body, seen.body, "a replay shows it as it is");
    let again = ann.put_entry(&entry, reflection("Lake")).send().await.ok();
    assert_eq!(again.body, seen.body, "and so does the same body");
    assert_eq!(seen.body["seen_by"], json!([{ "account_id": theo.account, "opened_at": first.body["opened_at"] }]));
    ann.post(&ann.my(&format!("/entries/{entry}/opened")), json!({})).send().await.expect(403);
    let log = ann.get(&ann.my("/access-log")).send().await.ok();
    let acts: Vec<(&str, &Value)> = log.items().iter().map(|row| (row["act"].as_str().unwrap(), &row["ids"])).collect();
    assert!(acts.contains(&("list_entries", &json!([entry]))), "{acts:?}");
    assert!(acts.contains(&("mark_entry_opened", &json!([entry]))), "{acts:?}");
}

#[actix_web::test]
async fn a_filtered_list_logs_what_went_out_and_no_more() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let dream = ann.writes(with(reflection("A dream"), json!({ "kind": "dream" }))).await;
    let other = ann.writes(reflection("Lake")).await;
    for entry in [&dream, &other] {
        ann.opens(entry, &["text"], &theo).await;
    }
    assert_eq!(ids(&theo.reads(&ann, "/entries?kind=dream").await.ok()), [dream.as_str()]);
    theo.reads(&ann, "/entries?tag=lake").await.expect(422);
    theo.reads(&ann, &format!("/entries?prompt_id={dream}")).await.expect(422);
    theo.post(&ann.of_theirs("/entries/search"), json!({ "words": "lake" })).send().await.expect(403);
    let log = ann.get(&ann.my("/access-log")).send().await.ok();
    let lists: Vec<&Value> = log.items().iter().filter(|row| row["act"] == "list_entries").collect();
    assert!(lists.iter().any(|row| row["ids"] == json!([dream])), "{lists:?}");
    assert!(lists.iter().all(|row| !row["ids"].as_array().unwrap().contains(&json!(other))), "{lists:?}");
}

#[actix_web::test]
async fn a_readers_list_has_pages() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let mut written = Vec::new();
    for number in 0..5 {
        let entry = ann.writes(reflection(&number.to_string())).await;
        ann.opens(&entry, &["text"], &theo).await;
        ann.opens(&entry, &["mood"], &theo).await;
        app.wait(SignedDuration::from_secs(1));
        written.push(entry);
    }
    let whole = theo.finds(&ann).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = theo.reads(&ann, &format!("/entries?limit=2{cursor}")).await.ok();
        assert!(page.items().iter().all(|item| item["sections"] == json!(["text", "mood"])));
        seen.extend(ids(&page));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, whole);
    seen.sort_unstable();
    written.sort_unstable();
    assert_eq!(seen, written);
    let tina_cannot = ann.get(&ann.my(&format!("/entries?limit=2{cursor}"))).send().await;
    tina_cannot.expect(422);
}

#[actix_web::test]
async fn comments_belong_to_an_entry_and_a_therapist() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care"]).await;
    let tina = app.staff(&admin, "Tina Voss", &["care"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    ann.linked_to(&tina).await;
    let entry = ann.writes(reflection("Lake")).await;
    let given = ann.opens(&entry, &["text"], &theo).await;
    ann.opens(&entry, &["mood"], &tina).await;
    let path = format!("/entries/{entry}/comments");
    let say = async |who: &Person, body: Value| {
        app.wait(SignedDuration::from_secs(1));
        who.says(&ann.of_theirs(&path), body).send().await
    };
    let first = say(&theo, json!({ "body": "Thank you." })).await.created();
    let thread = first.text("/thread_id");
    say(&ann, json!({ "body": "To whom?" })).await.expect(422);
    say(&ann, json!({ "body": "You are welcome.", "thread_id": thread })).await.created();
    say(&tina, json!({ "body": "Hello." })).await.created();
    say(&tina, json!({ "body": "Let me in.", "thread_id": thread })).await.expect(422);
    say(&theo, json!({ "body": " " })).await.expect(422);
    let bodies = |list: &Answer| -> Vec<String> {
        list.items().iter().map(|item| item["body"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(bodies(&theo.reads(&ann, &path).await.ok()), ["Thank you.", "You are welcome."]);
    assert_eq!(bodies(&tina.reads(&ann, &path).await.ok()), ["Hello."]);
    let seen = ann.get(&ann.my(&path)).send().await.ok();
    assert_eq!(bodies(&seen), ["Thank you.", "You are welcome.", "Hello."]);
    let authors: Vec<_> = seen.items().iter().map(|item| item["author_name"].clone()).collect();
    assert_eq!(authors, [&theo.name, &ann.name, &tina.name].map(|name| json!(name)));
    // Under its id, the same comment is the same; another one is refused, also another's.
    let at = ann.of_theirs(&format!("{path}/{}", first.id()));
    let again = theo.put(&at, json!({ "body": "Thank you." })).send().await.ok();
    assert_eq!(again.body, first.body);
    theo.put(&at, json!({ "body": "Thanks." })).send().await.expect(409).refused("already_exists");
    tina.put(&at, json!({ "body": "Thank you." })).send().await.expect(409).refused("already_exists");
    let other = json!({ "body": "Thank you.", "thread_id": thread });
    ann.put(&at, other).send().await.expect(409).refused("already_exists");
    ann.revokes(&given).await;
    say(&theo, json!({ "body": "Still there?" })).await.not_found();
    let late = say(&ann, json!({ "body": "Too late.", "thread_id": thread })).await;
    late.expect(409).refused("state_conflict");
    assert_eq!(bodies(&ann.get(&ann.my(&path)).send().await.ok()).len(), 3, "the thread stays with the patient");
}

#[actix_web::test]
async fn a_revoke_and_a_read_at_once_end_closed() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    for _ in 0..5 {
        let entry = ann.writes(reflection("Lake")).await;
        let given = ann.opens(&entry, &["text"], &theo).await;
        let path = format!("/entries/{entry}");
        let reads = (0..6).map(|_| theo.reads(&ann, &path));
        let (_, answers) = futures_util::future::join(ann.revokes(&given), futures_util::future::join_all(reads)).await;
        assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 404)));
        theo.reads(&ann, &path).await.not_found();
    }
}
