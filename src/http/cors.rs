//! Cross-origin requests (the Fetch standard): the pages of other sites that a browser lets talk to this server.
//!
//! Credentials are never allowed: tokens are bearer tokens, and there are no cookies.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};

/// The response headers that a page may read.
pub const EXPOSED: &str = "ETag, Location, Link, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id, \
                           Idempotent-Replayed, Preference-Applied, Deprecation, Sunset, Allow, WWW-Authenticate, \
                           Content-Language, Traceparent";

/// The request headers that a page may send.
pub const ACCEPTED: &str = "Authorization, Content-Type, Accept, Accept-Language, If-Match, If-None-Match, \
                            Idempotency-Key, Prefer, X-Request-Id, Traceparent";

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
        let origin = value.to_str().ok()?;
        (self.origins.iter().any(|one| one == origin) || self.localhost && is_localhost(origin)).then_some(value)
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
    const ASKED: [HeaderName; 2] = [header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_REQUEST_HEADERS];
    for name in ASKED {
        headers.append(header::VARY, HeaderValue::from_name(name));
    }
}

/// Whether a request is a preflight.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether the text is an origin: a scheme, a host, and a port unless it is the scheme's own. `*` and `null` are none:
/// anybody's page has them.
pub fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let usual = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let plain = |authority: &actix_web::http::uri::Authority| {
        authority.as_str() == rest && !rest.contains('@') && !rest.ends_with(':') && !authority.host().contains('*')
    };
    uri.authority().is_some_and(plain)
        && (uri.port_u16().is_none() || uri.port_u16() != usual)
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
}

/// Whether an origin is of the reader's own machine.
fn is_localhost(origin: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    is_origin(origin)
        && (host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for origin in ["https://app.example.org", "http://localhost:5173", "capacitor://localhost", "http://[::1]:3000"]
        {
            assert!(is_origin(origin), "{origin}");
        }
        for other in [
            "*",
            "null",
            "",
            "app.example.org",
            "https://",
            "https://app.example.org/",
            "https://app.example.org/x",
            "https://App.example.org",
            "https://ann@app.example.org",
            "https://*.example.org",
            "https://app.example.org:",
            "https://app.example.org:443",
            "http://app.example.org:80",
            "https://app.example.org?x",
            "https://a b",
        ] {
            assert!(!is_origin(other), "{other}");
        }
    }

    #[test]
    fn the_machine_of_the_reader_is_known_by_its_names() {
        for origin in [
            "http://localhost",
            "http://localhost:5173",
            "https://127.0.0.1:8443",
            "http://[::1]:3000",
            "http://app.localhost:1",
        ] {
            assert!(is_localhost(origin), "{origin}");
        }
        for other in [
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "null",
            "https://example.org",
            "http://192.168.1.4:80",
        ] {
            assert!(!is_localhost(other), "{other}");
        }
    }
}
