//! The name and the sections of a thing on the reference phone: what the person changed, over what the server has.

use serde_json::{Map, Value, json};

use super::Thing;

/// The sections of a kind whose content the person writes. Other kinds are changed by decisions.
pub fn sections_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "entry" => &["header", "text", "mood", "tags", "attachments"],
        "exercise_response" => &["header", "answers", "distress"],
        _ => &[],
    }
}

/// Sections that hold words: they bring a deleted thing back.
pub const WORDS: [&str; 4] = ["text", "mood", "answers", "distress"];
/// Members of a header that the server makes.
const SERVERS: [&str; 2] = ["clock_suspect", "copy_of"];

pub fn sections_in(kind: &str, item: &Value) -> Map<String, Value> {
    let section = |name: &&str| Some(((*name).to_owned(), item.get(*name)?.clone()));
    sections_of(kind).iter().filter_map(section).collect()
}

/// The members of a mutation that sends what has changed. What is new, or stated anew after a restore, is sent whole.
pub fn changed(thing: &Thing) -> Value {
    let mut members = json!({});
    let whole = thing.version() == 0 || thing.dirty.contains("state");
    for name in sections_of(&thing.kind).iter().filter(|name| whole || thing.dirty.contains(**name)) {
        let value = thing.local.get(*name).cloned().unwrap_or(Value::Null);
        if *name == "header" {
            members["header"] = header(&value, if whole { &Value::Null } else { &thing.base["header"] });
        } else if !whole || !value.is_null() {
            members[*name] = value;
        }
    }
    members
}

/// What a thing is after a mutation that was stored exactly as it was sent.
pub fn applied(thing: &Thing, sent: &Value, result: &Value) -> Value {
    let mut new = thing.base.as_object().cloned().unwrap_or_default();
    if sent["op"] == "delete" {
        new = Map::from_iter([("deleted".to_owned(), json!(true))]);
    }
    for name in sections_of(&thing.kind).iter().filter(|name| sent.get(**name).is_some()) {
        set(&mut new, name, known(thing, sent, name));
    }
    let same = [("kind", &sent["kind"]), ("id", &sent["id"]), ("version", &result["version"])];
    new.extend(same.map(|(name, value)| (name.to_owned(), value.clone())));
    Value::Object(new)
}

/// A section as the server had it from this phone: as it was sent, or as it was before.
pub fn known(thing: &Thing, sent: &Value, name: &str) -> Option<Value> {
    let base = thing.base.get(name).cloned();
    match sent.get(name) {
        None => base,
        Some(Value::Null) => None,
        Some(value) if name == "header" => {
            let mut header = base.unwrap_or(json!({}));
            extend(&mut header, value.clone());
            Some(header)
        }
        Some(value) => Some(value.clone()),
    }
}

/// Whether the person has not changed a section since.
pub fn same(name: &str, mine: Option<&Value>, was: Option<&Value>) -> bool {
    let null = Value::Null;
    match name {
        "header" => header(mine.unwrap_or(&null), was.unwrap_or(&null)) == json!({}),
        _ => mine == was,
    }
}

/// What the person changed since, over what the server has; and whether both changed the same.
pub fn overlay(name: &str, was: Option<&Value>, has: Option<&Value>, mine: Option<&Value>) -> (Value, bool) {
    if let "tags" | "attachments" = name {
        let of = |list: Option<&Value>| list.and_then(Value::as_array).cloned().unwrap_or_default();
        let (was, has, mine) = (of(was), of(has), of(mine));
        let mut both: Vec<_> = has.iter().filter(|tag| mine.contains(tag) || !was.contains(tag)).cloned().collect();
        both.extend(mine.iter().filter(|tag| !was.contains(tag) && !has.contains(tag)).cloned());
        return (json!(both), false);
    }
    if name == "text" {
        return (mine.cloned().unwrap_or_default(), true);
    }
    let of = |section: Option<&Value>| section.and_then(Value::as_object).cloned().unwrap_or_default();
    let (was, has, mine) = (of(was), of(has), of(mine));
    let (mut both, mut clash) = (has.clone(), false);
    for member in was.keys().chain(mine.keys()).filter(|member| was.get(*member) != mine.get(*member)) {
        clash |= has.get(member) != was.get(member);
        set(&mut both, member, mine.get(member).cloned());
    }
    (Value::Object(both), clash)
}

/// The members of a header that the person writes and that are other ones than in `base`.
pub fn header(header: &Value, base: &Value) -> Value {
    let own = header.as_object().into_iter().flatten();
    let changed = own.filter(|(name, value)| !SERVERS.contains(&name.as_str()) && base.get(name) != Some(value));
    Value::Object(changed.map(|(name, value)| (name.clone(), value.clone())).collect())
}

pub fn set(map: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value.filter(|value| !value.is_null()) {
        Some(value) => drop(map.insert(name.to_owned(), value)),
        None => drop(map.remove(name)),
    }
}

pub fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(value), Value::Object(more)) = (value, more) {
        value.extend(more);
    }
}

/// The members of a mutation that ends a grant.
pub fn revocation(grant: &Value) -> Value {
    let mut members = json!({ "op": "delete" });
    for name in ["target", "rule", "sections", "reader"] {
        if let Some(value) = grant.get(name) {
            members[name] = value.clone();
        }
    }
    members
}

/// The members of the decision that states a thing without sections anew; none for what the person did not decide.
pub fn restated(thing: &Thing, base: &Value, (unknown, account): (bool, &str)) -> Option<Value> {
    let put = |more: Value| {
        let mut put = json!({ "base_version": if unknown { json!(0) } else { base["version"].clone() } });
        extend(&mut put, more);
        put
    };
    Some(match thing.kind.as_str() {
        // A share that was lost stays lost. A revocation does not.
        "grant" if thing.deleted && !unknown => revocation(&Value::Null),
        "comment" if base["author_id"] == account => {
            let mut comment = put(json!({ "entry_id": base["entry_id"], "body": base["body"] }));
            extend(&mut comment, base.get("thread_id").map_or(json!({}), |id| json!({ "thread_id": id })));
            comment
        }
        "pause" if thing.deleted && !unknown => put(json!({ "op": "delete" })),
        "pause" | "settings" if !thing.deleted => put(json!({ "fields": base["fields"] })),
        _ => return None,
    })
}

pub fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// What names a thing: its kind and its id.
pub fn key(kind: &str, id: &str) -> String {
    format!("{kind}/{id}")
}

pub fn key_of(item: &Value) -> String {
    key(&text(item, "kind"), &text(item, "id"))
}
