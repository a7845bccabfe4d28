//! Comments over HTTP.

use actix_web::{get, post};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::{self, CommentRow, NewComment};
use crate::care::Door;
use crate::care::door::Shared;
use crate::http::document::{IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Listing, Operations, PageQuery, PathOf, PatientRef, Reply, Request};
use crate::idempotency::Outcome;
use crate::kernel::id::{Comment, Entry};
use crate::kernel::{Error, Fields, Id, Result, Text};

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(list_comments).service(post_comment);
}

/// A comment to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PostComment {
    /// The text, 1 to 4000 characters.
    #[schema(min_length = 1, max_length = 4000, example = "Thank you for showing me this.")]
    body: String,
    /// The thread (the care link of the therapist). The patient must name it; a therapist has only one.
    #[schema(nullable = false)]
    thread_id: Option<Uuid>,
}

impl PostComment {
    fn parse(self, id: Id<Comment>, entry: Id<Entry>) -> Result<NewComment> {
        let mut fields = Fields::new();
        let body = fields.take("/body", Text::parse(self.body));
        fields.finish(body.map(|body| NewComment { id, entry, thread: self.thread_id.map(Id::from_uuid), body }))
    }
}

/// A comment.
#[derive(Serialize, ToSchema)]
struct CommentView {
    /// Its id.
    id: Uuid,
    /// The entry.
    entry_id: Uuid,
    /// The thread: the care link of the therapist.
    thread_id: Uuid,
    /// The author's account.
    author_id: Uuid,
    /// The text.
    #[schema(example = "Thank you for showing me this.")]
    body: String,
    /// The instant of its creation.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A page of comments.
#[derive(Serialize, ToSchema)]
struct CommentList {
    /// The comments, oldest first.
    items: Vec<CommentView>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

fn view(door: &Door<Shared>, row: &CommentRow) -> Result<CommentView> {
    Ok(CommentView {
        id: row.key.id.uuid(),
        entry_id: row.key.entry_id.uuid(),
        thread_id: row.key.link_id.uuid(),
        author_id: row.key.author_id.uuid(),
        body: actions::open(door.keys()?, door.patient()?, row)?.into_string(),
        created_at: row.key.created_at.0,
    })
}

/// Comment on an entry
///
/// A therapist comments on an entry that is open to them; the patient replies in the therapist's thread, as long as
/// the entry is open to them (409 afterwards).
#[utoipa::path(tag = "journal", request_body = PostComment,
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("entry_id" = Uuid, Path, description = "The entry"), IdempotencyKeyHeader),
    responses((status = 201, description = "Added", body = CommentView), WriteErrors))]
#[post("/entries/{entry_id}/comments")]
async fn post_comment(door: Door<Shared>, request: Request<Id<Entry>, Body<PostComment>>) -> Result<Reply> {
    let id: Id<Comment> = door.state().entropy.id(door.now());
    let answer = door.change(
        "post_comment",
        request,
        |command| command.body.into_inner().parse(id, command.id),
        |tx, access, new| Ok(Outcome::created(new.id, actions::create(tx, access, new)?)),
        |tx, access, outcome| outcome.or_get(|id| actions::get(tx, access, id)),
    );
    answer.await?.reply(|row| Ok(Reply::ok(&view(&door, &row)?)))
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
    let read =
        door.list("list_comments", listing, &filter, move |tx, access, page| actions::list(tx, access, entry, page));
    let (listing, page) = read.await?;
    let page = page.try_map(|row| view(&door, &row))?;
    let scope = door.cursor_scope("list_comments", &filter);
    Ok(listing.reply(&door.state().vault, &scope, page, |items, next_cursor| CommentList { items, next_cursor }))
}
