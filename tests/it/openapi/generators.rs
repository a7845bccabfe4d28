//! Forms that generators of clients cannot read, or read wrongly.

use serde_json::{Value, json};

use super::{none, operations, whole};

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
