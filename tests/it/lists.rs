//! What all lists have in common.

use serde_json::{Value, json};

use crate::support::app::document;
use crate::support::contract::resolved;
use crate::support::requests::operations;
use crate::support::world::World;

/// The reads of the document, with their parameters in the query.
fn reads() -> Vec<(&'static str, &'static Value)> {
    let items = document()["paths"].as_object().unwrap().values();
    let reads = items.filter_map(|item| item.get("get")).filter(|read| read["operationId"].is_string());
    reads.map(|read| (read["operationId"].as_str().unwrap(), read)).collect()
}

fn parameters(read: &'static Value) -> impl Iterator<Item = &'static Value> {
    read["parameters"].as_array().into_iter().flatten().map(resolved)
}

/// Somebody to whom an operation answers.
fn reader(id: &str) -> &'static str {
    let staff = ["list_invitations", "list_my_patients", "get_clinical_window"];
    if staff.contains(&id) {
        "granted"
    } else if id == "list_members" {
        "admin"
    } else {
        "owner"
    }
}

#[actix_web::test]
async fn rule_a_page_has_a_tag_and_is_not_sent_to_who_has_it() {
    let world = World::open().await;
    let mut seen = 0;
    for (id, read) in reads() {
        let answer = &read["responses"]["200"];
        let shown = &resolved(answer)["content"]["application/json"]["schema"];
        if resolved(shown)["properties"]["next_cursor"].is_null() {
            continue;
        }
        assert!(resolved(answer)["headers"]["ETag"].is_object(), "{id} declares no tag");
        let mut whos = vec![reader(id)];
        if world.ask(id, "granted").await.send(&world.app).await.status.is_success() {
            whos.push("granted");
        }
        for who in whos {
            let ask = world.ask(id, who).await;
            let first = ask.send(&world.app).await.ok();
            let known = ask.call(&world.app).header("if-none-match", first.etag()).send().await;
            // Reading is logged, so the next page of that log is another.
            if id == "list_access_log" && known.status == 200 {
                continue;
            }
            assert!(known.status == 304 && known.bytes.is_empty(), "{id} by {who}: {}", known.status);
            assert_eq!(known.etag(), first.etag(), "{id} by {who}");
            // What a proxy makes of the tag when it compresses.
            let spelled = first.etag().replacen('"', "W/\"", 1).replace("\"\"", "\"");
            ask.call(&world.app).header("if-none-match", spelled).send().await.expect(304);
            let other = ask.call(&world.app).header("if-none-match", "\"another\"").send().await.ok();
            assert_eq!(other.bytes, first.bytes, "{id} by {who}");
            ask.call(&world.app).header("if-none-match", "no tag").send().await.expect(422).refused("invalid");
            seen += 1;
        }
    }
    assert!(seen >= 15, "{seen}");
}

#[actix_web::test]
async fn rule_a_read_that_is_answered_with_304_is_in_the_patients_log() {
    let world = World::open().await;
    let ask = world.ask("list_entries", "granted").await;
    let first = ask.send(&world.app).await.ok();
    let reads = async || {
        let log = world.ask("list_access_log", "owner").await.send(&world.app).await.ok();
        let read = |row: &&Value| row["act"] == "list_entries";
        log.items().iter().filter(read).map(|row| row["ids"].clone()).collect::<Vec<Value>>()
    };
    let before = reads().await;
    ask.call(&world.app).header("if-none-match", first.etag()).send().await.expect(304);
    let after = reads().await;
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after[0], before[0], "with the ids of what was asked for");
    assert_ne!(after[0], json!([]));
}

#[actix_web::test]
async fn rule_an_unknown_value_of_a_filter_is_refused_by_name() {
    let world = World::open().await;
    let mut seen = 0;
    for (id, read) in reads() {
        for parameter in parameters(read).filter(|one| one["in"] == "query" && one["name"] != "cursor") {
            let (name, schema) = (parameter["name"].as_str().unwrap(), resolved(&parameter["schema"]));
            let mut ask = world.ask(id, reader(id)).await;
            ask.path = format!("{}?{name}=no-such-thing", ask.path.split('?').next().unwrap());
            let refused = ask.send(&world.app).await.expect(422).refused("invalid");
            let faults = refused.body["errors"].as_array().unwrap();
            assert!(
                faults.iter().any(|fault| fault["in"] == "query" && fault["name"] == name),
                "{id} {name}: {schema}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen}");
    assert!(operations().len() > 60);
}
