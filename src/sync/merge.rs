//! Merging a section that both sides changed: what was, what the server has, and what the phone sends.

use serde_json::{Map, Value};

use crate::kernel::Seen;

/// How a section is merged that both sides changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is one value: two of them are a conflict.
    Register,
    /// It has members: the same one changed to two values is a conflict.
    Members,
    /// It is a set of at most so many: what was added and what was taken away on either side counts.
    Set(usize),
}

/// A merged section.
#[derive(Clone, Debug, PartialEq)]
pub enum Merged {
    /// The value that holds what both sides say. `cut` tells that a set had no room for all.
    Value {
        /// The value; nothing for an empty section.
        value: Option<Value>,
        /// Whether something of the phone's had no room.
        cut: bool,
    },
    /// Both sides changed the same thing to two values.
    Conflict,
}

/// Merges a section of which `base` was what the phone began with, if that is known.
pub fn section(rule: Rule, base: Option<&Value>, server: Option<&Value>, phone: Option<&Value>) -> Merged {
    let whole = |value: Option<&Value>| Merged::Value { value: value.cloned(), cut: false };
    if server == phone || phone == base {
        return whole(server);
    }
    if server == base {
        return whole(phone);
    }
    match rule {
        Rule::Register => Merged::Conflict,
        Rule::Members => members(base, server, phone),
        Rule::Set(most) => set(most, base, server, phone),
    }
}

/// Whose value of a field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// The phone's.
    Phone,
    /// The server's: both say the same, or only the server's was changed.
    Server,
    /// Both were changed, to two values.
    Conflict,
}

/// Merges a field that was `seen` by the phone.
pub fn field(seen: Seen<'_>, server: &Value, phone: &Value) -> Stands {
    match seen {
        _ if server == phone => Stands::Server,
        Seen::Same => Stands::Phone,
        Seen::Was(was) if was == phone => Stands::Server,
        Seen::Was(_) | Seen::Unknown => Stands::Conflict,
    }
}

fn members(base: Option<&Value>, server: Option<&Value>, phone: Option<&Value>) -> Merged {
    let empty = Map::new();
    let of = |value: Option<&Value>| value.and_then(Value::as_object).unwrap_or(&empty).clone();
    let (base, server, phone) = (of(base), of(server), of(phone));
    let mut merged = server.clone();
    for name in base.keys().chain(phone.keys()) {
        let (was, has, sends) = (base.get(name), server.get(name), phone.get(name));
        if sends == was || sends == has {
            continue;
        }
        if has != was {
            return Merged::Conflict;
        }
        match sends {
            Some(value) => drop(merged.insert(name.clone(), value.clone())),
            None => drop(merged.remove(name)),
        }
    }
    Merged::Value { value: (!merged.is_empty()).then_some(Value::Object(merged)), cut: false }
}

fn set(most: usize, base: Option<&Value>, server: Option<&Value>, phone: Option<&Value>) -> Merged {
    let of = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (base, server, phone) = (of(base), of(server), of(phone));
    let mut merged: Vec<Value> = server.into_iter().filter(|tag| phone.contains(tag) || !base.contains(tag)).collect();
    merged.extend(phone.iter().filter(|tag| !base.contains(tag)).cloned().collect::<Vec<_>>());
    let mut seen = Vec::new();
    merged.retain(|tag| {
        let new = !seen.contains(tag);
        if new {
            seen.push(tag.clone());
        }
        new
    });
    let cut = merged.len() > most;
    merged.truncate(most);
    Merged::Value { value: (!merged.is_empty()).then_some(Value::Array(merged)), cut }
}

/// Merges a header member by member: what both sides changed stays as the server has it, and is named. What is done does
/// not become a draft again.
pub fn header(
    base: Option<&Map<String, Value>>,
    server: &Map<String, Value>,
    phone: &Map<String, Value>,
) -> (Map<String, Value>, Vec<String>) {
    let (mut merged, mut kept) = (server.clone(), Vec::new());
    for (name, sends) in phone {
        let (was, has) = (base.and_then(|base| base.get(name)), server.get(name));
        if has == Some(sends) || was == Some(sends) {
            continue;
        }
        if name == "draft" {
            let draft = has == Some(&Value::Bool(true)) && *sends == Value::Bool(true);
            merged.insert(name.clone(), Value::Bool(draft));
        } else if base.is_some() && has == was {
            merged.insert(name.clone(), sends.clone());
        } else {
            kept.push(name.clone());
        }
    }
    (merged, kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(rule: Rule, base: Value, server: Value, phone: Value) -> Option<Value> {
        let some = |value: Value| (!value.is_null()).then_some(value);
        let (base, server, phone) = (some(base), some(server), some(phone));
        match section(rule, base.as_ref(), server.as_ref(), phone.as_ref()) {
            Merged::Value { value, .. } => Some(value.unwrap_or(Value::Null)),
            Merged::Conflict => None,
        }
    }

    #[test]
    fn a_text_is_one_value() {
        let text = |body: &str| json!({ "body": body });
        assert_eq!(merged(Rule::Register, text("a"), text("b"), text("b")), Some(text("b")), "both say the same");
        assert_eq!(merged(Rule::Register, text("a"), text("a"), text("b")), Some(text("b")));
        assert_eq!(merged(Rule::Register, text("a"), text("b"), text("a")), Some(text("b")));
        assert_eq!(merged(Rule::Register, text("a"), text("b"), text("c")), None);
        assert_eq!(merged(Rule::Register, text("a"), text("b"), Value::Null), None, "cleared against changed");
        assert_eq!(merged(Rule::Register, Value::Null, text("b"), text("c")), None, "nothing is known of before");
    }

    #[test]
    fn dials_and_answers_are_merged_one_by_one() {
        let rule = Rule::Members;
        let (base, server) = (json!({ "valence": 3, "energy": 4 }), json!({ "valence": 5, "energy": 4 }));
        assert_eq!(
            merged(rule, base.clone(), server.clone(), json!({ "valence": 3, "energy": 9 })),
            Some(json!({ "valence": 5, "energy": 9 }))
        );
        assert_eq!(merged(rule, base.clone(), server.clone(), json!({ "valence": 3 })), Some(json!({ "valence": 5 })));
        assert_eq!(merged(rule, base.clone(), server.clone(), json!({ "valence": 6, "energy": 4 })), None);
        assert_eq!(merged(rule, Value::Null, json!({ "a": 1 }), json!({ "b": 2 })), Some(json!({ "a": 1, "b": 2 })));
        assert_eq!(merged(rule, base, server, Value::Null), None, "one was changed, and all were cleared");
    }

    #[test]
    fn tags_are_never_a_conflict() {
        let rule = Rule::Set(3);
        assert_eq!(
            merged(rule, json!(["a", "b"]), json!(["a", "c"]), json!(["a", "b", "d"])),
            Some(json!(["a", "c", "d"]))
        );
        assert_eq!(merged(rule, json!(["a", "b"]), json!(["a", "b", "c"]), json!(["b"])), Some(json!(["b", "c"])));
        assert_eq!(merged(rule, Value::Null, json!(["a"]), json!(["b"])), Some(json!(["a", "b"])));
        let full = section(rule, None, Some(&json!(["a", "b"])), Some(&json!(["c", "d"])));
        assert_eq!(full, Merged::Value { value: Some(json!(["a", "b", "c"])), cut: true });
    }

    #[test]
    fn a_header_stays_where_both_changed_it_and_what_is_done_stays_done() {
        let map = |value: Value| value.as_object().unwrap().clone();
        let base = map(json!({ "kind": "note", "draft": true, "zone": "UTC" }));
        let server = map(json!({ "kind": "dream", "draft": true, "zone": "UTC" }));
        let phone = map(json!({ "kind": "fragment", "draft": false, "zone": "Europe/Berlin" }));
        let (merged, kept) = header(Some(&base), &server, &phone);
        assert_eq!(Value::Object(merged), json!({ "kind": "dream", "draft": false, "zone": "Europe/Berlin" }));
        assert_eq!(kept, ["kind"]);
        let done = map(json!({ "draft": false }));
        assert_eq!(header(None, &done, &map(json!({ "draft": true }))).0, done);
    }
}
