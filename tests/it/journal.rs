//! Writing, changing, finding, deleting and restoring entries.

use afterglow::app;
use afterglow::db::Tx;
use afterglow::db::schema::{entries, revisions};
use afterglow::delivery::LogChannel;
use afterglow::kernel::Id;
use afterglow::kernel::id::Entry;
use diesel::prelude::*;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::exercises::work;
use crate::support::journal::{ids, reflection, two, with};
use crate::support::people::Person;

async fn ann() -> Person {
    let app = TestApp::start().await;
    two(&app).await.1
}

#[actix_web::test]
async fn an_entry_is_created_once_however_often_it_is_sent() {
    let ann = ann().await;
    let id = new_id(&ann.app);
    let created = ann.put_entry(&id, reflection("Lake")).key("one").send().await.created();
    assert_eq!(created.etag(), "\"v1\"");
    assert_eq!(created.headers["location"], ann.my(&format!("/entries/{id}")));
    assert_eq!(created.body["text"]["title"], "Lake");
    assert_eq!(created.body["status"], "done");
    assert_eq!(created.body["local_date"], "2026-03-10");
    assert_eq!(created.body["phase"], "none");
    assert_eq!(created.body["clock_suspect"], false);
    let replayed = ann.put_entry(&id, reflection("Lake")).key("one").send().await.created();
    assert_eq!(replayed.body, created.body, "the same key");
    let again = ann.put_entry(&id, reflection("Lake")).send().await.ok();
    assert_eq!(again.body, created.body, "no key");
    ann.put_entry(&id, reflection("Lake")).header("if-none-match", "*").send().await.ok();
    ann.put_entry(&id, reflection("Other")).key("one").send().await.expect(422).refused("idempotency_key_reused");
    let list = ann.get(&ann.my("/entries")).send().await.ok();
    assert_eq!(ids(&list), [id]);
}

#[actix_web::test]
async fn what_is_new_is_answered_as_it_is_read_afterwards() {
    let ann = ann().await;
    let odd = json!({ "occurred_at": "2026-03-10T08:30:00.123456789+01:00", "recorded_at": "2019-03-10T08:30:00Z",
        "zone": "Europe/Lisbon", "tags": [] });
    for body in [reflection("Lake"), with(reflection("Lake"), odd)] {
        let id = new_id(&ann.app);
        let made = ann.put_entry(&id, body).send().await.created();
        let read = ann.entry(&id).await.ok();
        assert_eq!((&made.body, made.etag()), (&read.body, read.etag()));
    }
    let id = new_id(&ann.app);
    let made = ann.put(&ann.my(&format!("/exercise-responses/{id}")), work()).send().await.created();
    assert_eq!(made.body, ann.response(&id).await.ok().body);
}

#[actix_web::test]
async fn the_creating_body_comes_late_and_finds_the_present_state() {
    let ann = ann().await;
    let id = ann.writes(reflection("Lake")).await;
    ann.edits(&id, json!({ "text": { "title": "Shore" }, "mood": null })).await;
    let late = ann.put_entry(&id, reflection("Lake")).send().await.ok();
    assert_eq!(late.body["text"]["title"], "Shore");
    assert_eq!(late.etag(), "\"v2\"");
}

#[actix_web::test]
async fn twenty_at_once_make_one_entry() {
    let ann = ann().await;
    let id = new_id(&ann.app);
    let calls = (0..20).map(|_| ann.put_entry(&id, reflection("Lake")).send());
    let answers = futures_util::future::join_all(calls).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1);
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 201)));
    let revisions = ann.get(&ann.my(&format!("/entries/{id}/revisions"))).send().await.ok();
    assert_eq!(revisions.items().len(), 1);
}

#[actix_web::test]
async fn a_change_names_the_version_it_changes() {
    let ann = ann().await;
    let id = ann.writes(reflection("Lake")).await;
    ann.put_entry(&id, reflection("Shore")).send().await.expect(428).refused("precondition_required");
    ann.put_entry(&id, reflection("Shore")).header("if-none-match", "*").send().await.expect(412);
    ann.put_entry(&id, reflection("Shore")).if_match("\"v9\"").send().await.expect(412).refused("stale");
    assert_eq!(ann.entry(&id).await.ok().body["text"]["title"], "Lake", "nothing changed");
    let changed = ann.put_entry(&id, reflection("Shore")).if_match("\"v1\"").send().await.ok();
    assert_eq!((changed.etag().as_str(), &changed.body["version"]), ("\"v2\"", &json!(2)));
    let retried = ann.put_entry(&id, reflection("Shore")).if_match("\"v1\"").send().await.ok();
    assert_eq!(retried.etag(), "\"v2\"", "a lost reply is no conflict");
    let nowhere = new_id(&ann.app);
    ann.put_entry(&nowhere, reflection("Lake")).if_match("\"v1\"").send().await.expect(412);
    ann.entry(&nowhere).await.not_found();
}

#[actix_web::test]
async fn a_patch_changes_sections_and_nothing_else() {
    let ann = ann().await;
    let id = ann.writes(reflection("Lake")).await;
    ann.patch_entry(&id, json!({ "tags": ["shore"] })).send().await.expect(428);
    let answer = ann.edits(&id, json!({ "text": { "title": null }, "mood": { "energy": 4 }, "tags": ["shore"] })).await;
    assert_eq!(answer.body["text"], json!({ "body": "It was quiet, and I could stay." }));
    assert_eq!(answer.body["mood"], json!({ "valence": 7, "energy": 4, "distress": 2 }));
    assert_eq!(answer.body["tags"], json!(["shore"]));
    let same = ann.patch_entry(&id, json!({ "tags": ["shore"] })).if_match("\"v1\"").send().await.ok();
    assert_eq!(same.etag(), "\"v2\"");
    let wrong = ann.patch_entry(&id, json!({ "mood": { "energy": 11 } })).if_match("\"v2\"").send().await;
    assert_eq!(wrong.expect(422).body["errors"][0]["pointer"], "/mood/energy");
    let merge = ann.request(Method::PATCH, &ann.my(&format!("/entries/{id}")));
    merge.bytes("application/merge-patch+json", r#"{"tags":null}"#).if_match("\"v2\"").send().await.ok();
    ann.patch_entry(&new_id(&ann.app), json!({})).if_match("\"v1\"").send().await.not_found();
}

#[actix_web::test]
async fn what_is_wrong_is_told_with_its_place_and_nothing_is_kept() {
    let ann = ann().await;
    let id = new_id(&ann.app);
    let wrong =
        with(reflection("Lake"), json!({ "kind": "poem", "occurred_at": "now", "tags": [""], "attachments": [id] }));
    let answer = ann.put_entry(&id, wrong).send().await.expect(422).refused("invalid");
    let pointers: Vec<&Value> =
        answer.body["errors"].as_array().unwrap().iter().map(|fault| &fault["pointer"]).collect();
    assert_eq!(pointers, ["/kind", "/occurred_at", "/tags/0", "/attachments"]);
    ann.put_entry(&id, with(reflection("Lake"), json!({ "colour": 1 }))).send().await.expect(422);
    for odd in ["0b0e3b0a-6f6e-1b7e-9a3e-0d9b5a9c1f00", "00000000-0000-0000-0000-000000000000"] {
        let answer = ann.put_entry(odd, reflection("Lake")).send().await.expect(422);
        assert_eq!(answer.body["errors"][0]["detail"], "must be a UUID of version 4 or 7");
    }
    let foreign = with(reflection("Lake"), json!({ "infusion_id": id }));
    assert_eq!(ann.put_entry(&id, foreign).send().await.expect(422).body["errors"][0]["pointer"], "/infusion_id");
    let foreign = with(reflection("Lake"), json!({ "prompt_id": id }));
    assert_eq!(ann.put_entry(&id, foreign).send().await.expect(422).body["errors"][0]["pointer"], "/prompt_id");
    ann.entry(&id).await.not_found();
    let lenient = ann.put_entry(&id, with(reflection("Lake"), json!({ "colour": 1 })));
    let warned = lenient.header("prefer", "handling=lenient").send().await.created();
    assert_eq!(warned.body["warnings"][0]["pointer"], "/colour");
}

#[actix_web::test]
async fn an_odd_time_is_flagged_and_never_refused() {
    let ann = ann().await;
    for odd in ["2026-03-10T12:00:00+01:00", "2024-01-01T12:00:00+01:00"] {
        let id = ann.writes(with(reflection("Lake"), json!({ "occurred_at": odd }))).await;
        assert_eq!(ann.entry(&id).await.ok().body["clock_suspect"], true, "{odd}");
    }
    let late = ann.writes(with(reflection("Lake"), json!({ "occurred_at": "2026-02-20T12:00:00+01:00" }))).await;
    assert_eq!(ann.entry(&late).await.ok().body["clock_suspect"], false, "offline for weeks is not odd");
}

#[actix_web::test]
async fn a_draft_is_finished_and_does_not_become_a_draft_again() {
    let ann = ann().await;
    let id = ann.writes(with(reflection("Lake"), json!({ "status": "draft" }))).await;
    assert_eq!(ann.entry(&id).await.ok().body["status"], "draft");
    assert_eq!(ann.edits(&id, json!({ "status": "done" })).await.body["status"], "done");
    let back = ann.patch_entry(&id, json!({ "status": "draft" })).if_match("\"v2\"").send().await.expect(422);
    assert_eq!(back.body["errors"][0]["pointer"], "/status");
}

#[actix_web::test]
async fn a_deleted_entry_is_gone_and_comes_back_for_thirty_days() {
    let ann = ann().await;
    let id = ann.writes(reflection("Lake")).await;
    let path = ann.my(&format!("/entries/{id}"));
    ann.delete(&path).if_match("\"v7\"").send().await.expect(412);
    ann.delete(&path).send().await.no_content();
    ann.delete(&path).send().await.no_content();
    ann.entry(&id).await.expect(410).refused("deleted");
    ann.put_entry(&id, reflection("Lake")).send().await.expect(410);
    assert!(ids(&ann.get(&ann.my("/entries")).send().await.ok()).is_empty());
    assert_eq!(ids(&ann.get(&ann.my("/entries?status=deleted")).send().await.ok()), [id.as_str()]);
    let back = ann.post(&format!("{path}/undelete"), json!({})).send().await.ok();
    assert_eq!((&back.body["text"]["title"], &back.body["version"]), (&json!("Lake"), &json!(3)));
    ann.post(&format!("{path}/undelete"), json!({})).send().await.ok();
    ann.delete(&path).send().await.no_content();
    ann.app.wait(SignedDuration::from_hours(24 * 30));
    ann.post(&format!("{path}/undelete"), json!({})).send().await.not_found();
    ann.entry(&id).await.not_found();
    ann.delete(&ann.my(&format!("/entries/{}", new_id(&ann.app)))).send().await.not_found();
}

#[actix_web::test]
async fn an_entry_that_cannot_be_undeleted_any_more_is_not_listed_while_it_waits_to_be_purged() {
    let ann = ann().await;
    let id = ann.writes(reflection("Lake")).await;
    ann.delete(&ann.my(&format!("/entries/{id}"))).send().await.no_content();
    let listed = async || ids(&ann.get(&ann.my("/entries?status=deleted")).send().await.ok());
    ann.app.wait(SignedDuration::from_hours(24 * 30 - 1));
    assert_eq!(listed().await, [id.as_str()]);
    ann.app.wait(SignedDuration::from_hours(1));
    assert!(listed().await.is_empty());
}

#[actix_web::test]
async fn thirty_days_after_it_was_deleted_the_words_are_gone_from_the_database() {
    let ann = ann().await;
    let id = ann.writes(reflection("Lake")).await;
    ann.edits(&id, json!({ "text": { "title": "Shore" } })).await;
    ann.delete(&ann.my(&format!("/entries/{id}"))).send().await.no_content();
    let state = &ann.app.server.state;
    let entry: Id<Entry> = id.parse().unwrap();
    let left = async || {
        let words = move |tx: &mut Tx<'_>| {
            let words: Option<Vec<u8>> =
                entries::table.filter(entries::id.eq(entry)).select(entries::text).first(tx.conn())?;
            let old: i64 = revisions::table.filter(revisions::item_id.eq(entry)).count().get_result(tx.conn())?;
            Ok((words.is_some(), old > 0))
        };
        state.db.read(words).await.unwrap()
    };
    ann.app.wait(SignedDuration::from_hours(24 * 30 - 1));
    app::tick(state, &LogChannel, ann.app.now()).await.unwrap();
    assert_eq!(left().await, (true, true));
    ann.app.wait(SignedDuration::from_hours(2));
    app::tick(state, &LogChannel, ann.app.now()).await.unwrap();
    assert_eq!(left().await, (false, false));
}

#[actix_web::test]
async fn every_revision_can_be_read_and_restored() {
    let ann = ann().await;
    let id = ann.writes(reflection("One")).await;
    ann.edits(&id, json!({ "text": { "title": "Two" } })).await;
    ann.edits(&id, json!({ "tags": ["late"], "mood": null })).await;
    ann.edits(&id, json!({ "text": null })).await;
    let path = ann.my(&format!("/entries/{id}/revisions"));
    let list = ann.get(&path).send().await.ok();
    let changes: Vec<&Value> = list.items().iter().map(|item| &item["change"]).collect();
    assert_eq!(changes, ["created", "updated", "updated", "updated"]);
    let page = ann.get(&format!("{path}?limit=3")).send().await.ok();
    let rest = ann.get(&format!("{path}?limit=3&cursor={}", page.text("/next_cursor"))).send().await.ok();
    assert_eq!(rest.body["items"][0]["revision"], 4);
    let read = async |n: i64| ann.get(&format!("{path}/{n}")).send().await.ok().body;
    let (one, two, three, four) = (read(1).await, read(2).await, read(3).await, read(4).await);
    assert_eq!((&one["text"]["title"], &one["mood"]["valence"]), (&json!("One"), &json!(7)));
    assert_eq!((&two["text"]["title"], &two["mood"]["valence"]), (&json!("Two"), &json!(7)));
    assert_eq!((&three["text"]["title"], &three["tags"], three.get("mood")), (&json!("Two"), &json!(["late"]), None));
    assert_eq!(four.get("text"), None);
    ann.get(&format!("{path}/5")).send().await.not_found();
    ann.act(&format!("{path}/1/restore")).send().await.expect(428);
    let restored = ann.act(&format!("{path}/1/restore")).if_match("\"v4\"").send().await.ok();
    assert_eq!((&restored.body["text"]["title"], &restored.body["version"]), (&json!("One"), &json!(5)));
    assert_eq!(restored.body["mood"]["valence"], 7);
    let again = ann.post(&format!("{path}/1/restore"), json!({})).send().await.ok();
    assert_eq!(again.body["version"], 5, "restored twice is restored once");
    assert_eq!(read(4).await, four, "the past does not change");
}

#[actix_web::test]
async fn lists_are_newest_first_and_filtered() {
    let ann = ann().await;
    let mut written = Vec::new();
    for (day, kind, tag) in [(1, "note", "lake"), (5, "dream", "lake"), (3, "note", "shore"), (5, "note", "Lake")] {
        let body = json!({ "kind": kind, "occurred_at": format!("2026-03-0{day}T23:30:00Z"), "zone": "Europe/Berlin",
            "tags": [tag], "text": { "body": format!("Ärger am {day}.") } });
        written.push(ann.writes(body).await);
    }
    // Of the two at the same instant, the one with the greater id comes first.
    let (first, second) = if written[1] > written[3] { (1, 3) } else { (3, 1) };
    let draft =
        ann.writes(json!({ "kind": "fragment", "status": "draft", "occurred_at": "2026-03-02T10:00:00Z" })).await;
    let list = async |query: &str| ids(&ann.get(&ann.my(&format!("/entries?{query}"))).send().await.ok());
    let of = |places: &[usize]| places.iter().map(|place| written[*place].clone()).collect::<Vec<_>>();
    assert_eq!(list("status=done").await, of(&[first, second, 2, 0]));
    assert_eq!(list("status=draft").await, [draft]);
    assert_eq!(list("kind=dream").await, of(&[1]));
    let tagged = ann.post(&ann.my("/entries/search"), json!({ "tag": "LAKE" })).send().await.ok();
    assert_eq!(ids(&tagged), of(&[first, second, 0]));
    assert_eq!(list("from=2026-03-04&to=2026-03-04").await, of(&[2]), "local dates: 23:30 UTC is the next day");
    assert_eq!(list("from=2026-03-06").await, of(&[first, second]));
    assert_eq!(list("phase=peak").await, of(&[]));
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ann.get(&ann.my(&format!("/entries?limit=2{cursor}"))).send().await.ok();
        seen.extend(ids(&page));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, list("").await);
    assert_eq!(seen.len(), 5);
    for wrong in
        ["kind=poem", "from=yesterday", "limit=0", "limit=201", "cursor=abc", "status=gone", "colour=red", "tag=lake"]
    {
        ann.get(&ann.my(&format!("/entries?{wrong}"))).send().await.expect(422);
    }
    let page = ann.get(&ann.my("/entries?limit=1")).send().await.ok();
    let other = format!("/entries?limit=1&kind=note&cursor={}", page.text("/next_cursor"));
    ann.get(&ann.my(&other)).send().await.expect(422);
}

#[actix_web::test]
async fn search_looks_through_sealed_text() {
    let ann = ann().await;
    let found = ann
        .writes(with(reflection("Am See"), json!({ "text": { "title": "Am See", "body": "Der ÄRGER ging." } })))
        .await;
    let other = ann.writes(reflection("Zug")).await;
    let search = async |body: Value| ann.post(&ann.my("/entries/search"), body).send().await;
    assert_eq!(ids(&search(json!({ "words": "ärger see" })).await.ok()), [found.as_str()]);
    assert_eq!(ids(&search(json!({ "words": "quiet" })).await.ok()), [other.as_str()]);
    assert_eq!(ids(&search(json!({ "words": "LAKE", "kind": "reflection" })).await.ok()).len(), 2, "tags too");
    assert!(ids(&search(json!({ "words": "ärger", "kind": "dream" })).await.ok()).is_empty());
    assert!(ids(&search(json!({ "words": "mountain" })).await.ok()).is_empty());
    search(json!({ "words": " " })).await.expect(422);
    search(json!({ "words": "a", "limit": 0 })).await.expect(422);
}

#[actix_web::test]
async fn the_context_follows_the_infusion() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let before = ann.writes(with(reflection("Before"), json!({ "occurred_at": "2026-03-07T10:00:00+01:00" }))).await;
    let after = ann.writes(with(reflection("After"), json!({ "occurred_at": "2026-03-10T08:30:00+01:00" }))).await;
    let infusion = new_id(&app);
    let body = json!({ "status": "completed", "route": "iv_infusion", "started_at": "2026-03-08T09:00:00+01:00",
        "ended_at": "2026-03-08T09:40:00+01:00" });
    theo.put(&ann.of_theirs(&format!("/infusions/{infusion}")), body).send().await.created();
    let seen = ann.entry(&after).await.ok();
    assert_eq!(seen.body["phase"], "peak");
    assert_eq!(seen.body["context"]["infusion_id"], infusion.as_str());
    assert_eq!(seen.etag(), "\"v1\"", "the context is not part of the version");
    assert_eq!(ann.entry(&before).await.ok().body["phase"], "none");
    assert_eq!(ids(&ann.get(&ann.my("/entries?phase=peak")).send().await.ok()), [after.as_str()]);
    let of_it = ann.get(&ann.my(&format!("/entries?infusion_id={infusion}"))).send().await.ok();
    assert_eq!(ids(&of_it), [after.as_str()]);
    let linked = ann.writes(with(reflection("About it"), json!({ "infusion_id": infusion }))).await;
    assert_eq!(ann.entry(&linked).await.ok().body["infusion_id"], infusion.as_str());
}

#[actix_web::test]
async fn an_answer_completes_its_prompt() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let body = json!({ "status": "completed", "route": "iv_infusion", "started_at": "2026-03-10T08:00:00+01:00",
        "ended_at": "2026-03-10T08:40:00+01:00" });
    theo.put(&ann.of_theirs(&format!("/infusions/{}", new_id(&app))), body).send().await.created();
    let prompts = ann.get(&ann.my("/prompts")).send().await.ok().items().to_vec();
    let prompt = prompts[0]["id"].as_str().unwrap();
    let state = async || {
        let list = ann.get(&ann.my("/prompts")).send().await.ok().items().to_vec();
        list.into_iter().find(|item| item["id"] == prompt).unwrap()["state"].as_str().unwrap().to_owned()
    };
    let answer = with(reflection("Answer"), json!({ "prompt_id": prompt, "status": "draft" }));
    let id = ann.writes(answer).await;
    assert_ne!(state().await, "completed", "a draft answers nothing");
    ann.edits(&id, json!({ "status": "done" })).await;
    assert_eq!(state().await, "completed");
    assert_eq!(ids(&ann.get(&ann.my(&format!("/entries?prompt_id={prompt}"))).send().await.ok()), [id]);
}

#[actix_web::test]
async fn nobody_else_finds_an_entry() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ben = app.patient(&theo, "Ben Roth").await;
    let id = ann.writes(reflection("Lake")).await;
    for rest in ["", "/revisions", "/revisions/1", "/comments"] {
        let path = ann.of_theirs(&format!("/entries/{id}{rest}"));
        let expected = if rest.starts_with("/rev") { 403 } else { 404 };
        theo.get(&path).send().await.expect(expected);
        ben.get(&path).send().await.not_found();
        ben.get(&ben.my(&format!("/entries/{id}{rest}"))).send().await.not_found();
        app.get(&path).send().await.expect(401);
    }
    ben.put(&ann.of_theirs(&format!("/entries/{id}")), reflection("Mine")).send().await.not_found();
    theo.put(&ann.of_theirs(&format!("/entries/{id}")), reflection("Mine")).send().await.expect(403);
    ben.delete(&ann.of_theirs(&format!("/entries/{id}"))).send().await.not_found();
    assert_eq!(ann.entry(&id).await.ok().body["text"]["title"], "Lake");
    assert_eq!(ben.writes(reflection("Own")).await.len(), 36, "and everybody writes their own");
    ben.put_entry(&id, reflection("The same id")).send().await.created();
    assert_eq!(ann.entry(&id).await.ok().body["text"]["title"], "Lake");
}

#[actix_web::test]
async fn an_entry_is_kept_under_a_random_id_and_at_any_time_and_comes_out_in_the_documented_form() {
    let ann = ann().await;
    for (id, told, kept) in [
        ("0b0e3b0a-6f6e-4b7e-9a3e-0d9b5a9c1f00", "0000-01-01T00:00:00+01:00", "1900-01-01T00:00:00Z"),
        ("0b0e3b0a-6f6e-4b7e-9a3e-0d9b5a9c1f01", "9999-12-31T23:59:59Z", "2199-12-31T23:59:59Z"),
        ("0b0e3b0a-6f6e-4b7e-9a3e-0d9b5a9c1f02", "2026-03-10T07:30:00.123456789012Z", "2026-03-10T07:30:00Z"),
    ] {
        let written = with(reflection("Lake"), json!({ "occurred_at": told, "zone": null }));
        ann.put_entry(id, written).send().await.created();
        let entry = ann.get(&ann.my(&format!("/entries/{id}"))).send().await.ok();
        assert_eq!(entry.text("/occurred_at"), kept);
        assert_eq!(entry.body["clock_suspect"], json!(!kept.starts_with("2026")), "{told}");
        assert_eq!(entry.text("/local_date").len(), 10, "{told}");
    }
    let early = json!({ "expires_at": "1899-12-31T23:59:59Z", "rule": { "kind": "reflection" }, "sections": ["text"],
        "reader": { "type": "care_team" } });
    let refused = ann.put(&ann.my(&format!("/grants/{}", new_id(&ann.app))), early).send().await.expect(422);
    assert!(refused.body["errors"].to_string().contains("between 1900-01-01"), "{}", refused.body);
}
