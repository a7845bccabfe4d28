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

/// What may change the record without a precondition, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("add_passkey", "a challenge is good once"),
    ("confirm_totp", "a code is good once"),
    ("create_invitation", "each request makes a code of its own"),
    ("disable_account", "the account is disabled"),
    ("log_out", "the session is over"),
    ("put_consent", "the record is only added to: what was given before stays in it"),
    ("verify_email", "a code is good once"),
];

#[actix_web::test]
async fn a7_nothing_that_is_recorded_changes_without_a_precondition() {
    let world = World::open().await;
    let rest = |id: &str| !WITHOUT.iter().any(|(without, _)| *without == id);
    for operation in mutating().into_iter().filter(|operation| rest(&operation.id)) {
        let who = doer(&operation.id);
        let ask = world.ask(&operation.id, who).await;
        if ask.if_match.is_some() {
            // It changes what is there: without a precondition it is refused, and nothing has happened.
            let before = world.state().await;
            let bare = Ask { if_match: None, ..ask.clone() };
            bare.send(&world.app).await.expect(428).refused("precondition_required");
            assert_eq!(world.state().await, before, "{}", operation.id);
            continue;
        }
        // It creates, or says where something is to be: once more is no other effect.
        let first = ask.send(&world.app).await;
        assert!(first.status.is_success(), "{}: {}", operation.id, first.body);
        let after = world.state().await;
        let again = ask.send(&world.app).await;
        assert!(again.status.is_success() || again.status == 404, "{}: {}", operation.id, again.body);
        assert_eq!(world.state().await, after, "{} had two effects", operation.id);
        let other = world.ask(&operation.id, who).await;
        if operation.method != reqwest::Method::PUT || other.body == ask.body {
            continue;
        }
        let after = world.state().await;
        let replaced = Ask { body: other.body, ..ask.clone() }.send(&world.app).await;
        assert!([409, 428].contains(&replaced.status.as_u16()), "{}: {}", operation.id, replaced.body);
        assert_eq!(world.state().await, after, "{} replaced what was there", operation.id);
    }
}
