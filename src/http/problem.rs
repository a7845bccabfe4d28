//! Problem documents (RFC 9457), the form of every error on the wire.
//!
//! A problem is rendered twice: at once, so that an error is a problem even without any layer, and again by
//! [`super::layers::outer`], which knows the request id and finds the problem in the response's extensions.

use std::error::Error as StdError;
use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::kernel::{Code, Error, FieldError, Standing};

/// The media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// A problem document (RFC 9457), for the program and for the person who reads its log. It holds nothing private.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The page that explains this code, on this server.
    #[serde(rename = "type")]
    #[schema(rename = "type", format = "uri-reference", example = "/problems/stale")]
    pub kind: String,
    /// A short title that is the same for every occurrence of the code.
    #[schema(value_type = String, example = "Your copy is out of date")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 412)]
    pub status: u16,
    /// The stable name of the error. The set is open: treat a name you do not know by its status.
    #[schema(value_type = String, example = "stale")]
    pub code: &'static str,
    /// The particulars of this occurrence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// The wrong fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<ProblemField>,
    /// The state of the object that does not allow the step, as the object's view names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "cancelled")]
    pub state: Option<&'static str>,
    /// The operations (`operationId`) that the caller may take on the object in that state. Beside `state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["end_infusion"]))]
    pub allowed: Option<Vec<&'static str>>,
    /// The key of the document to which the patient has to agree first. Beside `document_version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "sharing")]
    pub document: Option<&'static str>,
    /// The version of that document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    pub document_version: Option<u32>,
    /// What the caller has to send to `step_up` first: `passphrase`, `code`; a `passkey` stands in for both. Open set.
    /// Beside `max_age_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, nullable = false, example = json!(["passphrase"]))]
    pub factors: Option<Vec<&'static str>>,
    /// How many seconds ago that may have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 300)]
    pub max_age_seconds: Option<i64>,
    /// The id of the object that the request conflicts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub conflicting_id: Option<Uuid>,
    /// Why a client has to begin again from the start: `epoch`, `too_old` or `ahead`. Open set. Beside `epoch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "epoch")]
    pub reason: Option<&'static str>,
    /// The epoch of the server's data: a history that was not interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Zx0vQW8mT3eYb1c5aDf2gA")]
    pub epoch: Option<String>,
    /// The id of this request in the server's log.
    pub request_id: String,
    /// Whether the same request, unchanged, may succeed later.
    pub retryable: bool,
    /// The action that an app takes: `keep` its local data and carry on; `refresh` its copy of the object and decide
    /// anew; `fix` the request; `relogin`; `erase` the local data of this account; `update` the app. Open set; treat an
    /// unknown one as `keep`.
    #[schema(value_type = String, example = "fix")]
    pub client_action: &'static str,
}

/// One wrong field of a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProblemField {
    /// The part of the request that holds the field: `body`, `query`, `path` or `header`.
    #[serde(rename = "in")]
    #[schema(rename = "in", value_type = String, example = "body")]
    pub part: &'static str,
    /// The JSON Pointer (RFC 6901) of a field in the body; empty for the body as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/text/title")]
    pub pointer: Option<String>,
    /// The name of a parameter or header; absent where the whole query or path is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "limit")]
    pub name: Option<String>,
    /// The fault of the field.
    #[schema(example = "is required")]
    pub detail: String,
}

impl From<&FieldError> for ProblemField {
    fn from(field: &FieldError) -> Self {
        let (pointer, detail) = (field.pointer.as_str(), field.detail.clone());
        let (place, name) = pointer.split_once('/').unwrap_or((pointer, ""));
        let part = match place {
            "query" => "query",
            "path" => "path",
            "header" => "header",
            _ => return Self { part: "body", pointer: Some(pointer.to_owned()), name: None, detail },
        };
        Self { part, pointer: None, name: (!name.is_empty()).then(|| name.to_owned()), detail }
    }
}

impl Problem {
    /// Returns the problem of a code, without particulars.
    pub fn of(code: Code) -> Self {
        Self {
            kind: format!("/problems/{}", code.name()),
            title: code.title(),
            status: code.status(),
            code: code.name(),
            detail: None,
            errors: Vec::new(),
            state: None,
            allowed: None,
            document: None,
            document_version: None,
            factors: None,
            max_age_seconds: None,
            conflicting_id: None,
            reason: None,
            epoch: None,
            request_id: String::new(),
            retryable: retryable(code),
            client_action: code.action().name(),
        }
    }
}

impl Problem {
    /// Returns the problem of a code as the document shows it.
    pub(super) fn example(code: Code) -> Self {
        let wrong = FieldError { pointer: "/mood/valence".to_owned(), detail: "must be between 0 and 10".to_owned() };
        let standing = code == Code::StateConflict;
        let resync = code == Code::ResyncRequired;
        let consent = code == Code::ConsentRequired;
        let step_up = code == Code::StepUpRequired;
        Self {
            errors: if code == Code::Invalid { vec![ProblemField::from(&wrong)] } else { Vec::new() },
            state: standing.then_some("cancelled"),
            allowed: standing.then(Vec::new),
            document: consent.then_some("sharing"),
            document_version: consent.then_some(1),
            factors: step_up.then(|| vec!["passphrase"]),
            max_age_seconds: step_up.then_some(300),
            reason: resync.then_some("epoch"),
            epoch: resync.then(|| "Zx0vQW8mT3eYb1c5aDf2gA".to_owned()),
            request_id: "443e534a-8ee1-4d0d-999e-f3e28f0b59ea".to_owned(),
            ..Self::of(code)
        }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let mut problem = Self::of(error.code());
        match error {
            Error::Malformed(_, detail) if !detail.is_empty() => problem.detail = Some(detail.clone()),
            Error::Unavailable(why) => problem.detail = Some((*why).to_owned()),
            Error::Unreadable(field) => {
                problem.detail = Some(field.detail.clone());
                problem.errors = vec![field.into()];
            }
            Error::Invalid(fields) => problem.errors = fields.iter().map(ProblemField::from).collect(),
            Error::Conflict(_, id) => problem.conflicting_id = *id,
            Error::State(_, Standing { state, allowed }) => {
                problem.state = Some(state);
                problem.allowed = Some(allowed.clone());
            }
            Error::Resync(resync) => {
                problem.reason = Some(resync.reason);
                problem.epoch = Some(resync.epoch.clone());
            }
            Error::ConsentRequired(document, version) => {
                problem.document = Some(document);
                problem.document_version = Some(*version);
            }
            Error::StepUp(lacking) => {
                problem.factors = Some(lacking.factors.clone());
                problem.max_age_seconds = Some(lacking.max_age_seconds);
            }
            Error::LimitReached(name) => problem.detail = Some(format!("`{name}` of `GET /v1/meta` is reached")),
            Error::Malformed(..)
            | Error::NotFound
            | Error::Deleted
            | Error::Unauthenticated(_)
            | Error::Forbidden(_)
            | Error::Stale
            | Error::PreconditionRequired
            | Error::TooMany(_)
            | Error::StorageFull
            | Error::Transient(_)
            | Error::Damaged(..)
            | Error::Internal(_) => {}
        }
        problem
    }
}

/// Whether the same request may succeed later. It may after a fault of the server, which can be mended: a phone must
/// not drop words because of it.
const fn retryable(code: Code) -> bool {
    matches!(
        code,
        Code::RequestTimeout
            | Code::TooManyRequests
            | Code::ItemRepeated
            | Code::Internal
            | Code::Unreadable
            | Code::Unavailable
            | Code::StorageFull
    )
}

/// A problem in the extensions of a response, until the outer layer renders it with the request id.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) problem: Problem,
    /// The cause, for the log only.
    pub(super) cause: Option<String>,
}

/// Renders a problem as a response. `cause` is for the log only.
pub(super) fn render(problem: Problem, cause: Option<String>) -> HttpResponse {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response =
        HttpResponseBuilder::new(status).insert_header((header::CONTENT_TYPE, MEDIA_TYPE)).body(body(&problem));
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"afterglow\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response.extensions_mut().insert(Stored { problem, cause });
    response
}

/// Returns the bytes of a problem.
pub(super) fn body(problem: &Problem) -> Vec<u8> {
    // Strings and numbers only: this cannot fail. An empty body is still better than a panic.
    serde_json::to_vec(problem).unwrap_or_default()
}

/// Returns the response to an `error`.
pub fn response(error: &Error) -> HttpResponse {
    let cause = match error {
        Error::Internal(source) | Error::Transient(source) => Some(chain(source.as_ref())),
        // By its table and id the operator finds the row.
        Error::Damaged(..) => Some(error.to_string()),
        _ => None,
    };
    let mut response = render(Problem::from(error), cause);
    let wait = match error {
        Error::TooMany(seconds) => Some((*seconds).max(1)),
        Error::Unavailable(_) | Error::Transient(_) => Some(2),
        Error::StorageFull => Some(60),
        _ => None,
    };
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Returns an error and its causes on one line.
fn chain(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a String cannot fail.
        let _ = write!(line, ": {cause}");
        source = cause.source();
    }
    line
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        response(self)
    }
}
