//! The operations on one exercise response.

use actix_web::{delete, get, patch, post, put};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::language::Language;
use crate::care::Door;
use crate::care::door::{Care, Granted, Own};
use crate::exercises::draft::PutExerciseResponse;
use crate::exercises::model::{ResponseContent, Responses};
use crate::exercises::view::ResponseView;
use crate::http::document::{
    AcceptLanguageHeader, ActionErrors, IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, ItemErrors, WriteErrors,
};
use crate::http::{Body, NewId, Patch, PathOf, PatientRef, Preconditions, Reply, Request};
use crate::identity::Unlocked;
use crate::items::routes::{self as items, WritableItem};
use crate::kernel::id::Response;
use crate::kernel::{Id, Result};

/// A merge patch on an exercise response.
type PatchExerciseResponse = Patch<PutExerciseResponse>;

impl WritableItem for Responses {
    type Body = PutExerciseResponse;

    fn parse(body: PutExerciseResponse) -> Result<ResponseContent> {
        body.parse()
    }

    fn body(content: &ResponseContent) -> PutExerciseResponse {
        PutExerciseResponse::of(content)
    }
}

/// Create or replace an exercise response
///
/// The whole response; absent fields are empty. As a `draft` it may hold any of the answers and be finished later, on
/// any device. Each answer is checked against its step, and each fault points to its answer. To replace one, send
/// `If-Match` with its `ETag` (428 without it, 412 when it has changed since). The body that created it, sent again,
/// answers 200 with the present state. Beginning an exercise that is not offered now (an empty draft) answers 409
/// `exercise_withheld`; a response with content is kept in any case. A deleted id answers 410: undelete it.
#[utoipa::path(tag = "exercises", request_body = PutExerciseResponse,
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "A new UUID of version 4 or 7, or that of the response to replace"),
        IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, AcceptLanguageHeader),
    responses((status = 201, description = "Created", body = ResponseView),
        (status = 200, description = "Replaced, or as it was", body = ResponseView), WriteErrors))]
#[put("/exercise-responses/{response_id}")]
pub(super) async fn put_exercise_response(
    door: Door<Own>,
    request: Request<NewId<Response>, Body<PutExerciseResponse>>,
    language: Language,
) -> Result<Reply> {
    items::put::<Responses>(door, "put_exercise_response", request, language.0).await
}

/// Read an exercise response
///
/// The patient reads all of it. A therapist reads the sections that are open to them, and gets 404 without any; their
/// `ETag` changes with what they see and with nothing else. `seen_by` and `context` are not part of the `ETag`.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("response_id" = Uuid, Path, description = "The response"), IfNoneMatchHeader, AcceptLanguageHeader),
    responses((status = 200, description = "The response", body = ResponseView),
        (status = 304, description = "You have it"),
        ItemErrors))]
#[get("/exercise-responses/{response_id}")]
pub(super) async fn get_exercise_response(
    door: Door<Unlocked<Granted>>,
    path: (PathOf<Id<Response>>, Preconditions),
    language: Language,
) -> Result<Reply> {
    let (id, when) = path;
    items::get::<Responses, _>(door, "get_exercise_response", (id.0, when), language.0).await
}

/// Change an exercise response
///
/// A merge patch: absent fields stay, `null` clears, arrays replace; `answers` are merged step by step, so an app can
/// save each step as it is answered. A patch that changes nothing answers 200 whatever `If-Match` says.
#[utoipa::path(tag = "exercises",
    request_body(content = PatchExerciseResponse, content_type = "application/merge-patch+json"),
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"), IdempotencyKeyHeader, IfMatchHeader, AcceptLanguageHeader),
    responses((status = 200, description = "Changed", body = ResponseView), WriteErrors))]
#[patch("/exercise-responses/{response_id}")]
pub(super) async fn patch_exercise_response(
    door: Door<Own>,
    request: Request<Id<Response>, PatchExerciseResponse>,
    language: Language,
) -> Result<Reply> {
    items::patch::<Responses>(door, "patch_exercise_response", request, language.0).await
}

/// Delete an exercise response
///
/// It can be brought back for 30 days. Nobody else sees it after the answer. A prompt that it answered stays answered.
/// A second deletion changes nothing. `If-Match` is heeded and not required.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 204, description = "Deleted"), ActionErrors))]
#[delete("/exercise-responses/{response_id}")]
pub(super) async fn delete_exercise_response(door: Door<Own>, request: Request<Id<Response>>) -> Result<Reply> {
    items::delete::<Responses>(door, "delete_exercise_response", request).await
}

/// Bring a deleted exercise response back
///
/// Within 30 days. It is then open to nobody but the patient: earlier grants no longer open it. A response that is not
/// deleted stays as it is.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"), IdempotencyKeyHeader, AcceptLanguageHeader),
    responses((status = 200, description = "It is back", body = ResponseView), ActionErrors))]
#[post("/exercise-responses/{response_id}/undelete")]
pub(super) async fn undelete_exercise_response(
    door: Door<Own>,
    request: Request<Id<Response>>,
    language: Language,
) -> Result<Reply> {
    items::undelete::<Responses>(door, "undelete_exercise_response", request, language.0).await
}

/// The opening of a response by a therapist.
#[derive(Serialize, ToSchema)]
struct ResponseOpened {
    /// The response.
    response_id: Uuid,
    /// The instant at which you first opened it.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
}

/// Mark an exercise response opened
///
/// Send it when a person has opened the response, not when an app has fetched it. The patient sees who opened it and
/// when. The first time counts.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "A patient's id"),
        ("response_id" = Uuid, Path, description = "The response"), IdempotencyKeyHeader),
    responses((status = 200, description = "Noted", body = ResponseOpened), ActionErrors))]
#[post("/exercise-responses/{response_id}/opened")]
pub(super) async fn mark_response_opened(door: Door<Care>, request: Request<Id<Response>>) -> Result<Reply> {
    let answer = items::mark_opened::<Responses>(door, "mark_response_opened", request).await?;
    answer.reply(|(id, opened_at)| Ok(Reply::ok(&ResponseOpened { response_id: id.uuid(), opened_at })))
}
