//! The same request in another spelling, as the document allows it.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;
use reqwest::Method;
use serde_json::{Value, json};

use super::app::{Call, TestApp, document};
use super::requests::Ask;

/// A schema of the document, references followed.
fn schema(of: &Value) -> &Value {
    match of["$ref"].as_str() {
        Some(name) => document().pointer(name.trim_start_matches('#')).unwrap(),
        None => of,
    }
}

/// The schema of the body of an operation.
fn body_schema(operation: &str) -> Option<&'static Value> {
    let items = document()["paths"].as_object().unwrap().values();
    let mut all = items.flat_map(|item| item.as_object().unwrap().values());
    let found = all.find(|found| found["operationId"] == operation)?;
    let content = found.pointer("/requestBody/content")?.as_object()?;
    Some(&content.values().next()?["schema"])
}

/// The JSON of a value with everything spelled otherwise: members in another order, nulls and defaults said (except in
/// a patch, where they say something else), instants elsewhere in the world, ids in capitals.
fn respelled(value: &Value, of: &Value, patch: bool) -> String {
    let of = schema(of);
    match value {
        Value::Object(members) => {
            let mut spelled: Vec<String> = members
                .iter()
                .map(|(name, member)| format!("{}: {}", json!(name), respelled(member, &of["properties"][name], patch)))
                .collect();
            let known = of["properties"].as_object().into_iter().flatten();
            for (name, member) in known.filter(|(name, _)| !patch && !members.contains_key(*name)) {
                let required = of["required"].as_array().is_some_and(|names| names.contains(&json!(name)));
                if !required {
                    spelled.push(format!("{}: {}", json!(name), member["default"]));
                }
            }
            spelled.reverse();
            format!("{{ {} }}", spelled.join(" , "))
        }
        Value::Array(items) => {
            let mut spelled: Vec<String> = items.iter().map(|item| respelled(item, &of["items"], false)).collect();
            if of["uniqueItems"] == true {
                spelled.reverse();
                spelled.extend(spelled.first().cloned());
            }
            format!("[{}]", spelled.join(", "))
        }
        Value::Number(number) if of["type"] == "number" || of["type"] == json!(["number", "null"]) => {
            format!("{:e}", number.as_f64().unwrap())
        }
        Value::String(text) => json!(spelled(text, of["format"].as_str().unwrap_or_default())).to_string(),
        other => other.to_string(),
    }
}

fn spelled(text: &str, format: &str) -> String {
    match format {
        "date-time" => {
            let at: Timestamp = text.parse().unwrap();
            let there = at.display_with_offset(Offset::from_seconds(19_800).unwrap()).to_string();
            there.replace("+05:30", ".999+05:30")
        }
        "uuid" | "email" => text.to_uppercase(),
        "time-zone" => text.to_lowercase(),
        "language" => text.to_uppercase(),
        "code" => text.to_lowercase().replace('-', " "),
        _ => text.to_owned(),
    }
}

/// The same request, spelled otherwise; `own` if a patient sends it about themself.
pub fn otherwise(ask: &Ask, operation: &str, own: bool, app: &Arc<TestApp>) -> Call {
    let capitals = |part: &str| if part.len() == 36 { part.to_uppercase() } else { part.to_owned() };
    let mut path: Vec<String> = ask.path.split('/').map(capitals).collect();
    if own && ask.path.starts_with("/v1/patients/") {
        path[3] = "me".to_owned();
    }
    let patch = ask.method == Method::PATCH;
    let call = Ask { path: path.join("/"), body: None, ..ask.clone() }.call(app);
    match (&ask.body, body_schema(operation)) {
        (Some(body), Some(of)) => {
            let media = if patch { "application/merge-patch+json" } else { "application/json" };
            call.bytes(media, respelled(body, of, patch).into_bytes())
        }
        _ => call,
    }
}
