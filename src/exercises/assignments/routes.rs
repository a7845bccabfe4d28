//! Assignments over HTTP.

use actix_web::{HttpRequest, get, patch, put};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::{self, Found};
use super::model::{Draft, Patch};
use crate::care::Door;
use crate::care::door::{Care, Policy, Shared};
use crate::http::document::{IfMatchHeader, IfNoneMatchHeader, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, IdempotencyKey, Operations, PatchBody, PathOf, PatientRef, Preconditions, Query, Reply};
use crate::idempotency::Done;
use crate::kernel::id::Assignment;
use crate::kernel::page::{Limit, Page};
use crate::kernel::patch::Change;
use crate::kernel::{Error, Fields, Id, Result};

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(list_assignments).service(put_assignment).service(get_assignment).service(patch_assignment);
}

/// What a therapist asks for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutAssignment {
    /// The exercise. It does not change afterwards.
    #[schema(example = "values-sort")]
    exercise_key: String,
    /// A word to the patient, at most 1000 characters.
    #[schema(nullable = false, max_length = 1000, example = "Take your time with the cards.")]
    note: Option<String>,
    /// The day by which it may be done, where the patient is.
    #[schema(nullable = false, format = Date, example = "2026-11-09")]
    due_on: Option<String>,
    /// Whether you ask to see what comes of it. The patient decides.
    #[schema(nullable = false, example = true)]
    request_share: Option<bool>,
}

/// A merge patch (RFC 7396): what is absent stays, `null` clears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PatchAssignment {
    /// The note.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    note: Change<String>,
    /// The due day.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    due_on: Change<String>,
    /// The request to share.
    #[schema(nullable = false)]
    request_share: Option<bool>,
    /// `withdrawn`, to take it back; `assigned`, to ask again.
    #[schema(nullable = false, example = "withdrawn")]
    status: Option<String>,
}

/// An assignment.
#[derive(Serialize, ToSchema)]
struct AssignmentView {
    /// Its id.
    id: Uuid,
    /// The exercise.
    #[schema(example = "values-sort")]
    exercise_key: String,
    /// `assigned`, `done`, `withdrawn` by the therapist, or `ended` with the care link. What was done stays done.
    #[schema(example = "assigned")]
    state: String,
    /// The day on which it was first done, where the patient was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false)]
    done_on: Option<Date>,
    /// The response that did it; to the therapist only while something of it is open to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    response_id: Option<Uuid>,
    /// The therapist's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
    /// The day by which it may be done, where the patient is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false)]
    due_on: Option<Date>,
    /// Whether the therapist asks to see what comes of it. Nothing is open before the patient opens it.
    request_share: bool,
    /// The therapist.
    therapist_id: Uuid,
    /// Its version.
    #[schema(example = 1)]
    version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl AssignmentView {
    fn of(found: &Found) -> Self {
        let stored = &found.stored;
        Self {
            id: stored.id.uuid(),
            exercise_key: stored.doc.exercise_key.clone(),
            state: found.state.name().to_owned(),
            done_on: stored.doc.done.map(|done| done.on),
            response_id: found.response.map(Id::uuid),
            note: stored.doc.note.as_ref().map(|note| note.as_str().to_owned()),
            due_on: stored.doc.due_on,
            request_share: stored.doc.request_share,
            therapist_id: stored.author.uuid(),
            version: stored.version,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        }
    }
}

/// A page of assignments.
#[derive(Serialize, ToSchema)]
struct AssignmentList {
    /// The assignments, newest id first.
    items: Vec<AssignmentView>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

fn reply(found: &Found) -> Reply {
    Reply::ok(&AssignmentView::of(found)).etag(&found.tag())
}

/// Assign an exercise
///
/// For a linked therapist: one exercise, with a note, a day and a request to see what comes of it. It also opens what is
/// done together with a therapist only. To replace it, send `If-Match`; the body that made it, sent again, answers 200.
#[utoipa::path(tag = "exercises", operation_id = "put_assignment", request_body = PutAssignment,
    params(("patient_id" = PatientRef, Path, description = "A patient's id"),
        ("assignment_id" = Uuid, Path, description = "A new UUIDv7, or that of the assignment to replace"),
        OnceHeader, IfMatchHeader, IfNoneMatchHeader),
    responses((status = 201, description = "Assigned", body = AssignmentView),
        (status = 200, description = "Replaced, or as it was", body = AssignmentView), WriteErrors))]
#[put("/assignments/{assignment_id}")]
async fn put_assignment(
    door: Door<Care>,
    id: PathOf<Id<Assignment>>,
    key: IdempotencyKey,
    preconditions: Preconditions,
    body: Result<Body<PutAssignment>, Error>,
    request: HttpRequest,
) -> Result<Reply> {
    let id = id.into_inner();
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| {
        let PutAssignment { exercise_key, note, due_on, request_share } = body.into_inner();
        if id.is_v7() {
            Ok(Draft { exercise_key, note, due_on, request_share: request_share.unwrap_or(false) })
        } else {
            Err(Error::field("path/assignment_id", "must be a UUIDv7"))
        }
    });
    let (done, found) = door
        .write(
            "put_assignment",
            once,
            command,
            move |tx, access, draft: &Draft| actions::put(tx, access, id, draft, &preconditions),
            move |tx, access, _| actions::get(tx, access, id),
        )
        .await?;
    Ok(reply(&found).created_if(done.status == 201, request.path()))
}

/// Read an assignment
///
/// The patient and the therapist who made it see it; the therapist learns that it was done and on which day, and what was
/// answered only by a grant.
#[utoipa::path(tag = "exercises", operation_id = "get_assignment",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("assignment_id" = Uuid, Path, description = "The assignment"), IfNoneMatchHeader),
    responses((status = 200, description = "The assignment", body = AssignmentView),
        (status = 304, description = "You have it"), ReadErrors))]
#[get("/assignments/{assignment_id}")]
async fn get_assignment(door: Door<Shared>, id: PathOf<Id<Assignment>>, preconditions: Preconditions) -> Result<Reply> {
    let id = id.into_inner();
    let found = door.read("get_assignment", move |tx, access| actions::get(tx, access, id)).await?;
    Ok(Reply::ok(&AssignmentView::of(&found)).unless_known(&found.tag(), &preconditions))
}

/// Change an assignment
///
/// For the therapist who made it. A patch that changes nothing answers 200 whatever `If-Match` says.
#[utoipa::path(tag = "exercises", operation_id = "patch_assignment",
    request_body(content = PatchAssignment, content_type = "application/merge-patch+json"),
    params(("patient_id" = PatientRef, Path, description = "A patient's id"),
        ("assignment_id" = Uuid, Path, description = "The assignment"), OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = AssignmentView), WriteErrors))]
#[patch("/assignments/{assignment_id}")]
async fn patch_assignment(
    door: Door<Care>,
    id: PathOf<Id<Assignment>>,
    key: IdempotencyKey,
    preconditions: Preconditions,
    body: Result<PatchBody<PatchAssignment>, Error>,
) -> Result<Reply> {
    let id = id.into_inner();
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.map(|body| {
        let PatchAssignment { note, due_on, request_share, status } = body.into_inner();
        Patch { note, due_on, request_share, status }
    });
    let (_, found) = door
        .write(
            "patch_assignment",
            once,
            command,
            move |tx, access, patch| Ok((Done::ok(id.uuid()), actions::patch(tx, access, id, patch, &preconditions)?)),
            move |tx, access, _| actions::get(tx, access, id),
        )
        .await?;
    Ok(reply(&found))
}

/// A page of a list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListAssignments {
    /// How many items, 1 to 200; 20 unless said otherwise.
    #[param(nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

fn after<L: Policy>(door: &Door<L>, scope: &[u8], cursor: Option<String>) -> Result<Option<Id<Assignment>>> {
    let mut fields = Fields::new();
    let after = cursor.and_then(|cursor| {
        let bytes = door.state().vault.open_cursor(scope, &cursor);
        let id = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok()).map(Id::from_uuid);
        fields.take("query/cursor", id.ok_or("is not a cursor of this list"))
    });
    fields.done()?;
    Ok(after)
}

/// List assignments
///
/// The patient sees all, also those of therapists who may not read any longer; a therapist sees their own.
#[utoipa::path(tag = "exercises", operation_id = "list_assignments",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"), ListAssignments),
    responses((status = 200, description = "Assignments", body = AssignmentList), ReadErrors))]
#[get("/assignments")]
async fn list_assignments(
    door: Door<Shared>,
    query: Result<Query<ListAssignments>, Error>,
    request: HttpRequest,
) -> Result<Reply> {
    let scope = door.cursor_scope("list_assignments", "");
    let asked = query.and_then(|query| {
        let ListAssignments { limit, cursor } = query.into_inner();
        Ok((Limit::parse(limit)?, after(&door, &scope, cursor)?))
    });
    let (limit, after) = door.first("list_assignments", asked).await?;
    let read = door.read("list_assignments", move |tx, access| {
        let page = Page::cut(actions::list(tx, access, after, limit.rows())?, limit, |found| found.stored.id);
        page.items.iter().for_each(|found| access.returns(found.stored.id.uuid()));
        Ok(page)
    });
    let page = read.await?;
    let next_cursor = page.next.map(|id| door.state().vault.seal_cursor(&scope, id.uuid().as_bytes()));
    let list = AssignmentList { items: page.items.iter().map(AssignmentView::of).collect(), next_cursor };
    Ok(Reply::ok(&list).next(&request, list.next_cursor.as_deref()))
}
