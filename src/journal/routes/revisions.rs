//! What an entry said before.

use actix_web::{HttpRequest, get, post};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{again, changed, reply};
use crate::care::door::Own;
use crate::care::grants::Sections;
use crate::care::{Access, Door};
use crate::changes::Entity;
use crate::db::Tx;
use crate::http::document::{ActionErrors, IfMatchHeader, OnceHeader, ReadErrors};
use crate::http::{IdempotencyKey, PathOf, PatientRef, Preconditions, Query, Reply};
use crate::idempotency::Done;
use crate::journal::actions::Entries;
use crate::journal::draft::{MoodFields, TextFields};
use crate::journal::seal::Of;
use crate::kernel::id::Entry;
use crate::kernel::{Error, Id, Result};
use crate::revisions::Kept as _;
use crate::revisions::routes::{self, ListRevisions, RevisionList};

/// What an entry said.
#[derive(Serialize, ToSchema)]
struct RevisionView {
    /// The entry.
    entry_id: Uuid,
    /// The version that it was.
    #[schema(example = 1)]
    revision: i64,
    /// Its kind.
    #[schema(example = "reflection")]
    kind: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// Title and body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    text: Option<TextFields>,
    /// Dials.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mood: Option<MoodFields>,
    /// Tags.
    #[schema(example = json!(["takeaway"]))]
    tags: Vec<String>,
}

/// List the revisions of an entry
///
/// For the patient only: readers see the present version.
#[utoipa::path(tag = "journal", operation_id = "list_revisions",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"), ListRevisions),
    responses((status = 200, description = "Revisions", body = RevisionList), ReadErrors))]
#[get("/entries/{entry_id}/revisions")]
pub(super) async fn list_revisions(
    door: Door<Own>,
    entry: PathOf<Id<Entry>>,
    query: Result<Query<ListRevisions>, Error>,
    request: HttpRequest,
) -> Result<Reply> {
    let entry = entry.into_inner();
    let there = move |tx: &mut Tx<'_>, access: &Access<_>| Entries::get(tx, access, entry).map(|_| ());
    routes::list(&door, "list_revisions", (Entity::Entry, entry.any()), query, &request, there).await
}

/// Read a revision of an entry
///
/// What the entry said in that version.
#[utoipa::path(tag = "journal", operation_id = "get_revision",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"),
        ("revision" = i64, Path, description = "The version", minimum = 1)),
    responses((status = 200, description = "The revision", body = RevisionView), ReadErrors))]
#[get("/entries/{entry_id}/revisions/{revision}")]
pub(super) async fn get_revision(door: Door<Own>, path: PathOf<(Id<Entry>, i64)>) -> Result<Reply> {
    let (entry, revision) = path.into_inner();
    let parts = door
        .read("get_revision", move |tx, access| {
            let row = Entries::get(tx, access, entry)?;
            Entries::parts_at(tx, access, &row, revision)
        })
        .await?;
    let opened = Of { patient: door.patient()?, entry }.open(door.keys()?, &parts, Sections::ALL)?;
    let content = opened.content;
    Ok(Reply::ok(&RevisionView {
        entry_id: entry.uuid(),
        revision,
        kind: content.header.kind.name().to_owned(),
        occurred_at: content.header.occurred_at,
        text: content.text.as_ref().map(TextFields::of),
        mood: content.mood.map(MoodFields::of),
        tags: content.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
    }))
}

/// Restore a revision
///
/// What the entry said in that version becomes its newest version. Nobody but the patient sees it then: what was
/// opened before is not open any more. A done entry stays done. `If-Match` is heeded and not required.
#[utoipa::path(tag = "journal", operation_id = "restore_revision",
    params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"),
        ("entry_id" = Uuid, Path, description = "The entry"),
        ("revision" = i64, Path, description = "The version", minimum = 1), OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Restored", body = crate::journal::view::EntryView), ActionErrors))]
#[post("/entries/{entry_id}/revisions/{revision}/restore")]
pub(super) async fn restore_revision(
    door: Door<Own>,
    path: PathOf<(Id<Entry>, i64)>,
    key: IdempotencyKey,
    preconditions: Preconditions,
) -> Result<Reply> {
    let (entry, revision) = path.into_inner();
    let write = move |tx: &mut Tx<'_>, access: &Access<_>, (): &()| {
        let row = Entries::restore(tx, access, entry, revision, &preconditions)?;
        Ok((Done::ok(entry.uuid()), changed(tx, access, row)?))
    };
    let replay = move |tx: &mut Tx<'_>, access: &Access<_>, _: Done| again(tx, access, entry);
    let (_, answer) = door.write("restore_revision", door.once(&key, &[]), Ok(()), write, replay).await?;
    reply(&door, &answer)
}
