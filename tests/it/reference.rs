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
    for code in afterglow::kernel::Code::ALL.iter().filter(|code| code.status() != 405) {
        assert!(shown.contains(&code.name()), "{} is shown nowhere", code.name());
    }
}

/// The words of who may call an operation, for each column of the matrix in which it answers with success.
const WORDS: [(&str, &[&str]); 6] = [
    ("anonymous", &["anybody"]),
    ("owner", &["anybody", "everybody", "patient"]),
    ("granted", &["anybody", "everybody", "all staff", "therapist"]),
    ("nurse", &["anybody", "everybody", "all staff", "`record`"]),
    ("duty", &["anybody", "everybody", "all staff", "`duty`"]),
    ("admin", &["anybody", "everybody", "all staff", "admin"]),
];

#[test]
fn each_operation_says_who_may_call_it_as_the_matrix_does() {
    let mut lines =
        include_str!("../golden/authz_matrix.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let people: Vec<&str> = lines.next().unwrap().split_whitespace().skip(1).collect();
    let rows: BTreeMap<&str, Vec<&str>> = lines
        .map(|line| {
            let mut cells = line.split_whitespace();
            (cells.next().unwrap(), cells.collect())
        })
        .collect();
    for (id, operation) in operations() {
        let said = operation["description"].as_str().unwrap_or_default();
        let said =
            said.rsplit_once("**Who may call it**: ").unwrap_or_else(|| panic!("{id} does not say who may call it")).1;
        let gets = |who: &str| {
            let at = people.iter().position(|one| *one == who).unwrap();
            rows[id][at].starts_with(['2', '3'])
        };
        if id == "set_up" {
            assert!(said.contains("code"), "{id}: {said}");
            continue;
        }
        for (who, words) in WORDS {
            // "the patient" is also said of the link of a therapist.
            let said = if who == "owner" { said.replace("to the patient", "") } else { said.to_owned() };
            assert_eq!(words.iter().any(|word| said.contains(word)), gets(who), "{id} as {who}: {said}");
        }
        assert_eq!(said.contains("active care link"), gets("ungranted") && !gets("foreign"), "{id}: {said}");
        assert_eq!(said.contains("every patient"), gets("other_patient") && !gets("nurse"), "{id}: {said}");
    }
}

#[test]
fn who_tries_an_operation_sends_only_what_they_chose() {
    for (id, operation) in operations() {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let said = format!("{id}: {} in {}", parameter["name"], parameter["in"]);
            let filled = parameter.get("example").or_else(|| parameter.pointer("/schema/default"));
            if parameter["name"] == "patient_id" {
                let own = operation["description"].as_str().unwrap().contains("it**: the patient");
                assert_eq!(filled.is_some_and(|value| value == "me"), own, "{said}: {filled:?}");
            } else if parameter["required"] != true {
                let inside = ["/schema/example", "/schema/examples", "/examples"]
                    .iter()
                    .find(|at| parameter.pointer(at).is_some());
                assert!(filled.is_none() && inside.is_none(), "{said} is filled in: {filled:?} {inside:?}");
            }
        }
    }
}

#[test]
fn what_is_deprecated_says_since_when_and_until_when() {
    for (id, operation) in operations() {
        assert_eq!(operation["deprecated"] == true, operation.get("x-deprecation").is_some(), "{id}");
        let Some(dates) = operation.get("x-deprecation") else { continue };
        let at = |name: &str| dates[name].as_str().and_then(|text| text.parse::<jiff::civil::Date>().ok()).unwrap();
        assert!(at("sunset").since(at("since")).unwrap().get_days() >= 180, "{id}: {dates}");
        assert!(afterglow::app::pages::CHANGES.contains(id), "{id}: the changes do not say what replaces it");
    }
}
