//! Comments over HTTP.

use actix_web::{HttpRequest, get, post};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::actions::{self, CommentRow, NewComment};
use crate::care::Door;
use crate::care::door::Shared;
use crate::http::document::{OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, IdempotencyKey, Operations, PathOf, PatientRef, Query, Reply};
use crate::idempotency::Done;
use crate::kernel::id::{CareLink, Comment, Entry};
use crate::kernel::page::{Limit, Page};
use crate::kernel::{Error, Fields, Id, Result, Text};

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(list_comments).service(post_comment);
}

/// A comment to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PostComment {
    /// 1 to 4000 characters.
    #[schema(min_length = 1, max_length = 4000, example = "Thank you for showing me this.")]
    body: String,
    /// The thread (the care link of the therapist). The patient must name it; a therapist has only one.
    #[schema(nullable = false)]
    thread_id: Option<Uuid>,
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
    /// Who wrote it.
    author_id: Uuid,
    /// The text.
    #[schema(example = "Thank you for showing me this.")]
    body: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A page of comments.
#[derive(Serialize, ToSchema)]
struct CommentList {
    /// The comments, oldest first.
    items: Vec<CommentView>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

fn view(door: &Door<Shared>, row: &CommentRow) -> Result<CommentView> {
    Ok(CommentView {
        id: row.id.uuid(),
        entry_id: row.entry.uuid(),
        thread_id: row.link.uuid(),
        author_id: row.author.uuid(),
        body: actions::open(door.keys()?, door.patient()?, row)?.into_string(),
        created_at: row.created_at,
    })
}

/// Comment on an entry
///
/// A therapist comments on an entry that is open to them; the patient replies in the therapist's thread, as long as
/// the entry is open to them (409 afterwards).
#[utoipa::path(tag = "journal", operation_id = "post_comment", request_body = PostComment,
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("entry_id" = Uuid, Path, description = "The entry"), OnceHeader),
    responses((status = 201, description = "Added", body = CommentView), WriteErrors))]
#[post("/entries/{entry_id}/comments")]
async fn post_comment(
    door: Door<Shared>,
    entry: PathOf<Id<Entry>>,
    key: IdempotencyKey,
    body: Result<Body<PostComment>, Error>,
    request: HttpRequest,
) -> Result<Reply> {
    let entry = entry.into_inner();
    let raw = body.as_ref().map(|body| body.raw().clone()).unwrap_or_default();
    let id: Id<Comment> = door.state().entropy.id(door.now());
    let command = body.and_then(|body| {
        let PostComment { body, thread_id } = body.into_inner();
        let mut fields = Fields::new();
        let body = fields.take("/body", Text::parse(body));
        let thread = thread_id.map(Id::<CareLink>::from_uuid);
        fields.finish(body.map(|body| NewComment { id, entry, thread, body }))
    });
    let once = door.once(&key, &raw);
    let (_, row) = door
        .write(
            "post_comment",
            once,
            command,
            |tx, access, new| Ok((Done::created(new.id.uuid()), actions::create(tx, access, new)?)),
            move |tx, access, done| {
                let id = done.reference.map(Id::from_uuid).ok_or(Error::NotFound)?;
                actions::get(tx, access, entry, id)
            },
        )
        .await?;
    Ok(Reply::ok(&view(&door, &row)?).created(request.path()))
}

/// A page of a list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListComments {
    /// How many items, 1 to 200; 20 unless said otherwise.
    #[param(nullable = false, minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// List comments on an entry
///
/// A therapist sees their own thread; the patient sees all, also those of therapists who may not read any longer.
#[utoipa::path(tag = "journal", operation_id = "list_comments",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"),
        ("entry_id" = Uuid, Path, description = "The entry"), ListComments),
    responses((status = 200, description = "Comments", body = CommentList), ReadErrors))]
#[get("/entries/{entry_id}/comments")]
async fn list_comments(
    door: Door<Shared>,
    entry: PathOf<Id<Entry>>,
    query: Result<Query<ListComments>, Error>,
    request: HttpRequest,
) -> Result<Reply> {
    let entry = entry.into_inner();
    let scope = door.cursor_scope("list_comments", &entry.to_string());
    let asked = query.and_then(|query| {
        let query = query.into_inner();
        let after = query.cursor.map(|cursor| {
            let bytes = door.state().vault.open_cursor(&scope, &cursor);
            let id = bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok()).map(Id::<Comment>::from_uuid);
            id.ok_or_else(|| Error::field("query/cursor", "is not a cursor of this list"))
        });
        Ok((Limit::parse(query.limit)?, after.transpose()?))
    });
    let (limit, after) = door.first("list_comments", asked).await?;
    let read = door.read("list_comments", move |tx, access| {
        let page = Page::cut(actions::list(tx, access, entry, after, limit.rows())?, limit, |row| row.id);
        page.items.iter().for_each(|row| access.returns(row.id.uuid()));
        Ok(page)
    });
    let page = read.await?;
    let items = page.items.iter().map(|row| view(&door, row)).collect::<Result<_>>()?;
    let next_cursor = page.next.map(|id| door.state().vault.seal_cursor(&scope, id.uuid().as_bytes()));
    let list = CommentList { items, next_cursor };
    Ok(Reply::ok(&list).next(&request, list.next_cursor.as_deref()))
}
