//! Fields that an app does not know: faults, or warnings if the client says so.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::app::document;
use crate::support::requests::{Ask, operations};
use crate::support::world::World;

/// What stands for an account that is not there, or spends what can be spent once.
const DOER: [(&str, &str); 21] = [
    ("put_assignment", "granted"),
    ("patch_assignment", "granted"),
    ("put_cautions", "granted"),
    ("put_overrides", "granted"),
    ("start_infusion", "granted"),
    ("create_invitation", "granted"),
    ("end_infusion", "granted"),
    ("patch_infusion", "granted"),
    ("put_infusion", "granted"),
    ("update_member", "admin"),
    ("offer_transfer", "granted"),
    ("put_cover", "granted"),
    ("break_glass", "granted"),
    ("put_clinic_protocol", "admin"),
    ("retire_clinic_protocol", "admin"),
    ("put_clinic_plan", "admin"),
    ("require_second_factor", "admin"),
    ("put_chosen_protocol", "granted"),
    ("set_up", "anonymous"),
    ("register", "anonymous"),
    ("reset_credential", "anonymous"),
];

pub fn doer(operation: &str) -> &'static str {
    DOER.iter().find(|(of, _)| *of == operation).map_or("owner", |(_, who)| who)
}

#[actix_web::test]
async fn rule_an_unknown_field_is_a_fault_and_a_warning_for_the_lenient() {
    let world = World::open().await;
    let mut asked = 0;
    for operation in operations().into_iter().filter(|operation| operation.takes_body) {
        let id = operation.id.as_str();
        let mut ask = world.ask(id, doer(id)).await;
        let Some(body) = ask.body.as_mut().and_then(|body| body.as_object_mut()) else { panic!("{id} has no body") };
        body.insert("colour_of_the_sky".to_owned(), json!({ "is": "blue" }));
        let strict = ask.call(&world.app).send().await.expect(422);
        assert_eq!(strict.body["errors"][0]["pointer"], "/colour_of_the_sky", "{id}");
        let lenient = ask.call(&world.app).header("prefer", "handling=lenient").send().await;
        if id == "set_up" {
            // What it says is known, and then refused: the world is set up.
            lenient.expect(409).refused("setup_done");
            continue;
        }
        assert!(lenient.status.is_success(), "{id}: {} {}", lenient.status, lenient.body);
        assert_eq!(lenient.headers["preference-applied"], "handling=lenient", "{id}");
        assert_eq!(lenient.body["warnings"][0]["pointer"], "/colour_of_the_sky", "{id}");
        asked += 1;
    }
    assert!(asked > 15, "{asked}");
}

pub fn resolved(schema: &Value) -> Value {
    match schema["$ref"].as_str() {
        Some(place) => document().pointer(place.trim_start_matches('#')).unwrap().clone(),
        None => schema.clone(),
    }
}

/// The members of an object in the document, and whether each may be null.
fn members(schema: &Value) -> Vec<(String, bool)> {
    let nullable =
        |schema: &Value| resolved(schema)["type"].as_array().is_some_and(|types| types.contains(&json!("null")));
    let object = resolved(schema);
    object["properties"].as_object().unwrap().iter().map(|(name, member)| (name.clone(), nullable(member))).collect()
}

#[actix_web::test]
async fn rule_a_patch_of_nulls_clears_what_the_document_calls_nullable_and_nothing_else() {
    let world = World::open().await;
    let mut seen = 0;
    for item in document()["paths"].as_object().unwrap().values() {
        let Some(operation) = item.get("patch") else { continue };
        let id = operation["operationId"].as_str().unwrap();
        let schema = &operation["requestBody"]["content"]["application/merge-patch+json"]["schema"];
        let members = members(schema);
        // A generated client sends null for every member that it did not set.
        let nulls: Value = members.iter().map(|(name, _)| (name.clone(), Value::Null)).collect();
        let ask = Ask { body: Some(nulls), ..world.ask(id, doer(id)).await };
        let before = world.state().await;
        let refused = ask.send(&world.app).await.expect(422).refused("invalid");
        let told: BTreeSet<String> = refused.body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap().trim_start_matches('/').to_owned())
            .collect();
        let fixed: BTreeSet<String> = members.iter().filter(|(_, null)| !null).map(|(name, _)| name.clone()).collect();
        assert!(!fixed.is_empty(), "{id}: a patch of nulls would be taken");
        assert_eq!(told, fixed, "{id}");
        assert_eq!(world.state().await, before, "{id}");
        seen += 1;
    }
    assert!(seen >= 5, "only {seen} operations");
}

#[actix_web::test]
async fn rule_null_is_absent_in_what_is_put_and_posted() {
    let world = World::open().await;
    let mut seen = 0;
    for (method, operation) in
        document()["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap())
    {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !["put", "post"].contains(&method.as_str()) || schema.is_null() {
            continue;
        }
        let id = operation["operationId"].as_str().unwrap();
        let required = resolved(schema)["required"].clone();
        let mut ask = world.ask(id, doer(id)).await;
        let body = ask.body.as_mut().and_then(|body| body.as_object_mut()).unwrap();
        for (name, _) in members(schema) {
            if !required.as_array().is_some_and(|required| required.contains(&json!(name))) {
                body.entry(name).or_insert(Value::Null);
            }
        }
        let answer = ask.send(&world.app).await;
        let taken = answer.status.is_success() || (id == "set_up" && answer.status == 409);
        assert!(taken, "{id}: {} {}", answer.status, answer.body);
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

/// The lists that say something when they are empty.
const SAY_NONE: [(&str, &str); 2] = [("preview_protocol", "holds"), ("preview_protocol", "capabilities")];

#[actix_web::test]
async fn rule_an_empty_list_is_absent_where_it_says_nothing() {
    let world = World::open().await;
    let (mut lists, mut replayed) = (0, 0);
    for operation in operations().into_iter().filter(|operation| operation.takes_body) {
        let id = operation.id.as_str();
        let schema = &document_of(id)["requestBody"]["content"]["application/json"]["schema"];
        if !["PUT", "POST"].contains(&operation.method.as_str()) || schema.is_null() {
            continue;
        }
        let is_list = |schema: &Value| resolved(schema)["type"] == "array";
        let object = resolved(schema);
        let required = |name: &String| object["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
        let optional: Vec<&String> = object["properties"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, member)| is_list(member) && !required(name) && !SAY_NONE.contains(&(id, name.as_str())))
            .map(|(name, _)| name)
            .collect();
        // Whoever may call it: what one may not use, another may.
        for who in ["owner", "granted", "admin", "anonymous"] {
            let plain = world.ask(id, who).await;
            let body = plain.body.clone().unwrap();
            let missing: Vec<&String> = optional.iter().copied().filter(|name| body.get(name).is_none()).collect();
            let mut full = plain.clone();
            for name in &missing {
                full.body.as_mut().unwrap()[name.as_str()] = json!([]);
            }
            let send = async |ask: &Ask| {
                let call = ask.call(&world.app);
                if operation.takes_key { call.header("idempotency-key", format!("{id}-{who}")) } else { call }
                    .send()
                    .await
            };
            let first = send(&full).await;
            if missing.is_empty() || [401, 403, 404].contains(&first.status.as_u16()) {
                continue;
            }
            let taken = first.status.is_success() || (id == "set_up" && first.status == 409);
            assert!(taken, "{id} by {who} with {missing:?}: {} {}", first.status, first.body);
            lists += missing.len();
            if operation.takes_key {
                // Without the members it is the same request.
                let again = send(&plain).await;
                assert_eq!(again.headers.get("idempotent-replayed").map(String::as_str), Some("true"), "{id} by {who}");
                assert_eq!(again.body, first.body, "{id} by {who}");
                replayed += 1;
            }
        }
    }
    assert!(lists >= 6 && replayed >= 3, "{lists} {replayed}");
}

/// An operation in the document.
fn document_of(id: &str) -> Value {
    let all = document()["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    all.into_iter().find(|operation| operation["operationId"] == id).unwrap().clone()
}
