//! Comments over HTTP.

use actix_web::{get, put};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::{self, Closed, CommentRow, NewComment};
use crate::care::door::Shared;
use crate::care::people::{Names, SealedNames};
use crate::care::{Access, Door, Write};
use crate::db::Tx;
use crate::http::document::{IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Command, Listing, NewId, Operations, PageQuery, PathOf, PatientRef, Reply, Request};
use crate::idempotency::Outcome;
use crate::kernel::id::{Comment, Entry};
use crate::kernel::{Error, Fields, Id, Listed, Result, Text};

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(list_comments).service(put_comment);
}

/// A comment to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutComment {
    /// The text, 1 to 4000 characters.
    #[schema(min_length = 1, max_length = 4000, example = "Thank you for showing me this.")]
    body: String,
    /// The thread (the care link of the therapist). The patient must name it; a therapist has only one.
    #[schema(nullable = false)]
    thread_id: Option<Uuid>,
}

impl PutComment {
    fn parse(self, id: Id<Comment>, entry: Id<Entry>) -> Result<NewComment> {
        let mut fields = Fields::new();
        let body = fields.take("/body", Text::parse(self.body));
        fields.finish(body.map(|body| NewComment {
            id,
            entry,
            thread: self.thread_id.map(Id::from_uuid),
            body,
            closed: Closed::Refuse,
        }))
    }
}

/// A comment.
#[derive(Serialize, ToSchema)]
struct CommentView {
    /// Its id.
    id: Uuid,
    /// The entry.
    entry_id: Uuid,
    /// The thread: the care link of the therapist. Absent for a held comment that named none of the patient's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    thread_id: Option<Uuid>,
    /// The author's account.
    author_id: Uuid,
    /// The author's name; absent when the account is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Thea Brandt")]
    author_name: Option<String>,
    /// The text.
    #[schema(example = "Thank you for showing me this.")]
    body: String,
    /// The instant of its creation.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Whether it is held: it was written offline, and its thread was closed when it arrived. Only the patient sees it,
    /// also if the thread opens again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false, example = false)]
    held: bool,
}

/// A comment in a list.
type CommentItem = Listed<CommentView>;

/// A page of comments.
#[derive(Serialize, ToSchema)]
struct CommentList {
    /// The comments, oldest first.
    items: Vec<CommentItem>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

fn view(door: &Door<Shared>, row: &CommentRow, names: &Names) -> Result<CommentView> {
    Ok(CommentView {
        id: row.key.id.uuid(),
        entry_id: row.key.entry_id.uuid(),
        thread_id: row.key.thread().map(Id::uuid),
        author_id: row.key.author_id.uuid(),
        author_name: names.person(row.key.author_id),
        body: actions::open(door.keys()?, door.patient()?, row)?.into_string(),
        created_at: row.key.created_at.0,
        held: row.key.held,
    })
}

/// Comment on an entry
///
/// A therapist comments on an entry that is open to them; the patient replies in the therapist's thread, as long as
/// the entry is open to them (409 afterwards). A comment does not change: the same one again answers 200, another one
/// under its id 409.
#[utoipa::path(tag = "journal", request_body = PutComment,
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("entry_id" = Uuid, Path, description = "The entry"),
        ("comment_id" = Uuid, Path, description = "A new UUID of the client, version 4 or 7"), IdempotencyKeyHeader),
    responses((status = 201, description = "Added", body = CommentView),
        (status = 200, description = "It was added before", body = CommentView), WriteErrors))]
#[put("/entries/{entry_id}/comments/{comment_id}")]
async fn put_comment(
    door: Door<Shared>,
    request: Request<(Id<Entry>, NewId<Comment>), Body<PutComment>>,
) -> Result<Reply> {
    let answer = door.change(
        "put_comment",
        request,
        |Command { id: (entry, id), body, .. }| body.into_inner().parse(id.0, entry),
        actions::put,
        named,
    );
    let (origin, (row, names)) = answer.await?.into_parts();
    let view = view(&door, &row, &names.open(&door.state().vault).await?)?;
    Ok(origin.reply(Reply::ok(&view)))
}

/// Returns the comment for the answer, with the sealed name of its author.
fn named(tx: &mut Tx<'_>, access: &Access<Write>, outcome: Outcome<CommentRow>) -> Result<(CommentRow, SealedNames)> {
    let row = outcome.or_get(|id| actions::get(tx, access, id))?;
    let names = SealedNames::collect(tx, [row.key.author_id], [])?;
    Ok((row, names))
}

/// List comments on an entry
///
/// A therapist sees their own thread; the patient sees all, also those of therapists who may no longer read.
#[utoipa::path(tag = "journal",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("entry_id" = Uuid, Path, description = "The entry"), PageQuery),
    responses((status = 200, description = "Comments", body = CommentList), ReadErrors))]
#[get("/entries/{entry_id}/comments")]
async fn list_comments(door: Door<Shared>, entry: PathOf<Id<Entry>>, listing: Result<Listing, Error>) -> Result<Reply> {
    let (entry, filter) = (entry.0, entry.0.to_string());
    let read = door.list("list_comments", listing, &filter, move |tx, access, page| {
        let page = actions::list(tx, access, entry, page)?;
        let names = SealedNames::collect(tx, page.items.iter().map(|row| row.key.author_id), [])?;
        Ok((page, names))
    });
    let (listing, (page, names)) = read.await?;
    let names = names.open(&door.state().vault).await?;
    let page = page.try_map(|row| Listed::new(row.key.id.uuid(), view(&door, &row, &names)))?;
    let scope = door.cursor_scope("list_comments", &filter);
    Ok(listing.reply(&door.state().vault, &scope, page, |items, next_cursor| CommentList { items, next_cursor }))
}
