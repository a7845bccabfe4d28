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
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::body::{self, MERGE_PATCH, ReadWith};
use super::{reader, strict_json};
use crate::kernel::{Error, FieldError, Result};

/// A body that a merge patch can change: the body of the PUT that would make the stored object.
pub trait Patchable: Serialize + DeserializeOwned + ToSchema + 'static {
    /// The members that `null` does not clear, besides those that a PUT requires.
    const FIXED: &'static [&'static str];
}

/// A merge patch on a `T`: absent members stay, `null` clears, arrays replace.
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
    /// Makes a patch that was not sent over HTTP.
    pub fn of(members: Map<String, Value>) -> Self {
        Self { members, raw: Bytes::new(), of: PhantomData }
    }

    /// Returns `body` with the patch applied.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for members of the wrong type.
    pub fn apply(&self, body: &T) -> Result<T> {
        let mut value = serde_json::to_value(body).map_err(|error| Error::Internal(Box::new(error)))?;
        merge(&mut value, Value::Object(self.members.clone()));
        Ok(reader::document(&mut value, self.raw.len(), false)?.0)
    }
}

/// Merges a patch into a value (RFC 7396, section 2).
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

impl<T: Patchable> Patch<T> {
    /// Reads a patch, and returns it with what `derive` makes of the document that was sent.
    pub(super) fn read_with<D: Send + 'static>(
        request: &HttpRequest,
        payload: &mut Payload,
        derive: impl FnOnce(&Value) -> D + Send + 'static,
    ) -> ReadWith<Self, D> {
        let checked = body::expect_json(request, MERGE_PATCH).and_then(|()| body::expect_small(request, usize::MAX));
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let raw = body::read(payload, checked?).await?;
            let bytes = raw.clone();
            let parse = move |lenient| {
                let patch = strict_json::parse(&bytes)?;
                let (faults, made) = (uncleared::<T>(&patch), derive(&patch));
                let (members, ignored) = reader::patch::<T>(patch, bytes.len(), lenient, faults)?;
                Ok(((members, made), ignored))
            };
            let (members, made) = body::parsing(raw.len(), &request, parse).await?;
            Ok((Self { members, raw, of: PhantomData }, made))
        })
    }
}

impl<T: Patchable> FromRequest for Patch<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Self::read_with(request, payload, |_| ());
        Box::pin(async move { Ok(body.await?.0) })
    }
}

/// Returns the schemas of a body and of its parts. The body's schema requires the members of [`Patchable::FIXED`] too.
fn schemas<T: Patchable>() -> (RefOr<Schema>, Vec<(String, RefOr<Schema>)>) {
    let (mut schema, mut parts) = (T::schema(), Vec::new());
    T::schemas(&mut parts);
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.required.extend(T::FIXED.iter().map(|name| (*name).to_owned()));
    }
    (schema, parts)
}

/// Finds the nulls of a patch for members that cannot be cleared.
fn uncleared<T: Patchable>(patch: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    // The schema costs time and is made only when there is a null.
    if has_null(patch) {
        let (schema, parts) = schemas::<T>();
        find_uncleared(patch, &schema, &parts, "", &mut faults);
    }
    faults
}

fn has_null(value: &Value) -> bool {
    value.as_object().is_some_and(|members| members.values().any(|member| member.is_null() || has_null(member)))
}

fn find_uncleared(
    patch: &Value,
    schema: &RefOr<Schema>,
    parts: &[(String, RefOr<Schema>)],
    place: &str,
    faults: &mut Vec<FieldError>,
) {
    let schema = match schema {
        RefOr::Ref(of) => part(of, parts).map(|(_, schema)| schema),
        RefOr::T(_) => Some(schema),
    };
    let (Some(RefOr::T(Schema::Object(object))), Some(members)) = (schema, patch.as_object()) else { return };
    for (name, member) in members {
        let pointer = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
        if member.is_null() && object.required.contains(name) {
            faults.push(FieldError { pointer, detail: "cannot be cleared".to_owned() });
        } else if let Some(schema) = object.properties.get(name) {
            find_uncleared(member, schema, parts, &pointer, faults);
        }
    }
}

/// Returns the part that a schema refers to.
fn part<'p>(of: &Ref, parts: &'p [(String, RefOr<Schema>)]) -> Option<&'p (String, RefOr<Schema>)> {
    let name = of.ref_location.rsplit('/').next()?;
    parts.iter().find(|(part, _)| part == name)
}

fn patch_name(name: &str) -> String {
    format!("Patch{}", name.strip_prefix("Put").unwrap_or(name))
}

impl<T: Patchable> PartialSchema for Patch<T> {
    fn schema() -> RefOr<Schema> {
        let (schema, parts) = schemas::<T>();
        let mut schema = patched(schema, &parts);
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
        let (whole, parts) = self::schemas::<T>();
        for (name, schema) in &parts {
            let mut schema = patched(schema.clone(), &parts);
            if let RefOr::T(Schema::Object(object)) = &mut schema {
                // A schema of its own that can be null: generators drop members that are one of several.
                if std::iter::once(&whole).chain(parts.iter().map(|(_, part)| part)).any(|of| clears(of, name)) {
                    object.schema_type = with_null(&object.schema_type, true);
                }
                schemas.push((patch_name(name), schema));
            }
        }
    }
}

/// Whether `null` clears a member of `schema` that refers to the part `name`.
fn clears(schema: &RefOr<Schema>, name: &str) -> bool {
    let RefOr::T(Schema::Object(object)) = schema else { return false };
    object.properties.iter().any(|(member, schema)| {
        let refers = matches!(schema, RefOr::Ref(of) if of.ref_location.rsplit('/').next() == Some(name));
        refers && !object.required.contains(member)
    })
}

/// Returns the schema of a patch on the body of `schema`: nothing is required, and members that can be cleared can be
/// null. A reference to one of `parts` becomes one to the patch on that part.
fn patched(schema: RefOr<Schema>, parts: &[(String, RefOr<Schema>)]) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut object)) = schema else { return schema };
    let fixed = std::mem::take(&mut object.required);
    for (name, member) in &mut object.properties {
        let clearable = !fixed.contains(name);
        if let RefOr::T(Schema::Object(member)) = member {
            // What a patch lacks stays.
            member.default = None;
        }
        match member {
            RefOr::T(Schema::Object(member)) => member.schema_type = with_null(&member.schema_type, clearable),
            RefOr::T(Schema::Array(member)) => member.schema_type = with_null(&member.schema_type, clearable),
            RefOr::Ref(of) => {
                if let Some((name, _)) = part(of, parts) {
                    of.ref_location = Ref::from_schema_name(patch_name(name)).ref_location;
                }
            }
            RefOr::T(_) => {}
        }
    }
    RefOr::T(Schema::Object(object))
}

/// The types without null, or with it.
fn with_null(types: &SchemaType, null: bool) -> SchemaType {
    let mut all: Vec<Type> = match types {
        SchemaType::Type(one) => vec![one.clone()],
        SchemaType::Array(several) => several.clone(),
        SchemaType::AnyValue => return SchemaType::AnyValue,
    };
    all.retain(|one| *one != Type::Null);
    all.extend(null.then_some(Type::Null));
    match all.as_slice() {
        [one] => SchemaType::Type(one.clone()),
        _ => SchemaType::Array(all),
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
