//! Infusions.

use actix_web::{get, patch, post, put, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::infusion::{EndInfusion, InfusionView, PatchInfusion, PutInfusion, StartInfusion};
use crate::care::door::Team;
use crate::care::{Access, Door, Write};
use crate::course::{self, InfusionDraft, InfusionPatch, Settings};
use crate::db::Tx;
use crate::http::document::{IfMatchHeader, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, EntityTag, IdempotencyKey, MaybeBody, PatchBody, PathOf, PatientRef, Preconditions, Reply};
use crate::idempotency::{Done, Once};
use crate::kernel::id::Infusion;
use crate::kernel::{Error, Id, Result, Zone};
use crate::prompts::actions::settings;
use crate::prompts::infusions::{self, StoredInfusion};

/// Every infusion of a patient, by time.
#[derive(Serialize, ToSchema)]
struct InfusionList {
    /// The infusions.
    items: Vec<InfusionView>,
}

/// An infusion, and the zone its patient was in.
type Shown = (StoredInfusion, Zone);

/// The infusion, which is in the answer: that it was shown stands in the audit row of this access.
fn shown<A>(settings: &Settings, access: &Access<A>, stored: StoredInfusion) -> Shown {
    access.returns(stored.id.uuid());
    let zone = settings.zone_at(stored.doc.ended_at.unwrap_or(stored.updated_at));
    (stored, zone)
}

/// The infusion as it is now.
fn found<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Infusion>) -> Result<Shown> {
    let stored = course::find_infusion(tx, access, id)?.ok_or(Error::NotFound)?;
    Ok(shown(&settings(tx, access)?.0, access, stored))
}

fn reply((stored, zone): Shown) -> (EntityTag, Reply) {
    (EntityTag::version(stored.version), Reply::ok(&InfusionView::of(stored, &zone)))
}

/// List a patient's infusions
///
/// All of them, by time: a patient has dozens.
#[utoipa::path(tag = "infusions", operation_id = "list_infusions",
    params(("patient_id" = PatientRef, Path, description = "Whose")),
    responses((status = 200, description = "The infusions", body = InfusionList), ReadErrors))]
#[get("/infusions")]
pub(super) async fn list_infusions(door: Door<Team>) -> Result<Reply> {
    let list = door.read("list_infusions", |tx, access| {
        let mut list = course::list_infusions(tx, access)?;
        list.sort_by_key(|stored| (stored.doc.started_at.or(stored.doc.planned_start), stored.id));
        let (settings, _) = settings(tx, access)?;
        Ok(list.into_iter().map(|stored| shown(&settings, access, stored)).collect::<Vec<_>>())
    });
    let items = list.await?.into_iter().map(|(stored, zone)| InfusionView::of(stored, &zone)).collect();
    Ok(Reply::ok(&InfusionList { items }))
}

/// Read an infusion
#[utoipa::path(tag = "infusions", operation_id = "get_infusion",
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("infusion_id" = Uuid, Path, description = "Which"),
        crate::http::document::IfNoneMatchHeader),
    responses((status = 200, description = "The infusion", body = InfusionView), (status = 304, description = "You have it"), ReadErrors))]
#[get("/infusions/{infusion_id}")]
pub(super) async fn get_infusion(door: Door<Team>, id: PathOf<Id<Infusion>>, when: Preconditions) -> Result<Reply> {
    let (tag, reply) = reply(door.read("get_infusion", move |tx, access| found(tx, access, id.0)).await?);
    Ok(reply.unless_known(&tag, &when))
}

/// Does `work` with an infusion through the door, once for the key; the answer is the infusion.
async fn change<C: Send + 'static>(
    door: &Door<Team>,
    (act, id, once): (&'static str, Id<Infusion>, Once),
    command: Result<C>,
    mut work: impl FnMut(&mut Tx<'_>, &Access<Write>, &C) -> Result<(StoredInfusion, bool)> + Send + 'static,
) -> Result<(bool, Reply)> {
    let work = move |tx: &mut Tx<'_>, access: &Access<Write>, command: &C| {
        let (stored, new) = work(tx, access, command)?;
        let done = if new { Done::created(id.uuid()) } else { Done::ok(id.uuid()) };
        Ok((done, shown(&settings(tx, access)?.0, access, stored)))
    };
    let (done, shown) = door.write(act, once, command, work, move |tx, access, _| found(tx, access, id)).await?;
    let (tag, reply) = reply(shown);
    Ok((done.status == 201, reply.etag(&tag)))
}

/// Record an infusion
///
/// Creates it under a UUIDv7 of the client, or replaces it with `If-Match`. A completed infusion opens the window, and
/// the prompts of the following days are planned before the answer is sent. What a patient records is their report
/// (`source: patient`), which they may change until the clinic's record takes its place: under the same id, or under
/// another one that names it in `same_as`. What the clinic recorded a patient cannot replace (409).
#[utoipa::path(tag = "infusions", operation_id = "put_infusion", request_body = PutInfusion,
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("infusion_id" = Uuid, Path, description = "A UUIDv7 of the client"),
        OnceHeader, IfMatchHeader),
    responses((status = 201, description = "Recorded", body = InfusionView), (status = 200, description = "As asked", body = InfusionView), WriteErrors))]
#[put("/infusions/{infusion_id}")]
pub(super) async fn put_infusion(
    door: Door<Team>,
    id: PathOf<Id<Infusion>>,
    when: Preconditions,
    key: IdempotencyKey,
    body: Result<Body<PutInfusion>, Error>,
    path: web::Path<(String, Uuid)>,
) -> Result<Reply> {
    let id = id.0;
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| body.into_inner().parse()).and_then(|draft| {
        if id.is_v7() { Ok(draft) } else { Err(Error::field("path/infusion_id", "must be a version 7 UUID")) }
    });
    let work = move |tx: &mut Tx<'_>, access: &Access<Write>, draft: &InfusionDraft| {
        infusions::put_infusion(tx, access, id, draft, &when)
    };
    let (new, reply) = change(&door, ("put_infusion", id, once), command, work).await?;
    Ok(reply.created_if(new, &format!("/v1/patients/{}/infusions/{id}", path.0)))
}

/// Change an infusion
///
/// A correction changes contexts and plans, never what was written. A patient changes their own report only (409).
#[utoipa::path(tag = "infusions", operation_id = "patch_infusion",
    request_body(content((PatchInfusion = "application/merge-patch+json"), (PatchInfusion = "application/json"))),
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("infusion_id" = Uuid, Path, description = "Which"), OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = InfusionView), WriteErrors))]
#[patch("/infusions/{infusion_id}")]
pub(super) async fn patch_infusion(
    door: Door<Team>,
    id: PathOf<Id<Infusion>>,
    when: Preconditions,
    key: IdempotencyKey,
    body: Result<PatchBody<PatchInfusion>, Error>,
) -> Result<Reply> {
    let id = id.0;
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| body.into_inner().parse());
    let work = move |tx: &mut Tx<'_>, access: &Access<Write>, patch: &InfusionPatch| {
        Ok((infusions::patch_infusion(tx, access, id, patch, &when)?, false))
    };
    Ok(change(&door, ("patch_infusion", id, once), command, work).await?.1)
}

/// Start an infusion
///
/// Notes that a planned infusion is under way, since now or the time given.
#[utoipa::path(tag = "infusions", operation_id = "start_infusion", request_body(content = StartInfusion, description = "May be absent"),
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("infusion_id" = Uuid, Path, description = "Which"), OnceHeader),
    responses((status = 200, description = "Under way", body = InfusionView), WriteErrors))]
#[post("/infusions/{infusion_id}/start")]
pub(super) async fn start_infusion(
    door: Door<Team>,
    id: PathOf<Id<Infusion>>,
    key: IdempotencyKey,
    body: Result<MaybeBody<StartInfusion>, Error>,
) -> Result<Reply> {
    let id = id.0;
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| body.into_inner().map_or(Ok(None), StartInfusion::parse));
    let work = move |tx: &mut Tx<'_>, access: &Access<Write>, started: &Option<Timestamp>| {
        Ok((infusions::start_infusion(tx, access, id, *started)?, false))
    };
    Ok(change(&door, ("start_infusion", id, once), command, work).await?.1)
}

/// End an infusion
///
/// Marks an infusion completed, now or at the time given; the start is the planned one unless said otherwise. Whoever
/// is nearest ends it: the clinic, or the patient ("I am done"). After a patient's end the clinic's word still counts,
/// and what the patient said stays as `reported`. If nobody has said it an hour after the planned end, the planned end
/// is taken (`source: provisional`) and only today and tomorrow are planned.
#[utoipa::path(tag = "infusions", operation_id = "end_infusion", request_body(content = EndInfusion, description = "May be absent"),
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("infusion_id" = Uuid, Path, description = "Which"), OnceHeader),
    responses((status = 200, description = "Ended", body = InfusionView), WriteErrors))]
#[post("/infusions/{infusion_id}/end")]
pub(super) async fn end_infusion(
    door: Door<Team>,
    id: PathOf<Id<Infusion>>,
    key: IdempotencyKey,
    body: Result<MaybeBody<EndInfusion>, Error>,
) -> Result<Reply> {
    let id = id.0;
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| body.into_inner().unwrap_or_default().parse());
    let work = move |tx: &mut Tx<'_>, access: &Access<Write>, end: &(_, _, _)| {
        Ok((infusions::end_infusion(tx, access, id, *end)?, false))
    };
    Ok(change(&door, ("end_infusion", id, once), command, work).await?.1)
}
