//! What phones write offline and push: merged by sections, done once, never lost.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::app::{TestApp, new_id};
use crate::support::exercises::work;
use crate::support::journal::{reflection, two};
use crate::support::phone::{is, mutation, new_phone};
use crate::support::sql::Sql;

/// The sections of a new entry.
fn entry(body: &str) -> Value {
    json!({
        "header": { "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00", "zone": "Europe/Berlin" },
        "text": { "title": "Lake", "body": body }, "mood": { "valence": 7, "energy": 3 }, "tags": ["lake"],
    })
}

/// The places that the warnings of a result name.
fn pointers(result: &Value) -> Vec<String> {
    let warnings = result["warnings"].as_array().cloned().unwrap_or_default();
    warnings.iter().map(|warning| warning["pointer"].as_str().unwrap().to_owned()).collect()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// The number of changes that were stored.
pub fn changes(app: &TestApp) -> i64 {
    Sql::open(&app.database.backend).rows::<Count>("SELECT count(*) AS n FROM changes")[0].n
}

#[actix_web::test]
async fn what_was_written_offline_is_stored_once_as_a_put_stores_it() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = new_id(&app);
    let new = mutation(&ann, "entry", &id, 0, entry("It was quiet."));
    let first = ann.pushes(&new).await;
    assert_eq!((&first["status"], &first["version"]), (&json!("applied"), &json!(1)));
    let stored = ann.entry(&id).await.ok();
    assert_eq!(stored.body["text"]["body"], "It was quiet.");
    assert_eq!(stored.body["kind"], "reflection");
    // The same words by the other door: nothing is to be done.
    let body = json!({
        "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00", "zone": "Europe/Berlin",
        "text": { "title": "Lake", "body": "It was quiet." }, "mood": { "valence": 7, "energy": 3 }, "tags": ["lake"],
    });
    ann.put_entry(&id, body.clone()).send().await.ok();
    let other = new_id(&app);
    ann.put_entry(&other, body).send().await.created();
    let before = changes(&app);
    let lost = mutation(&ann, "entry", &other, 0, entry("It was quiet."));
    // The page that held it may be past: the answer holds it, as the page did.
    let told = ann.pushes(&lost).await;
    is(&told, "merged");
    assert_eq!(&told["item"], new_phone(&ann).await.item("entry", &other));
    // And again: each is known by its id.
    for (sent, was, item) in [(&new, "applied", None), (&lost, "merged", told.get("item"))] {
        let again = ann.pushes(sent).await;
        assert_eq!(
            (&again["status"], &again["was"], &again["version"], again.get("item")),
            (&json!("replayed"), &json!(was), &json!(1), item)
        );
    }
    let mut grown = new.clone();
    grown["text"]["body"] = json!("It was quiet, and then loud.");
    let refused = ann.pushes(&grown).await;
    assert_eq!((&refused["status"], &refused["problem"]["code"]), (&json!("rejected"), &json!("mutation_reused")));
    assert_eq!(changes(&app), before, "no row is new");
}

#[actix_web::test]
async fn two_phones_that_wrote_other_things_are_merged() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    let one = json!({ "mood": { "valence": 7, "distress": 5 }, "tags": ["lake", "one"] });
    is(&ann.pushes(&mutation(&ann, "entry", &id, 1, one)).await, "applied");
    let two = json!({
        "mood": { "valence": 2, "distress": 2 }, "tags": ["two"], "text": { "title": "Lake", "body": "Loud." },
        "header": { "kind": "dream" },
    });
    let merged = ann.pushes(&mutation(&ann, "entry", &id, 1, two)).await;
    is(&merged, "merged");
    let item = &merged["item"];
    assert_eq!(item["mood"], json!({ "valence": 2, "distress": 5 }), "each dial by itself");
    assert_eq!(item["tags"], json!(["one", "two"]));
    assert_eq!((&item["text"]["body"], &item["header"]["kind"]), (&json!("Loud."), &json!("dream")));
    let stored = ann.entry(&id).await.ok();
    assert_eq!((&stored.body["version"], &stored.body["mood"]), (&json!(3), &item["mood"]));
    let work_id = ann.works(work()).await;
    let before = ann.response(&work_id).await.ok();
    let answers = before.body["answers"].clone();
    assert!(answers.as_object().unwrap().len() > 1, "{answers}");
    let (step, _) = answers.as_object().unwrap().iter().find(|(_, value)| value.is_string()).unwrap();
    let changed = |text: &str| {
        let mut answers = answers.clone();
        answers[step] = json!(text);
        json!({ "answers": answers })
    };
    is(&ann.pushes(&mutation(&ann, "exercise_response", &work_id, 1, changed("One"))).await, "applied");
    let other =
        ann.pushes(&mutation(&ann, "exercise_response", &work_id, 1, json!({ "distress": { "after": 1 } }))).await;
    assert_eq!(other["item"]["answers"][step], "One");
    let clash = ann.pushes(&mutation(&ann, "exercise_response", &work_id, 1, changed("Two"))).await;
    assert_eq!((&clash["status"], &clash["sections"]), (&json!("conflict"), &json!(["answers"])));
}

#[actix_web::test]
async fn two_texts_are_a_conflict_or_both_are_kept() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    ann.opens(&id, &["text"], &theo).await;
    let text = |body: &str| json!({ "text": { "body": body } });
    is(&ann.pushes(&mutation(&ann, "entry", &id, 1, text("One"))).await, "applied");
    let before = changes(&app);
    let late = ann.pushes(&mutation(&ann, "entry", &id, 1, text("Two"))).await;
    assert_eq!(
        (&late["status"], &late["sections"], &late["code"]),
        (&json!("conflict"), &json!(["text"]), &json!("section_changed"))
    );
    assert_eq!((&late["current"]["text"]["body"], &late["current"]["version"]), (&json!("One"), &json!(2)));
    assert_eq!(changes(&app), before, "nothing was stored");
    let both = json!({ "text": { "body": "Two" }, "tags": ["lake", "late"], "on_conflict": "keep_both" });
    let both = mutation(&ann, "entry", &id, 1, both);
    let kept = ann.pushes(&both).await;
    is(&kept, "merged");
    assert_eq!((&kept["item"]["text"]["body"], &kept["item"]["tags"]), (&json!("One"), &json!(["lake", "late"])));
    let copy = &kept["sibling"];
    assert_eq!((&copy["text"]["body"], &copy["header"]["status"]), (&json!("Two"), &json!("draft")));
    assert_eq!(copy["header"]["copy_of"], id.as_str());
    let again = ann.pushes(&both).await;
    assert_eq!((&again["status"], &again["was"]), (&json!("replayed"), &json!("merged")));
    assert_eq!((&again["item"], &again["sibling"]), (&kept["item"], copy), "both answers are equal");
    assert_eq!(theo.finds(&ann).await, [id.as_str()], "nobody else sees the copy");
    let all = ann.get(&ann.my("/entries?status=draft")).send().await.ok();
    assert_eq!(all.items().len(), 1, "and a retry makes no second one");
    // An earlier text that was sent again is no conflict: the server has gone on since.
    let old = ann.pushes(&mutation(&ann, "entry", &id, 0, json!({ "header": { "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00" }, "text": { "title": "Lake", "body": "It was quiet, and I could stay." } }))).await;
    is(&old, "merged");
    assert_eq!(old["item"]["text"]["body"], "One");
}

#[actix_web::test]
async fn words_win_over_deletion_and_what_comes_back_is_open_to_nobody() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let delete = json!({ "op": "delete" });
    // The edit first, then a deletion that had not seen it.
    let id = ann.writes(reflection("Lake")).await;
    ann.opens(&id, &["text"], &theo).await;
    is(&ann.pushes(&mutation(&ann, "entry", &id, 1, json!({ "text": { "body": "More." } }))).await, "applied");
    let kept = ann.pushes(&mutation(&ann, "entry", &id, 1, delete.clone())).await;
    assert_eq!((&kept["status"], &kept["code"]), (&json!("merged"), &json!("kept_newer_words")));
    assert_eq!(ann.entry(&id).await.ok().body["text"]["body"], "More.");
    assert!(theo.finds(&ann).await.is_empty(), "its grants are closed");
    // The deletion first, then words that had not seen it.
    let id = ann.writes(reflection("Lake")).await;
    ann.opens(&id, &["text"], &theo).await;
    is(&ann.pushes(&mutation(&ann, "entry", &id, 1, delete.clone())).await, "applied");
    ann.entry(&id).await.expect(410);
    let back = ann.pushes(&mutation(&ann, "entry", &id, 1, json!({ "text": { "body": "More." } }))).await;
    is(&back, "merged");
    assert_eq!(ann.entry(&id).await.ok().body["text"]["body"], "More.");
    assert!(theo.finds(&ann).await.is_empty());
    // A deletion from before it came back does nothing; tags bring nothing back.
    let late = ann.pushes(&mutation(&ann, "entry", &id, 1, delete.clone())).await;
    is(&late, "merged");
    let version = ann.entry(&id).await.ok().body["version"].as_i64().unwrap();
    is(&ann.pushes(&mutation(&ann, "entry", &id, version, delete.clone())).await, "applied");
    ann.pushes(&mutation(&ann, "entry", &id, version, json!({ "tags": ["x"] }))).await;
    ann.entry(&id).await.expect(410);
    is(&ann.pushes(&mutation(&ann, "entry", &id, version, delete.clone())).await, "applied");
    let undone = ann.pushes(&mutation(&ann, "entry", &id, version + 1, json!({ "op": "undelete" }))).await;
    is(&undone, "applied");
    ann.entry(&id).await.ok();
    // After thirty days there is nothing to merge with: the phone sends all it has.
    let version = ann.entry(&id).await.ok().body["version"].as_i64().unwrap();
    is(&ann.pushes(&mutation(&ann, "entry", &id, version, delete.clone())).await, "applied");
    app.wait(SignedDuration::from_hours(31 * 24));
    crate::tasks::settled(&app).await;
    let gone = ann.pushes(&mutation(&ann, "entry", &id, version, json!({ "text": { "body": "Late" } }))).await;
    assert_eq!((&gone["status"], gone.get("current")), (&json!("conflict"), None));
    let whole = ann.pushes(&mutation(&ann, "entry", &id, 0, entry("All I have."))).await;
    is(&whole, "merged");
    assert_eq!(ann.entry(&id).await.ok().body["text"]["body"], "All I have.");
    is(&ann.pushes(&mutation(&ann, "entry", &new_id(&app), 4, delete)).await, "applied");
    let unknown = ann.pushes(&mutation(&ann, "entry", &new_id(&app), 4, json!({ "text": { "body": "x" } }))).await;
    is(&unknown, "conflict");
}

/// The server that purges may stand still while phones push.
#[actix_web::test]
async fn words_that_come_back_after_thirty_days_bring_back_nothing_of_what_was_deleted() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    let path = format!("/entries/{id}");
    ann.opens(&id, &["text"], &theo).await;
    theo.act(&ann.of_theirs(&format!("{path}/opened"))).send().await.ok();
    theo.says(&ann.of_theirs(&format!("{path}/comments")), json!({ "body": "Thank you" })).send().await.created();
    ann.edits(&id, json!({ "text": { "title": "Shore" } })).await;
    ann.delete(&ann.my(&path)).send().await.no_content();
    app.wait(SignedDuration::from_hours(31 * 24));
    is(&ann.pushes(&mutation(&ann, "entry", &id, 0, entry("All I have."))).await, "merged");
    let back = ann.entry(&id).await.ok().body;
    assert_eq!((&back["text"]["body"], &back["seen_by"]), (&json!("All I have."), &json!([])));
    assert!(ann.get(&ann.my(&format!("{path}/comments"))).send().await.ok().items().is_empty());
    let mut sql = Sql::open(&app.database.backend);
    for table in ["revisions", "receipts", "comments", "grant_items"] {
        let left = sql.rows::<Count>(&format!("SELECT count(*) AS n FROM {table}"))[0].n;
        assert_eq!(left, 0, "{table}");
    }
}

#[actix_web::test]
async fn a_mutation_that_comes_again_when_its_words_are_gone_for_good_is_answered_with_what_is_there() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = new_id(&app);
    let mut odd = entry("It was quiet.");
    odd["tags"] = json!(["fine", "x".repeat(60)]);
    let first = mutation(&ann, "entry", &id, 0, odd);
    is(&ann.pushes(&first).await, "merged");
    ann.delete(&ann.my(&format!("/entries/{id}"))).send().await.no_content();
    app.wait(SignedDuration::from_hours(31 * 24));
    // Before the words are purged, and after.
    for _ in 0..2 {
        let again = ann.pushes(&first).await;
        assert_eq!((&again["status"], &again["was"]), (&json!("replayed"), &json!("merged")));
        assert_eq!((&again["item"]["deleted"], again["item"].get("text")), (&json!(true), None), "{again}");
        crate::tasks::settled(&app).await;
    }
    assert_eq!(app.server.state.vault.unreadable_rows(), 0, "nothing is damaged");
    is(&ann.pushes(&mutation(&ann, "entry", &id, 0, entry("All I have."))).await, "merged");
    assert_eq!(ann.pushes(&first).await["item"]["text"]["body"], "All I have.");
}

#[actix_web::test]
async fn one_bad_mutation_harms_no_other_and_words_are_not_refused_for_their_circumstances() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let bea = app.patient(&theo, "Bea Holt").await;
    let (good, odd, last) = (new_id(&app), new_id(&app), new_id(&app));
    let mut foreign = mutation(&ann, "entry", &new_id(&app), 0, entry("Not here."));
    foreign["patient_id"] = json!(bea.patient);
    let mut strange = entry("Kept.");
    strange["header"] = json!({
        "kind": "reflection", "occurred_at": "yesterday", "zone": "Mars/Olympus", "prompt_id": new_id(&app),
        "infusion_id": new_id(&app), "colour": "blue",
    });
    strange["tags"] = json!(["fine", "x".repeat(60)]);
    strange["sound"] = json!("rain");
    let mut dial = entry("Wrong.");
    dial["mood"] = json!({ "valence": 70 });
    let batch = [
        mutation(&ann, "entry", &good, 0, entry("First.")),
        foreign,
        json!({ "mutation_id": "nonsense" }),
        mutation(&ann, "entry", &new_id(&app), 0, dial),
        mutation(&ann, "entry", &odd, 0, strange),
        mutation(&ann, "entry", &good, 1, json!({ "text": { "body": "Twice." } })),
        mutation(&ann, "weather", &new_id(&app), 0, json!({})),
        mutation(&ann, "entry", &last, 0, entry("Last.")),
    ];
    let answer = ann.push(&batch).await.ok();
    let results = answer.body["results"].as_array().unwrap();
    let told: Vec<_> = results.iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(
        told,
        ["applied", "rejected", "rejected", "rejected", "merged", "rejected", "rejected", "applied"],
        "{results:#?}"
    );
    let code = |place: usize| results[place]["problem"]["code"].as_str().unwrap();
    assert_eq!([code(1), code(3), code(5)], ["wrong_account", "invalid", "item_repeated"]);
    assert_eq!(results[5]["problem"]["retryable"], true);
    let warned: Vec<_> =
        results[4]["warnings"].as_array().unwrap().iter().map(|one| one["pointer"].as_str().unwrap()).collect();
    for part in ["occurred_at", "zone", "prompt_id", "infusion_id", "tags", "sound"] {
        assert!(warned.iter().any(|pointer| pointer.contains(part)), "{part}: {warned:?}");
    }
    let kept = ann.entry(&odd).await.ok().body;
    assert_eq!((&kept["text"]["body"], &kept["tags"]), (&json!("Kept."), &json!(["fine"])), "one tag goes, not all");
    // What cannot be stored of a change leaves what was there.
    let zone =
        json!({ "header": { "zone": "Mars/Olympus", "prompt_id": new_id(&app) }, "tags": ["fine", "x".repeat(60)] });
    let changed = mutation(&ann, "entry", &good, 1, zone);
    is(&ann.pushes(&changed).await, "merged");
    let kept = ann.entry(&good).await.ok().body;
    assert_eq!((&kept["zone"], &kept["tags"]), (&json!("Europe/Berlin"), &json!(["fine"])));
    let cut: Vec<String> = (0..30).map(|n| format!("tag {n}")).collect();
    is(&ann.pushes(&mutation(&ann, "entry", &good, 2, json!({ "tags": cut }))).await, "merged");
    assert_eq!(ann.entry(&good).await.ok().body["tags"].as_array().unwrap().len(), 20);
    assert_eq!(ann.entry(&last).await.ok().body["text"]["body"], "Last.");
    assert_eq!(ann.get(&ann.my("/entries")).send().await.ok().items().len(), 3);
}

#[actix_web::test]
async fn two_mutations_of_a_batch_that_have_one_id_harm_no_other() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let (one, other, last) = (new_id(&app), new_id(&app), new_id(&app));
    let first = mutation(&ann, "entry", &one, 0, entry("First."));
    let mut second = mutation(&ann, "entry", &other, 0, entry("Second."));
    second["mutation_id"] = first["mutation_id"].clone();
    let batch = [first.clone(), second, first, mutation(&ann, "entry", &last, 0, entry("Last."))];
    for told in [["applied", "rejected", "replayed", "applied"], ["replayed", "rejected", "replayed", "replayed"]] {
        let results = ann.push(&batch).await.ok().body["results"].clone();
        let statuses: Vec<_> = results.as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, told, "{results:#}");
        assert_eq!(results[1]["problem"]["code"], "mutation_reused");
    }
    assert_eq!(ann.entry(&one).await.ok().body["text"]["body"], "First.");
    assert_eq!(ann.entry(&last).await.ok().body["text"]["body"], "Last.");
    ann.entry(&other).await.expect(404);
}

#[actix_web::test]
async fn a_list_full_of_what_is_no_tag_takes_no_time() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    for (name, wrong) in [("tags", json!(null)), ("tags", json!({})), ("attachments", json!("x"))] {
        let mut odd = entry("Kept.");
        let mut list = vec![wrong; 2000];
        if name == "tags" {
            list.insert(1, json!("lake"));
        }
        odd[name] = json!(list);
        let result = ann.pushes(&mutation(&ann, "entry", &new_id(&app), 0, odd)).await;
        is(&result, "merged");
        assert_eq!((&result["item"]["text"]["body"], &result["item"]["tags"]), (&json!("Kept."), &json!(["lake"])));
        // Each warning was a reading of the list.
        let warnings = result["warnings"].as_array().unwrap();
        assert!((1..=110).contains(&warnings.len()), "{name}: {}", warnings.len());
    }
}

#[actix_web::test]
async fn a_batch_of_another_epoch_is_not_begun() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = new_id(&app);
    let body = json!({ "epoch": "AAECAwQFBgcICQoLDA0ODw", "mutations": [mutation(&ann, "entry", &id, 0, entry("x"))] });
    let gone = ann.post(&ann.my("/mutations"), body.clone()).send().await.expect(410).refused("resync_required");
    assert_eq!(gone.body["epoch"], ann.epoch().await);
    ann.entry(&id).await.not_found();
    theo.post(&ann.of_theirs("/mutations"), body).send().await.expect(403);
    assert_eq!(ann.push(&[]).await.ok().body["results"], json!([]));
    let many: Vec<Value> = (0..501).map(|_| json!({})).collect();
    ann.push(&many).await.expect(422);
}

#[actix_web::test]
async fn acts_on_prompts_are_done_as_the_app_does_them_online() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now()).await;
    let planned: Vec<String> = ann
        .prompts()
        .await
        .iter()
        .filter(|prompt| prompt["state"] == "planned")
        .map(|prompt| prompt["id"].as_str().unwrap().to_owned())
        .collect();
    let act = |id: &str, op: &str| mutation(&ann, "prompt", id, 0, json!({ "op": op }));
    let batch =
        [act(&planned[0], "open"), act(&planned[1], "skip"), act(&planned[2], "complete"), act(&planned[3], "snooze")];
    let answer = ann.push(&batch).await.ok();
    for result in answer.body["results"].as_array().unwrap() {
        is(result, "applied");
    }
    let states: Vec<Value> = ann.prompts().await;
    let state = |id: &str| states.iter().find(|prompt| prompt["id"] == id).unwrap()["state"].clone();
    assert_eq!(
        [state(&planned[0]), state(&planned[1]), state(&planned[2])],
        [json!("opened"), json!("skipped"), json!("completed")]
    );
    let late = ann.pushes(&act(&planned[2], "skip")).await;
    assert_eq!((&late["status"], &late["item"]["state"]), (&json!("merged"), &json!("completed")));
    let unknown = ann.pushes(&act(&new_id(&app), "open")).await;
    assert_eq!(unknown["problem"]["code"], "not_found");
}

/// A phone that writes alone meets no conflict, no merge and no copy, whatever is lost on the way.
#[actix_web::test]
async fn i3_a_phone_that_writes_alone_is_never_told_of_a_conflict() {
    let app = TestApp::start().await;
    let (theo, _) = two(&app).await;
    let mut phones = Vec::new();
    for n in 0..6_usize {
        phones.push((n, app.patient(&theo, ["Ada", "Bea", "Cleo", "Dina", "Edda", "Fay"][n]).await));
    }
    let lives = phones.into_iter().map(|(n, person)| async move {
        let (mut held, mut waiting) = (Vec::<(String, i64)>::new(), Vec::new());
        for turn in 0..40_usize {
            if turn % 3 == 2 {
                let (id, version) = &held[turn % held.len()];
                waiting.push((
                    id.clone(),
                    mutation(&person, "entry", id, *version, json!({ "text": { "body": format!("Turn {turn}") } })),
                ));
            } else {
                let id = new_id(&person.app);
                waiting.push((id.clone(), mutation(&person, "entry", &id, 0, entry("New"))));
            }
            if waiting.len() < 4 && turn < 39 && !held.is_empty() {
                let (id, _) = waiting.last().unwrap();
                if held.iter().any(|(other, _)| other == id) || turn % 2 == 0 {
                    continue;
                }
            }
            let batch: Vec<Value> = waiting.iter().map(|(_, mutation)| mutation.clone()).collect();
            // Every third answer is lost: the same batch is sent again.
            if (turn + n) % 3 == 0 {
                drop(person.push(&batch).await);
            }
            let answer = person.push(&batch).await.ok();
            for ((id, _), result) in waiting.drain(..).zip(answer.body["results"].as_array().unwrap()) {
                let well = result["status"] == "applied" || result["was"] == "applied";
                let repeated = result["problem"]["code"] == "item_repeated";
                assert!(well || repeated, "{result:#}");
                if let Some(version) = result["version"].as_i64() {
                    held.retain(|(other, _)| *other != id);
                    held.push((id, version));
                }
            }
        }
        let all = person.get(&person.my("/entries?limit=200")).send().await.ok();
        assert_eq!(all.items().len(), held.len(), "no word twice and none lost");
    });
    futures_util::future::join_all(lives).await;
    drop(Arc::clone(&app));
}

/// Apps cut texts by UTF-16 units, and newer apps know other kinds.
#[actix_web::test]
async fn half_a_sign_and_an_unknown_kind_keep_no_words_on_the_phone() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let (cut, odd, last) = (new_id(&app), new_id(&app), new_id(&app));
    let mut unknown = mutation(&ann, "entry", &odd, 0, entry("Odd."));
    (unknown["header"]["kind"], unknown["header"]["status"]) = (json!("poem"), json!("sealed"));
    let batch = [
        mutation(&ann, "entry", &cut, 0, entry("A smile HALF")),
        unknown,
        mutation(&ann, "entry", &last, 0, entry("Last.")),
    ];
    let body = json!({ "epoch": ann.epoch().await, "mutations": batch }).to_string().replace("HALF", "\\ud83d");
    let results = ann
        .request(reqwest::Method::POST, &ann.my("/mutations"))
        .bytes("application/json", body)
        .send()
        .await
        .ok()
        .body["results"]
        .clone();
    let statuses: Vec<_> = (0..3).map(|n| results[n]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["merged", "merged", "applied"], "{results:#}");
    assert_eq!(ann.entry(&cut).await.ok().body["text"]["body"], "A smile \u{fffd}");
    assert_eq!(results[0]["item"]["text"]["body"], "A smile \u{fffd}");
    assert_eq!(pointers(&results[0]), ["/text/body"]);
    let stored = ann.entry(&odd).await.ok().body;
    assert_eq!(
        (&stored["kind"], &stored["status"], &stored["text"]["body"]),
        (&json!("note"), &json!("draft"), &json!("Odd."))
    );
    assert_eq!(pointers(&results[1]), ["/kind", "/status"]);
    // A kind that is known is not lost to one that is not.
    let edit = json!({ "header": { "kind": "poem" }, "text": { "title": "Lake", "body": "Last, and more." } });
    is(&ann.pushes(&mutation(&ann, "entry", &last, 1, edit)).await, "merged");
    assert_eq!(ann.entry(&last).await.ok().body["kind"], "reflection");
}

/// A phone that is answered "applied" goes on showing what it sent.
#[actix_web::test]
async fn what_is_stored_in_another_form_than_it_was_sent_in_is_told() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let at = [
        ("0000-01-01T00:00:00Z", "1900-01-01T00:00:00Z", "merged"),
        ("9999-12-31T23:59:59Z", "2199-12-31T23:59:59Z", "merged"),
        ("2026-03-09T21:00:00.123+01:00", "2026-03-09T20:00:00Z", "applied"),
    ];
    for (sent, stored, status) in at {
        let mut odd = entry("Kept.");
        odd["header"]["occurred_at"] = json!(sent);
        let id = new_id(&app);
        let result = ann.pushes(&mutation(&ann, "entry", &id, 0, odd)).await;
        assert_eq!(result["status"], status, "{sent}: {result:#}");
        assert_eq!(pointers(&result), if status == "merged" { vec!["/occurred_at"] } else { vec![] });
        assert_eq!(ann.entry(&id).await.ok().body["occurred_at"], stored);
        let edit = json!({ "header": { "occurred_at": sent }, "text": { "body": "More." } });
        let edited = ann.pushes(&mutation(&ann, "entry", &id, 1, edit)).await;
        assert_eq!((&edited["status"], edited["warnings"].is_array()), (&json!(status), status == "merged"));
    }
    // Each tag that goes is named by the place where it was sent.
    let mut tagged = entry("Kept.");
    tagged["tags"] = json!(["one", "", "two", " ", "x".repeat(60), "three"]);
    let result = ann.pushes(&mutation(&ann, "entry", &new_id(&app), 0, tagged)).await;
    assert_eq!(result["item"]["tags"], json!(["one", "two", "three"]));
    let mut places = pointers(&result);
    places.sort();
    assert_eq!(places, ["/tags/1", "/tags/3", "/tags/4"]);
}

/// No text holds NUL; the words around one are kept, in every kind that has words.
#[actix_web::test]
async fn words_are_not_refused_for_a_character_that_no_text_holds() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (open, comment) = (ann.writes(reflection("Lake")).await, new_id(&app));
    ann.opens(&open, &["text"], &theo).await;
    let mut written = entry("One\u{0}two.");
    written["tags"] = json!(["la\u{0}ke"]);
    let id = new_id(&app);
    let result = ann.pushes(&mutation(&ann, "entry", &id, 0, written)).await;
    is(&result, "merged");
    assert_eq!(pointers(&result), ["/tags/0", "/text/body"]);
    let stored = ann.entry(&id).await.ok().body;
    assert_eq!((&stored["text"]["body"], &stored["tags"]), (&json!("One\u{fffd}two."), &json!(["la\u{fffd}ke"])));
    let said = mutation(&ann, "comment", &comment, 0, json!({ "entry_id": open, "body": "Yes\u{0}!" }));
    let result = ann.pushes(&said).await;
    is(&result, "merged");
    assert_eq!(result["item"]["body"], "Yes\u{fffd}!");
    assert!(pointers(&result).contains(&"/body".to_owned()), "{result:#}");
}

#[actix_web::test]
async fn a_number_of_changes_that_cannot_be_is_told_and_refuses_no_share() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    for (seen, warned) in [(json!("soon"), true), (json!(-1), true), (json!(1_000_000), true), (json!(1), false)] {
        let share = json!({ "target": { "type": "entry", "id": entry }, "sections": ["text"],
            "reader": { "type": "care_team" }, "seen_seq": seen });
        let result = ann.pushes(&mutation(&ann, "grant", &new_id(&app), 0, share)).await;
        is(&result, "applied");
        assert_eq!(pointers(&result), if warned { vec!["/seen_seq"] } else { vec![] }, "{seen}");
    }
}

#[actix_web::test]
async fn words_that_are_kept_beside_others_or_come_after_a_purge_are_not_refused_for_a_link() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    is(&ann.pushes(&mutation(&ann, "entry", &id, 1, json!({ "text": { "body": "One" } }))).await, "applied");
    let both = json!({
        "header": { "infusion_id": new_id(&app) }, "text": { "body": "Two" }, "on_conflict": "keep_both",
    });
    let kept = ann.pushes(&mutation(&ann, "entry", &id, 1, both)).await;
    is(&kept, "merged");
    assert_eq!(pointers(&kept), ["/infusion_id"]);
    assert!(kept["sibling"]["header"]["infusion_id"].is_null(), "{kept:#}");
    let copy = ann.entry(kept["sibling"]["id"].as_str().unwrap()).await.ok();
    assert_eq!(copy.body["text"]["body"], "Two");
    let version = ann.entry(&id).await.ok().body["version"].as_i64().unwrap();
    is(&ann.pushes(&mutation(&ann, "entry", &id, version, json!({ "op": "delete" }))).await, "applied");
    app.wait(SignedDuration::from_hours(31 * 24));
    crate::tasks::settled(&app).await;
    let mut whole = entry("All I have.");
    whole["header"]["infusion_id"] = json!(new_id(&app));
    let back = ann.pushes(&mutation(&ann, "entry", &id, 0, whole)).await;
    is(&back, "merged");
    assert_eq!(pointers(&back), ["/infusion_id"]);
    assert_eq!(ann.entry(&id).await.ok().body["text"]["body"], "All I have.");
}
