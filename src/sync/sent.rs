//! What a phone sends of an item, read over what was: what is wrong about times, links and tags costs no words.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::kinds::{self, Held};
use super::merge::Rule;
use super::mutation::Mutation;
use crate::care::{Access, Write};
use crate::exercises::Responses;
use crate::items::routes::WritableItem;
use crate::items::{ItemKind, ItemRow};
use crate::journal::Entries;
use crate::journal::model::TAGS;
use crate::kernel::{Error, FieldError, Result, device_time};

/// The most items of a list that are looked at when one of them is at fault: more than any list may hold.
const MENDED: usize = 100;

/// A kind of item whose sections are merged.
pub(super) trait Merges: WritableItem {
    /// The rule of each section, in their order.
    const RULES: &'static [Rule];
    /// The sections whose content brings a deleted item back.
    const WORDS: &'static [&'static str];
    /// The members of a body whose faults cost no words: such a member is left out.
    const LINKS: &'static [&'static str];
    /// What stands in the place of a member without which there is no item, where it cannot be read.
    const PLACEHOLDERS: &'static [(&'static str, &'static str)];
    /// Makes the thing of an answer from its row.
    fn held(row: ItemRow) -> Held;
}

impl Merges for Entries {
    const RULES: &'static [Rule] = &[Rule::Register, Rule::Members, Rule::Set(TAGS), Rule::Set(0)];
    const WORDS: &'static [&'static str] = &["text", "mood"];
    const PLACEHOLDERS: &'static [(&'static str, &'static str)] = &[("kind", "note"), ("status", "draft")];
    const LINKS: &'static [&'static str] = &["zone", "recorded_at", "infusion_id", "prompt_id", "tags", "attachments"];

    fn held(row: ItemRow) -> Held {
        kinds::entry(row)
    }
}

impl Merges for Responses {
    const RULES: &'static [Rule] = &[Rule::Members, Rule::Members];
    const WORDS: &'static [&'static str] = &["answers", "distress"];
    const PLACEHOLDERS: &'static [(&'static str, &'static str)] = &[("status", "draft")];
    const LINKS: &'static [&'static str] = &["zone", "recorded_at", "assignment_id", "prompt_id"];

    fn held(row: ItemRow) -> Held {
        kinds::response(row)
    }
}

/// Makes JSON of a value.
pub(super) fn json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::Internal(Box::new(error)))
}

/// What a phone sends of an item: its content, and the sections that were sent.
pub(super) struct Sent<T: ItemKind> {
    /// The content.
    pub content: T::Content,
    /// Whether the header was sent.
    pub header: bool,
    /// Whether each section was sent, in their order.
    pub sections: Vec<bool>,
    /// What was left out, or stored in another form.
    pub warnings: Vec<FieldError>,
}

/// Reads what a mutation writes over `base`. What is wrong about times, links and tags is left out, with a warning:
/// words are never refused for that.
///
/// # Errors
///
/// [`Error::Invalid`] for faults of the words themselves.
pub(super) fn sent<T: Merges>(
    access: &Access<Write>,
    base: Option<&T::Content>,
    mutation: &Mutation,
) -> Result<Sent<T>> {
    let before = base.map(body_of::<T>).transpose()?;
    let mut body = before.clone().unwrap_or_default();
    let (mut header, mut warnings) = (false, Vec::new());
    let mut put = |name: &str, value: &Value| match value {
        Value::Null => drop(body.remove(name)),
        value => drop(body.insert(name.to_owned(), value.clone())),
    };
    for (name, value) in &mutation.members {
        if name == "header" {
            header = true;
            for (name, value) in value.as_object().ok_or_else(|| Error::field("/header", "must be an object"))? {
                put(name, value);
            }
        } else if T::SECTIONS.iter().any(|section| section.column == name) {
            put(name, value);
        } else {
            warnings
                .push(FieldError { pointer: format!("/{name}"), detail: "is not a section of this kind".to_owned() });
        }
    }
    let written = body.clone();
    let content = lenient::<T>(access, body, before.as_ref(), &mut warnings)?;
    other_form(&written, &body_of::<T>(&content)?, &mut warnings);
    let sections = T::SECTIONS.iter().map(|section| mutation.members.contains_key(section.column)).collect();
    Ok(Sent { content, header, sections, warnings })
}

/// Makes the body of a content.
pub(super) fn body_of<T: Merges>(content: &T::Content) -> Result<Map<String, Value>> {
    match json(&T::body(content))? {
        Value::Object(body) => Ok(body),
        _ => Err(Error::internal("a body that is no object")),
    }
}

/// Warns of each member that is stored in another form than it was sent in, if nothing was said of it.
fn other_form(sent: &Map<String, Value>, stored: &Map<String, Value>, warnings: &mut Vec<FieldError>) {
    for (name, value) in sent {
        let said = warnings.iter().any(|warning| first_step(&warning.pointer) == name);
        if !said && !alike(value, stored.get(name).unwrap_or(&Value::Null)) {
            let detail = "was stored in another form than it was sent in".to_owned();
            warnings.push(FieldError { pointer: format!("/{name}"), detail });
        }
    }
}

/// Whether two values say the same: a member that is absent is null, an empty list is none, and an instant is what it is
/// in whatever zone, to the second.
fn alike(sent: &Value, stored: &Value) -> bool {
    match (sent, stored) {
        (Value::Object(sent), Value::Object(stored)) => {
            let of = |values: &Map<String, Value>, name: &str| values.get(name).cloned().unwrap_or_default();
            sent.keys().chain(stored.keys()).all(|name| alike(&of(sent, name), &of(stored, name)))
        }
        (Value::Array(sent), Value::Array(stored)) => {
            sent.len() == stored.len() && sent.iter().zip(stored).all(|(sent, stored)| alike(sent, stored))
        }
        (Value::Array(items), Value::Null) | (Value::Null, Value::Array(items)) => items.is_empty(),
        (Value::Number(sent), Value::Number(stored)) => sent.as_f64() == stored.as_f64(),
        (Value::String(sent), Value::String(stored)) => sent == stored || device_time::is_same(sent, stored),
        (sent, stored) => sent == stored,
    }
}

fn first_step(pointer: &str) -> &str {
    pointer.trim_start_matches('/').split('/').next().unwrap_or_default()
}

/// Parses a body, and mends the members whose faults cost no words.
fn lenient<T: Merges>(
    access: &Access<Write>,
    mut body: Map<String, Value>,
    before: Option<&Map<String, Value>>,
    warnings: &mut Vec<FieldError>,
) -> Result<T::Content> {
    let mut places = Places::default();
    loop {
        let faults = match T::read(Value::Object(body.clone())) {
            Ok((content, ignored)) => {
                warnings.extend(ignored);
                return Ok(content);
            }
            Err(Error::Invalid(faults)) => faults,
            Err(other) => return Err(other),
        };
        let untold = body.clone();
        let told = mend::<T>(&mut body, before, &faults, &mut places);
        let now = access.now().to_string();
        let others = T::PLACEHOLDERS.iter().copied().chain([("occurred_at", now.as_str())]);
        for (name, other) in
            others.filter(|(name, _)| faults.iter().any(|fault| fault.pointer.strip_prefix('/') == Some(name)))
        {
            let known = before.and_then(|before| before.get(name)).cloned();
            body.insert(name.to_owned(), known.unwrap_or_else(|| Value::String(other.to_owned())));
        }
        if body == untold {
            return Err(Error::Invalid(faults));
        }
        warnings.extend(told);
    }
}

/// The places that the items of each list had when they were sent, of those that are still there.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<String, Vec<usize>>);

impl Places {
    /// Takes an item out of a list that has `count`, and returns the place where it was sent.
    fn take(&mut self, list: &str, place: usize, count: usize) -> usize {
        let places = self.0.entry(list.to_owned()).or_insert_with(|| (0..count).collect());
        if place < places.len() { places.remove(place) } else { place }
    }
}

/// Mends the members whose faults cost no words: the item of a list that is at fault goes, a list that is too long is
/// cut, anything else is again what it was `before`. Returns the faults, each with the place where it was sent.
pub(super) fn mend<T: Merges>(
    body: &mut Map<String, Value>,
    before: Option<&Map<String, Value>>,
    faults: &[FieldError],
    places: &mut Places,
) -> Vec<FieldError> {
    let mut told = faults.to_vec();
    // From the end, so that the places of the others stay.
    for fault in told.iter_mut().rev() {
        let mut steps = fault.pointer.trim_start_matches('/').split('/');
        let name = steps.next().unwrap_or_default().to_owned();
        let place = steps.next().and_then(|place| place.parse::<usize>().ok());
        if !T::LINKS.contains(&name.as_str()) {
            continue;
        }
        match (body.get_mut(&name), place) {
            (Some(Value::Array(items)), Some(place)) if place < items.len() => {
                fault.pointer = format!("/{name}/{}", places.take(&name, place, items.len()));
                items.remove(place);
                // Each fault may be found by a reading of its own: without an end that takes the square of the items.
                items.truncate(MENDED);
            }
            (Some(Value::Array(items)), None) if items.len() > TAGS => items.truncate(TAGS),
            _ => match before.and_then(|before| before.get(&name)) {
                Some(value) => drop(body.insert(name, value.clone())),
                None => drop(body.remove(&name)),
            },
        }
    }
    told
}
