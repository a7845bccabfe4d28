//! What phones say after a restore, and what comes again long after it was answered.

use afterglow::sync::renewal;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::push::changes;
use crate::support::app::{TestApp, new_id};
use crate::support::journal::{reflection, two};
use crate::support::people::again;
use crate::support::phone::{is, mutation, new_phone};
use crate::tasks::settled;

fn text(body: &str) -> Value {
    json!({ "text": { "title": "Lake", "body": body } })
}

/// Two phones were ahead of a restored server: on one the entry was undeleted last, the other had only seen the deletion.
#[actix_web::test]
async fn rule_restore_what_a_phone_states_to_be_there_is_not_deleted_by_one_that_knew_less() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let ids = [ann.writes(reflection("Lake")).await, ann.writes(reflection("Lake")).await];
    drop((theo, ann));
    renewal::renew(&app.server.state).await.unwrap();
    let (theo, ann) = (again(&app, "Theo Brandt").await, again(&app, "Ann Lind").await);
    for (id, same_words) in ids.into_iter().zip([true, false]) {
        let grant = ann.opens(&id, &["text"], &theo).await;
        let words = if same_words { "It was quiet, and I could stay." } else { "It was loud." };
        let mut stated = text(words);
        stated["mood"] = json!({ "valence": 7, "distress": 2 });
        let stated = ann.pushes(&mutation(&ann, "entry", &id, 9, stated)).await;
        is(&stated, "merged");
        assert!(stated["item"]["version"].as_i64() > Some(1), "{stated:#}");
        let version = ann.entry(&id).await.ok().body["version"].clone();
        assert_eq!(stated["item"]["version"], version, "the statement is stored");
        let late = ann.pushes(&mutation(&ann, "entry", &id, 8, json!({ "op": "delete" }))).await;
        is(&late, "merged");
        assert_eq!(ann.entry(&id).await.ok().body["text"]["body"], words);
        if same_words {
            assert_eq!(theo.finds(&ann).await, [id.as_str()], "what was open stays open");
            ann.revokes(&grant).await;
        }
        // Who has seen it there may delete it.
        let seen = mutation(&ann, "entry", &id, version.as_i64().unwrap(), json!({ "op": "delete" }));
        is(&ann.pushes(&seen).await, "applied");
        ann.entry(&id).await.expect(410);
    }
}

/// The copy of two texts in conflict has an id of the server's.
#[actix_web::test]
async fn rule_restore_a_copy_that_the_server_has_lost_is_stored_again() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = uuid::Builder::from_custom_bytes([7; 16]).into_uuid().to_string();
    let header = json!({ "kind": "reflection", "status": "draft", "occurred_at": "2026-03-10T07:30:00Z" });
    let whole = json!({ "header": header, "text": { "body": "The other text." } });
    let sent = mutation(&ann, "entry", &id, 0, whole);
    is(&ann.pushes(&sent).await, "applied");
    assert_eq!(ann.entry(&id).await.ok().body["text"]["body"], "The other text.");
    is(&ann.pushes(&sent).await, "replayed");
    // By a PUT, ids are the client's.
    let other = uuid::Builder::from_custom_bytes([8; 16]).into_uuid().to_string();
    ann.put_entry(&other, reflection("Lake")).send().await.expect(422);
}

#[actix_web::test]
async fn rule_push_a_conflict_that_comes_again_late_is_not_done() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    is(&ann.pushes(&mutation(&ann, "entry", &id, 1, text("One"))).await, "applied");
    let late = mutation(&ann, "entry", &id, 1, text("Two"));
    let first = ann.pushes(&late).await;
    assert_eq!((&first["status"], &first["sections"]), (&json!("conflict"), &json!(["text"])));
    assert_eq!(ann.pushes(&late).await, first, "the same is told again");
    // The person has decided, and then deleted it: what was on its way brings nothing back.
    is(&ann.pushes(&mutation(&ann, "entry", &id, 2, text("One and two"))).await, "applied");
    is(&ann.pushes(&mutation(&ann, "entry", &id, 3, json!({ "op": "delete" }))).await, "applied");
    let before = changes(&app);
    let again = ann.pushes(&late).await;
    assert_eq!((&again["status"], &again["current"]["deleted"]), (&json!("conflict"), &json!(true)));
    assert_eq!(changes(&app), before);
    ann.entry(&id).await.expect(410);
    // Nor does a share of what was a draft then open it now.
    let mut draft = reflection("Draft");
    draft["status"] = json!("draft");
    let draft = ann.writes(draft).await;
    let share = json!({ "target": { "type": "entry", "id": draft }, "sections": ["text"],
        "reader": { "type": "therapist", "account_id": theo.account }, "seen_seq": 1000 });
    let share = mutation(&ann, "grant", &new_id(&app), 0, share);
    let refused = ann.pushes(&share).await;
    assert_eq!((&refused["status"], &refused["code"]), (&json!("conflict"), &json!("not_shareable")));
    ann.edits(&draft, json!({ "status": "done" })).await;
    assert_eq!(ann.pushes(&share).await["code"], "not_shareable");
    assert!(theo.finds(&ann).await.is_empty());
}

/// A phone drops the comments of a deleted entry with it.
#[actix_web::test]
async fn rule_pull_comments_go_with_their_entry_and_come_back_with_it() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    ann.opens(&id, &["text"], &theo).await;
    let thread = ann.of_theirs(&format!("/entries/{id}/comments"));
    theo.says(&thread, json!({ "body": "Thank you." })).send().await.created();
    let mut phone = new_phone(&ann).await;
    let comment = phone.of_kind("comment")[0]["id"].as_str().unwrap().to_owned();
    let tag = ann.entry(&id).await.ok().etag();
    ann.delete(&ann.my(&format!("/entries/{id}"))).if_match(&tag).send().await.no_content();
    // While it is deleted, nobody is given its comments.
    assert!(new_phone(&ann).await.of_kind("comment").is_empty());
    phone.pull(&ann, 200).await;
    phone.things.remove(&("comment".to_owned(), comment.clone()));
    let mut new = new_phone(&ann).await;
    for held in [&mut phone, &mut new] {
        let same = held.compare(&ann).await;
        assert_eq!((&same["differ"], &same["missing"]), (&json!([]), &json!([])), "{same}");
    }
    ann.act(&ann.my(&format!("/entries/{id}/undelete"))).send().await.ok();
    for held in [&mut phone, &mut new] {
        held.pull(&ann, 200).await;
        assert_eq!(held.item("comment", &comment)["body"], "Thank you.");
        let same = held.compare(&ann).await;
        assert_eq!((&same["differ"], &same["missing"]), (&json!([]), &json!([])), "{same}");
    }
    phone.equals(&new);
    assert_eq!(ann.get(&ann.my(&format!("/entries/{id}/comments"))).send().await.ok().items().len(), 1);
}

/// Of each kind that can be in conflict, the same mutation is told the same.
#[actix_web::test]
async fn rule_push_a_conflict_names_the_same_sections_when_it_is_told_again() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    ann.opens(&id, &["text"], &theo).await;
    let link = ann.care_links().await[0]["id"].clone();
    let (comment, pause) = (new_id(&app), new_id(&app));
    let says = |body: &str| json!({ "entry_id": id, "thread_id": link, "body": body });
    let until = |day: &str| json!({ "fields": { "from": "2026-05-01T00:00:00Z", "until": format!("2026-05-{day}T00:00:00Z") } });
    let day = |day: &str| json!({ "fields": { "weekly_day": day } });
    let cases = [
        ("comment", &comment, says("One"), says("Two"), "body"),
        ("pause", &pause, until("03"), until("05"), "fields"),
        ("settings", &ann.patient, day("monday"), day("friday"), "weekly_day"),
    ];
    for (kind, id, one, two, section) in cases {
        let base = i64::from(kind == "settings");
        is(&ann.pushes(&mutation(&ann, kind, id, base, one)).await, "applied");
        let late = mutation(&ann, kind, id, base, two);
        let first = ann.pushes(&late).await;
        assert_eq!((&first["status"], &first["sections"]), (&json!("conflict"), &json!([section])), "{first:#}");
        assert_eq!(ann.pushes(&late).await, first);
    }
}

/// The phone had the answer to a merge to come, and was away until the entry was purged.
#[actix_web::test]
async fn rule_push_a_merge_that_comes_again_after_its_entry_was_purged_keeps_no_words_on_the_phone() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    let mut warned = text("One");
    warned["sound"] = json!("rain");
    let lost = mutation(&ann, "entry", &id, 1, warned);
    is(&ann.pushes(&lost).await, "merged");
    // On another phone she changes its time, and deletes it.
    ann.edits(&id, json!({ "occurred_at": "2026-03-10T09:45:00+01:00" })).await;
    is(&ann.pushes(&mutation(&ann, "entry", &id, 3, json!({ "op": "delete" }))).await, "applied");
    app.wait(SignedDuration::from_hours(31 * 24));
    settled(&app).await;
    let header = json!({ "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00" });
    let whole = |body: &str| json!({ "header": header, "text": { "body": body } });
    let again = async |new: &str| {
        let batch = [lost.clone(), mutation(&ann, "entry", new, 0, whole("Later."))];
        let results = ann.push(&batch).await.ok().body["results"].clone();
        is(&results[0], "replayed");
        assert_eq!(ann.entry(new).await.ok().body["text"]["body"], "Later.");
        results[0]["item"].clone()
    };
    assert_eq!(again(&new_id(&app)).await["deleted"], true);
    // A third phone still had it, and sends it whole.
    is(&ann.pushes(&mutation(&ann, "entry", &id, 0, whole("All I have."))).await, "merged");
    assert_eq!(again(&new_id(&app)).await["text"]["body"], "All I have.");
}

/// Of what a phone sends, only the text is in conflict.
#[actix_web::test]
async fn rule_push_a_conflict_that_is_told_again_names_no_section_that_was_in_none() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = ann.writes(reflection("Lake")).await;
    is(&ann.pushes(&mutation(&ann, "entry", &id, 1, text("One"))).await, "applied");
    let mut more = text("Two");
    more["mood"] = json!({ "valence": 1, "distress": 2 });
    let late = mutation(&ann, "entry", &id, 1, more);
    let before = changes(&app);
    let first = ann.pushes(&late).await;
    assert_eq!((&first["status"], &first["sections"]), (&json!("conflict"), &json!(["text"])));
    assert_eq!(ann.pushes(&late).await, first);
    assert_eq!(changes(&app), before, "nothing was stored");
}

/// An entry without words, and a phone that was away for longer than its deletion could be undone.
#[actix_web::test]
async fn rule_push_tags_of_what_was_purged_are_told_of_its_deletion_and_not_asked_for_again() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let id = new_id(&app);
    let header = json!({ "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00" });
    let whole = json!({ "header": header, "tags": ["lake"] });
    is(&ann.pushes(&mutation(&ann, "entry", &id, 0, whole.clone())).await, "applied");
    is(&ann.pushes(&mutation(&ann, "entry", &id, 1, json!({ "op": "delete" }))).await, "applied");
    app.wait(SignedDuration::from_hours(31 * 24));
    settled(&app).await;
    let before = changes(&app);
    for (base, sent) in [(1, json!({ "tags": ["lake", "late"] })), (0, whole)] {
        let told = ann.pushes(&mutation(&ann, "entry", &id, base, sent)).await;
        is(&told, "merged");
        assert_eq!(told["item"]["deleted"], true, "{told:#}");
    }
    assert_eq!(changes(&app), before);
    ann.entry(&id).await.expect(404);
}
