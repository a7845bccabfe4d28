//! The query of a request.
//!
//! Every operation refuses a parameter that the document does not declare for it. The layer [`guard`](super::guard) finds
//! the declared names; public operations are refused there, others once the caller has access.

use std::collections::BTreeSet;
use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::reader;
use crate::kernel::{Error, FieldError, Fields, Result};

/// The most unknown parameters that one answer names.
const MOST: usize = 64;

/// The query parameters that an operation declares. It lies among the extensions of a request.
#[derive(Clone, Debug)]
pub(super) struct Declared(Arc<[String]>);

impl FromIterator<String> for Declared {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl Declared {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }

    /// Checks the names of a query.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the parameters that are not declared; [`Error::Unreadable`] for a query that is not UTF-8.
    pub(super) fn check(&self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let pairs = decoded(text)?;
        let unknown: BTreeSet<&str> =
            pairs.iter().map(|(name, _)| name.as_str()).filter(|name| !self.has(name)).collect();
        let mut fields = Fields::new();
        for name in unknown.into_iter().take(MOST) {
            fields.fault(format!("query/{name}"), self.told());
        }
        fields.done()
    }

    fn told(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|name| format!("`{name}`")).collect();
        if names.is_empty() {
            "is not known; this operation takes no query parameters".to_owned()
        } else {
            format!("is not known; this operation takes {}", names.join(", "))
        }
    }
}

/// Checks the names of the query of a request.
///
/// # Errors
///
/// [`Error::Invalid`] with the parameters that its operation does not declare; [`Error::Unreadable`] for a query that is
/// not UTF-8.
pub fn check(request: &HttpRequest) -> Result<()> {
    match request.extensions().get::<Declared>() {
        Some(declared) => declared.check(request.query_string()),
        None => Ok(()),
    }
}

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
        ready(parse(request).map(Self))
    }
}

fn parse<T: DeserializeOwned>(request: &HttpRequest) -> Result<T> {
    let mut fields = Fields::new();
    let pairs = pairs(request, &mut fields)?;
    let value = fields.part(reader::parameters("query", &pairs))?;
    fields.finish(value)
}

/// Returns the declared parameters of a request with their texts, and notes the others as faults.
///
/// # Errors
///
/// [`Error::Unreadable`] with the parameter whose bytes are not UTF-8.
pub(super) fn pairs(request: &HttpRequest, fields: &mut Fields) -> Result<Vec<(String, String)>> {
    fields.part(check(request))?;
    let mut pairs = decoded(request.query_string())?;
    if let Some(declared) = request.extensions().get::<Declared>() {
        pairs.retain(|(name, _)| declared.has(name));
    }
    Ok(pairs)
}

fn decoded(text: &str) -> Result<Vec<(String, String)>> {
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
