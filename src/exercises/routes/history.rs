//! What a response said before.

use actix_web::{HttpRequest, get, post};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Language;
use super::responses::{again, changed, reply};
use crate::care::door::Own;
use crate::care::grants::Sections;
use crate::care::{Access, Door};
use crate::changes::Entity;
use crate::db::Tx;
use crate::exercises::actions::Responses;
use crate::exercises::draft::DistressFields;
use crate::exercises::seal::Of;
use crate::exercises::view::ResponseView;
use crate::http::document::{ActionErrors, IfMatchHeader, OnceHeader, ReadErrors};
use crate::http::{IdempotencyKey, PathOf, PatientRef, Preconditions, Query, Reply};
use crate::idempotency::Done;
use crate::kernel::id::Response;
use crate::kernel::{Error, Id, Result};
use crate::revisions::Kept as _;
use crate::revisions::routes::{self, ListRevisions, RevisionList};

/// What a response said.
#[derive(Serialize, ToSchema)]
struct ResponseRevision {
    /// The response.
    response_id: Uuid,
    /// The version that it was.
    #[schema(example = 1)]
    revision: i64,
    /// When it was done.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// Answers by step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    answers: Option<Map<String, Value>>,
    /// How it felt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    distress: Option<DistressFields>,
}

/// List the revisions of an exercise response
///
/// For the patient only: readers see the present version.
#[utoipa::path(tag = "exercises", operation_id = "list_response_revisions",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"), ListRevisions),
    responses((status = 200, description = "Revisions", body = RevisionList), ReadErrors))]
#[get("/exercise-responses/{response_id}/revisions")]
pub(super) async fn list_response_revisions(
    door: Door<Own>,
    id: PathOf<Id<Response>>,
    query: Result<Query<ListRevisions>, Error>,
    request: HttpRequest,
) -> Result<Reply> {
    let id = id.into_inner();
    let there = move |tx: &mut Tx<'_>, access: &Access<_>| Responses::get(tx, access, id).map(|_| ());
    routes::list(&door, "list_response_revisions", (Entity::Response, id.any()), query, &request, there).await
}

/// Read a revision of an exercise response
///
/// What the response said in that version.
#[utoipa::path(tag = "exercises", operation_id = "get_response_revision",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"),
        ("revision" = i64, Path, description = "The version", minimum = 1)),
    responses((status = 200, description = "The revision", body = ResponseRevision), ReadErrors))]
#[get("/exercise-responses/{response_id}/revisions/{revision}")]
pub(super) async fn get_response_revision(door: Door<Own>, path: PathOf<(Id<Response>, i64)>) -> Result<Reply> {
    let (response, revision) = path.into_inner();
    let parts = door
        .read("get_response_revision", move |tx, access| {
            let row = Responses::get(tx, access, response)?;
            Responses::parts_at(tx, access, &row, revision)
        })
        .await?;
    let content = Of { patient: door.patient()?, response }.open(door.keys()?, &parts, Sections::ALL)?.content;
    Ok(Reply::ok(&ResponseRevision {
        response_id: response.uuid(),
        revision,
        occurred_at: content.header.occurred_at,
        answers: content.answers.map(|answers| answers.as_map().clone()),
        distress: content.distress.map(DistressFields::of),
    }))
}

/// Restore a revision of an exercise response
///
/// What the response said in that version becomes its newest version. Nobody but the patient sees it then: what was
/// opened before is not open any more. A done response stays done. `If-Match` is heeded and not required.
#[utoipa::path(tag = "exercises", operation_id = "restore_response_revision",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("response_id" = Uuid, Path, description = "The response"),
        ("revision" = i64, Path, description = "The version", minimum = 1), OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Restored", body = ResponseView), ActionErrors))]
#[post("/exercise-responses/{response_id}/revisions/{revision}/restore")]
pub(super) async fn restore_response_revision(
    door: Door<Own>,
    path: PathOf<(Id<Response>, i64)>,
    key: IdempotencyKey,
    preconditions: Preconditions,
    language: Language,
) -> Result<Reply> {
    let (id, revision) = path.into_inner();
    let write = move |tx: &mut Tx<'_>, access: &Access<_>, (): &()| {
        let row = Responses::restore(tx, access, id, revision, &preconditions)?;
        Ok((Done::ok(id.uuid()), changed(tx, access, row)?))
    };
    let replay = move |tx: &mut Tx<'_>, access: &Access<_>, _: Done| again(tx, access, id);
    let (_, answer) = door.write("restore_response_revision", door.once(&key, &[]), Ok(()), write, replay).await?;
    reply(&door, &answer, language)
}
