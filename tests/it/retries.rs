//! A retry is recognised by what it means, however it is spelled.

use serde_json::{Value, json};

use crate::idempotency::{doer, ends_its_session, mutating, outcome};
use crate::support::requests::Ask;
use crate::support::respelling::otherwise;
use crate::support::world::World;

#[actix_web::test]
async fn a7_under_its_key_a_request_is_known_in_every_spelling() {
    let world = World::open().await;
    let mut spelled = 0;
    for operation in mutating().into_iter().filter(|operation| !ends_its_session(&operation.id)) {
        let ask = world.ask(&operation.id, doer(&operation.id)).await;
        let first = ask.call(&world.app).key(&operation.id).send().await;
        assert!(first.status.is_success(), "{}: {}", operation.id, first.body);
        let after = world.state().await;
        let again =
            otherwise(&ask, &operation.id, doer(&operation.id) == "owner", &world.app).key(&operation.id).send().await;
        assert_eq!(outcome(&again), outcome(&first), "{}", operation.id);
        assert_eq!(world.state().await, after, "{} had two effects", operation.id);
        spelled += usize::from(operation.takes_body);
    }
    assert!(spelled > 15, "{spelled}");
}

/// What is changed in each kind of thing that a client creates under its own id. A grant and a comment do not change.
fn changes(operation: &str, body: &Value) -> Option<Value> {
    Some(match operation {
        "put_entry" => json!({ "tags": ["later"] }),
        "put_infusion" => json!({ "note": "Later" }),
        "put_assignment" => json!({ "note": "Later" }),
        "put_exercise_response" => json!({ "distress": { "before": 3 } }),
        "put_pause" => {
            let until: jiff::Timestamp = body["until"].as_str().unwrap().parse().unwrap();
            json!({ "from": body["from"], "until": (until - jiff::SignedDuration::from_hours(1)).to_string() })
        }
        _ => return None,
    })
}

#[actix_web::test]
async fn a7_without_a_key_the_creating_request_is_known_in_every_spelling_also_after_a_change() {
    let world = World::open().await;
    let creating = ["put_entry", "put_grant", "put_infusion", "put_pause", "put_assignment", "put_exercise_response"];
    for operation in creating {
        let ask = world.ask(operation, doer(operation)).await;
        let first = ask.send(&world.app).await.created();
        let after = world.state().await;
        let second = otherwise(&ask, operation, doer(operation) == "owner", &world.app).send().await.ok();
        assert_eq!(second.body, first.body, "{operation}");
        assert_eq!(world.state().await, after, "{operation} had two effects");
        let Some(change) = changes(operation, ask.body.as_ref().unwrap()) else { continue };
        let method = if operation == "put_pause" { reqwest::Method::PUT } else { reqwest::Method::PATCH };
        let change = Ask { method, body: Some(change), if_match: Some(first.etag()), ..ask.clone() };
        change.send(&world.app).await.ok();
        let changed = world.state().await;
        assert_ne!(changed, after, "{operation}");
        otherwise(&ask, operation, doer(operation) == "owner", &world.app).send().await.ok();
        assert_eq!(world.state().await, changed, "a late retry of {operation} undid a change");
    }
}
