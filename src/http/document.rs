//! Parts of the OpenAPI document that many operations share: the errors they can answer, and header parameters.
//!
//! In an operation: `params(IdempotencyKeyHeader, IfMatchHeader), responses((status = 200, …), WriteErrors)`.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use serde::Deserialize;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::problem::{MEDIA_TYPE, Problem};
use crate::kernel::Code;

type Responses = BTreeMap<String, RefOr<Response>>;

/// Refers to the responses of these statuses. The document has each of them once: to make them for every operation would
/// take most of the time in which a server starts.
fn problems(statuses: &[u16]) -> Responses {
    let refer = |status: &u16| {
        let status = status.to_string();
        let name = response_name(&status)?;
        Some((status, RefOr::Ref(Ref::from_response_name(name))))
    };
    statuses.iter().filter_map(refer).collect()
}

/// Returns the name by which operations refer to the response of a status that is no success: `NotFound`.
pub fn response_name(status: &str) -> Option<String> {
    let status = StatusCode::from_bytes(status.as_bytes()).ok().filter(|status| !status.is_success())?;
    Some(status.canonical_reason()?.chars().filter(char::is_ascii_alphanumeric).collect())
}

/// Returns the response of a status with a problem. A status that the table lacks has no description; the test refuses
/// it.
pub fn problem(status: u16) -> Response {
    let description = match status {
        400 => "The request cannot be read",
        401 => "Not logged in",
        403 => "Not for this kind of account",
        404 => "Not there, or not for you to know",
        405 => "Not a method of this address",
        406 => "`Accept-Encoding` takes no coding that the server has",
        408 => "The request took too long to arrive",
        409 => "Does not fit the present state",
        410 => "Was deleted; its owner can bring some kinds of objects back",
        412 => "Your copy is out of date",
        413 => "Too large",
        415 => "Unsupported media type",
        422 => "Some fields are wrong",
        428 => "Say which version you change",
        429 => "Too many requests; wait for `Retry-After`",
        431 => "The headers are too large",
        500 => "A fault of the server",
        503 => "Not possible just now; wait for `Retry-After`",
        507 => "The storage is full",
        _ => "",
    };
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples(status)).build();
    ResponseBuilder::new().description(description).content(MEDIA_TYPE, content).build()
}

/// Returns an example of each code of a status.
fn examples(status: u16) -> impl Iterator<Item = (&'static str, Example)> {
    let codes = Code::ALL.iter().copied().filter(move |code| code.status() == status);
    codes.map(|code| {
        let value = serde_json::to_value(Problem::example(code)).ok();
        (code.name(), ExampleBuilder::new().summary(code.title()).value(value).build())
    })
}

macro_rules! sets {
    ($($(#[$doc:meta])* $name:ident = $statuses:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl IntoResponses for $name {
            fn responses() -> Responses { problems(&$statuses) }
        }
    )* };
}

sets! {
    /// A public read.
    PublicErrors = [400, 406, 422, 429, 431, 500, 503];
    /// A public read of an object that may not exist.
    PublicFileErrors = [400, 404, 406, 422, 429, 431, 500, 503];
    /// A public read of such an object that stores when it was read: the calendar feed.
    PublicFeedErrors = [400, 404, 406, 422, 429, 431, 500, 503, 507];
    /// An operation with a body and without an access token: log-in, registration, refresh.
    AuthErrors = [400, 401, 406, 408, 413, 415, 422, 429, 431, 500, 503, 507];
    /// A log-in with a passkey, which the operator may not have switched on.
    PasskeyErrors = [400, 401, 406, 408, 409, 413, 415, 422, 429, 431, 500, 503, 507];
    /// The beginning of one.
    PasskeyBeginErrors = [400, 406, 409, 422, 429, 431, 500, 503];
    /// The first run: as [`AuthErrors`], and 409 the second time.
    SetupErrors = [400, 406, 408, 409, 413, 415, 422, 429, 431, 500, 503, 507];
    /// A read with an access token. 507 as well: a read of somebody else's content is written into their access log.
    ReadErrors = [400, 401, 403, 404, 406, 422, 429, 431, 500, 503, 507];
    /// A read of an object that its owner may have deleted.
    ItemErrors = [400, 401, 403, 404, 406, 410, 422, 429, 431, 500, 503, 507];
    /// A read whose parameters come in a body (search).
    SearchErrors = [400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 431, 500, 503, 507];
    /// A change without a body.
    ActionErrors = [400, 401, 403, 404, 406, 409, 410, 412, 422, 428, 429, 431, 500, 503, 507];
    /// A change with a body.
    WriteErrors = [400, 401, 403, 404, 406, 408, 409, 410, 412, 413, 415, 422, 428, 429, 431, 500, 503, 507];
}

/// The header `Idempotency-Key`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyKeyHeader {
    /// The key: 1 to 255 visible ASCII characters, new for each new request. The same key with the same request has one
    /// effect and the same outcome for 24 hours; with another request it is refused.
    #[serde(rename = "Idempotency-Key")]
    #[param(required = false, nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    pub key: Option<String>,
}

/// The header `If-Match`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfMatchHeader {
    /// The `ETag` you read; the change is refused with 412 if the object has changed since, and with 428 without it.
    #[serde(rename = "If-Match")]
    #[param(required = false, nullable = false)]
    pub if_match: Option<String>,
}

/// The header `If-None-Match`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IfNoneMatchHeader {
    /// The `ETag` you have; the answer is 304 if it is still current. On a PUT, `*` means: create only.
    #[serde(rename = "If-None-Match")]
    #[param(required = false, nullable = false)]
    pub if_none_match: Option<String>,
}

/// The header `Accept-Language`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct AcceptLanguageHeader {
    /// The language of the words (RFC 9110 §12.5.4); without it, the patient's own for the patient, else English.
    #[serde(rename = "Accept-Language")]
    #[param(required = false, nullable = false)]
    pub accept_language: Option<String>,
}

/// Declares a page of a list: `items` and `next_cursor`.
///
/// ```ignore
/// page! {
///     /// A page of grants.
///     GrantList: "The grants, in descending order of their ids." of GrantView
/// }
/// ```
macro_rules! page {
    ($(#[$doc:meta])* $name:ident: $items:literal of $item:ty) => {
        $(#[$doc])*
        #[derive(serde::Serialize, utoipa::ToSchema)]
        pub(crate) struct $name {
            #[doc = $items]
            items: Vec<$item>,
            /// The cursor of the next page; absent at the end.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(nullable = false)]
            next_cursor: Option<String>,
        }

        impl $name {
            pub(crate) fn of(items: Vec<$item>, next_cursor: Option<String>) -> Self {
                Self { items, next_cursor }
            }
        }
    };
}
pub(crate) use page;
