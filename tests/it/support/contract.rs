//! Holds a response against the API document: status declared, media type declared, body as the schema says.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::app::document;

/// The path template of the document that a path belongs to.
pub fn template(path: &str) -> Option<(&'static str, &'static Value)> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<_> = path.split('/').collect();
    let fits = |template: &str| {
        let names: Vec<_> = template.split('/').collect();
        names.len() == parts.len()
            && names.iter().zip(&parts).all(|(name, part)| name.starts_with('{') && !part.is_empty() || name == part)
    };
    let mut found: Vec<_> = document()["paths"].as_object().unwrap().iter().filter(|(name, _)| fits(name)).collect();
    // The one with the fewest parameters is the most exact.
    found.sort_by_key(|(name, _)| name.matches('{').count());
    found.into_iter().next().map(|(name, item)| (name.as_str(), item))
}

pub fn check(method: &Method, path: &str, status: StatusCode, headers: &HashMap<String, String>, bytes: &[u8]) {
    let said = format!("{method} {path} → {status}");
    assert!(headers.contains_key("x-request-id"), "{said}: no request id");
    assert_eq!(headers.get("x-content-type-options").map(String::as_str), Some("nosniff"), "{said}");
    let content_type = headers.get("content-type").map(|text| text.split(';').next().unwrap().trim().to_owned());
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(content_type.as_deref(), Some("application/problem+json"), "{said}");
    }
    let Some((name, item)) = template(path) else { return };
    let operation = &item[method.as_str().to_lowercase()];
    if operation.is_null() {
        return;
    }
    if status == StatusCode::NOT_MODIFIED {
        assert!(bytes.is_empty(), "{said}: 304 with a body");
        return;
    }
    let response = &operation["responses"][status.as_str()];
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
        validate(&format!("{name} {method} {status} {kind}"), &media["schema"], &body, &said);
    }
}

fn validate(key: &str, schema: &Value, body: &Value, said: &str) {
    static KNOWN: OnceLock<Mutex<HashMap<String, &'static jsonschema::Validator>>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    let validator: &'static jsonschema::Validator = known.lock().unwrap().entry(key.to_owned()).or_insert_with(|| {
        let mut whole = schema.clone();
        whole["components"] = document()["components"].clone();
        // A view that says more than its schema is a leak or a lie: closed for the tests, open on the wire.
        for component in whole["components"]["schemas"].as_object_mut().unwrap().values_mut() {
            close(component);
        }
        close(&mut whole);
        Box::leak(Box::new(jsonschema::draft202012::new(&whole).unwrap()))
    });
    let faults: Vec<_> =
        validator.iter_errors(body).map(|fault| format!("{} at {}", fault, fault.instance_path())).collect();
    assert!(faults.is_empty(), "{said}: {faults:?} in {body}");
}

fn close(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut()
        && object.contains_key("properties")
        && !object.contains_key("additionalProperties")
    {
        object.insert("additionalProperties".to_owned(), json!(false));
    }
}
