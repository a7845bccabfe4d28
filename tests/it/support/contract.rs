//! Holds a response against the API document: status declared, media type declared, body as the schema says.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use jiff::Timestamp;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::app::{committed, document};
use super::parts::{Part, component, paths};

/// The parts of a path template of the document, and its item.
type Template = (Vec<&'static str>, &'static Part);

/// The templates of the document, those with the fewest parameters first: they are the most exact.
fn templates() -> &'static [Template] {
    static TEMPLATES: OnceLock<Vec<Template>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut all: Vec<Template> = paths().iter().map(|(name, item)| (name.split('/').collect(), item)).collect();
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
    templates().iter().find(|(names, _)| fits(names)).map(|(_, item)| item.value())
}

/// The headers of a response; of those that stand in it twice, the last.
pub fn headers(response: &reqwest::Response) -> HashMap<String, String> {
    let text =
        |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.to_str().unwrap_or_default().to_owned());
    response.headers().iter().map(text).collect()
}

/// What a `$ref` points to, or the value itself.
pub fn resolved(value: &'static Value) -> &'static Value {
    let Some(to) = value["$ref"].as_str() else { return value };
    component(to).unwrap_or_else(|| panic!("{to} points to nothing"))
}

/// Checks a response: `body` is what was read of its bytes, null for what is no JSON.
pub fn check(
    method: &Method,
    path: &str,
    status: StatusCode,
    headers: &HashMap<String, String>,
    bytes: &[u8],
    body: &Value,
) {
    let said = format!("{method} {path} → {status}");
    assert!(headers.contains_key("x-request-id"), "{said}: no request id");
    assert_eq!(headers.get("x-content-type-options").map(String::as_str), Some("nosniff"), "{said}");
    let content_type = headers.get("content-type").map(|text| text.split(';').next().unwrap().trim().to_owned());
    if status.is_client_error() || status.is_server_error() {
        assert_eq!(content_type.as_deref(), Some("application/problem+json"), "{said}");
        check_problem(body, &said);
    }
    let Some(item) = item(path) else { return };
    let operation = &item[method.as_str().to_lowercase()];
    if operation.is_null() {
        return;
    }
    let response = resolved(&operation["responses"][status.as_str()]);
    assert!(
        !response.is_null(),
        "{said}: the document does not declare this status: {}",
        String::from_utf8_lossy(bytes)
    );
    let faults = header_faults(&response["headers"], headers);
    assert!(faults.is_empty(), "{said}: {faults:?}");
    let Some(content) = response["content"].as_object() else {
        assert!(bytes.is_empty(), "{said}: a body where the document has none");
        return;
    };
    let kind = content_type.unwrap_or_default();
    let media = content.get(&kind).unwrap_or_else(|| panic!("{said}: {kind} is not declared"));
    if kind.ends_with("json") {
        assert!(!body.is_null(), "{said}: this is no JSON: {}", String::from_utf8_lossy(bytes));
        validate(&media["schema"], body, &said);
        if let Some(tag) = body.get("etag") {
            let shown = headers.get("etag").map(String::as_str);
            // That of a compressed body is weak.
            let packed = headers.contains_key("content-encoding");
            let shown = if packed { shown.and_then(|tag| tag.strip_prefix("W/")) } else { shown };
            assert_eq!(tag.as_str(), shown, "{said}: the tag in the body");
        }
    }
}

/// A refusal says what to do: the place of each fault, the state and the steps that it allows.
fn check_problem(problem: &Value, said: &str) {
    let said = format!("{said}: {problem}");
    for fault in problem["errors"].as_array().into_iter().flatten() {
        let (place, pointer, name) = (&fault["in"], &fault["pointer"], &fault["name"]);
        match place.as_str().unwrap_or_default() {
            "body" => assert!(pointer.as_str().is_some_and(|at| at.is_empty() || at.starts_with('/')), "{said}"),
            "query" | "path" | "header" => assert!(pointer.is_null() && !name.is_null(), "{said}"),
            _ => panic!("{said}"),
        }
    }
    if problem["code"] == "state_conflict" {
        let steps = problem["allowed"].as_array().unwrap_or_else(|| panic!("{said}: no steps"));
        assert!(problem["state"].is_string(), "{said}: no state");
        let is_known = |step: &Value| committed().contains(&format!("\"operationId\": {step}"));
        assert!(steps.iter().all(is_known), "{said}: a step is no operation");
    }
}

/// The headers that say nothing about an operation: of the connection, of the body, of caches and of browsers.
const GENERAL: [&str; 16] = [
    "access-control-allow-origin",
    "access-control-expose-headers",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "referrer-policy",
    "strict-transport-security",
    "traceparent",
    "transfer-encoding",
    "vary",
    "x-content-type-options",
];

/// The headers that were sent and are not declared, and those that are always there and were not sent.
fn header_faults(declared: &'static Value, sent: &HashMap<String, String>) -> Vec<String> {
    let declared: HashMap<String, &Value> = declared
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, header)| (name.to_lowercase(), resolved(header)))
        .collect();
    let strange = sent.keys().filter(|name| !declared.contains_key(*name) && !GENERAL.contains(&name.as_str()));
    let missing = declared.iter().filter(|(name, header)| header["required"] == true && !sent.contains_key(*name));
    strange
        .map(|name| format!("{name} is sent and not declared"))
        .chain(missing.map(|(name, _)| format!("{name} is declared as always there, and was not sent")))
        .collect()
}

fn validate(schema: &'static Value, body: &Value, said: &str) {
    // By what a schema says: most operations answer the same few problems, and compiling one takes longest.
    static KNOWN: OnceLock<Mutex<HashMap<String, &'static Validators>>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    let validators: &'static Validators = known
        .lock()
        .unwrap()
        .entry(schema.to_string())
        .or_insert_with(|| Box::leak(Box::new(Validators::of(schema, component))));
    let mut faults = validators.faults(body);
    instants(body, "", &mut faults);
    assert!(faults.is_empty(), "{said}: {faults:?} in {body}");
}

/// The keywords by which a schema may refuse what fits it, closed.
const CHOICES: [&str; 4] = ["oneOf", "not", "if", "maxContains"];

/// A schema without room for anything that it does not say, and the same as an app reads it.
struct Validators {
    closed: jsonschema::Validator,
    /// Only of a schema with a choice: there two forms of a `oneOf` may fit what fits one of the closed forms. Of any
    /// other, what fits the closed schema fits the open one.
    open: Option<jsonschema::Validator>,
}

impl Validators {
    /// Compiles a schema and those that it refers to, which `find` finds.
    fn of<'v>(schema: &'v Value, find: impl Fn(&str) -> Option<&'v Value>) -> Self {
        let compiled = |mut whole: Value, schemas: Map<String, Value>| {
            whole["components"]["schemas"] = Value::Object(schemas);
            let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
            options.should_validate_formats(true).with_format("date-time", is_instant).build(&whole).unwrap()
        };
        let (mut schema, mut schemas) = (schema.clone(), reached(schema, find));
        let chooses = has_choice(&schema) || schemas.values().any(has_choice);
        let open = chooses.then(|| compiled(schema.clone(), schemas.clone()));
        close(&mut schema);
        schemas.values_mut().for_each(close);
        Self { closed: compiled(schema, schemas), open }
    }

    fn faults(&self, body: &Value) -> Vec<String> {
        let said = |fault: jsonschema::ValidationError<'_>| format!("{} at {}", fault, fault.instance_path());
        let open = self.open.iter().flat_map(|open| open.iter_errors(body));
        self.closed.iter_errors(body).chain(open).map(said).collect()
    }
}

/// The schemas that one refers to, and that those refer to. One that is not found fails when it is compiled.
fn reached<'v>(schema: &'v Value, find: impl Fn(&str) -> Option<&'v Value>) -> Map<String, Value> {
    let (mut schemas, mut waiting) = (Map::new(), vec![schema]);
    while let Some(value) = waiting.pop() {
        if let Some(to) = value["$ref"].as_str()
            && let Some(name) = to.strip_prefix("#/components/schemas/")
            && !schemas.contains_key(name)
            && let Some(found) = find(to)
        {
            schemas.insert(name.to_owned(), found.clone());
            waiting.push(found);
        }
        waiting.extend(inside(value));
    }
    schemas
}

fn has_choice(schema: &Value) -> bool {
    CHOICES.iter().any(|keyword| schema.get(keyword).is_some()) || inside(schema).any(has_choice)
}

/// The values within a value.
fn inside(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_object().into_iter().flat_map(Map::values).chain(value.as_array().into_iter().flatten())
}

/// Whether an instant has the one form of the document: whole seconds in UTC.
fn is_instant(text: &str) -> bool {
    text.len() == "2026-03-10T08:00:00Z".len() && text.ends_with('Z') && text.parse::<Timestamp>().is_ok()
}

/// Finds the instants of another form, wherever they stand: also those that no schema calls an instant.
fn instants(value: &Value, at: &str, faults: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| instants(inner, &format!("{at}/{name}"), faults))
        }
        Value::Array(items) => items.iter().for_each(|inner| instants(inner, &format!("{at}/-"), faults)),
        Value::String(text) if text.parse::<Timestamp>().is_ok() && !is_instant(text) => {
            faults.push(format!("{text} at {at} is no instant in whole seconds and UTC"));
        }
        _ => {}
    }
}

/// A view that says more than its schema is a leak or a lie: closed for the tests, open on the wire.
fn close(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut()
        && object.contains_key("properties")
        && !object.contains_key("additionalProperties")
    {
        object.insert("additionalProperties".to_owned(), json!(false));
    }
}

/// The check itself fails on what it is there for.
#[test]
fn an_answer_that_fits_two_forms_or_none_is_refused() {
    let open = json!({ "schemas": {
        "Less": { "type": "object", "required": ["a"], "properties": { "a": { "type": "string" } } },
        "More": { "type": "object", "required": ["a", "b"],
            "properties": { "a": { "type": "string" }, "b": { "type": "string", "format": "date-time" } } },
    } });
    let schema = json!({ "oneOf": [{ "$ref": "#/components/schemas/Less" }, { "$ref": "#/components/schemas/More" }] });
    let faults = |schema: &Value, body: Value| {
        Validators::of(schema, |to| open["schemas"].get(to.rsplit('/').next()?)).faults(&body)
    };
    assert!(faults(&schema, json!({ "a": "x" })).is_empty());
    let two = faults(&schema, json!({ "a": "x", "b": "2026-03-10T08:00:00Z" }));
    assert!(two.iter().any(|fault| fault.contains("more than one")), "{two:?}");
    assert!(!faults(&json!({ "$ref": "#/components/schemas/Less" }), json!({ "a": "x", "c": 1 })).is_empty());
    for time in
        ["2026-03-10T08:00:00.5Z", "2026-03-10T08:00:00.000Z", "2026-03-10T09:00:00+01:00", "2026-03-10T08:00:00z"]
    {
        let more = faults(&json!({ "$ref": "#/components/schemas/More" }), json!({ "a": "x", "b": time }));
        assert!(!more.is_empty(), "{time}");
        let mut found = Vec::new();
        instants(&json!({ "anywhere": [{ "else": time }] }), "", &mut found);
        assert_eq!(found.len(), 1, "{time}");
    }
}

#[test]
fn a_header_that_is_not_declared_or_not_sent_is_a_fault() {
    let response = &document()["paths"]["/v1/me"]["get"]["responses"]["200"]["headers"];
    let sent = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
    assert!(header_faults(response, &sent(&["etag", "x-request-id", "date", "ratelimit"])).is_empty());
    assert_eq!(header_faults(response, &sent(&["x-request-id"])).len(), 1, "no ETag");
    assert_eq!(header_faults(response, &sent(&["etag", "x-request-id", "x-new"])).len(), 1, "a new one");
}
