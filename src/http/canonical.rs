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
use crate::kernel::{Zone, device_time};

/// Returns the canonical form of `raw`, the JSON of a `T` or of a merge patch on one. What is no JSON stays as it is.
pub(super) fn canonical<T: ToSchema + 'static>(raw: &[u8], patch: bool) -> Vec<u8> {
    match serde_json::from_slice(raw) {
        Ok(body) => {
            let schemas = schemas_of::<T>();
            let form = Reading { parts: &schemas.parts, patch }.form(&body, &schemas.whole);
            creation::canonical(&form, patch).to_string().into_bytes()
        }
        Err(_) => raw.to_vec(),
    }
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
    fn form(self, value: &Value, schema: &RefOr<Schema>) -> Value {
        let schema = match schema {
            RefOr::T(schema) => Some(schema),
            RefOr::Ref(of) => match of.ref_location.rsplit('/').next().and_then(|name| self.parts.get(name)) {
                Some(part) => return self.form(value, part),
                None => None,
            },
        };
        match (value, schema) {
            (_, Some(Schema::OneOf(several))) => {
                several.items.iter().fold(value.clone(), |it, one| self.form(&it, one))
            }
            (_, Some(Schema::AllOf(several))) => {
                several.items.iter().fold(value.clone(), |it, one| self.form(&it, one))
            }
            (Value::Object(members), Some(Schema::Object(object))) => self.members(members, object),
            (Value::String(text), Some(Schema::Object(object))) => spelled(text, object.format.as_ref()).into(),
            (Value::Array(items), Some(Schema::Array(list))) => {
                // Lists are replaced as a whole, so their objects are complete.
                let whole = Self { patch: false, ..self };
                let mut items: Vec<Value> = match &list.items {
                    ArrayItems::RefOrSchema(of) => items.iter().map(|item| whole.form(item, of)).collect(),
                    ArrayItems::False => items.clone(),
                };
                if list.unique_items {
                    items.sort_by_cached_key(ToString::to_string);
                    items.dedup();
                }
                items.into()
            }
            _ => value.clone(),
        }
    }

    fn members(self, members: &Map<String, Value>, object: &Object) -> Value {
        let mut kept = Map::new();
        for (name, member) in members {
            let form = object.properties.get(name).map_or_else(|| member.clone(), |schema| self.form(member, schema));
            let default = object.properties.get(name).and_then(default_of);
            if self.patch || !(is_empty(&form) || default == Some(&form)) {
                kept.insert(name.clone(), form);
            }
        }
        kept.into()
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

/// Returns a text of this format in its one spelling; what does not have the format stays as it is.
fn spelled(text: &str, format: Option<&SchemaFormat>) -> String {
    let one = match format {
        Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)) => {
            device_time::instant(text).ok().map(|at| at.to_string())
        }
        Some(SchemaFormat::KnownFormat(KnownFormat::Date)) => text.parse::<Date>().ok().map(|date| date.to_string()),
        Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)) => Uuid::parse_str(text).ok().map(|id| id.to_string()),
        Some(SchemaFormat::Custom(name)) => match name.as_str() {
            "email" | "language" => Some(text.trim().to_lowercase()),
            "country" => Some(text.to_uppercase()),
            "time-zone" => Zone::parse(text).ok().map(|zone| zone.name().to_owned()),
            "code" => Some(text.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_uppercase()),
            _ => None,
        },
        _ => None,
    };
    one.unwrap_or_else(|| text.to_owned())
}
