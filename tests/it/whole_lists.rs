//! What is taken for all that there is, is all that there is, however much somebody has.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::limits::fill;
use crate::support::app::{TestApp, id_of, new_id};
use crate::support::journal::{reflection, two};
use crate::support::people::Person;
use crate::support::phone::{is, mutation};
use crate::support::sql::Sql;
use crate::tasks::{Tables, settled};

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

/// Ann, an hour after an infusion, with a plan.
async fn planned() -> (Arc<TestApp>, Person) {
    let app = TestApp::start_on_fixture().await;
    let (theo, ann) = two(&app).await;
    theo.records(&ann, app.now() - hours(1)).await;
    (app, ann)
}

/// Ann's prompts from today on.
async fn coming(ann: &Person) -> Vec<Value> {
    let to = (ann.app.now() + hours(24 * 30)).strftime("%Y-%m-%d");
    let list = ann.get(&ann.my(&format!("/prompts?limit=200&to={to}"))).send().await.ok();
    assert!(list.body["next_cursor"].is_null());
    list.items().to_vec()
}

#[actix_web::test]
async fn the_prompts_of_a_patient_who_cancelled_many_infusions_move_as_those_of_others_do() {
    let (app, ann) = planned().await;
    // What was taken back stays, and was due before the prompts that wait.
    let columns = "patient_id, id=id, doc, stage, due_at=created_at, expires_at, version, created_at, updated_at";
    fill(&app, "prompts", columns, 2100);
    app.wait(hours(48));
    let before = coming(&ann).await;
    assert!(before.len() > 5, "{before:#?}");
    ann.sets(json!({ "quiet_hours": { "from": "18:00", "to": "08:00" } })).await.ok();
    let after = coming(&ann).await;
    let ids: BTreeSet<String> = after.iter().map(id_of).collect();
    assert_eq!(ids.len(), after.len(), "no prompt twice");
    let lost: Vec<_> = before.iter().filter(|prompt| !ids.contains(&id_of(prompt))).collect();
    assert!(lost.is_empty(), "{lost:#?}");
    let waiting: Vec<_> = after.iter().filter(|prompt| prompt["state"] == "planned").collect();
    assert!(waiting.len() > 5, "{after:#?}");
    for prompt in waiting {
        let local = prompt["detail"]["local_time"].as_str().unwrap();
        assert!(("08:00:00".."18:00:00").contains(&local), "{} at {local}", prompt["rule_key"]);
    }
}

#[actix_web::test]
async fn the_phone_of_a_patient_who_cancelled_many_infusions_shows_as_many_days_of_prompts_as_others_do() {
    let (app, ann) = planned().await;
    let plan = async || ann.get(&ann.my("/plan")).send().await.ok().items().to_vec();
    let before = plan().await;
    assert!(before.len() > 2, "{before:#?}");
    fill(
        &app,
        "prompts",
        "patient_id, id=id, doc, stage, due_at=(SELECT min(due_at) FROM prompts WHERE next_action_at IS NOT NULL), \
         expires_at, version, created_at, updated_at",
        700,
    );
    assert_eq!(plan().await, before);
}

#[actix_web::test]
async fn an_active_day_counts_however_much_was_written_on_a_later_one() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    for title in ["Lake", "River", "Sea"] {
        app.wait(hours(24));
        ann.writes(reflection(title)).await;
    }
    let path = ann.my("/activity");
    let days = async || ann.get(&path).send().await.ok().body["days_active_of_7"].as_u64().unwrap();
    let before = days().await;
    assert!(before >= 3, "{before}");
    let rows = Tables::of(&app).count("changes") + 5100;
    fill(
        &app,
        "changes",
        "patient_id, seq=(SELECT change_seq FROM patient_heads) + i, entity, entity_id=id, version, op, \
         actor_id=(SELECT account_id FROM patients), at=(SELECT max(at) FROM changes)",
        rows,
    );
    assert_eq!(days().await, before);
}

#[actix_web::test]
async fn an_entry_that_came_back_is_not_deleted_by_a_phone_that_missed_that_and_hundreds_of_changes() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    // Five hundred changes of its date and tags, as the server would have stored them.
    let rows = Tables::of(&app).count("changes") + 500;
    fill(
        &app,
        "changes",
        "patient_id, seq=(SELECT change_seq FROM patient_heads) + i, \
         entity=(SELECT entity FROM changes WHERE entity_id = (SELECT id FROM entries) LIMIT 1), \
         entity_id=(SELECT id FROM entries), version=i + 1, op=2, at",
        rows,
    );
    Sql::open(&app.database.backend)
        .run("UPDATE entries SET version = version + 500; UPDATE patient_heads SET change_seq = change_seq + 500;");
    let path = ann.my(&format!("/entries/{entry}"));
    let seen = ann.entry(&entry).await.ok();
    assert_eq!(seen.body["version"], 501);
    ann.delete(&path).if_match(&seen.etag()).send().await.no_content();
    ann.act(&format!("{path}/undelete")).send().await.ok();
    let late = ann.pushes(&mutation(&ann, "entry", &entry, 1, json!({ "op": "delete" }))).await;
    is(&late, "merged");
    ann.entry(&entry).await.ok();
}

#[actix_web::test]
async fn used_keys_are_forgotten_after_a_day_however_many_were_used_at_one_instant() {
    let app = TestApp::start().await;
    let (_, ann) = two(&app).await;
    ann.put_entry(&new_id(&app), reflection("Lake")).key("one").send().await.created();
    fill(&app, "idempotency_records", "account_id, key_hash=bytes, fingerprint, status, reference, created_at", 300);
    app.wait(hours(25));
    settled(&app).await;
    assert_eq!(Tables::of(&app).count("idempotency_records"), 0);
}
