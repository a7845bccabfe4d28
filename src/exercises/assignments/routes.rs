//! Assignments over HTTP.

use actix_web::{get, patch, put};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::{self, KnownAssignment};
use super::model::PutAssignment;
use crate::care::Door;
use crate::care::door::{Care, Policy, Shared};
use crate::http::document::{IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, ReadErrors, WriteErrors};
use crate::http::{
    Body, Command, EntityTag, Listing, NewId, Operations, PageQuery, Patch, Patchable, PathOf, PatientRef,
    Preconditions, Reply, Request,
};
use crate::kernel::id::{Assignment, Patient};
use crate::kernel::{Error, Id, Listed, Result, Text};
use crate::vault::Keys;

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(list_assignments).service(put_assignment).service(get_assignment).service(patch_assignment);
}

impl Patchable for PutAssignment {
    const FIXED: &'static [&'static str] = &["request_share", "status"];
}

type PatchAssignment = Patch<PutAssignment>;

/// An assignment.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssignmentView {
    /// Its id.
    id: Uuid,
    /// The exercise.
    #[schema(example = "values-sort")]
    exercise_key: String,
    /// `assigned`, `done`, `withdrawn` by the therapist, or `ended` with the care link. A done assignment stays done.
    #[schema(example = "assigned")]
    state: String,
    /// The day on which it was first done, where the patient was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false)]
    done_on: Option<Date>,
    /// The response that did it; shown to the therapist only while a section of it is open to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    response_id: Option<Uuid>,
    /// The therapist's note.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
    /// The day by which it may be done, where the patient is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, nullable = false)]
    due_on: Option<Date>,
    /// Whether the therapist asks to see the response. Nothing is open before the patient opens it.
    request_share: bool,
    /// The therapist.
    therapist_id: Uuid,
    /// Its version.
    #[schema(example = 1)]
    version: i64,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
    /// The instant of its creation.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The instant of the last change.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl AssignmentView {
    /// Opens and renders an assignment, as visible to the caller.
    ///
    /// # Errors
    ///
    /// When it cannot be opened with the patient's keys.
    pub fn new(keys: &Keys, patient: Id<Patient>, known: &KnownAssignment) -> Result<Self> {
        let (row, opened) = (&known.row, known.open(keys, patient)?);
        let etag = opened.tag();
        let doc = opened.doc;
        Ok(Self {
            id: row.key.id.uuid(),
            exercise_key: doc.exercise_key,
            state: opened.state.name().to_owned(),
            done_on: doc.done.map(|done| done.on),
            response_id: opened.response.map(Id::uuid),
            note: doc.note.map(Text::into_string),
            due_on: doc.due_on,
            request_share: doc.request_share,
            therapist_id: row.key.author_id.uuid(),
            version: row.key.version,
            etag,
            created_at: row.key.created_at.0,
            updated_at: row.key.updated_at.0,
        })
    }
}

fn view<L: Policy>(door: &Door<L>, known: &KnownAssignment) -> Result<AssignmentView> {
    AssignmentView::new(door.keys()?, door.patient()?, known)
}

/// An assignment in a list.
type AssignmentItem = Listed<AssignmentView>;

/// A page of assignments.
#[derive(Serialize, ToSchema)]
struct AssignmentList {
    /// The assignments, in descending order of their ids, which need not follow the time.
    items: Vec<AssignmentItem>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

fn show(door: &Door<Care>, known: &KnownAssignment) -> Result<Reply> {
    let view = view(door, known)?;
    Ok(Reply::ok(&view).etag(&view.etag))
}

/// Assign an exercise
///
/// For a linked therapist: one exercise, with a note, a day and a request to see the response. It also opens an
/// exercise that is done together with a therapist only. To replace it, send `If-Match`; the body that made it, sent
/// again, answers 200.
#[utoipa::path(tag = "exercises", request_body = PutAssignment,
    params(("patient_id" = PatientRef, Path, description = "A patient's id"),
        ("assignment_id" = Uuid, Path, description = "A new UUID of version 4 or 7, or that of the assignment to replace"),
        IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader),
    responses((status = 201, description = "Assigned", body = AssignmentView),
        (status = 200, description = "Replaced, or as it was", body = AssignmentView), WriteErrors))]
#[put("/assignments/{assignment_id}")]
async fn put_assignment(door: Door<Care>, request: Request<NewId<Assignment>, Body<PutAssignment>>) -> Result<Reply> {
    let answer = door.change(
        "put_assignment",
        request,
        Ok,
        |tx, access, command| actions::put(tx, access, command.id.0, command.body.get(), &command.when),
        |tx, access, outcome| outcome.or_get(|id| actions::get(tx, access, id)),
    );
    answer.await?.reply(|known| show(&door, &known))
}

/// Read an assignment
///
/// The patient and the therapist who made it see it. The therapist learns that it was done and on which day; the
/// answers need a grant.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("assignment_id" = Uuid, Path, description = "The assignment"), IfNoneMatchHeader),
    responses((status = 200, description = "The assignment", body = AssignmentView),
        (status = 304, description = "You have it"), ReadErrors))]
#[get("/assignments/{assignment_id}")]
async fn get_assignment(door: Door<Shared>, id: PathOf<Id<Assignment>>, preconditions: Preconditions) -> Result<Reply> {
    let id = id.into_inner();
    let known = door.read("get_assignment", move |tx, access| actions::get(tx, access, id)).await?;
    let view = view(&door, &known)?;
    Ok(Reply::ok(&view).unless_known(&view.etag, &preconditions))
}

/// Change an assignment
///
/// For the therapist who made it. What is done cannot be withdrawn (409). A patch that changes nothing answers 200
/// whatever `If-Match` says.
#[utoipa::path(tag = "exercises",
    request_body(content = PatchAssignment, content_type = "application/merge-patch+json"),
    params(("patient_id" = PatientRef, Path, description = "A patient's id"),
        ("assignment_id" = Uuid, Path, description = "The assignment"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = AssignmentView), WriteErrors))]
#[patch("/assignments/{assignment_id}")]
async fn patch_assignment(door: Door<Care>, request: Request<Id<Assignment>, PatchAssignment>) -> Result<Reply> {
    let answer = door.change(
        "patch_assignment",
        request,
        Ok,
        |tx, access, Command { id, when, body }| actions::patch(tx, access, *id, |now| body.apply(now), when),
        |tx, access, outcome| outcome.or_get(|id| actions::get(tx, access, id)),
    );
    answer.await?.reply(|known| show(&door, &known))
}

/// List assignments
///
/// The patient sees all, also those of therapists who may no longer read; a therapist sees their own.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"), PageQuery),
    responses((status = 200, description = "Assignments", body = AssignmentList), ReadErrors))]
#[get("/assignments")]
async fn list_assignments(door: Door<Shared>, listing: Result<Listing, Error>) -> Result<Reply> {
    let (listing, page) = door.list("list_assignments", listing, "", actions::list).await?;
    let page = page.try_map(|known| Listed::new(known.row.key.id.uuid(), view(&door, &known)))?;
    let scope = door.cursor_scope("list_assignments", "");
    Ok(listing.reply(&door.state().vault, &scope, page, |items, next_cursor| AssignmentList { items, next_cursor }))
}
