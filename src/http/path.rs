//! The parameters of an address.

use std::fmt;
use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Visitor};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::reader;
use crate::kernel::id::Patient;
use crate::kernel::{Error, Id, Result};

/// The parameters of the address as a `T`; faults point to `path/<name>`.
///
/// `T` is a struct with the parameters' names, a tuple of the **last** parameters in order, or the last one alone:
/// below `/v1/patients/{patient_id}`, which the door reads, `PathOf<Id<Entry>>` is `{entry_id}` of
/// `…/entries/{entry_id}`. It is not called `Path`, because utoipa guesses parameters from extractors of that name and
/// cannot guess those of an [`Id`].
#[derive(Debug)]
pub struct PathOf<T>(pub T);

impl<T> PathOf<T> {
    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: DeserializeOwned> FromRequest for PathOf<T> {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request).map(Self))
    }
}

fn parse<T: DeserializeOwned>(request: &HttpRequest) -> Result<T> {
    let found = request.match_info();
    // The list is percent-decoded, which the iterator is not; both have the same order.
    let Ok(texts) = found.load::<Vec<String>>() else {
        return Err(Error::field("path", "is not valid"));
    };
    let names = found.iter().map(|(name, _)| name.to_owned());
    reader::parameters("path", &names.zip(texts).collect::<Vec<_>>())
}

/// The patient's id, or `me`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatientRef {
    /// The calling patient.
    Me,
    /// The patient of this id.
    Id(Id<Patient>),
}

impl FromStr for PatientRef {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "me" => Ok(Self::Me),
            // Only the hyphenated form: one patient has one address.
            _ if text.len() == 36 => {
                Uuid::try_parse(text).map(|id| Self::Id(Id::from_uuid(id))).or(Err("must be `me` or a UUID"))
            }
            _ => Err("must be `me` or a UUID"),
        }
    }
}

impl fmt::Display for PatientRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Me => f.write_str("me"),
            Self::Id(id) => id.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for PatientRef {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = PatientRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`me` or a UUID")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<PatientRef, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_str(Reader)
    }
}

impl PartialSchema for PatientRef {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^(me|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$"))
            .description(Some("`me` (the caller, a patient) or a patient's id"))
            .examples(["me"])
            .into()
    }
}
impl ToSchema for PatientRef {}
