//! The reference of the API, for people who read it: what is said once, and examples that are right.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::app::document;

/// Each operation of the document with its id.
fn operations() -> impl Iterator<Item = (&'static str, &'static Value)> {
    let items = document()["paths"].as_object().unwrap().values();
    items.flat_map(|item| item.as_object().unwrap().values()).map(|one| (one["operationId"].as_str().unwrap(), one))
}

#[test]
fn what_is_no_success_is_written_once_and_referred_to() {
    let mut inline = Vec::new();
    for (id, operation) in operations() {
        let responses = operation["responses"].as_object().unwrap();
        let others = responses.iter().filter(|(status, _)| !status.starts_with('2'));
        inline.extend(others.filter(|(_, one)| one.get("$ref").is_none()).map(|(status, _)| format!("{id}: {status}")));
    }
    assert!(inline.is_empty(), "{} responses are written out:\n{}", inline.len(), inline.join("\n"));
    let mut seen = BTreeMap::new();
    for (name, response) in document()["components"]["responses"].as_object().unwrap() {
        if let Some(other) = seen.insert(response.to_string(), name) {
            panic!("{name} and {other} are the same");
        }
    }
}

#[test]
fn an_error_is_shown_with_its_own_codes() {
    let responses = document()["components"]["responses"].as_object().unwrap();
    let mut shown = Vec::new();
    for (id, operation) in operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let name = response["$ref"].as_str().and_then(|to| to.strip_prefix("#/components/responses/"));
            let Some(name) = name.filter(|_| status.starts_with(['4', '5'])) else { continue };
            let examples = responses[name]["content"]["application/problem+json"]["examples"].as_object();
            let examples = examples.unwrap_or_else(|| panic!("{id}: {status} has no example"));
            assert!(!examples.is_empty());
            for (code, example) in examples {
                let problem = &example["value"];
                assert_eq!(problem["status"].to_string(), *status, "{id}");
                assert_eq!(
                    (&problem["code"], &problem["type"]),
                    (&code.as_str().into(), &format!("/problems/{code}").into())
                );
                shown.push(code.as_str());
            }
        }
    }
    for code in afterglow::kernel::Code::ALL.iter().filter(|code| ![405, 406].contains(&code.status())) {
        assert!(shown.contains(&code.name()), "{} is shown nowhere", code.name());
    }
}
