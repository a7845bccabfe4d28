//! Entries over HTTP: one entry. Lists and revisions have files of their own.

mod lists;
mod revisions;

use actix_web::{HttpRequest, delete, get, patch, post, put};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::{self, Entries, Put};
use super::draft::{EntryDraft, EntryPatch};
use super::hooks::{self, Background};
use super::store::Row;
use super::view::{self, EntryView, Found};
use crate::care::door::{Care, Own, Policy, Shared};
use crate::care::{Access, Door, grants};
use crate::db::Tx;
use crate::http::document::{ActionErrors, IfMatchHeader, IfNoneMatchHeader, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, EntityTag, IdempotencyKey, Operations, PatchBody, PathOf, PatientRef, Preconditions, Reply};
use crate::idempotency::Done;
use crate::kernel::id::Entry;
use crate::kernel::{Error, Id, Result};
use crate::revisions::Kept as _;
use crate::vault::MacLabel;

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config
        .service(lists::search_entries)
        .service(lists::list_entries)
        .service(put_entry)
        .service(get_entry)
        .service(patch_entry)
        .service(delete_entry)
        .service(undelete_entry)
        .service(mark_entry_opened)
        .service(revisions::list_revisions)
        .service(revisions::get_revision)
        .service(revisions::restore_revision);
    super::comments::configure_patient(config);
}

/// What a unit on one entry returns, still sealed.
type Answer = (Found, Background);

/// The answer of a change, for the owner.
fn changed<A>(tx: &mut Tx<'_>, access: &Access<A>, row: Row) -> Result<Answer> {
    let mut found = Found::own(row);
    // Nobody has opened what is new.
    let old = found.row.version > 1;
    found.openings = Some(if old { grants::store::list_openings(tx, access, found.row.id.any())? } else { Vec::new() });
    Ok((found, hooks::background(tx, access)?))
}

/// The answer of a change that was made before: the present state.
fn again<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Entry>) -> Result<Answer> {
    let row = Entries::get(tx, access, id)?;
    changed(tx, access, row)
}

fn render<L: Policy>(door: &Door<L>, (found, background): &Answer) -> Result<(EntryView, EntityTag)> {
    let around = background.open(door.keys()?, door.patient()?)?;
    let view = view::render(door.keys()?, door.patient()?, found, &around)?;
    let tag = if found.shared.is_none() {
        EntityTag::version(found.row.version)
    } else {
        let shown = serde_json::to_vec(&view).map_err(|error| Error::Internal(Box::new(error)))?;
        EntityTag::opaque(&URL_SAFE_NO_PAD.encode(door.state().vault.mac(MacLabel::ReaderTag, &[&shown])))
    };
    Ok((view, tag))
}

fn reply<L: Policy>(door: &Door<L>, answer: &Answer) -> Result<Reply> {
    let (view, tag) = render(door, answer)?;
    Ok(Reply::ok(&view).etag(&tag))
}

/// Create or replace an entry
///
/// The whole entry; what is absent is empty. To replace one, send `If-Match` with its `ETag` (428 without it, 412 when
/// it has changed since). The body that created it, sent again, answers 200 with the present state. With
/// `If-None-Match: *` the entry is created or nothing happens. A deleted id answers 410: undelete it.
#[utoipa::path(tag = "journal", operation_id = "put_entry", request_body = EntryDraft,
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "A new UUIDv7, or that of the entry to replace"),
        OnceHeader, IfMatchHeader, IfNoneMatchHeader),
    responses((status = 201, description = "Created", body = EntryView),
        (status = 200, description = "Replaced, or as it was", body = EntryView), WriteErrors))]
#[put("/entries/{entry_id}")]
async fn put_entry(
    door: Door<Own>,
    id: PathOf<Id<Entry>>,
    key: IdempotencyKey,
    preconditions: Preconditions,
    body: Result<Body<EntryDraft>, Error>,
    request: HttpRequest,
) -> Result<Reply> {
    let id = id.into_inner();
    let raw = body.as_ref().map(|body| body.raw().clone()).unwrap_or_default();
    let once = door.once(&key, &raw);
    let command = body.and_then(|body| {
        if !id.is_v7() {
            return Err(Error::field("path/entry_id", "must be a UUIDv7"));
        }
        Put::new(door.keys()?, door.patient()?, id, body.into_inner().parse()?, preconditions, door.now())
    });
    let (done, answer) = door
        .write(
            "put_entry",
            once,
            command,
            |tx, access, command| {
                let (done, row) = actions::put(tx, access, command)?;
                Ok((done, changed(tx, access, row)?))
            },
            move |tx, access, _| again(tx, access, id),
        )
        .await?;
    Ok(reply(&door, &answer)?.created_if(done.status == 201, request.path()))
}

/// Read an entry
///
/// The patient reads all of it. A therapist reads the sections that are open to them, and gets 404 without any; their
/// `ETag` changes with what they see and with nothing else. `seen_by` and `context` are not part of the `ETag`.
#[utoipa::path(tag = "journal", operation_id = "get_entry",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("entry_id" = Uuid, Path, description = "The entry"), IfNoneMatchHeader),
    responses((status = 200, description = "The entry", body = EntryView),
        (status = 304, description = "You have it"),
        (status = 410, description = "It was deleted, and can be brought back", body = crate::http::Problem,
            content_type = "application/problem+json"), ReadErrors))]
#[get("/entries/{entry_id}")]
async fn get_entry(door: Door<Shared>, id: PathOf<Id<Entry>>, preconditions: Preconditions) -> Result<Reply> {
    let id = id.into_inner();
    let answer = door
        .read("get_entry", move |tx, access| {
            let found = if access.is_owner() {
                let mut found = Found::own(Entries::get(tx, access, id)?);
                found.openings = Some(grants::store::list_openings(tx, access, id.any())?);
                found
            } else {
                let (row, sections) = Entries::get_shared(tx, access, id)?;
                Found::shared(row, sections)
            };
            Ok((found, hooks::background(tx, access)?))
        })
        .await?;
    let (view, tag) = render(&door, &answer)?;
    Ok(Reply::ok(&view).unless_known(&tag, &preconditions))
}

/// Change an entry
///
/// A merge patch: what is absent stays, `null` clears, arrays replace. A patch that changes nothing answers 200
/// whatever `If-Match` says.
#[utoipa::path(tag = "journal", operation_id = "patch_entry",
    request_body(content = EntryPatch, content_type = "application/merge-patch+json"),
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"), OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = EntryView), WriteErrors))]
#[patch("/entries/{entry_id}")]
async fn patch_entry(
    door: Door<Own>,
    id: PathOf<Id<Entry>>,
    key: IdempotencyKey,
    preconditions: Preconditions,
    body: Result<PatchBody<EntryPatch>, Error>,
) -> Result<Reply> {
    let id = id.into_inner();
    let raw = body.as_ref().map(|body| body.raw().clone()).unwrap_or_default();
    let once = door.once(&key, &raw);
    let command = body.map(Body::into_inner);
    let (_, answer) = door
        .write(
            "patch_entry",
            once,
            command,
            move |tx, access, patch| {
                let row = Entries::patch(tx, access, id, |old| old.patched(patch.clone()), &preconditions)?;
                Ok((Done::ok(id.uuid()), changed(tx, access, row)?))
            },
            move |tx, access, _| again(tx, access, id),
        )
        .await?;
    reply(&door, &answer)
}

/// Delete an entry
///
/// It can be brought back for 30 days. Nobody else sees it from the answer on. Deleted again, nothing changes.
/// `If-Match` is heeded and not required.
#[utoipa::path(tag = "journal", operation_id = "delete_entry",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"), OnceHeader, IfMatchHeader),
    responses((status = 204, description = "Deleted"), ActionErrors))]
#[delete("/entries/{entry_id}")]
async fn delete_entry(
    door: Door<Own>,
    id: PathOf<Id<Entry>>,
    key: IdempotencyKey,
    preconditions: Preconditions,
) -> Result<Reply> {
    let id = id.into_inner();
    let write = move |tx: &mut Tx<'_>, access: &Access<_>, (): &()| {
        Entries::delete(tx, access, id, &preconditions)?;
        Ok((Done::no_content(), ()))
    };
    door.write("delete_entry", door.once(&key, &[]), Ok(()), write, |_, _, _| Ok(())).await?;
    Ok(Reply::no_content())
}

/// Bring a deleted entry back
///
/// Within 30 days. Nobody but the patient sees it then: what was opened before is not open any more. An entry that is
/// not deleted stays as it is.
#[utoipa::path(tag = "journal", operation_id = "undelete_entry",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"), OnceHeader),
    responses((status = 200, description = "It is back", body = EntryView), ActionErrors))]
#[post("/entries/{entry_id}/undelete")]
async fn undelete_entry(door: Door<Own>, id: PathOf<Id<Entry>>, key: IdempotencyKey) -> Result<Reply> {
    let id = id.into_inner();
    let write = move |tx: &mut Tx<'_>, access: &Access<_>, (): &()| {
        let row = Entries::undelete(tx, access, id)?;
        Ok((Done::ok(id.uuid()), changed(tx, access, row)?))
    };
    let replay = move |tx: &mut Tx<'_>, access: &Access<_>, _: Done| again(tx, access, id);
    let (_, answer) = door.write("undelete_entry", door.once(&key, &[]), Ok(()), write, replay).await?;
    reply(&door, &answer)
}

/// That an entry was opened.
#[derive(Serialize, ToSchema)]
struct OpenedView {
    /// The entry.
    entry_id: Uuid,
    /// When you first opened it.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
}

/// Mark an entry opened
///
/// Say it when a person has opened the entry, not when an app has fetched it. The patient sees who opened it and when.
/// The first time counts.
#[utoipa::path(tag = "journal", operation_id = "mark_entry_opened",
    params(("patient_id" = PatientRef, Path, description = "A patient's id"),
        ("entry_id" = Uuid, Path, description = "The entry"), OnceHeader),
    responses((status = 200, description = "Noted", body = OpenedView), ActionErrors))]
#[post("/entries/{entry_id}/opened")]
async fn mark_entry_opened(door: Door<Care>, id: PathOf<Id<Entry>>, key: IdempotencyKey) -> Result<Reply> {
    let id = id.into_inner();
    let write = move |tx: &mut Tx<'_>, access: &Access<_>, (): &()| {
        Ok((Done::ok(id.uuid()), Entries::mark_opened(tx, access, id)?))
    };
    let replay = move |tx: &mut Tx<'_>, access: &Access<_>, _: Done| Entries::mark_opened(tx, access, id);
    let (_, opened_at) = door.write("mark_entry_opened", door.once(&key, &[]), Ok(()), write, replay).await?;
    Ok(Reply::ok(&OpenedView { entry_id: id.uuid(), opened_at }))
}
