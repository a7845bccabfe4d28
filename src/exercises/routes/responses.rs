//! One response.

use actix_web::{HttpRequest, delete, get, patch, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Language;
use crate::care::door::{Care, Own, Policy, Shared};
use crate::care::{Access, Door, grants};
use crate::course::{self, Background};
use crate::db::Tx;
use crate::exercises::actions::{self, Responses};
use crate::exercises::draft::{ResponseDraft, ResponsePatch};
use crate::exercises::store::Row;
use crate::exercises::view::{self, Found, ResponseView};
use crate::http::document::{ActionErrors, IfMatchHeader, IfNoneMatchHeader, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, EntityTag, IdempotencyKey, PatchBody, PathOf, PatientRef, Preconditions, Reply};
use crate::idempotency::Done;
use crate::kernel::id::Response;
use crate::kernel::{Error, Id, Result};
use crate::revisions::Kept as _;
use crate::vault::MacLabel;

/// What a unit on one response returns, still sealed.
pub(super) type Answer = (Found, Background);

/// The answer of a change, for the owner.
pub(super) fn changed<A>(tx: &mut Tx<'_>, access: &Access<A>, row: Row) -> Result<Answer> {
    let openings = Some(grants::store::list_openings(tx, access, row.id.any())?);
    Ok((Found { row, shared: None, openings }, course::background(tx, access)?))
}

/// The answer of a change that was made before: the present state.
pub(super) fn again<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Response>) -> Result<Answer> {
    let row = Responses::get(tx, access, id)?;
    changed(tx, access, row)
}

fn render<L: Policy>(
    door: &Door<L>,
    (found, background): &Answer,
    language: Language,
) -> Result<(ResponseView, EntityTag)> {
    let around = background.open(door.keys()?, door.patient()?)?;
    // A reader's words are in the language of their request: the patient's is not theirs to know.
    let own = if found.shared.is_none() { around.locale.clone() } else { "en".to_owned() };
    let view = view::render(door.keys()?, door.patient()?, found, &around, language.or(&own))?;
    let tag = if found.shared.is_none() {
        EntityTag::version(found.row.version)
    } else {
        let shown = serde_json::to_vec(&view).map_err(|error| Error::Internal(Box::new(error)))?;
        EntityTag::opaque(&URL_SAFE_NO_PAD.encode(door.state().vault.mac(MacLabel::ReaderTag, &[&shown])))
    };
    Ok((view, tag))
}

pub(super) fn reply<L: Policy>(door: &Door<L>, answer: &Answer, language: Language) -> Result<Reply> {
    let (view, tag) = render(door, answer, language)?;
    Ok(Reply::ok(&view).etag(&tag))
}

/// Create or replace an exercise response
///
/// The whole response; what is absent is empty. As a `draft` it may hold any of the answers and be finished later, on any
/// device. Each answer is checked against its step, with a pointer to what is wrong. To replace one, send `If-Match` with
/// its `ETag` (428 without it, 412 when it has changed since). The body that created it, sent again, answers 200 with the
/// present state. Beginning an exercise that is not offered now (an empty draft) answers 409
/// `exercise_withheld`; what was worked on or felt is kept in any case. A deleted id answers 410: undelete it.
#[utoipa::path(tag = "exercises", operation_id = "put_exercise_response", request_body = ResponseDraft,
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "A new UUIDv7, or that of the response to replace"),
        OnceHeader, IfMatchHeader, IfNoneMatchHeader),
    responses((status = 201, description = "Created", body = ResponseView),
        (status = 200, description = "Replaced, or as it was", body = ResponseView), WriteErrors))]
#[put("/exercise-responses/{response_id}")]
pub(super) async fn put_exercise_response(
    door: Door<Own>,
    id: PathOf<Id<Response>>,
    key: IdempotencyKey,
    preconditions: Preconditions,
    body: Result<Body<ResponseDraft>, Error>,
    language: Language,
    request: HttpRequest,
) -> Result<Reply> {
    let id = id.into_inner();
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| {
        if !id.is_v7() {
            return Err(Error::field("path/response_id", "must be a UUIDv7"));
        }
        body.into_inner().parse()
    });
    let (done, answer) = door
        .write(
            "put_exercise_response",
            once,
            command,
            move |tx, access, content| {
                let (done, row) = actions::put(tx, access, id, content, &preconditions)?;
                Ok((done, changed(tx, access, row)?))
            },
            move |tx, access, _| again(tx, access, id),
        )
        .await?;
    Ok(reply(&door, &answer, language)?.created_if(done.status == 201, request.path()))
}

/// Read an exercise response
///
/// The patient reads all of it. A therapist reads the sections that are open to them, and gets 404 without any; their
/// `ETag` changes with what they see and with nothing else. `seen_by` and `context` are not part of the `ETag`.
#[utoipa::path(tag = "exercises", operation_id = "get_exercise_response",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("response_id" = Uuid, Path, description = "The response"), IfNoneMatchHeader),
    responses((status = 200, description = "The response", body = ResponseView),
        (status = 304, description = "You have it"),
        (status = 410, description = "It was deleted, and can be brought back", body = crate::http::Problem,
            content_type = "application/problem+json"), ReadErrors))]
#[get("/exercise-responses/{response_id}")]
pub(super) async fn get_exercise_response(
    door: Door<Shared>,
    id: PathOf<Id<Response>>,
    preconditions: Preconditions,
    language: Language,
) -> Result<Reply> {
    let id = id.into_inner();
    let read = door.read("get_exercise_response", move |tx, access| {
        if access.is_owner() {
            return again(tx, access, id);
        }
        let (row, sections) = Responses::get_shared(tx, access, id)?;
        Ok((Found { row, shared: Some(sections), openings: None }, course::background(tx, access)?))
    });
    let (view, tag) = render(&door, &read.await?, language)?;
    Ok(Reply::ok(&view).unless_known(&tag, &preconditions))
}

/// Change an exercise response
///
/// A merge patch: what is absent stays, `null` clears, arrays replace; `answers` are merged step by step, so an app can
/// save each step as it is answered. A patch that changes nothing answers 200 whatever `If-Match` says.
#[utoipa::path(tag = "exercises", operation_id = "patch_exercise_response",
    request_body(content = ResponsePatch, content_type = "application/merge-patch+json"),
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"), OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = ResponseView), WriteErrors))]
#[patch("/exercise-responses/{response_id}")]
pub(super) async fn patch_exercise_response(
    door: Door<Own>,
    id: PathOf<Id<Response>>,
    key: IdempotencyKey,
    preconditions: Preconditions,
    body: Result<PatchBody<ResponsePatch>, Error>,
    language: Language,
) -> Result<Reply> {
    let id = id.into_inner();
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let (_, answer) = door
        .write(
            "patch_exercise_response",
            once,
            body.map(Body::into_inner),
            move |tx, access, patch| {
                let row = Responses::patch(tx, access, id, |old| old.patched(patch.clone()), &preconditions)?;
                Ok((Done::ok(id.uuid()), changed(tx, access, row)?))
            },
            move |tx, access, _| again(tx, access, id),
        )
        .await?;
    reply(&door, &answer, language)
}

/// Delete an exercise response
///
/// It can be brought back for 30 days. Nobody else sees it from the answer on. A prompt that it answered stays answered.
/// Deleted again, nothing changes. `If-Match` is heeded and not required.
#[utoipa::path(tag = "exercises", operation_id = "delete_exercise_response",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"), OnceHeader, IfMatchHeader),
    responses((status = 204, description = "Deleted"), ActionErrors))]
#[delete("/exercise-responses/{response_id}")]
pub(super) async fn delete_exercise_response(
    door: Door<Own>,
    id: PathOf<Id<Response>>,
    key: IdempotencyKey,
    preconditions: Preconditions,
) -> Result<Reply> {
    let id = id.into_inner();
    let write = move |tx: &mut Tx<'_>, access: &Access<_>, (): &()| {
        Responses::delete(tx, access, id, &preconditions)?;
        Ok((Done::no_content(), ()))
    };
    door.write("delete_exercise_response", door.once(&key, &[]), Ok(()), write, |_, _, _| Ok(())).await?;
    Ok(Reply::no_content())
}

/// Bring a deleted exercise response back
///
/// Within 30 days. Nobody but the patient sees it then: what was opened before is not open any more. One that is not
/// deleted stays as it is.
#[utoipa::path(tag = "exercises", operation_id = "undelete_exercise_response",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"), OnceHeader),
    responses((status = 200, description = "It is back", body = ResponseView), ActionErrors))]
#[post("/exercise-responses/{response_id}/undelete")]
pub(super) async fn undelete_exercise_response(
    door: Door<Own>,
    id: PathOf<Id<Response>>,
    key: IdempotencyKey,
    language: Language,
) -> Result<Reply> {
    let id = id.into_inner();
    let write = move |tx: &mut Tx<'_>, access: &Access<_>, (): &()| {
        let row = Responses::undelete(tx, access, id)?;
        Ok((Done::ok(id.uuid()), changed(tx, access, row)?))
    };
    let replay = move |tx: &mut Tx<'_>, access: &Access<_>, _: Done| again(tx, access, id);
    let (_, answer) = door.write("undelete_exercise_response", door.once(&key, &[]), Ok(()), write, replay).await?;
    reply(&door, &answer, language)
}

/// That a response was opened.
#[derive(Serialize, ToSchema)]
struct ResponseOpened {
    /// The response.
    response_id: Uuid,
    /// When you first opened it.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
}

/// Mark an exercise response opened
///
/// Say it when a person has opened the response, not when an app has fetched it. The patient sees who opened it and when.
/// The first time counts.
#[utoipa::path(tag = "exercises", operation_id = "mark_response_opened",
    params(("patient_id" = PatientRef, Path, description = "A patient's id"),
        ("response_id" = Uuid, Path, description = "The response"), OnceHeader),
    responses((status = 200, description = "Noted", body = ResponseOpened), ActionErrors))]
#[post("/exercise-responses/{response_id}/opened")]
pub(super) async fn mark_response_opened(
    door: Door<Care>,
    id: PathOf<Id<Response>>,
    key: IdempotencyKey,
) -> Result<Reply> {
    let id = id.into_inner();
    let write = move |tx: &mut Tx<'_>, access: &Access<_>, (): &()| {
        Ok((Done::ok(id.uuid()), Responses::mark_opened(tx, access, id)?))
    };
    let replay = move |tx: &mut Tx<'_>, access: &Access<_>, _: Done| Responses::mark_opened(tx, access, id);
    let (_, opened_at) = door.write("mark_response_opened", door.once(&key, &[]), Ok(()), write, replay).await?;
    Ok(Reply::ok(&ResponseOpened { response_id: id.uuid(), opened_at }))
}
