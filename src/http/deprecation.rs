//! The announcement of operations that will go away: declared at the operation, sent with each of its answers.
//!
//! An operation says `extensions(("x-deprecation" = json!({"since": "2027-01-01", "sunset": "2027-07-01"})))` in its
//! `utoipa::path`. The document then shows it as deprecated, and its answers carry `Deprecation` (RFC 9745), `Sunset`
//! (RFC 8594) and a link to the changes.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde_json::Value;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Deprecated, OpenApi, PathItem, RefOr};

/// The name of the declaration.
const DECLARATION: &str = "x-deprecation";

/// The page of the changes, with the policy.
pub const PAGE: &str = "/docs/changes";

/// The dates of a deprecated operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deprecation {
    since: HeaderValue,
    sunset: HeaderValue,
}

impl Deprecation {
    /// Reads the declaration of an operation.
    pub(super) fn of(said: &Value) -> Option<Self> {
        let at = |name: &str| {
            let date: Date = said.get(name)?.as_str()?.parse().ok()?;
            TimeZone::UTC.to_timestamp(date.to_datetime(Time::midnight())).ok()
        };
        let (since, sunset) = (at("since")?, at("sunset")?);
        Some(Self {
            since: HeaderValue::from_str(&format!("@{}", since.as_second())).ok()?,
            sunset: HeaderValue::from_str(&sunset.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()?,
        })
    }

    /// Adds the announcement to an answer.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("deprecation"), self.since.clone());
        headers.insert(HeaderName::from_static("sunset"), self.sunset.clone());
        if let Ok(link) = HeaderValue::from_str(&format!("<{PAGE}>; rel=\"deprecation\"; type=\"text/html\"")) {
            headers.append(header::LINK, link);
        }
    }
}

/// Shows the operations that declare it as deprecated, with the headers of their successes.
pub fn declare(document: &mut OpenApi) {
    let operations = |item: &mut PathItem| {
        let all = [item.get.take(), item.put.take(), item.post.take(), item.patch.take(), item.delete.take()];
        [item.get, item.put, item.post, item.patch, item.delete] = all.map(|one| one.map(declared));
    };
    document.paths.paths.values_mut().for_each(operations);
}

fn declared(mut operation: Operation) -> Operation {
    let said = operation.extensions.as_ref().and_then(|extensions| extensions.get(DECLARATION));
    if said.and_then(Deprecation::of).is_none() {
        return operation;
    }
    operation.deprecated = Some(Deprecated::True);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if status.starts_with('2') {
            let header = |text: &str| RefOr::T(HeaderBuilder::new().description(Some(text)).build());
            response
                .headers
                .insert("Deprecation".to_owned(), header("The time since which it is deprecated (RFC 9745)."));
            response.headers.insert("Sunset".to_owned(), header("The time after which it may be gone (RFC 8594)."));
        }
    }
    operation
}
