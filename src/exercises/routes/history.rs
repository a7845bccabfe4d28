//! The revisions of exercise responses over HTTP.

use actix_web::{get, post};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::language::Language;
use crate::care::Door;
use crate::care::door::Own;
use crate::exercises::draft::DistressFields;
use crate::exercises::model::Responses;
use crate::exercises::view::ResponseView;
use crate::http::document::{AcceptLanguageHeader, ActionErrors, IdempotencyKeyHeader, IfMatchHeader, ReadErrors};
use crate::http::{Listing, PageQuery, PathOf, PatientRef, Reply, Request};
use crate::identity::Unlocked;
use crate::items::routes::{self as items, RevisionList};
use crate::kernel::id::Response;
use crate::kernel::{Error, Id, Result};

/// A response as of a version.
#[derive(Serialize, ToSchema)]
struct ResponseRevision {
    /// The response.
    response_id: Uuid,
    /// The version.
    #[schema(example = 1)]
    revision: i64,
    /// The instant at which it was done.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// Answers by step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<HashMap<String, serde_json::Value>>)]
    answers: Option<Box<RawValue>>,
    /// Distress before and after, and usefulness.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DistressFields>, nullable = false)]
    distress: Option<Box<RawValue>>,
}

/// List the revisions of an exercise response
///
/// For the patient only: readers see the present version.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"), PageQuery),
    responses((status = 200, description = "Revisions", body = RevisionList), ReadErrors))]
#[get("/exercise-responses/{response_id}/revisions")]
pub(super) async fn list_response_revisions(
    door: Door<Unlocked<Own>>,
    id: PathOf<Id<Response>>,
    listing: Result<Listing, Error>,
) -> Result<Reply> {
    items::list_revisions::<Responses, _>(door, "list_response_revisions", id.0, listing).await
}

/// Read a revision of an exercise response
///
/// Gives the content of the response as of that version.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"),
        ("revision" = i64, Path, description = "The version", minimum = 1)),
    responses((status = 200, description = "The revision", body = ResponseRevision), ReadErrors))]
#[get("/exercise-responses/{response_id}/revisions/{revision}")]
pub(super) async fn get_response_revision(
    door: Door<Unlocked<Own>>,
    path: PathOf<(Id<Response>, i64)>,
) -> Result<Reply> {
    let (response, revision) = path.0;
    let mut opened = items::get_revision::<Responses, _>(&door, "get_response_revision", path.0).await?;
    Ok(Reply::ok(&ResponseRevision {
        response_id: response.uuid(),
        revision,
        occurred_at: opened.header.circumstances.occurred_at,
        answers: opened.take(0),
        distress: opened.take(1),
    }))
}

/// Restore a revision of an exercise response
///
/// The content of that version becomes the newest version. It is then open to nobody but the patient: earlier grants no
/// longer open it. A done response stays done. It needs `If-Match`, unless nothing changes.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"),
        ("revision" = i64, Path, description = "The version", minimum = 1), IdempotencyKeyHeader, IfMatchHeader, AcceptLanguageHeader),
    responses((status = 200, description = "Restored", body = ResponseView), ActionErrors))]
#[post("/exercise-responses/{response_id}/revisions/{revision}/restore")]
pub(super) async fn restore_response_revision(
    door: Door<Own>,
    request: Request<(Id<Response>, i64)>,
    language: Language,
) -> Result<Reply> {
    items::restore::<Responses>(door, "restore_response_revision", request, language.0).await
}
