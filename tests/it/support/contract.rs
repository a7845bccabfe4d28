//! Holds a response against the API document: status declared, media type declared, body as the schema says.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::app::document;

/// The parts of a path template of the document, and its item.
type Template = (Vec<&'static str>, &'static Value);

/// The templates of the document, those with the fewest parameters first: they are the most exact.
fn templates() -> &'static [Template] {
    static TEMPLATES: OnceLock<Vec<Template>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let paths = document()["paths"].as_object().unwrap();
        let mut all: Vec<Template> = paths.iter().map(|(name, item)| (name.split('/').collect(), item)).collect();
        all.sort_by_key(|(names, _)| names.iter().filter(|name| name.starts_with('{')).count());
        all
    })
}

/// The item of the document that a path belongs to.
pub fn item(path: &str) -> Option<&'static Value> {
    let parts: Vec<_> = path.split(['?', '#']).next().unwrap_or_default().split('/').collect();
    let is = |name: &str, part: &str| name == part || name.starts_with('{') && !part.is_empty();
    let fits =
        |names: &[&str]| names.len() == parts.len() && names.iter().zip(&parts).all(|(name, part)| is(name, part));
    templates().iter().find(|(names, _)| fits(names)).map(|(_, item)| *item)
}

/// What a `$ref` points to, or the value itself.
pub fn resolved(value: &'static Value) -> &'static Value {
    let Some(to) = value["$ref"].as_str() else { return value };
    document().pointer(&to[1..]).unwrap_or_else(|| panic!("{to} points to nothing"))
}

pub fn check(method: &Method, path: &str, status: StatusCode, headers: &HashMap<String, String>, bytes: &[u8]) {
    let said = format!("{method} {path} → {status}");
    assert!(headers.contains_key("x-request-id"), "{said}: no request id");
    assert_eq!(headers.get("x-content-type-options").map(String::as_str), Some("nosniff"), "{said}");
    let content_type = headers.get("content-type").map(|text| text.split(';').next().unwrap().trim().to_owned());
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(content_type.as_deref(), Some("application/problem+json"), "{said}");
    }
    let Some(item) = item(path) else { return };
    let operation = &item[method.as_str().to_lowercase()];
    if operation.is_null() {
        return;
    }
    if status == StatusCode::NOT_MODIFIED {
        assert!(bytes.is_empty(), "{said}: 304 with a body");
        return;
    }
    let response = resolved(&operation["responses"][status.as_str()]);
    assert!(
        !response.is_null(),
        "{said}: the document does not declare this status: {}",
        String::from_utf8_lossy(bytes)
    );
    let Some(content) = response["content"].as_object() else {
        assert!(bytes.is_empty(), "{said}: a body where the document has none");
        return;
    };
    let kind = content_type.unwrap_or_default();
    let media = content.get(&kind).unwrap_or_else(|| panic!("{said}: {kind} is not declared"));
    if kind.ends_with("json") {
        let body: Value = serde_json::from_slice(bytes).unwrap();
        validate(&media["schema"], &body, &said);
    }
}

fn validate(schema: &Value, body: &Value, said: &str) {
    // By what a schema says: most operations answer the same few problems, and compiling one takes longest.
    static KNOWN: OnceLock<Mutex<HashMap<String, &'static jsonschema::Validator>>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    let validator: &'static jsonschema::Validator =
        known.lock().unwrap().entry(schema.to_string()).or_insert_with(|| {
            let mut whole = schema.clone();
            close(&mut whole);
            whole["components"] = closed_components().clone();
            Box::leak(Box::new(jsonschema::draft202012::new(&whole).unwrap()))
        });
    let faults: Vec<_> =
        validator.iter_errors(body).map(|fault| format!("{} at {}", fault, fault.instance_path())).collect();
    assert!(faults.is_empty(), "{said}: {faults:?} in {body}");
}

/// A view that says more than its schema is a leak or a lie: closed for the tests, open on the wire.
fn closed_components() -> &'static Value {
    static COMPONENTS: OnceLock<Value> = OnceLock::new();
    COMPONENTS.get_or_init(|| {
        let mut components = document()["components"].clone();
        components["schemas"].as_object_mut().unwrap().values_mut().for_each(close);
        components
    })
}

fn close(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut()
        && object.contains_key("properties")
        && !object.contains_key("additionalProperties")
    {
        object.insert("additionalProperties".to_owned(), json!(false));
    }
}
