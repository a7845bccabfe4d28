//! The idempotency key of a request, and the parts of its fingerprint.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use uuid::Uuid;

use crate::kernel::{Error, Result};

/// The header's name.
pub const HEADER: &str = "idempotency-key";

/// The `Idempotency-Key` of a request, if there is one, with its operation and the parameters of its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdempotencyKey {
    key: Option<String>,
    method: String,
    pattern: String,
    parameters: Vec<String>,
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

    /// Returns the id of the thing that the request makes, if it makes one: the last id in the address of a PUT.
    pub fn made(&self) -> Option<Uuid> {
        let last = self.parameters.last().filter(|_| self.method == "PUT")?;
        Uuid::parse_str(last).ok()
    }

    /// Returns what the same key must come with again: the operation, the parameters of the address, and the `body` in
    /// its canonical form. The patient is not among the parameters, because `me` and an id may name the same one.
    pub fn parts<'a>(&'a self, body: &'a [u8]) -> Vec<&'a [u8]> {
        let address = [&self.method, &self.pattern].into_iter().chain(&self.parameters);
        address.map(String::as_bytes).chain([body]).collect()
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
    let pattern = request.match_pattern().unwrap_or_else(|| request.path().to_owned());
    let parameters = request.match_info().iter().filter(|(name, _)| *name != "patient_id");
    let spelled = |text: &str| Uuid::parse_str(text).map_or_else(|_| text.to_owned(), |id| id.to_string());
    let parameters = parameters.map(|(_, text)| spelled(text)).collect();
    Ok(IdempotencyKey { key, method: request.method().to_string(), pattern, parameters })
}

fn valid(line: &[u8]) -> Option<String> {
    let right = (1..=255).contains(&line.len()) && line.iter().all(u8::is_ascii_graphic);
    if right { String::from_utf8(line.to_vec()).ok() } else { None }
}

fn fault() -> Error {
    Error::field("header/idempotency-key", "must be 1 to 255 visible ASCII characters, once")
}
