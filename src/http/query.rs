//! The query of a request.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::reader;
use crate::kernel::{Code, Error, Result};

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
    let Ok(pairs) = web::Query::<Vec<(String, String)>>::from_query(text) else {
        return Err(Error::Malformed(Code::Malformed, "the query is not well-formed".to_owned()));
    };
    reader::parameters("query", &pairs)
}
