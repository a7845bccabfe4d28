//! The canonical form of a body, which two requests share if they mean the same.
//!
//! The schema of the body says what its strings are: instants, dates, ids, zones, codes. Each is written in one way, an
//! optional member that is empty or has its default counts as absent, and a set has one order.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jiff::civil::Date;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayItems, Object, Schema, SchemaFormat};
use utoipa::openapi::{KnownFormat, RefOr};
use uuid::Uuid;

use crate::kernel::creation;
use crate::kernel::{Email, Zone, device_time};

/// Returns the canonical form of the JSON of a `T`, or of a merge patch on one.
pub(super) fn canonical<T: ToSchema + 'static>(mut body: Value, patch: bool) -> Vec<u8> {
    let schemas = schemas_of::<T>();
    Reading { parts: &schemas.parts, patch }.simplify(&mut body, &schemas.whole);
    creation::canonical(body, patch).into_bytes()
}

/// The schema of a body, and those of its parts by name.
struct Schemas {
    whole: RefOr<Schema>,
    parts: HashMap<String, RefOr<Schema>>,
}

/// Returns the schemas of `T`, which are made once.
fn schemas_of<T: ToSchema + 'static>() -> Arc<Schemas> {
    static MADE: LazyLock<Mutex<HashMap<TypeId, Arc<Schemas>>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let new = || {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        Arc::new(Schemas { whole: T::schema(), parts: parts.into_iter().collect() })
    };
    Arc::clone(made.entry(TypeId::of::<T>()).or_insert_with(new))
}

/// The reading of a value by its schema.
#[derive(Clone, Copy)]
struct Reading<'s> {
    parts: &'s HashMap<String, RefOr<Schema>>,
    /// Whether what is absent stays, as in a merge patch, so that an empty member says something.
    patch: bool,
}

impl Reading<'_> {
    fn simplify(self, value: &mut Value, schema: &RefOr<Schema>) {
        let schema = match schema {
            RefOr::T(schema) => schema,
            RefOr::Ref(of) => {
                if let Some(part) = of.ref_location.rsplit('/').next().and_then(|name| self.parts.get(name)) {
                    self.simplify(value, part);
                }
                return;
            }
        };
        match (value, schema) {
            (value, Schema::OneOf(several)) => several.items.iter().for_each(|one| self.simplify(value, one)),
            (value, Schema::AllOf(several)) => several.items.iter().for_each(|one| self.simplify(value, one)),
            (Value::Object(members), Schema::Object(object)) => self.members(members, object),
            (Value::String(text), Schema::Object(object)) => {
                if let Some(one) = spelled(text, object.format.as_ref()) {
                    *text = one;
                }
            }
            (Value::Array(items), Schema::Array(list)) => {
                // Lists are replaced as a whole, so their objects are complete.
                let whole = Self { patch: false, ..self };
                if let ArrayItems::RefOrSchema(of) = &list.items {
                    for item in &mut *items {
                        whole.simplify(item, of);
                    }
                }
                if list.unique_items {
                    items.sort_by_cached_key(ToString::to_string);
                    items.dedup();
                }
            }
            _ => {}
        }
    }

    fn members(self, members: &mut Map<String, Value>, object: &Object) {
        members.retain(|name, member| {
            let schema = object.properties.get(name);
            if let Some(schema) = schema {
                self.simplify(member, schema);
            }
            self.patch || !(is_empty(member) || schema.and_then(default_of) == Some(&*member))
        });
    }
}

fn default_of(schema: &RefOr<Schema>) -> Option<&Value> {
    match schema {
        RefOr::T(Schema::Object(object)) => object.default.as_ref(),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns a text of this format in its one spelling; `None` for what has no format, or does not have it.
fn spelled(text: &str, format: Option<&SchemaFormat>) -> Option<String> {
    match format {
        Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)) => {
            device_time::instant(text).ok().map(|at| at.to_string())
        }
        Some(SchemaFormat::KnownFormat(KnownFormat::Date)) => text.parse::<Date>().ok().map(|date| date.to_string()),
        Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)) => Uuid::parse_str(text).ok().map(|id| id.to_string()),
        Some(SchemaFormat::Custom(name)) => match name.as_str() {
            "email" => Email::parse(text).ok().map(|email| email.folded()),
            "language" => Some(text.trim().to_lowercase()),
            "country" => Some(text.to_uppercase()),
            "time-zone" => Zone::parse(text).ok().map(|zone| zone.name().to_owned()),
            "code" => Some(text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_uppercase()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Serialize};

    use super::super::strict_json;
    use super::*;

    #[derive(Serialize, Deserialize, ToSchema)]
    struct Written {
        #[schema(format = DateTime)]
        at: String,
        id: Uuid,
        title: String,
        dose: f64,
        #[schema(default = 1)]
        times: i64,
        tags: BTreeSet<String>,
        parts: Vec<WrittenPart>,
    }

    #[derive(Serialize, Deserialize, ToSchema)]
    struct WrittenPart {
        kind: String,
        note: Option<String>,
    }

    const BODY: &[u8] = br#" {"title": "L\u00e4ke", "at": "2026-03-01T10:00:00+01:00", "dose": 40.0, "times": 1,
        "id": "018F3B6E-0000-7000-8000-000000000001", "tags": ["b", "a", "b"], "other": null,
        "parts": [{"note": "", "kind": "k"}, {"note": null, "kind": ""}]}"#;

    /// Stored fingerprints are made of this text.
    #[test]
    fn the_canonical_form_stays_the_same_from_release_to_release() {
        let form = |document: Value, patch: bool| String::from_utf8(canonical::<Written>(document, patch)).unwrap();
        let read = || serde_json::from_slice::<Value>(BODY).unwrap();
        let whole = concat!(
            r#"{"at":"2026-03-01T09:00:00Z","dose":40,"id":"018f3b6e-0000-7000-8000-000000000001","#,
            r#""parts":[{"kind":"k"},{}],"tags":["a","b"],"title":"Läke"}"#
        );
        assert_eq!(form(read(), false), whole);
        assert_eq!(form(strict_json::parse(BODY).unwrap(), false), whole);
        let patch = concat!(
            r#"{"at":"2026-03-01T09:00:00Z","dose":40,"id":"018f3b6e-0000-7000-8000-000000000001","other":null,"#,
            r#""parts":[{"kind":"k"},{}],"tags":["a","b"],"times":1,"title":"Läke"}"#
        );
        assert_eq!(form(read(), true), patch);
        assert_eq!(form(strict_json::parse(BODY).unwrap(), true), patch);
    }
}
