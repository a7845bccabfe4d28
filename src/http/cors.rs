//! Cross-origin requests (the Fetch standard): the pages of other sites that a browser lets talk to this server.
//!
//! Credentials are never allowed: tokens are bearer tokens, and there are no cookies.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

use crate::kernel::origin;

/// The response headers that a page may read.
pub const EXPOSED: &str = "ETag, Location, Link, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, \
                           Idempotent-Replayed, Preference-Applied, Deprecation, Sunset, Allow, WWW-Authenticate, \
                           Content-Language, Traceparent, X-Accel-Buffering";

/// The request headers that a page may send.
pub const ACCEPTED: &str = "Authorization, Content-Type, Accept, Accept-Language, If-Match, If-None-Match, \
                            Idempotency-Key, Last-Event-ID, Prefer, X-Request-Id, Traceparent";

/// The origins whose pages may talk to this server.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// The origins, as browsers write them.
    pub origins: Vec<String>,
    /// Whether every origin of the reader's own machine may, on any port.
    pub localhost: bool,
}

impl Cors {
    /// Returns the origin of a request if its pages may talk to this server.
    pub fn allowed<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let value = headers.get(header::ORIGIN)?;
        let text = value.to_str().ok()?;
        (self.origins.iter().any(|one| one == text) || self.localhost && origin::is_local(text)).then_some(value)
    }

    /// Whether the answer depends on the origin.
    fn is_on(&self) -> bool {
        self.localhost || !self.origins.is_empty()
    }

    /// Adds the headers that let the page of an allowed origin read an answer.
    pub(super) fn permit(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if self.is_on() {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = origin {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

/// Adds the answer to a preflight: what a page may send to an address that has these methods.
pub(super) fn preflight(methods: &HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ACCEPTED));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    for name in [header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_REQUEST_HEADERS] {
        headers.append(header::VARY, HeaderValue::from_name(name));
    }
}

/// Whether a request is a preflight.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}
