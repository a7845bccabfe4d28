//! The idempotency key of a request, and the parts of its fingerprint.

use std::borrow::Cow;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::kernel::creation::canonical;
use crate::kernel::{Error, Result};

/// The header's name.
pub const HEADER: &str = "idempotency-key";

/// The `Idempotency-Key` of a request, if there is one, with its method and address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: Option<String>,
    method: String,
    target: String,
}

impl IdempotencyKey {
    /// Makes the value of a request without a key.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns the key: 1 to 255 visible ASCII characters.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The body in a form that does not change with the order of members or the notation of numbers, by which a request
    /// is known again. A body that is no JSON stays as it is.
    pub fn canonical<'b>(&self, body: &'b [u8]) -> Cow<'b, [u8]> {
        match serde_json::from_slice(body) {
            Ok(value) => canonical(&value, self.method == "PATCH").to_string().into_bytes().into(),
            Err(_) => body.into(),
        }
    }

    /// What the same key must come with again: method, path with query, body.
    pub fn parts<'a>(&'a self, body: &'a [u8]) -> [&'a [u8]; 3] {
        [self.method.as_bytes(), self.target.as_bytes(), body]
    }
}

impl FromRequest for IdempotencyKey {
    type Error = Error;
    type Future = Ready<Result<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request))
    }
}

fn parse(request: &HttpRequest) -> Result<IdempotencyKey> {
    let mut lines = request.headers().get_all(HEADER);
    let key = match (lines.next(), lines.next()) {
        (None, _) => None,
        (Some(line), None) => Some(valid(line.as_bytes()).ok_or_else(fault)?),
        (Some(_), Some(_)) => return Err(fault()),
    };
    let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    Ok(IdempotencyKey { key, method: request.method().to_string(), target })
}

fn valid(line: &[u8]) -> Option<String> {
    let right = (1..=255).contains(&line.len()) && line.iter().all(u8::is_ascii_graphic);
    if right { String::from_utf8(line.to_vec()).ok() } else { None }
}

fn fault() -> Error {
    Error::field("header/idempotency-key", "must be 1 to 255 visible ASCII characters, once")
}
