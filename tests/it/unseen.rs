//! Grants and revocations that phones made offline: what was revoked stays closed, in whatever order they arrive.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::push::changes;
use crate::support::app::{TestApp, new_id};
use crate::support::journal::{grant, reflection, two, with};
use crate::support::people::{Person, again};
use crate::support::phone::{is, mutation};

/// The `seq` of a page that a phone pulls now.
pub async fn seen(person: &Person) -> i64 {
    person.get(&person.my("/changes?limit=1")).send().await.ok().body["seq"].as_i64().unwrap()
}

pub fn share(person: &Person, id: &str, seen: i64, grant: Value) -> Value {
    let mut share = mutation(person, "grant", id, 0, grant);
    share["seen_seq"] = json!(seen);
    share
}

pub fn revoke(person: &Person, id: &str, seen: i64, of: Value) -> Value {
    let mut revoke = share(person, id, seen, of);
    revoke["op"] = json!("delete");
    revoke
}

pub fn rule(kind: &str, reader: &Person) -> Value {
    json!({ "rule": { "kind": kind }, "sections": ["text"], "reader": { "type": "therapist", "account_id": reader.account } })
}

#[track_caller]
fn is_revoked(result: &Value) {
    is(result, "conflict");
    assert_eq!(result["code"], "revoked_since", "{result:#}");
}

async fn three() -> (Arc<TestApp>, Person, Person, Person) {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let theo = app.staff(&admin, "Theo Brandt", &["care", "record"]).await;
    let tina = app.staff(&admin, "Tina Roth", &["care", "record"]).await;
    let ann = app.patient(&theo, "Ann Lind").await;
    ann.linked_to(&tina).await;
    (app, theo, tina, ann)
}

#[actix_web::test]
async fn what_was_written_and_shared_offline_is_read_by_the_therapist() {
    let app = TestApp::start().await;
    let (theo, ann) = two(&app).await;
    let (entry, id) = (new_id(&app), new_id(&app));
    let header = json!({ "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00", "zone": "Europe/Berlin" });
    let text = json!({ "header": header, "text": { "title": "Lake", "body": "It was quiet." } });
    let mut sharing = share(&ann, &id, 0, grant(&entry, &["text"], &theo));
    sharing["colour"] = json!("green");
    let batch = [mutation(&ann, "entry", &entry, 0, text), sharing];
    let results = ann.push(&batch).await.ok().body["results"].clone();
    assert_eq!((&results[0]["status"], &results[1]["status"]), (&json!("applied"), &json!("applied")), "{results:#}");
    assert_eq!(results[1]["warnings"][0]["pointer"], "/colour");
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
    let again = ann.push(&batch).await.ok().body["results"].clone();
    assert_eq!((&again[1]["status"], &again[1]["version"]), (&json!("replayed"), &json!(1)));
    let draft = ann.writes(with(reflection("Draft"), json!({ "status": "draft" }))).await;
    let refused = ann.pushes(&share(&ann, &new_id(&app), 9, grant(&draft, &["text"], &theo))).await;
    assert_eq!((&refused["status"], &refused["code"]), (&json!("conflict"), &json!("not_shareable")));
    let nobodys = ann.pushes(&share(&ann, &new_id(&app), 9, grant(&new_id(&app), &["text"], &theo))).await;
    assert_eq!(nobodys["problem"]["code"], "not_found");
}

#[actix_web::test]
async fn rule_share_a_share_loses_to_each_revocation_that_its_phone_had_not_pulled() {
    let (app, theo, tina, ann) = three().await;
    let entry = ann.writes(reflection("Lake")).await;
    let first = ann.opens(&entry, &["text"], &theo).await;
    let before = seen(&ann).await;
    ann.revokes(&first).await;
    let late = new_id(&app);
    is_revoked(&ann.pushes(&share(&ann, &late, before, grant(&entry, &["mood"], &theo))).await);
    let team =
        json!({ "target": { "type": "entry", "id": entry }, "sections": ["text"], "reader": { "type": "care_team" } });
    is_revoked(&ann.pushes(&share(&ann, &new_id(&app), before, team)).await);
    assert!(theo.finds(&ann).await.is_empty());
    // The revocation says nothing of other readers and other entries.
    is(&ann.pushes(&share(&ann, &new_id(&app), before, grant(&entry, &["text"], &tina))).await, "applied");
    let other = ann.writes(reflection("Sea")).await;
    is(&ann.pushes(&share(&ann, &new_id(&app), before, grant(&other, &["text"], &theo))).await, "applied");
    assert_eq!(theo.finds(&ann).await, [other]);
    // A person who has seen it decides anew.
    let now = seen(&ann).await;
    is(&ann.pushes(&share(&ann, &late, now, grant(&entry, &["mood"], &theo))).await, "applied");
    assert_eq!(theo.finds(&ann).await.len(), 2);
    // Also when nothing has happened since.
    ann.revokes(&late).await;
    let now = seen(&ann).await;
    is(&ann.pushes(&share(&ann, &new_id(&app), now, grant(&entry, &["mood"], &theo))).await, "applied");
}

#[actix_web::test]
async fn rule_revoke_a_revocation_ends_each_share_that_its_phone_had_not_pulled() {
    let (_app, theo, tina, ann) = three().await;
    let entry = ann.writes(reflection("Lake")).await;
    let first = ann.opens(&entry, &["text"], &theo).await;
    let before = seen(&ann).await;
    let second = ann.opens(&entry, &["text", "mood"], &theo).await;
    ann.opens(&entry, &["text"], &tina).await;
    let ended = revoke(&ann, &first, before, json!({}));
    let result = ann.pushes(&ended).await;
    assert_eq!((&result["status"], &result["version"]), (&json!("applied"), &json!(2)));
    assert!(theo.finds(&ann).await.is_empty());
    assert_eq!(tina.finds(&ann).await, [entry.as_str()], "another reader");
    let grants = ann.get(&ann.my("/grants")).send().await.ok();
    let closed = |id: &str| grants.items().iter().any(|one| one["id"] == id && one["live"] == false);
    assert!(closed(&first) && closed(&second));
    is(&ann.pushes(&ended).await, "replayed");
    // What was shared by who had seen the first share stays.
    let third = ann.opens(&entry, &["text"], &theo).await;
    let now = seen(&ann).await;
    is(&ann.pushes(&revoke(&ann, &second, now, json!({}))).await, "applied");
    assert_eq!(theo.finds(&ann).await, [entry]);
    ann.revokes(&third).await;
}

#[actix_web::test]
async fn i9_in_one_batch_a_revocation_beats_a_share_in_any_order() {
    let (app, theo, _, ann) = three().await;
    for turn in 0..6 {
        let entry = ann.writes(reflection("Lake")).await;
        let open = ann.opens(&entry, &["text"], &theo).await;
        let now = seen(&ann).await;
        let share = share(&ann, &new_id(&app), now, grant(&entry, &["mood"], &theo));
        let other = mutation(&ann, "entry", &entry, 1, json!({ "tags": ["lake"] }));
        let mut batch = vec![revoke(&ann, &open, now, json!({})), share.clone(), other];
        batch.rotate_left(turn % 3);
        if turn > 2 {
            batch.swap(0, 1);
        }
        let results = ann.push(&batch).await.ok().body["results"].clone();
        let of = |one: &Value| {
            let mut results = results.as_array().unwrap().iter();
            results.find(|result| result["mutation_id"] == one["mutation_id"]).unwrap().clone()
        };
        assert_eq!(results[0]["mutation_id"], batch[0]["mutation_id"], "in the order in which they were sent");
        is_revoked(&of(&share));
        assert!(theo.finds(&ann).await.is_empty(), "{turn}");
    }
    // One that is made and ended in the same batch never opens.
    let entry = ann.writes(reflection("Sea")).await;
    let (id, now) = (new_id(&app), seen(&ann).await);
    let of = grant(&entry, &["text"], &theo);
    let batch = [share(&ann, &id, now, of.clone()), revoke(&ann, &id, now, of.clone())];
    let results = ann.push(&batch).await.ok().body["results"].clone();
    assert_eq!(results[1]["status"], "applied", "{results:#}");
    assert_eq!(results[0]["problem"]["code"], "item_repeated");
    is_revoked(&ann.pushes(&batch[0]).await);
    assert!(theo.finds(&ann).await.is_empty());
}

#[actix_web::test]
async fn i10_a_share_and_a_revocation_that_had_not_seen_each_other_end_revoked() {
    let (app, theo, _, ann) = three().await;
    for share_first in [true, false] {
        let entry = ann.writes(reflection("Lake")).await;
        let open = ann.opens(&entry, &["text"], &theo).await;
        let now = seen(&ann).await;
        let sharing = share(&ann, &new_id(&app), now, grant(&entry, &["text", "mood"], &theo));
        let ending = revoke(&ann, &open, now, json!({}));
        let (one, other) = if share_first { (&sharing, &ending) } else { (&ending, &sharing) };
        is(&ann.pushes(one).await, "applied");
        ann.pushes(other).await;
        assert!(theo.finds(&ann).await.is_empty(), "share first: {share_first}");
    }
}

#[actix_web::test]
async fn i10_the_same_holds_for_rules_and_what_falls_under_them() {
    let (app, theo, _, ann) = three().await;
    for share_first in [true, false] {
        let (entry, dream) = (reflection("Lake"), with(reflection("Sea"), json!({ "kind": "dream" })));
        let (entry, dream) = (ann.writes(entry).await, ann.writes(dream).await);
        // The rule is revoked on one phone, an entry under it is shared on the other.
        let open = new_id(&app);
        ann.put(&ann.my(&format!("/grants/{open}")), rule("reflection", &theo)).send().await.created();
        let now = seen(&ann).await;
        let sharing = share(&ann, &new_id(&app), now, grant(&entry, &["mood"], &theo));
        let dreaming = share(&ann, &new_id(&app), now, grant(&dream, &["text"], &theo));
        let ending = revoke(&ann, &open, now, json!({}));
        let order = if share_first { [&dreaming, &sharing, &ending] } else { [&ending, &sharing, &dreaming] };
        for one in order {
            ann.pushes(one).await;
        }
        assert_eq!(theo.finds(&ann).await, [dream.as_str()], "a rule covers what falls under it, and nothing else");
        // The entry is revoked on one phone, a rule that covers it is made on the other.
        let open = ann.opens(&entry, &["text"], &theo).await;
        let now = seen(&ann).await;
        let ruling = share(&ann, &new_id(&app), now, rule("reflection", &theo));
        let ending = revoke(&ann, &open, now, json!({}));
        let (one, other) = if share_first { (&ruling, &ending) } else { (&ending, &ruling) };
        is(&ann.pushes(one).await, "applied");
        is(&ann.pushes(other).await, "applied");
        let found = theo.finds(&ann).await;
        assert!(!found.contains(&entry), "share first: {share_first}");
        let later = ann.writes(reflection("Later")).await;
        assert!(theo.finds(&ann).await.contains(&later), "the rule holds for all others");
        for grant in ann.get(&ann.my("/grants")).send().await.ok().items() {
            if grant["live"] == true {
                ann.revokes(grant["id"].as_str().unwrap()).await;
            }
        }
    }
}

#[actix_web::test]
async fn rule_revoke_an_unknown_grant_is_kept_as_ended() {
    let (app, theo, _, ann) = three().await;
    let entry = ann.writes(reflection("Lake")).await;
    let (id, now) = (new_id(&app), seen(&ann).await);
    let of = json!({ "target": { "type": "entry", "id": entry } });
    let untold = ann.pushes(&revoke(&ann, &id, now, json!({}))).await;
    assert_eq!(untold["problem"]["errors"][0]["pointer"], "/target");
    is(&ann.pushes(&revoke(&ann, &id, now, of)).await, "applied");
    let late = ann.pushes(&share(&ann, &id, now, grant(&entry, &["text"], &theo))).await;
    is_revoked(&late);
    assert_eq!(late["current"]["deleted"], true);
    // By the other door as well, and for another grant of the same target.
    ann.put(&ann.my(&format!("/grants/{id}")), grant(&entry, &["text"], &theo)).send().await.expect(410);
    is_revoked(&ann.pushes(&share(&ann, &new_id(&app), now, grant(&entry, &["text"], &theo))).await);
    assert!(theo.finds(&ann).await.is_empty());
    let page = ann.get(&ann.my("/changes?limit=200")).send().await.ok();
    assert!(page.items().iter().all(|item| item["id"] != id.as_str()), "a new phone has no grant");
}

#[actix_web::test]
async fn a_revocation_is_not_refused_for_what_stands_beside_its_target() {
    let (app, theo, _, ann) = three().await;
    let odd = [
        json!({ "seen_seq": -1 }),
        json!({ "seen_seq": 1.5 }),
        json!({ "seen_seq": "3" }),
        json!({ "sections": null }),
        json!({ "sections": [] }),
        json!({ "reader": null }),
        json!({ "reader": { "type": "nobody" } }),
        json!({ "expires_at": "never" }),
    ];
    for odd in odd {
        let entry = ann.writes(reflection("Lake")).await;
        let (id, now) = (new_id(&app), seen(&ann).await);
        let mut ending = revoke(&ann, &id, now, json!({ "target": { "type": "entry", "id": entry } }));
        ending.as_object_mut().unwrap().extend(odd.as_object().unwrap().clone());
        is(&ann.pushes(&ending).await, "applied");
        is_revoked(&ann.pushes(&share(&ann, &id, now, grant(&entry, &["text"], &theo))).await);
        is_revoked(&ann.pushes(&share(&ann, &new_id(&app), now, grant(&entry, &["text"], &theo))).await);
        assert!(theo.finds(&ann).await.is_empty(), "{odd}");
    }
}

#[actix_web::test]
async fn nobody_has_seen_what_has_not_happened() {
    let (app, theo, _, ann) = three().await;
    let entry = ann.writes(reflection("Lake")).await;
    for ahead in [1_000_000, i64::MAX] {
        // A share that says so does not beat the revocation of its batch, and a revocation ends what it had not seen.
        let open = new_id(&app);
        is(&ann.pushes(&share(&ann, &open, seen(&ann).await, grant(&entry, &["text"], &theo))).await, "applied");
        let sharing = share(&ann, &new_id(&app), ahead, grant(&entry, &["text"], &theo));
        let ending = revoke(&ann, &new_id(&app), ahead, grant(&entry, &["mood"], &theo));
        let results = ann.push(&[sharing, ending]).await.ok().body["results"].clone();
        is_revoked(&results[0]);
        assert!(theo.finds(&ann).await.is_empty(), "{ahead}");
    }
}

#[actix_web::test]
async fn an_entry_that_was_revoked_stays_out_of_a_rule_that_it_falls_under_later() {
    let (app, theo, _, ann) = three().await;
    ann.put(&ann.my(&format!("/grants/{}", new_id(&app))), rule("reflection", &theo)).send().await.created();
    let entry = ann.writes(reflection("Lake")).await;
    assert_eq!(theo.finds(&ann).await, [entry.as_str()]);
    let now = seen(&ann).await;
    let of = |entry: &str| json!({ "target": { "type": "entry", "id": entry } });
    is(&ann.pushes(&revoke(&ann, &new_id(&app), now, of(&entry))).await, "applied");
    for (version, kind) in [(1, "dream"), (2, "reflection")] {
        let header = json!({ "header": { "kind": kind } });
        is(&ann.pushes(&mutation(&ann, "entry", &entry, version, header)).await, "applied");
        assert!(theo.finds(&ann).await.is_empty(), "{kind}");
    }
    // Written, shared and revoked offline: the revocation is done before there is an entry.
    let later = new_id(&app);
    let writing = json!({
        "header": { "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00" }, "text": { "body": "Sea" },
    });
    let batch = [mutation(&ann, "entry", &later, 0, writing), revoke(&ann, &new_id(&app), now, of(&later))];
    let results = ann.push(&batch).await.ok().body["results"].clone();
    assert_eq!((&results[0]["status"], &results[1]["status"]), (&json!("applied"), &json!("applied")), "{results:#}");
    assert!(theo.finds(&ann).await.is_empty());
    let other = ann.writes(reflection("Tree")).await;
    assert_eq!(theo.finds(&ann).await, [other.as_str()], "the rule holds for all others");
}

#[actix_web::test]
async fn an_entry_that_was_revoked_falls_under_the_rules_that_were_made_since() {
    let (app, theo, _, ann) = three().await;
    let (before, since) = (new_id(&app), new_id(&app));
    ann.put(&ann.my(&format!("/grants/{before}")), rule("reflection", &theo)).send().await.created();
    let entry = ann.writes(reflection("Lake")).await;
    let of = json!({ "target": { "type": "entry", "id": entry } });
    is(&ann.pushes(&revoke(&ann, &new_id(&app), seen(&ann).await, of)).await, "applied");
    is(&ann.pushes(&mutation(&ann, "entry", &entry, 1, json!({ "header": { "kind": "dream" } }))).await, "applied");
    ann.put(&ann.my(&format!("/grants/{since}")), rule("reflection", &theo)).send().await.created();
    assert!(theo.finds(&ann).await.is_empty());
    let again = json!({ "header": { "kind": "reflection" } });
    is(&ann.pushes(&mutation(&ann, "entry", &entry, 2, again)).await, "applied");
    assert_eq!(theo.finds(&ann).await, [entry.as_str()], "the patient decided so after the revocation");
    ann.delete(&ann.my(&format!("/grants/{since}"))).send().await.no_content();
    assert!(theo.finds(&ann).await.is_empty(), "it stays out of the rule from before");
}

#[actix_web::test]
async fn i11_what_came_back_from_deletion_is_not_opened_by_a_share_from_before() {
    let (app, theo, _, ann) = three().await;
    let entry = ann.writes(reflection("Lake")).await;
    let before = seen(&ann).await;
    ann.delete(&ann.my(&format!("/entries/{entry}"))).send().await;
    ann.post(&ann.my(&format!("/entries/{entry}/undelete")), json!({})).send().await.ok();
    is_revoked(&ann.pushes(&share(&ann, &new_id(&app), before, grant(&entry, &["text"], &theo))).await);
    assert!(theo.finds(&ann).await.is_empty());
    // Whose link ended since gets nothing that was decided before, though there is a new link.
    let other = ann.writes(reflection("Sea")).await;
    let before = seen(&ann).await;
    let links = ann.care_links().await;
    let link = links.iter().find(|link| link["name"] == theo.name.as_str()).unwrap();
    ann.delete(&format!("/v1/care-links/{}", link["id"].as_str().unwrap())).send().await.no_content();
    ann.linked_to(&theo).await;
    is_revoked(&ann.pushes(&share(&ann, &new_id(&app), before, grant(&other, &["text"], &theo))).await);
    assert!(theo.finds(&ann).await.is_empty());
    let now = seen(&ann).await;
    is(&ann.pushes(&share(&ann, &new_id(&app), now, grant(&other, &["text"], &theo))).await, "applied");
    assert_eq!(theo.finds(&ann).await, [other]);
}

/// With the words comes what makes a rule look at an entry anew: the end of a draft, another kind, all that was purged.
#[actix_web::test]
async fn i11_words_that_come_back_from_deletion_are_not_opened_by_a_rule() {
    let (app, theo, _, ann) = three().await;
    ann.put(&ann.my(&format!("/grants/{}", new_id(&app))), rule("reflection", &theo)).send().await.created();
    let draft = ann.writes(with(reflection("Lake"), json!({ "status": "draft" }))).await;
    let note = ann.writes(with(reflection("Sea"), json!({ "kind": "note" }))).await;
    let purged = ann.writes(reflection("Tree")).await;
    assert_eq!(theo.finds(&ann).await, [purged.as_str()]);
    for entry in [&draft, &note, &purged] {
        ann.delete(&ann.my(&format!("/entries/{entry}"))).send().await.no_content();
    }
    // A phone that was offline knows nothing of the deletions.
    let words = |header: Value| json!({ "header": header, "text": { "body": "More." } });
    let ended = words(json!({ "status": "done" }));
    is(&ann.pushes(&mutation(&ann, "entry", &draft, 1, ended)).await, "merged");
    let other_kind = words(json!({ "kind": "reflection" }));
    is(&ann.pushes(&mutation(&ann, "entry", &note, 1, other_kind)).await, "merged");
    assert!(theo.finds(&ann).await.is_empty());
    app.wait(SignedDuration::from_hours(31 * 24));
    let whole = words(json!({ "kind": "reflection", "occurred_at": "2026-03-10T08:30:00+01:00" }));
    is(&ann.pushes(&mutation(&ann, "entry", &purged, 0, whole)).await, "merged");
    for entry in [&draft, &note, &purged] {
        let back = ann.entry(entry).await.ok().body;
        assert_eq!((&back["status"], &back["text"]["body"]), (&json!("done"), &json!("More.")));
    }
    let theo = again(&app, "Theo Brandt").await;
    assert!(theo.finds(&ann).await.is_empty());
    // What is new falls under the rule as before.
    let new = ann.writes(reflection("Pier")).await;
    assert_eq!(theo.finds(&ann).await, [new]);
}

#[actix_web::test]
async fn a_grant_that_replaces_another_is_made_and_the_other_ends_in_one() {
    let (app, theo, _, ann) = three().await;
    let entry = ann.writes(reflection("Lake")).await;
    let wide = ann.opens(&entry, &["text", "mood"], &theo).await;
    let now = seen(&ann).await;
    let narrow = new_id(&app);
    let mut narrower = share(&ann, &narrow, now, grant(&entry, &["mood"], &theo));
    narrower["replaces"] = json!([wide, new_id(&app)]);
    is(&ann.pushes(&narrower).await, "applied");
    let read = theo.reads(&ann, &format!("/entries/{entry}")).await.ok();
    assert!(read.body.get("text").is_none() && read.body.get("mood").is_some(), "{:#}", read.body);
    let grants = ann.get(&ann.my("/grants")).send().await.ok();
    let live: Vec<_> = grants.items().iter().filter(|one| one["live"] == true).collect();
    assert_eq!(live.len(), 1);
    is(&ann.pushes(&narrower).await, "replayed");
    // One that cannot be made leaves the other open.
    let mut nothing = share(&ann, &new_id(&app), now + 90, grant(&new_id(&app), &["mood"], &theo));
    nothing["replaces"] = json!([narrow]);
    is(&ann.pushes(&nothing).await, "rejected");
    assert_eq!(theo.finds(&ann).await, [entry]);
}

#[actix_web::test]
async fn that_a_grant_expires_is_no_revocation() {
    let (app, theo, _, ann) = three().await;
    let entry = ann.writes(reflection("Lake")).await;
    let before = seen(&ann).await;
    let mut brief = grant(&entry, &["text"], &theo);
    brief["expires_at"] = json!((app.now() + SignedDuration::from_mins(5)).to_string());
    ann.put(&ann.my(&format!("/grants/{}", new_id(&app))), brief).send().await.created();
    app.set_clock(&(app.now() + SignedDuration::from_hours(1)).to_string());
    let other = ann.writes(reflection("Sea")).await;
    ann.opens(&other, &["text"], &theo).await;
    is(&ann.pushes(&share(&ann, &new_id(&app), before, grant(&entry, &["text"], &theo))).await, "applied");
    assert_eq!(theo.finds(&ann).await.len(), 2);
}

/// The person was told that it was refused.
#[actix_web::test]
async fn rule_push_a_decision_that_was_refused_is_not_done_when_it_comes_again() {
    let (app, theo, tina, ann) = three().await;
    // A share of what the server does not have yet, and one with a therapist whose link has ended.
    let entry = new_id(&app);
    let early = share(&ann, &new_id(&app), 0, grant(&entry, &["text"], &theo));
    let links = ann.care_links().await;
    let id = |reader: &Person| links.iter().find(|link| link["name"] == json!(reader.name)).unwrap()["id"].clone();
    ann.delete(&format!("/v1/care-links/{}", id(&tina).as_str().unwrap())).send().await.no_content();
    let ended = share(&ann, &new_id(&app), seen(&ann).await, rule("reflection", &tina));
    let members = json!({ "entry_id": entry, "thread_id": id(&theo), "body": "Look at this." });
    let says = mutation(&ann, "comment", &new_id(&app), 0, members);
    let batch = [early, ended, says];
    let first = ann.push(&batch).await.ok().body["results"].clone();
    let codes: Vec<_> = (0..3).map(|place| first[place]["problem"]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["not_found", "invalid", "not_found"], "{first:#}");
    assert_eq!(ann.push(&batch).await.ok().body["results"], first, "the same is told again, with the same reasons");
    // Now they would be possible. What was on its way opens nothing, and says nothing.
    ann.put_entry(&entry, reflection("Lake")).send().await.created();
    ann.linked_to(&tina).await;
    let before = changes(&app);
    let late = ann.push(&batch).await.ok().body["results"].clone();
    for (told, code) in late.as_array().unwrap().iter().zip(&codes) {
        is(told, "rejected");
        assert_eq!((&told["problem"]["code"], &told["problem"]["retryable"]), (&json!(code), &json!(false)));
    }
    assert_eq!(changes(&app), before);
    assert!(theo.finds(&ann).await.is_empty() && tina.finds(&ann).await.is_empty());
    let comments = ann.of_theirs(&format!("/entries/{entry}/comments"));
    assert!(ann.get(&comments).send().await.ok().items().is_empty());
    // What ends a share is tried whenever it comes: of this grant nothing was known, and the phone said nothing.
    let known = batch[0]["id"].as_str().unwrap();
    let ends = revoke(&ann, known, 0, json!({}));
    is(&ann.pushes(&ends).await, "rejected");
    // Who decides it anew is heard.
    for sent in batch {
        let mut anew = sent;
        anew["mutation_id"] = json!(new_id(&app));
        let told = ann.pushes(&anew).await;
        assert!(told["status"] == "applied" || told["status"] == "merged", "{told:#}");
    }
    assert_eq!((theo.finds(&ann).await, tina.finds(&ann).await), (vec![entry.clone()], vec![entry]));
    is(&ann.pushes(&ends).await, "applied");
    assert!(theo.finds(&ann).await.is_empty());
}
