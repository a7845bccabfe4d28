//! S6: wherever a secret may be guessed, the failures of a network are limited.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use afterglow::app::GUARDED;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{TestApp, document};

/// The operations that take something from anybody, or a secret from somebody who is logged in, and need no guard. An
/// operation joins this list by decision.
const UNGUARDED: [(&str, &str); 6] = [
    ("add_passkey", "what the device makes belongs to a challenge that this session asked for"),
    ("get_calendar_feed", "its address has 192 bits, and one service asks for the feeds of many patients"),
    ("get_problem", "the name of a problem is published"),
    ("put_device", "its keys are those of a push service, which this server uses and does not compare"),
    ("refresh_session", "a refresh token has 256 bits, and a clinic's phones refresh from one network"),
    ("revoke_token", "a token has 256 bits, and the answer is the same for every one"),
];

/// Parts of the names of fields that hold secrets.
const SECRET: [&str; 9] = ["passphrase", "password", "code", "token", "secret", "pin", "credential", "auth", "otp"];

struct Taking {
    id: String,
    method: Method,
    path: String,
    public: bool,
    /// The names of its parameters in path and query, and of all fields of its body.
    names: BTreeSet<String>,
}

fn resolved(value: &'static Value) -> &'static Value {
    let Some(to) = value["$ref"].as_str() else { return value };
    document().pointer(to.trim_start_matches('#')).unwrap_or_else(|| panic!("{to} points to nothing"))
}

/// Collects the names of the fields of a schema, and of those that it refers to.
fn fields(schema: &'static Value, seen: &mut BTreeSet<&'static str>, names: &mut BTreeSet<String>) {
    if let Some(to) = schema["$ref"].as_str()
        && !seen.insert(to)
    {
        return;
    }
    let schema = resolved(schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        names.insert(name.clone());
        fields(field, seen, names);
    }
    let lists = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    let others = ["items", "additionalProperties"].into_iter().filter_map(|key| schema.get(key));
    for part in lists.chain(others) {
        fields(part, seen, names);
    }
}

fn taking() -> Vec<Taking> {
    let mut all = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(id) = operation["operationId"].as_str() else { continue };
            let mut names = BTreeSet::new();
            let shared = [&item["parameters"], &operation["parameters"]];
            for parameter in shared.into_iter().filter_map(Value::as_array).flatten().map(resolved) {
                if ["path", "query"].contains(&parameter["in"].as_str().unwrap()) {
                    names.insert(parameter["name"].as_str().unwrap().to_owned());
                }
            }
            let contents = resolved(&operation["requestBody"])["content"].as_object();
            for content in contents.into_iter().flat_map(|contents| contents.values()) {
                fields(&content["schema"], &mut BTreeSet::new(), &mut names);
            }
            all.push(Taking {
                id: id.to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                public: [json!([]), json!([{}])].contains(&operation["security"]),
                names,
            });
        }
    }
    all
}

impl Taking {
    fn is_guarded(&self) -> bool {
        let below =
            |root: &str| self.path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        GUARDED.into_iter().any(below)
    }

    fn takes_a_secret(&self) -> bool {
        self.names.iter().any(|name| name.split('_').any(|part| SECRET.contains(&part)))
    }
}

/// Without a token, whatever is taken may be a guess; with one, what is named like a secret.
#[test]
fn s6_every_operation_that_takes_a_secret_is_guarded_or_says_why_not() {
    let all = taking();
    let mut excused = BTreeSet::new();
    for operation in &all {
        let Taking { id, public, names, .. } = operation;
        let at_stake = if *public { !names.is_empty() } else { operation.takes_a_secret() };
        let reason = UNGUARDED.iter().find(|(excused, _)| excused == id);
        if let Some((id, _)) = reason {
            assert!(at_stake && !operation.is_guarded(), "{id} needs no excuse");
            excused.insert(*id);
        }
        let path = &operation.path;
        assert!(
            !at_stake || operation.is_guarded() || reason.is_some(),
            "guesses at {id} ({path}) count nowhere: {names:?}"
        );
    }
    assert_eq!(excused.len(), UNGUARDED.len(), "an operation is excused that is not there");
    for address in GUARDED {
        assert!(all.iter().any(|operation| operation.path == address), "{address} is guarded and not there");
    }
}

#[actix_web::test]
async fn s6_at_every_guarded_address_the_failures_of_a_network_are_limited() {
    let app = TestApp::start_with(|config| {
        config.auth_per_minute = NonZeroU32::new(2);
        config.trusted_hops = 1;
    })
    .await;
    for (n, operation) in taking().into_iter().filter(Taking::is_guarded).enumerate() {
        let network = format!("192.0.2.{n}");
        let guess = async || {
            let call = app.request(operation.method.clone(), &operation.path).json(json!({}));
            call.header("x-forwarded-for", &network).send().await
        };
        for _ in 0..2 {
            let answer = guess().await;
            let counted = answer.status.is_client_error() && answer.status != 429;
            assert!(counted, "{}: {}", operation.id, answer.status);
        }
        guess().await.expect(429).refused("too_many_requests");
    }
}
