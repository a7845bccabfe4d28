//! What an entry said before.

use actix_web::{HttpRequest, get, post};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{again, changed, reply};
use crate::care::door::Own;
use crate::care::grants::Sections;
use crate::care::{Access, Door};
use crate::changes::{self, Entity, Recorded};
use crate::db::Tx;
use crate::http::document::{ActionErrors, IfMatchHeader, OnceHeader, ReadErrors};
use crate::http::{IdempotencyKey, PathOf, PatientRef, Preconditions, Query, Reply};
use crate::journal::actions;
use crate::journal::draft::{MoodFields, TextFields};
use crate::journal::seal::Of;
use crate::kernel::id::Entry;
use crate::kernel::page::{Limit, Page};
use crate::kernel::{Error, Id, Result};
use crate::replay::Done;

/// A revision of an entry.
#[derive(Serialize, ToSchema)]
struct RevisionItem {
    /// The version that it was.
    #[schema(example = 1)]
    revision: i64,
    /// What made it: `created`, `updated`, `deleted`, `undeleted` or `restored`.
    #[schema(example = "updated")]
    change: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// A page of revisions.
#[derive(Serialize, ToSchema)]
struct RevisionList {
    /// The revisions, oldest first.
    items: Vec<RevisionItem>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

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

/// A page of a list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListRevisions {
    /// How many items, 1 to 200; 20 unless said otherwise.
    #[param(nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
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
    let scope = door.cursor_scope("list_revisions", &entry.to_string());
    let asked = query.and_then(|query| {
        let query = query.into_inner();
        let after = query.cursor.map(|cursor| {
            let bytes = door.state().vault.open_cursor(&scope, &cursor);
            let version = bytes.and_then(|bytes| bytes.first_chunk().copied()).map(i64::from_be_bytes);
            version.ok_or_else(|| Error::field("query/cursor", "is not a cursor of this list"))
        });
        Ok((Limit::parse(query.limit)?, after.transpose()?.unwrap_or_default()))
    });
    let (limit, after) = door.first("list_revisions", asked).await?;
    let read = door.read("list_revisions", move |tx, access| {
        actions::get(tx, access, entry)?;
        changes::list_of(tx, access.patient(), Entity::Entry, entry.any(), after, limit.rows())
    });
    let page = Page::cut(read.await?, limit, |change: &Recorded| change.version);
    let next_cursor = page.next.map(|version| door.state().vault.seal_cursor(&scope, &version.to_be_bytes()));
    let item = |change: &Recorded| RevisionItem {
        revision: change.version,
        change: change.op.name().to_owned(),
        at: change.at,
    };
    let list = RevisionList { items: page.items.iter().map(item).collect(), next_cursor };
    Ok(Reply::ok(&list).next(&request, list.next_cursor.as_deref()))
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
            let row = actions::get(tx, access, entry)?;
            actions::parts_at(tx, access, &row, revision)
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
        let row = actions::restore(tx, access, entry, revision, &preconditions)?;
        Ok((Done::ok(entry.uuid()), changed(tx, access, row)?))
    };
    let replay = move |tx: &mut Tx<'_>, access: &Access<_>, _: Done| again(tx, access, entry);
    let (_, answer) = door.write("restore_revision", door.once(&key, &[]), Ok(()), write, replay).await?;
    reply(&door, &answer)
}
