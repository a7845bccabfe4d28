//! The HTTP conventions every slice shares: problems, extractors, preconditions, replies, layers and limits.
//!
//! Promises: every error, also the framework's own, is sent as an RFC 9457 problem with a request id and nothing
//! private in it; a body is bounded, timed and well-formed before a slice sees it; every response carries the security
//! headers. Nothing here knows a table, a slice or a person.
//!
//! The wiring of an application, innermost first:
//!
//! ```ignore
//! App::new()
//!     .configure(|c| http::configure(c, &settings)) // app data, the answer for unknown addresses
//!     .wrap(from_fn(http::guard::methods))          // 405, OPTIONS, unknown parameters
//!     .wrap(from_fn(http::limits::throttle))        // inside, so that a 429 has the log line and the headers
//!     .wrap(from_fn(http::layers::outer))           // the last `wrap` is the outermost
//! ```

pub mod body;
pub mod cors;
pub mod deprecation;
mod canonical;
pub mod compression;
pub mod document;
mod faults;
mod form;
pub mod guard;
mod guesses;
pub mod layers;
pub mod limits;
mod listing;
mod merge_patch;
pub mod methods;
mod operations;
mod packed;
pub mod idempotency_key;
pub mod path;
pub mod precondition;
pub mod problem;
pub mod query;
mod reader;
pub mod reply;
mod request;
mod settings;
mod strict_json;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix_web::error::JsonPayloadError;
use actix_web::web;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use body::{Body, BodyLimit, MaybeBody};
pub use cors::Cors;
pub(crate) use document::page;
pub use form::FormBody;
pub use idempotency_key::IdempotencyKey;
pub use layers::RequestId;
pub use limits::{HourlyLimit, LimitSettings, Limits, client_address, client_network};
pub use listing::{Listing, NoFilter, PageQuery, whole_list};
pub use merge_patch::{Patch, Patchable};
pub use methods::Methods;
pub use operations::Operations;
pub use packed::{Packed, PackedBody};
pub use path::{PathOf, PatientRef};
pub use precondition::{EntityTag, KnownStates, Preconditions};
pub use problem::Problem;
pub use query::Query;
pub use reply::Reply;
pub use request::{ChangeResult, Command, NewId, Origin, Request, RequestBody};
pub use settings::Settings;

use crate::kernel::{Code, Error, FieldError, Result};

/// Registers the shared settings, the answer for unknown addresses, and the error handlers of the
/// framework's own extractors.
pub fn configure(config: &mut web::ServiceConfig, settings: &Settings) {
    config
        .app_data(web::Data::new(settings.clone()))
        .app_data(web::Data::from(Arc::clone(&settings.limits)))
        .app_data(settings.body)
        .app_data(web::PayloadConfig::new(settings.body.bytes))
        .app_data(web::JsonConfig::default().limit(settings.body.bytes).error_handler(|error, _| {
            framework(match error {
                JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => Code::TooLarge,
                JsonPayloadError::ContentType => Code::UnsupportedMediaType,
                _ => Code::Malformed,
            })
        }))
        .app_data(web::PathConfig::default().error_handler(|_, _| Error::field("path", "is not valid").into()))
        .app_data(web::QueryConfig::default().error_handler(|_, _| Error::field("query", "is not valid").into()))
        .default_service(web::to(async || problem::response(&Error::NotFound)));
}

/// Reads a `T` that is a part of a body, leniently, and answers the ignored fields.
///
/// # Errors
///
/// [`Error::Invalid`] with every value of a wrong type and the missing fields.
pub fn read_document<T: DeserializeOwned>(mut document: Value) -> Result<(T, Vec<FieldError>)> {
    let bytes = document.to_string().len();
    reader::document(&mut document, bytes, true)
}

fn framework(code: Code) -> actix_web::Error {
    Error::Malformed(code, String::new()).into()
}
