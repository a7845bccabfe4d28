//! Refusals say what to do: the field and the cause, the state and the steps that it allows.

use serde_json::{Map, Value, json};

use crate::lenient::{doer, resolved};
use crate::support::app::{Answer, document, new_id};
use crate::support::journal::reflection;
use crate::support::people::{Clinic, PASSPHRASE};
use crate::support::requests::operations;
use crate::support::world::World;

/// The schema of the body of an operation.
fn schema_of(operation: &str) -> Value {
    let items = document()["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let operation = items.into_iter().find(|one| one["operationId"] == operation).unwrap();
    operation["requestBody"]["content"].as_object().unwrap().values().next().unwrap()["schema"].clone()
}

/// The places of a body that have a type, and a value of another type for each.
fn wrong_types(schema: &Value, place: &str, found: &mut Vec<(String, Value)>) {
    let schema = resolved(schema);
    let types = match &schema["type"] {
        Value::Array(several) => several.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    if !types.is_empty() {
        // No member is a list of objects and something else besides.
        let wrong = if types.contains(&json!("array")) { json!(7) } else { json!([{ "wrong": true }]) };
        found.push((place.to_owned(), wrong));
    }
    for (name, member) in schema["properties"].as_object().unwrap_or(&Map::new()) {
        wrong_types(member, &format!("{place}/{name}"), found);
    }
    for of in schema["oneOf"].as_array().into_iter().flatten() {
        wrong_types(of, place, found);
    }
}

/// Puts a value into a body, and objects around it.
fn put_at(body: &mut Value, pointer: &str, value: Value) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        *body = value;
        return;
    };
    if !body.pointer(parent).is_some_and(Value::is_object) {
        put_at(body, parent, json!({}));
    }
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.to_owned(), value);
}

#[actix_web::test]
async fn rule_each_member_of_a_wrong_type_is_pointed_to() {
    let world = World::open().await;
    let mut asked = 0;
    for operation in operations().into_iter().filter(|operation| operation.takes_body) {
        let id = operation.id.as_str();
        let mut places = Vec::new();
        wrong_types(&schema_of(id), "", &mut places);
        assert!(!places.is_empty(), "{id}");
        let ask = world.ask(id, doer(id)).await;
        for (place, wrong) in places {
            let mut ask = ask.clone();
            put_at(ask.body.as_mut().unwrap(), &place, wrong);
            let refused = ask.send(&world.app).await.expect(422).refused("invalid");
            let errors = refused.body["errors"].as_array().unwrap();
            assert!(errors.iter().any(|fault| fault["pointer"] == place), "{id}{place}: {errors:?}");
            for fault in errors.iter().filter(|fault| fault["detail"] != "is required") {
                assert_eq!((&fault["in"], fault.get("name")), (&json!("body"), None), "{id}{place}: {fault}");
                let sent = ask.body.as_ref().unwrap().pointer(fault["pointer"].as_str().unwrap());
                assert!(sent.is_some(), "{id}{place}: {fault} is not in what was sent");
            }
            asked += 1;
        }
    }
    assert!(asked > 100, "{asked}");
}

/// The places of a body that hold an integer, and one that fits.
fn integers(schema: &Value, place: &str, found: &mut Vec<(String, i64)>) {
    let schema = resolved(schema);
    let is =
        |name: &str| schema["type"] == name || schema["type"].as_array().is_some_and(|all| all.contains(&json!(name)));
    if is("integer") {
        found.push((place.to_owned(), schema["minimum"].as_i64().unwrap_or(1).max(1)));
    }
    for (name, member) in schema["properties"].as_object().unwrap_or(&Map::new()) {
        integers(member, &format!("{place}/{name}"), found);
    }
}

#[actix_web::test]
async fn rule_whole_numbers_may_be_written_with_a_fraction() {
    let world = World::open().await;
    let mut asked = 0;
    for operation in operations().into_iter().filter(|operation| operation.takes_body) {
        let id = operation.id.as_str();
        let mut places = Vec::new();
        integers(&schema_of(id), "", &mut places);
        for (place, number) in places {
            for (written, fits) in
                [(format!("{number}.0"), true), (format!("{number}e0"), true), (format!("{number}.5"), false)]
            {
                let ask = world.ask(id, doer(id)).await;
                let mut body = ask.body.clone().unwrap();
                put_at(&mut body, &place, json!("@@"));
                let body = body.to_string().replace("\"@@\"", &written);
                let kind = if id.starts_with("patch") { "application/merge-patch+json" } else { "application/json" };
                let mut call = world.app.request(ask.method.clone(), &ask.path).within(ask.session.as_ref().unwrap());
                if let Some(tag) = &ask.if_match {
                    call = call.if_match(tag);
                }
                let answer = call.bytes(kind, body.into_bytes()).send().await;
                let refused =
                    answer.body["errors"].as_array().into_iter().flatten().any(|fault| fault["pointer"] == place);
                assert_eq!(refused, !fits, "{id}{place} {written}: {}", answer.body);
                asked += 1;
            }
        }
    }
    assert!(asked >= 15, "{asked}");
    // What is stored is the number.
    let ann = world.ann();
    let path = ann.my(&format!("/entries/{}", new_id(&ann.app)));
    let body = r#"{"kind":"reflection","occurred_at":"2026-03-10T08:00:00Z","text":{"body":"b"},"mood":{"valence":3.0,"energy":20e-1}}"#;
    let call = ann.request(reqwest::Method::PUT, &path);
    call.bytes("application/json", body.as_bytes().to_vec()).send().await.created();
    let mood = ann.get(&path).send().await.ok().body["mood"].clone();
    assert!(mood["valence"].is_i64() && mood["valence"] == 3 && mood["energy"] == 2, "{mood}");
}

#[actix_web::test]
async fn rule_a_blank_where_a_plus_was_is_named() {
    let world = World::open().await;
    let ann = world.ann();
    for (path, name) in [
        ("/window?at=2026-03-10T08:00:00 02:00", "at"),
        ("/window?at=2026-03-10T08:00:00+02:00", "at"),
        ("/window?at=2026-03-10T08:00:00.5+02:00", "at"),
        ("/window?at=2026-03-10T08:00:00%2002:00", "at"),
    ] {
        let refused = ann.get(&ann.my(path)).send().await.expect(422);
        let fault = &refused.body["errors"][0];
        assert_eq!((&fault["in"], &fault["name"]), (&json!("query"), &json!(name)), "{path}: {fault}");
        assert!(fault["detail"].as_str().unwrap().contains("send `+` as `%2B`"), "{path}: {fault}");
        let right = path.replace([' ', '+'], "%2B").replace("%20", "%2B");
        ann.get(&ann.my(&right)).send().await.ok();
    }
}

#[actix_web::test]
async fn a_member_that_cannot_be_read_is_named_by_every_operation() {
    let world = World::open().await;
    for operation in operations().into_iter().filter(|operation| operation.takes_body) {
        let id = operation.id.as_str();
        let ask = world.ask(id, doer(id)).await;
        let kind = if id.starts_with("patch") { "application/merge-patch+json" } else { "application/json" };
        let mut call =
            world.app.request(ask.method.clone(), &ask.path).bytes(kind, br#"{"a":{"b/c":"\ud83d"}}"#.to_vec());
        if let Some(session) = &ask.session {
            call = call.within(session);
        }
        let refused = call.send().await.expect(400).refused("malformed");
        let fault = json!({
            "in": "body", "pointer": "/a/b~1c", "detail": "holds half of a surrogate pair at line 1 column 20"
        });
        assert_eq!(refused.body["errors"], json!([fault]), "{id}");
        assert_eq!(refused.body["client_action"], "fix");
    }
}

#[track_caller]
fn standing(refused: &Answer) -> (String, Vec<String>) {
    let steps = refused.body["allowed"].as_array().unwrap_or_else(|| panic!("no steps in {}", refused.body));
    (refused.text("/state"), steps.iter().map(|step| step.as_str().unwrap().to_owned()).collect())
}

/// What the state of an infusion allows is what is done, and what it does not allow is refused.
#[actix_web::test]
async fn rule_a_state_conflict_names_the_state_and_the_steps_allowed() {
    let clinic = Clinic::open().await;
    let (thea, ann) = (&clinic.therapist, &clinic.ann);
    for (status, allowed) in
        [("completed", &["end_infusion", "put_infusion", "patch_infusion"][..]), ("cancelled", &[]), ("no_show", &[])]
    {
        let id = new_id(&ann.app);
        let path = ann.of_theirs(&format!("/infusions/{id}"));
        let times = json!({ "planned_start": "2026-03-09T08:00:00Z", "started_at": "2026-03-09T08:00:00Z",
            "ended_at": "2026-03-09T08:40:00Z", "status": "planned", "route": "iv_infusion" });
        let planned = json!({ "planned_start": "2026-03-10T20:00:00Z", "status": "planned", "route": "iv_infusion" });
        if status == "completed" {
            let mut done = times.clone();
            done["status"] = json!("completed");
            thea.put(&path, done).send().await.created();
        } else {
            let tag = thea.put(&path, planned).send().await.created().etag();
            thea.patch(&path, json!({ "status": status })).if_match(&tag).send().await.ok();
        }
        let start = json!({ "started_at": "2026-03-09T07:00:00Z" });
        let refused = thea.post(&format!("{path}/start"), start).send().await.expect(409).refused("state_conflict");
        assert_eq!(standing(&refused), (status.to_owned(), allowed.iter().map(|step| (*step).to_owned()).collect()));
        assert_eq!(refused.body["client_action"], "refresh");
        let tag = thea.get(&path).send().await.ok().etag();
        let end = json!({ "started_at": "2026-03-09T08:00:00Z", "ended_at": "2026-03-09T08:50:00Z" });
        let end = thea.post(&format!("{path}/end"), end).if_match(&tag).send().await;
        assert_eq!(end.status.is_success(), allowed.contains(&"end_infusion"), "{status}: {}", end.body);
        let tag = thea.get(&path).send().await.ok().etag();
        let patch = thea.patch(&path, json!({ "note": "Quiet" })).if_match(&tag).send().await;
        assert_eq!(patch.status.is_success(), allowed.contains(&"patch_infusion"), "{status}: {}", patch.body);
    }
}

#[actix_web::test]
async fn usual_spellings_of_a_code_are_taken() {
    let clinic = Clinic::open().await;
    for (number, spelled) in [
        str::to_lowercase as fn(&str) -> String,
        |code| code.replace('-', ""),
        |code| format!(" {} ", code.replace('-', " ").to_lowercase()),
        |code| code.replace('-', "\u{2011}"),
        |code| code.replace('-', "–"),
    ]
    .into_iter()
    .enumerate()
    {
        let code = spelled(&clinic.therapist.code_for_patient().await);
        let body = json!({
            "code": code, "name": "Dana", "email": format!("dana{number}@example.org"), "passphrase": PASSPHRASE,
            "adult": true, "time_zone": "europe/berlin", "locale": "DE_at", "country": "at",
        });
        let registered = clinic.ann.app.post("/v1/auth/register", body).send().await.created();
        let token = registered.text("/tokens/access_token");
        let me = clinic.ann.app.get("/v1/me").bearer(&token).send().await.ok();
        let kept = |name: &str| me.body.pointer(name).cloned().unwrap_or_else(|| panic!("no {name} in {}", me.body));
        assert_eq!(
            [kept("/settings/time_zone"), kept("/settings/locale"), kept("/settings/country")],
            [json!("Europe/Berlin"), json!("de-AT"), json!("AT")],
            "{code}"
        );
    }
    // An id is one id, however its letters are written.
    let ann = &clinic.ann;
    let id = new_id(&ann.app);
    ann.put_entry(&id, reflection("b")).send().await.created();
    let upper = ann.get(&ann.my(&format!("/entries/{}", id.to_uppercase()))).send().await.ok();
    assert_eq!(upper.id(), id);
}

/// The places of a body that hold a text of bounded length, and the bound.
fn bounded(schema: &Value, place: &str, found: &mut Vec<(String, usize)>) {
    let schema = resolved(schema);
    if let Some(most) = schema["maxLength"].as_u64() {
        found.push((place.to_owned(), usize::try_from(most).unwrap()));
    }
    for (name, member) in schema["properties"].as_object().unwrap_or(&Map::new()) {
        bounded(member, &format!("{place}/{name}"), found);
    }
    for of in schema["oneOf"].as_array().into_iter().flatten() {
        bounded(of, place, found);
    }
}

#[actix_web::test]
async fn rule_a_length_in_the_document_is_what_is_enforced_in_characters() {
    let world = World::open().await;
    let mut asked = 0;
    for operation in operations().into_iter().filter(|operation| operation.takes_body) {
        let id = operation.id.as_str();
        let mut places = Vec::new();
        bounded(&schema_of(id), "", &mut places);
        for (place, most) in places {
            for (letter, length) in [("é", most), ("語", most), ("😀", most), ("é", most + 1), ("a", most + 1)] {
                let mut ask = world.ask(id, doer(id)).await;
                let mut text = letter.repeat(length);
                if place.ends_with("/email") {
                    text = format!("{}@example.org", letter.repeat(length - 12));
                }
                if place.ends_with("/passphrase") {
                    text = "a quiet river at dawn ".chars().chain(text.chars()).take(length).collect();
                }
                put_at(ask.body.as_mut().unwrap(), &place, json!(text));
                let answer = ask.send(&world.app).await;
                let faults = answer.body["errors"].as_array().cloned().unwrap_or_default();
                let here = faults.iter().find(|fault| fault["pointer"] == place);
                let long = here.is_some_and(|fault| fault["detail"].as_str().unwrap().contains("characters"));
                assert_eq!(
                    here.is_some() && (long || length > most),
                    length > most,
                    "{id}{place} {length}: {faults:?}"
                );
                assert_ne!(answer.status, 413, "{id}{place} {letter} {length}");
                asked += 1;
            }
        }
    }
    assert!(asked > 60, "{asked}");
}
