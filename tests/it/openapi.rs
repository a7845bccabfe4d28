//! The API document: committed as it is generated, valid OpenAPI 3.1, and fit for the generators of phone apps.

use std::collections::{BTreeMap, BTreeSet};

use afterglow::app::openapi;
use serde_json::{Value, json};

use crate::support::app::{committed, document};
use crate::support::requests::READING;

mod generators;
mod ids;

/// Operations for anybody. An operation joins this list by decision, never by a forgotten extractor.
const PUBLIC: &[&str] = &[
    "begin_passkey_log_in",
    "confirm_passphrase_reset",
    "get_authorization_server",
    "get_calendar_feed",
    "get_change_password",
    "get_exercise_schema",
    "get_health",
    "get_jwks",
    "get_meta",
    "get_metrics",
    "get_problem",
    "get_protocol_schema",
    "get_ready",
    "get_security_txt",
    "list_consent_documents",
    "log_in",
    "log_in_with_passkey",
    "refresh_session",
    "register",
    "request_passphrase_reset",
    "reset_credential",
    "revoke_token",
    "set_up",
];

const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch", "trace"];

struct Operation {
    /// `PUT /v1/… (put_entry)`.
    name: String,
    id: String,
    method: String,
    path: String,
    /// With the parameters of its path item.
    parameters: Vec<Value>,
    item: &'static Value,
}

impl Operation {
    fn public(&self) -> bool {
        // `[{}]` says the same as `[]`: nothing is asked for.
        let said = &self.item["security"];
        *said == json!([]) || *said == json!([{}])
    }

    fn responses(&self) -> impl Iterator<Item = (&'static String, &'static Value)> + use<> {
        self.item["responses"].as_object().into_iter().flatten()
    }
}

fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| METHODS.contains(&name.as_str()))
        {
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            let shared = [&item["parameters"], &operation["parameters"]];
            all.push(Operation {
                name: format!("{} {path} ({id})", method.to_uppercase()),
                id,
                method: method.clone(),
                path: path.clone(),
                parameters: shared.iter().filter_map(|list| list.as_array()).flatten().map(resolved).cloned().collect(),
                item: operation,
            });
        }
    }
    all
}

/// What a `$ref` points to, or the value itself.
fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(to) => pointed(to).unwrap_or_else(|| panic!("{to} points to nothing")),
        None => value,
    }
}

fn pointed(to: &str) -> Option<&'static Value> {
    document().pointer(to.strip_prefix('#')?)
}

/// Every value of the document with its JSON Pointer.
fn everything(value: &'static Value, at: &str, found: &mut Vec<(String, &'static Value)>) {
    found.push((at.to_owned(), value));
    let step = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| everything(inner, &step(name), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, inner)| everything(inner, &step(&i.to_string()), found))
        }
        _ => {}
    }
}

fn whole() -> Vec<(String, &'static Value)> {
    let mut found = Vec::new();
    everything(document(), "", &mut found);
    found
}

/// The names of the schemas that responses, or else requests, are made of.
fn reached(response: bool) -> BTreeSet<String> {
    let mut waiting: Vec<&'static Value> = Vec::new();
    for operation in operations() {
        waiting.push(if response { &operation.item["responses"] } else { &operation.item["requestBody"] });
    }
    let mut names = BTreeSet::new();
    while let Some(value) = waiting.pop() {
        let mut found = Vec::new();
        everything(value, "", &mut found);
        for to in found.iter().filter_map(|(_, inner)| inner["$ref"].as_str()) {
            if names.insert(to.to_owned()) {
                waiting.extend(pointed(to));
            }
        }
    }
    names
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults in the API document:\n{}", faults.len(), faults.join("\n"));
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null" || schema["type"].as_array().is_some_and(|kinds| kinds.contains(&json!("null")))
}

#[test]
fn the_committed_document_is_the_generated_one() {
    assert!(
        committed() == openapi::json(),
        "openapi/openapi.json is not what the handlers say. Run: cargo run -- openapi > openapi/openapi.json"
    );
}

#[test]
fn the_document_is_openapi_3_1_with_a_licence_and_no_dangling_reference() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "3.2 breaks the generators");
    for field in ["/info/title", "/info/version", "/info/description", "/info/license/name"] {
        assert!(document.pointer(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty()), "{field}");
    }
    let scheme = &document["components"]["securitySchemes"]["access_token"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&json!("http"), &json!("bearer")));
    assert_eq!(document["security"], json!([{ "access_token": [] }]), "an operation that says nothing needs a token");
    let dangling: Vec<String> = whole()
        .into_iter()
        .filter_map(|(at, value)| Some((at, value["$ref"].as_str()?)))
        .filter(|(_, to)| pointed(to).is_none())
        .map(|(at, to)| format!("{at}: {to}"))
        .collect();
    none(&dangling);
}

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_and_a_tag() {
    let tags: Vec<&Value> = document()["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let (mut seen, mut faults) = (BTreeSet::new(), Vec::new());
    for operation in operations() {
        let name = &operation.name;
        let plain = !operation.id.is_empty() && operation.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if !plain || !seen.insert(operation.id.clone()) {
            faults.push(format!("{name}: operationId is missing, odd or used twice"));
        }
        if operation.item["summary"].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{name}: no summary"));
        }
        let own: Vec<&Value> = operation.item["tags"].as_array().into_iter().flatten().collect();
        if own.len() != 1 || !tags.contains(&own[0]) {
            faults.push(format!("{name}: tags {own:?}, not one of {tags:?}"));
        }
    }
    none(&faults);
}

#[test]
fn an_operation_needs_a_token_or_stands_on_the_public_list() {
    let public: BTreeSet<String> =
        operations().into_iter().filter(Operation::public).map(|operation| operation.id).collect();
    assert_eq!(public, PUBLIC.iter().map(ToString::to_string).collect());
}

#[test]
fn every_operation_declares_the_errors_it_can_answer() {
    let mut faults = Vec::new();
    for operation in operations() {
        let declared: Vec<&str> = operation.responses().map(|(status, _)| status.as_str()).collect();
        let mut needed = vec!["400", "406", "422", "429", "431", "500", "503"];
        if !operation.public() {
            needed.extend(["401", "403"]);
        }
        if operation.item.get("requestBody").is_some() {
            needed.extend(["408", "413", "415"]);
        }
        if operation.path.contains('{') {
            needed.push("404");
        }
        for status in needed.iter().filter(|status| !declared.contains(status)) {
            faults.push(format!("{}: {status} is not declared", operation.name));
        }
        if !declared.iter().any(|status| status.starts_with('2') || *status == "303") {
            faults.push(format!("{}: no success", operation.name));
        }
        for (status, response) in operation.responses() {
            let response = resolved(response);
            if response["description"].as_str().is_none_or(str::is_empty) {
                faults.push(format!("{}: {status} has no description", operation.name));
            }
            let problem = &response["content"]["application/problem+json"]["schema"]["$ref"];
            if status.starts_with(['4', '5']) && problem != "#/components/schemas/Problem" {
                faults.push(format!("{}: {status} is no problem", operation.name));
            }
        }
    }
    none(&faults);
}

#[test]
fn parameters_are_declared_described_and_typed() {
    let mut faults = Vec::new();
    for operation in operations() {
        let in_path: BTreeSet<&str> =
            operation.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let declared: BTreeSet<&str> = operation
            .parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        if in_path != declared {
            faults.push(format!("{}: {in_path:?} in the path, {declared:?} declared", operation.name));
        }
        let mut seen = BTreeSet::new();
        for parameter in &operation.parameters {
            let said = format!("{}: parameter {} in {}", operation.name, parameter["name"], parameter["in"]);
            if parameter["description"].as_str().is_none_or(str::is_empty) {
                faults.push(format!("{said} has no description"));
            }
            if !parameter["schema"].is_object() {
                faults.push(format!("{said} has no schema"));
            }
            if parameter["in"] == "path" && parameter["required"] != true {
                faults.push(format!("{said} must be required"));
            }
            if is_null(&parameter["schema"]) {
                faults.push(format!("{said} may be null, which no address can say"));
            }
            if !seen.insert((parameter["in"].to_string(), parameter["name"].to_string())) {
                faults.push(format!("{said} is declared twice"));
            }
        }
    }
    none(&faults);
}

#[test]
fn what_changes_something_takes_an_idempotency_key() {
    let mut faults = Vec::new();
    for operation in operations() {
        let has = |name: &str| operation.parameters.iter().any(|p| p["in"] == "header" && p["name"] == name);
        // Each mutation of a push has an id of its own.
        let repeats = READING.contains(&operation.id.as_str()) || operation.id == "push_mutations";
        let unsafe_one = operation.method != "get" && !repeats;
        if has("Idempotency-Key") != (unsafe_one && !operation.public()) {
            faults.push(format!("{}: Idempotency-Key", operation.name));
        }
        if operation.method == "patch" && !has("If-Match") {
            faults.push(format!("{}: If-Match", operation.name));
        }
    }
    none(&faults);
}

#[test]
fn bodies_have_schemas() {
    let mut faults = Vec::new();
    for operation in operations() {
        let body = &operation.item["requestBody"];
        if matches!(operation.method.as_str(), "get" | "delete") && !body.is_null() {
            faults.push(format!("{}: a {} has no body", operation.name, operation.method));
        }
        if matches!(operation.method.as_str(), "put" | "patch") && body.is_null() {
            faults.push(format!("{}: no body", operation.name));
        }
        let bodies =
            std::iter::once(("request", body)).chain(operation.responses().map(|(s, r)| (s.as_str(), resolved(r))));
        for (what, body) in bodies {
            for (kind, media) in body["content"].as_object().into_iter().flatten() {
                if !media["schema"].is_object() {
                    faults.push(format!("{}: {what} {kind} has no schema", operation.name));
                }
            }
        }
    }
    none(&faults);
}

/// `oneOf [null, …]` is dropped by Apple's generator, `nullable` is not 3.1, and an app must never be sent a null.
#[test]
fn nothing_is_a_union_with_null_and_nothing_sent_is_null() {
    let sent = reached(true);
    let mut faults = Vec::new();
    for (at, value) in whole() {
        let nulls =
            ["oneOf", "anyOf"].iter().any(|union| value[union].as_array().is_some_and(|list| list.iter().any(is_null)));
        if nulls || value.get("nullable").is_some_and(Value::is_boolean) {
            faults.push(format!("{at}: a union with null"));
        }
        let of_response = sent.iter().any(|name| at.starts_with(&format!("{}/", &name[1..])));
        if of_response && is_null(value) {
            faults.push(format!("{at}: sent, and may be null; leave it out instead"));
        }
    }
    none(&faults);
}

/// The members by which the forms of a choice are told apart: each has the one value of its form.
fn told_apart() -> BTreeSet<String> {
    let mut members = BTreeSet::new();
    for (_, value) in whole() {
        let Some(member) = value["discriminator"]["propertyName"].as_str() else { continue };
        for form in value["oneOf"].as_array().into_iter().flatten() {
            let at = form["$ref"].as_str().unwrap();
            assert_eq!(resolved(form)["properties"][member]["enum"].as_array().map(Vec::len), Some(1), "{at}/{member}");
            members.insert(format!("{}/properties/{member}", &at[1..]));
        }
    }
    members
}

/// An app in the shops must survive a value that a later server knows.
#[test]
fn no_response_has_a_closed_set_of_values() {
    let (sent, told_apart) = (reached(true), told_apart());
    let closed: Vec<String> = whole()
        .into_iter()
        .filter(|(at, value)| {
            value.get("enum").is_some_and(Value::is_array)
                && !told_apart.contains(at)
                && (at.contains("/responses/") || sent.iter().any(|name| at.starts_with(&format!("{}/", &name[1..]))))
        })
        .map(|(at, _)| format!("{at}: enum"))
        .collect();
    none(&closed);
}

#[test]
fn every_schema_is_used_and_those_with_fields_are_objects() {
    let used: BTreeSet<String> = reached(true).into_iter().chain(reached(false)).collect();
    let mut faults = Vec::new();
    for (name, schema) in document()["components"]["schemas"].as_object().unwrap() {
        let named = format!("#/components/schemas/{name}");
        let in_parameters =
            operations().iter().any(|o| o.parameters.iter().any(|p| p["schema"]["$ref"] == named.as_str()));
        if !used.contains(&named) && !in_parameters {
            faults.push(format!("{name} is used nowhere"));
        }
        let object = [json!("object"), json!(["object", "null"])].contains(&schema["type"]);
        if schema.get("properties").is_some() && !object {
            faults.push(format!("{name} has fields and is no object"));
        }
    }
    none(&faults);
}

#[test]
fn examples_are_what_their_schema_says() {
    let (mut checked, mut faults) = (0, Vec::new());
    let mut known: BTreeMap<String, jsonschema::Validator> = BTreeMap::new();
    for (at, value) in whole() {
        // A parameter or a media type has its schema inside; anything else with an example is a schema itself.
        let schema = value.get("schema").unwrap_or(value);
        let mut examples: Vec<&Value> = value.get("example").into_iter().collect();
        match value.get("examples") {
            Some(Value::Array(list)) => examples.extend(list),
            Some(Value::Object(named)) => examples.extend(named.values().filter_map(|example| example.get("value"))),
            _ => {}
        }
        if examples.is_empty() || at.contains("/example") || at.ends_with("/properties") {
            continue;
        }
        let validator = known.entry(at.clone()).or_insert_with(|| {
            let mut alone = schema.clone();
            alone["components"] = document()["components"].clone();
            let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
            options.should_validate_formats(true).build(&alone).unwrap()
        });
        for example in examples {
            checked += 1;
            faults.extend(validator.iter_errors(example).map(|fault| format!("{at}: {fault}")));
        }
    }
    none(&faults);
    assert!(checked > 20, "{checked} examples: the search for them is broken");
}
