//! Merge patches (RFC 7396): applied once, to the JSON of the body that a PUT would send, and parsed as that body.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::body::{self, Media, MergePatch};
use super::reader;
use crate::kernel::{Error, Result};

/// A body that can be changed by a merge patch: what a PUT sends, also as it would have to be sent to make what is stored.
pub trait Patchable: Serialize + DeserializeOwned + ToSchema + 'static {
    /// The members that `null` does not clear, besides those that a PUT requires.
    const FIXED: &'static [&'static str];
}

/// A merge patch on a `T`: what is absent stays, `null` clears, arrays replace.
///
/// In an operation: `type PatchEntry = Patch<PutEntry>` and `request_body(content = PatchEntry, content_type =
/// "application/merge-patch+json")`. Its schema follows from that of `T`.
pub struct Patch<T> {
    members: Map<String, Value>,
    raw: Bytes,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Patch<T> {
    fn clone(&self) -> Self {
        Self { members: self.members.clone(), raw: self.raw.clone(), of: PhantomData }
    }
}

impl<T> fmt::Debug for Patch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patch({} bytes)", self.raw.len())
    }
}

impl<T: Patchable> Patch<T> {
    /// A patch that was not sent over HTTP.
    pub fn of(members: Map<String, Value>) -> Self {
        Self { members, raw: Bytes::new(), of: PhantomData }
    }

    /// What `body` becomes.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for members of the wrong type.
    pub fn apply(&self, body: &T) -> Result<T> {
        let mut value = serde_json::to_value(body).map_err(|error| Error::Internal(Box::new(error)))?;
        merge(&mut value, Value::Object(self.members.clone()));
        Ok(reader::document(value, self.raw.len(), false)?.0)
    }

    /// The bytes as they came.
    pub(super) fn raw(&self) -> &Bytes {
        &self.raw
    }
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, change) in patch {
        if change.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), change);
        }
    }
}

impl<T: Patchable> FromRequest for Patch<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let checked = body::expect_json(request, MergePatch::TYPES).and_then(|()| body::expect_small(request));
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let raw = body::read(payload, checked?).await?;
            let members = body::parse_patch::<T>(&raw, &request, &fixed::<T>())?;
            Ok(Self { members, raw, of: PhantomData })
        })
    }
}

/// The members that cannot be cleared.
fn fixed<T: Patchable>() -> Vec<String> {
    let required = match T::schema() {
        RefOr::T(Schema::Object(object)) => object.required,
        _ => Vec::new(),
    };
    T::FIXED.iter().map(|name| (*name).to_owned()).chain(required).collect()
}

fn patch_name(name: &str) -> String {
    format!("Patch{}", name.strip_prefix("Put").unwrap_or(name))
}

impl<T: Patchable> PartialSchema for Patch<T> {
    fn schema() -> RefOr<Schema> {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        let mut schema = patched(T::schema(), &fixed::<T>(), &parts);
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let said = "A merge patch (RFC 7396): what is absent stays, `null` clears, arrays replace.";
            object.description = Some(said.to_owned());
        }
        schema
    }
}

impl<T: Patchable> ToSchema for Patch<T> {
    fn name() -> Cow<'static, str> {
        Cow::Owned(patch_name(&T::name()))
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        for (name, schema) in &parts {
            if let RefOr::T(Schema::Object(_)) = schema {
                schemas.push((patch_name(name), patched(schema.clone(), &[], &parts)));
            }
        }
    }
}

/// The schema of a patch on what `schema` describes: nothing is required, and what can be cleared can be null. What refers
/// to one of `parts` refers to the patch on that part.
fn patched(schema: RefOr<Schema>, fixed: &[String], parts: &[(String, RefOr<Schema>)]) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut object)) = schema else { return schema };
    object.required.clear();
    for (name, member) in &mut object.properties {
        match member {
            RefOr::T(Schema::Object(member)) if !fixed.contains(name) => nullable(member),
            RefOr::T(Schema::Array(member)) if !fixed.contains(name) => {
                member.schema_type = or_null(&member.schema_type);
            }
            RefOr::Ref(of) => {
                let part = parts.iter().find(|(part, _)| of.ref_location.ends_with(&format!("/{part}")));
                if let Some((part, _)) = part {
                    of.ref_location = Ref::from_schema_name(patch_name(part)).ref_location;
                }
            }
            RefOr::T(_) => {}
        }
    }
    RefOr::T(Schema::Object(object))
}

fn nullable(object: &mut Object) {
    object.schema_type = or_null(&object.schema_type);
}

fn or_null(types: &SchemaType) -> SchemaType {
    match types {
        SchemaType::Type(one) => SchemaType::from_iter([one.clone(), Type::Null]),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_merges_as_the_standard_says() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": ["c", "d"]}), json!({"a": ["c", "d"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": "foo"}), json!({"b": null}), json!({"a": "foo"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target;
            merge(&mut merged, patch);
            assert_eq!(merged, result);
        }
    }
}
