//! The query of a request.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::reader;
use crate::kernel::{Error, FieldError, Result};

/// The query as a `T` that derives `Deserialize` with `deny_unknown_fields`; faults point to `query/<name>`.
///
/// `T` also derives `IntoParams` and is named in the operation's `params(…)`.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T> Query<T> {
    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request.query_string()).map(Self))
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    reader::parameters("query", &pairs(text)?)
}

/// Returns the names of a query and their texts.
///
/// # Errors
///
/// [`Error::Unreadable`] with the parameter whose bytes are not UTF-8.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>> {
    let unreadable = |name: &str, detail: &str| {
        let pointer = if name.is_empty() { "query".to_owned() } else { format!("query/{name}") };
        Err(Error::Unreadable(FieldError { pointer, detail: detail.to_owned() }))
    };
    let Ok(pairs) = web::Query::<Vec<(String, String)>>::from_query(text) else {
        return unreadable("", "is not well-formed");
    };
    // The parser puts this character in the place of bytes that are not UTF-8.
    let damaged = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    match pairs.iter().find(|(name, value)| damaged(name) || damaged(value)) {
        Some((name, _)) => unreadable(if damaged(name) { "" } else { name }, "is not UTF-8"),
        None => Ok(pairs.into_inner()),
    }
}
