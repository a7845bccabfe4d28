//! Entries over HTTP.

mod lists;
mod revisions;
mod view_as;

use actix_web::{delete, get, patch, post, put};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::draft::PutEntry;
use super::model::{Entries, EntryContent};
use super::view::EntryView;
use crate::care::Door;
use crate::care::door::{Care, Granted, Own};
use crate::http::document::{
    ActionErrors, IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, ItemErrors, WriteErrors,
};
use crate::http::{Body, NewId, Operations, Patch, PathOf, PatientRef, Preconditions, Reply, Request};
use crate::identity::Unlocked;
use crate::items::routes::{self as items, WritableItem};
use crate::kernel::id::Entry;
use crate::kernel::{Id, Result};

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
        .service(revisions::restore_revision)
        .service(view_as::list_entries_as_reader)
        .service(view_as::get_entry_as_reader);
    super::comments::configure_patient(config);
}

/// A merge patch on an entry.
type PatchEntry = Patch<PutEntry>;

impl WritableItem for Entries {
    type Body = PutEntry;

    fn parse(body: PutEntry) -> Result<EntryContent> {
        body.parse()
    }

    fn body(content: &EntryContent) -> PutEntry {
        PutEntry::of(content)
    }
}

/// Create or replace an entry
///
/// The whole entry; absent fields are empty. To replace one, send `If-Match` with its `ETag` (428 without it, 412 when
/// it has changed since). The body that created it, sent again, answers 200 with the present state. With
/// `If-None-Match: *` the entry is created or nothing happens. A deleted id answers 410: undelete it.
#[utoipa::path(tag = "journal", request_body = PutEntry,
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "A new UUID of version 4 or 7, or that of the entry to replace"),
        IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader),
    responses((status = 201, description = "Created", body = EntryView),
        (status = 200, description = "Replaced, or as it was", body = EntryView), WriteErrors))]
#[put("/entries/{entry_id}")]
async fn put_entry(door: Door<Own>, request: Request<NewId<Entry>, Body<PutEntry>>) -> Result<Reply> {
    items::put::<Entries>(door, "put_entry", request, ()).await
}

/// Read an entry
///
/// The patient reads all of it. A therapist reads the sections that are open to them, and gets 404 without any; their
/// `ETag` changes with what they see and with nothing else. `seen_by` and `context` are not part of the `ETag`.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("entry_id" = Uuid, Path, description = "The entry"), IfNoneMatchHeader),
    responses((status = 200, description = "The entry", body = EntryView),
        (status = 304, description = "You have it"),
        ItemErrors))]
#[get("/entries/{entry_id}")]
async fn get_entry(door: Door<Unlocked<Granted>>, id: PathOf<Id<Entry>>, when: Preconditions) -> Result<Reply> {
    items::get::<Entries, _>(door, "get_entry", (id.0, when), ()).await
}

/// Change an entry
///
/// A merge patch: absent fields stay, `null` clears, arrays replace. A patch that changes nothing answers 200 whatever
/// `If-Match` says.
#[utoipa::path(tag = "journal",
    request_body(content = PatchEntry, content_type = "application/merge-patch+json"),
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = EntryView), WriteErrors))]
#[patch("/entries/{entry_id}")]
async fn patch_entry(door: Door<Own>, request: Request<Id<Entry>, PatchEntry>) -> Result<Reply> {
    items::patch::<Entries>(door, "patch_entry", request, ()).await
}

/// Delete an entry
///
/// It can be brought back for 30 days. Nobody else sees it after the answer. A second deletion changes nothing.
/// `If-Match` is heeded and not required.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 204, description = "Deleted"), ActionErrors))]
#[delete("/entries/{entry_id}")]
async fn delete_entry(door: Door<Own>, request: Request<Id<Entry>>) -> Result<Reply> {
    items::delete::<Entries>(door, "delete_entry", request).await
}

/// Bring a deleted entry back
///
/// Within 30 days. It is then open to nobody but the patient: earlier grants no longer open it. An entry that is not
/// deleted stays as it is.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"), IdempotencyKeyHeader),
    responses((status = 200, description = "It is back", body = EntryView), ActionErrors))]
#[post("/entries/{entry_id}/undelete")]
async fn undelete_entry(door: Door<Own>, request: Request<Id<Entry>>) -> Result<Reply> {
    items::undelete::<Entries>(door, "undelete_entry", request, ()).await
}

/// The opening of an entry by a therapist.
#[derive(Serialize, ToSchema)]
struct OpenedView {
    /// The entry.
    entry_id: Uuid,
    /// The instant at which you first opened it.
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
}

/// Mark an entry opened
///
/// Send it when a person has opened the entry, not when an app has fetched it. The patient sees who opened it and when.
/// The first time counts.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "A patient's id"),
        ("entry_id" = Uuid, Path, description = "The entry"), IdempotencyKeyHeader),
    responses((status = 200, description = "Noted", body = OpenedView), ActionErrors))]
#[post("/entries/{entry_id}/opened")]
async fn mark_entry_opened(door: Door<Care>, request: Request<Id<Entry>>) -> Result<Reply> {
    let answer = items::mark_opened::<Entries>(door, "mark_entry_opened", request).await?;
    answer.reply(|(id, opened_at)| Ok(Reply::ok(&OpenedView { entry_id: id.uuid(), opened_at })))
}
