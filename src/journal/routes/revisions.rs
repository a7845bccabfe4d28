//! The revisions of entries over HTTP.

use actix_web::{get, post};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::Door;
use crate::care::door::Own;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, IfMatchHeader, ReadErrors};
use crate::http::{Listing, PageQuery, PathOf, PatientRef, Reply, Request};
use crate::identity::Unlocked;
use crate::items::routes::{self as items, RevisionList};
use crate::journal::draft::{MoodFields, TextFields};
use crate::journal::model::Entries;
use crate::journal::view::EntryView;
use crate::kernel::id::Entry;
use crate::kernel::{Error, Id, Result, Text};

/// An entry as of a version.
#[derive(Serialize, ToSchema)]
struct RevisionView {
    /// The entry.
    entry_id: Uuid,
    /// The version.
    #[schema(example = 1)]
    revision: i64,
    /// Its kind.
    #[schema(example = "reflection")]
    kind: &'static str,
    /// The instant at which it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// Title and body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TextFields>, nullable = false)]
    text: Option<Box<RawValue>>,
    /// Dials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoodFields>, nullable = false)]
    mood: Option<Box<RawValue>>,
    /// Tags.
    #[schema(example = json!(["takeaway"]))]
    tags: Vec<String>,
}

/// List the revisions of an entry
///
/// For the patient only: readers see the present version.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"), PageQuery),
    responses((status = 200, description = "Revisions", body = RevisionList), ReadErrors))]
#[get("/entries/{entry_id}/revisions")]
pub(super) async fn list_revisions(
    door: Door<Unlocked<Own>>,
    id: PathOf<Id<Entry>>,
    listing: Result<Listing, Error>,
) -> Result<Reply> {
    items::list_revisions::<Entries, _>(door, "list_revisions", id.0, listing).await
}

/// Read a revision of an entry
///
/// Gives the content of the entry as of that version.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"),
        ("revision" = i64, Path, description = "The version", minimum = 1)),
    responses((status = 200, description = "The revision", body = RevisionView), ReadErrors))]
#[get("/entries/{entry_id}/revisions/{revision}")]
pub(super) async fn get_revision(door: Door<Unlocked<Own>>, path: PathOf<(Id<Entry>, i64)>) -> Result<Reply> {
    let (entry, revision) = path.0;
    let mut opened = items::get_revision::<Entries, _>(&door, "get_revision", path.0).await?;
    Ok(Reply::ok(&RevisionView {
        entry_id: entry.uuid(),
        revision,
        kind: opened.header.kind.name(),
        occurred_at: opened.header.circumstances.occurred_at,
        text: opened.take(0),
        mood: opened.take(1),
        tags: opened.content()?.tags.into_iter().map(Text::into_string).collect(),
    }))
}

/// Restore a revision
///
/// The content of that version becomes the newest version. It is then open to nobody but the patient: earlier grants no
/// longer open it. A done entry stays done. It needs `If-Match`, unless nothing changes.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"),
        ("revision" = i64, Path, description = "The version", minimum = 1), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Restored", body = EntryView), ActionErrors))]
#[post("/entries/{entry_id}/revisions/{revision}/restore")]
pub(super) async fn restore_revision(door: Door<Own>, request: Request<(Id<Entry>, i64)>) -> Result<Reply> {
    items::restore::<Entries>(door, "restore_revision", request, ()).await
}
