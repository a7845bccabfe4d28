//! Every operation of the document carries an example, taken from a run of this test.
//!
//! `AFTERGLOW_WRITE_EXAMPLES=1 cargo test --test it examples` writes `openapi/examples.json`; without it the test asks
//! everything again and holds the answers' shapes against the file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::support::app::TestApp;
use crate::support::world::World;

/// Secrets of a run that is over are worth nothing, and have no place in a repository all the same.
const SECRETS: &[(&str, &str)] = &[
    ("access_token", "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.…"),
    ("refresh_token", "pHc1mQ…"),
    ("secret", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
    (
        "uri",
        "otpauth://totp/Afterglow:ann%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Afterglow&algorithm=SHA1&digits=6&period=30",
    ),
    ("ceremony", "AWcn3L…"),
    ("challenge", "m9kV2x…"),
    ("clientDataJSON", "eyJ0eX…"),
    ("attestationObject", "o2NmbX…"),
    ("authenticatorData", "SZYN5Y…"),
    ("signature", "MEUCIQ…"),
    ("userHandle", "c2hvcn…"),
    ("rawId", "Vr9kQ3…"),
    ("code", "7K3M-Q2XV-9D4T-HW8B"),
];

/// They are their own examples: tens of kilobytes.
const LONG: [&str; 3] = ["get_exercise_schema", "get_protocol", "get_protocol_schema"];

/// They end what others need.
const LAST: [&str; 3] = ["end_care_link", "log_out", "update_member"];

fn cleaned(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let clean = |(name, value): (&String, &Value)| {
                let secret = SECRETS.iter().find(|(secret, _)| secret == name && value.is_string());
                (name.clone(), secret.map_or_else(|| cleaned(value), |(_, text)| json!(text)))
            };
            Value::Object(fields.iter().map(clean).collect::<Map<_, _>>())
        }
        // Two of a kind say as much as twenty.
        Value::Array(items) => Value::Array(items.iter().take(2).map(cleaned).collect()),
        other => other.clone(),
    }
}

/// Where there is something in a value. What stands in a list differs from item to item; the schema holds it.
fn shape(value: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| shape(value, &format!("{at}/{name}"), into)),
        _ => drop(into.insert(at.to_owned())),
    }
}

/// Each operation with the first person of the matrix to whom it answers with success. A server is set up once, which
/// has happened by then: that one is asked of a new server.
pub fn askers() -> BTreeMap<&'static str, &'static str> {
    let mut lines =
        include_str!("../golden/authz_matrix.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let people: Vec<&str> = lines.next().unwrap().split_whitespace().skip(1).collect();
    lines
        .filter_map(|line| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let place = cells[1..].iter().position(|cell| cell.starts_with('2'))?;
            Some((cells[0], people[place]))
        })
        .collect()
}

#[actix_web::test]
async fn every_operation_carries_an_example_from_this_run() {
    let world = World::open().await;
    let mut fresh = Map::new();
    let empty = TestApp::start().await;
    let code = empty.first_run_code().await.unwrap();
    let mut asks: Vec<_> = askers().into_iter().chain([("set_up", "anonymous")]).collect();
    asks.sort_by_key(|(operation, _)| LAST.contains(operation));
    for (operation, who) in asks {
        let mut ask = world.ask(operation, who).await;
        let mut app = &world.app;
        if operation == "set_up" {
            ask.body.as_mut().unwrap()["code"] = json!(code);
            app = &empty;
        }
        let answer = ask.send(app).await;
        assert!(answer.status.is_success(), "{operation} as {who}: {}", String::from_utf8_lossy(&answer.bytes));
        let mut example = Map::new();
        example.insert("status".to_owned(), json!(answer.status.as_u16()));
        if let Some(body) = &ask.body {
            example.insert("request".to_owned(), cleaned(body));
        }
        let is_json = answer.headers.get("content-type").is_some_and(|kind| kind.ends_with("json"));
        if is_json && !LONG.contains(&operation) {
            example.insert("response".to_owned(), cleaned(&answer.body));
        }
        fresh.insert(operation.to_owned(), Value::Object(example));
    }
    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    let write = std::env::var("AFTERGLOW_WRITE_EXAMPLES").is_ok();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/examples.json");
    if write {
        std::fs::write(file, format!("{}\n", serde_json::to_string_pretty(&fresh).unwrap())).unwrap();
        return;
    }
    let kept: Map<String, Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let names = |map: &Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&kept), names(&fresh), "write the examples anew");
    for (operation, example) in &fresh {
        let (mut now, mut then) = (BTreeSet::new(), BTreeSet::new());
        shape(example, "", &mut now);
        shape(&kept[operation], "", &mut then);
        assert_eq!(now, then, "{operation} answers otherwise than its example: write the examples anew");
    }
}

#[test]
fn the_document_shows_the_examples() {
    let document = crate::support::app::document();
    let kept: Value = serde_json::from_str(include_str!("../../openapi/examples.json")).unwrap();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            let example = &kept[id];
            let status = example["status"].to_string();
            let Some(response) = example.get("response") else { continue };
            let content = operation["responses"][&status]["content"].as_object().unwrap();
            assert!(content.values().any(|media| media["example"] == *response), "{id} shows no example");
        }
    }
}
