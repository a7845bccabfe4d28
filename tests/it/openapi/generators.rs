//! Forms that generators of clients cannot read, or read wrongly.

use serde_json::{Value, json};

use super::{none, operations, resolved, whole};
use crate::support::sources::shipped;

/// Whether a value of the document stands in an example, which is no part of the document's form.
fn in_example(at: &str) -> bool {
    at.contains("/example/") || at.contains("/examples/") || at.ends_with("/example")
}

/// Generators for Java and Kotlin try each form in turn: without a discriminator one answer fits several of them.
#[test]
fn a_choice_of_forms_says_which_one_it_is() {
    let undiscriminated = |(at, value): (String, &Value)| {
        let choice = ["oneOf", "anyOf"].iter().find(|choice| value[**choice].is_array())?;
        let tells = value["discriminator"]["propertyName"].is_string();
        (!in_example(&at) && !tells).then(|| format!("{at}: {choice} without a discriminator"))
    };
    none(&whole().into_iter().filter_map(undiscriminated).collect::<Vec<_>>());
}

/// A map says what its values are; an object without fields and without that is read as an empty class.
#[test]
fn an_object_has_fields_or_is_a_map() {
    let free = |(at, value): (String, &Value)| {
        let kind = &value["type"];
        let object = kind == "object" || kind.as_array().is_some_and(|kinds| kinds.contains(&json!("object")));
        let says = ["properties", "additionalProperties"].iter().any(|part| value.get(part).is_some());
        let composed = ["allOf", "oneOf"].iter().any(|part| value.get(part).is_some());
        (!in_example(&at) && object && !says && !composed).then(|| format!("{at}: an object of nothing"))
    };
    none(&whole().into_iter().filter_map(free).collect::<Vec<_>>());
}

/// What an app reads of each response, and what tells it how to go on.
#[test]
fn a_response_has_its_headers() {
    let mut faults = Vec::new();
    for operation in operations() {
        let takes = |name: &str| operation.parameters.iter().any(|one| one["in"] == "header" && one["name"] == name);
        for (status, response) in operation.responses() {
            let response = resolved(response);
            let success = status.starts_with('2');
            let has = |name: &str| response["headers"].get(name).is_some();
            let shows = |name: &str| body_of(response).is_some_and(|body| body["properties"].get(name).is_some());
            let conditional = operation.method == "get" && takes("If-None-Match");
            for (name, needed) in [
                ("X-Request-Id", true),
                ("RateLimit", true),
                ("Location", status == "201" || status == "303"),
                ("Retry-After", matches!(status.as_str(), "429" | "503" | "507")),
                ("WWW-Authenticate", status == "401"),
                ("Link", shows("next_cursor")),
                ("ETag", shows("etag") || (conditional && (success || status == "304"))),
                ("Idempotent-Replayed", success && takes("Idempotency-Key")),
            ] {
                if needed != has(name) && (needed || name != "RateLimit") {
                    faults.push(format!("{}: {status} and {name}", operation.name));
                }
            }
            if success && takes("If-Match") && operation.method != "delete" && !shows("etag") {
                faults.push(format!("{}: the body of {status} has no etag", operation.name));
            }
        }
        if takes("Prefer") == operation.item["requestBody"].is_null() {
            faults.push(format!("{}: Prefer", operation.name));
        }
    }
    none(&faults);
}

/// An app edits what it has seen in a list, without reading each item again.
#[test]
fn what_can_be_changed_has_its_tag_also_in_lists() {
    let (mut faults, mut lists) = (Vec::new(), 0);
    let all = operations();
    for list in all.iter().filter(|one| one.method == "get") {
        let body = list.item["responses"].get("200").and_then(|response| body_of(resolved(response)));
        let Some(item) = body.and_then(|body| body["properties"]["items"].get("items")) else { continue };
        let one = format!("{}/{{", list.path);
        let below = |path: &str| path.strip_prefix(&one).is_some_and(|rest| !rest.contains('/'));
        let conditional = |one: &&super::Operation| one.parameters.iter().any(|one| one["name"] == "If-Match");
        if all.iter().filter(conditional).any(|one| below(&one.path)) {
            lists += 1;
            // Of an item that is damaged there is only the id: any other has what the view of it alone requires.
            let schema = resolved(item);
            let damaged = schema["required"] == json!(["id"]) && schema["properties"].get("unreadable").is_some();
            let view = damaged.then(|| {
                let name = item["$ref"].as_str().unwrap().strip_suffix("Item").unwrap();
                let view = super::pointed(&format!("{name}View")).unwrap();
                assert!(schema["properties"].get("etag") == view["properties"].get("etag"), "{name}");
                view
            });
            let required = &view.unwrap_or(schema)["required"];
            if !required.as_array().is_some_and(|names| names.contains(&json!("etag"))) {
                faults.push(format!("{}: its items have no etag", list.name));
            }
        }
    }
    none(&faults);
    assert!(lists >= 5, "{lists} lists of what can be changed: the search for them is broken");
}

/// The schema of the JSON body of a response.
fn body_of(response: &'static Value) -> Option<&'static Value> {
    Some(resolved(response["content"].get("application/json")?.get("schema")?))
}

/// The parameter is declared where a handler asks for the language.
#[test]
fn what_heeds_the_language_says_so() {
    let (mut faults, mut found) = (Vec::new(), 0);
    for source in shipped() {
        for operation in source.code.split("#[utoipa::path(").skip(1) {
            let Some((described, handler)) = operation.split_once("async fn ") else { continue };
            let signature = handler.split(" -> ").next().unwrap();
            let (heeds, says) = (signature.contains(": Language"), described.contains("AcceptLanguageHeader"));
            found += usize::from(heeds);
            if heeds != says {
                faults.push(format!("{}: {}", source.name, signature.lines().next().unwrap()));
            }
        }
    }
    none(&faults);
    assert!(found >= 8, "{found} operations heed the language: the search for them is broken");
}

/// Tools that send requests prefill a parameter with its example: an optional condition would then be sent, and fail.
#[test]
fn an_optional_header_has_no_example() {
    let mut faults = Vec::new();
    for operation in operations() {
        let optional = |one: &&Value| one["in"] == "header" && one["required"] != true;
        for parameter in operation.parameters.iter().filter(optional) {
            let places = [parameter, &parameter["schema"]];
            let shown = places
                .iter()
                .any(|place| ["example", "examples", "default"].iter().any(|name| place.get(name).is_some()));
            if shown {
                faults.push(format!("{}: {} has an example", operation.name, parameter["name"]));
            }
        }
    }
    none(&faults);
}
