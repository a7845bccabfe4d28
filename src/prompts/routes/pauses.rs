//! Pauses: times in which nothing but safety is asked.

use actix_web::{delete, get, put, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::instant;
use crate::care::Door;
use crate::care::door::Own;
use crate::course::{self, PauseDoc, Stored};
use crate::http::document::{ActionErrors, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, IdempotencyKey, PathOf, PatientRef, Reply};
use crate::kernel::id::Pause;
use crate::kernel::{Error, Fields, Id, Result};
use crate::prompts::infusions;
use crate::replay::Done;

/// A pause.
#[derive(Serialize, ToSchema)]
struct PauseView {
    /// Its id.
    id: Uuid,
    /// Its first moment.
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// The first moment after it.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Its version.
    version: i64,
}

impl From<Stored<Pause, PauseDoc>> for PauseView {
    fn from(stored: Stored<Pause, PauseDoc>) -> Self {
        Self {
            id: stored.id.uuid(),
            from: stored.doc.from,
            until: stored.doc.until,
            version: stored.version,
            // The reply adds them.
        }
    }
}

/// The pauses.
#[derive(Serialize, ToSchema)]
struct PauseList {
    /// The pauses.
    items: Vec<PauseView>,
}

/// A pause to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutPause {
    /// Its first moment; now unless said otherwise.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// The first moment after it, at most 60 days later.
    #[schema(format = DateTime)]
    until: String,
}

/// List pauses
#[utoipa::path(tag = "prompts", operation_id = "list_pauses", params(("patient_id" = PatientRef, Path, description = "Whose")),
    responses((status = 200, description = "The pauses", body = PauseList), ReadErrors))]
#[get("/pauses")]
pub(super) async fn list_pauses(door: Door<Own>) -> Result<Reply> {
    let list = door.read("list_pauses", |tx, access| course::list_pauses(tx, access, false)).await?;
    let mut items: Vec<PauseView> = list.into_iter().map(|(stored, _)| stored.into()).collect();
    items.sort_by_key(|pause| (pause.from, pause.id));
    Ok(Reply::ok(&PauseList { items }))
}

/// Pause everything but safety
///
/// Prompts in the pause are withdrawn, and come back if it ends early.
#[utoipa::path(tag = "prompts", operation_id = "put_pause", request_body = PutPause,
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("pause_id" = Uuid, Path, description = "A UUIDv7 of the client"), OnceHeader),
    responses((status = 201, description = "Paused", body = PauseView), (status = 200, description = "As asked", body = PauseView), WriteErrors))]
#[put("/pauses/{pause_id}")]
pub(super) async fn put_pause(
    door: Door<Own>,
    id: PathOf<Id<Pause>>,
    key: IdempotencyKey,
    body: Result<Body<PutPause>, Error>,
    path: web::Path<(String, Uuid)>,
) -> Result<Reply> {
    let (id, now) = (id.0, door.now());
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| {
        let body = body.into_inner();
        let mut f = Fields::new();
        f.check(id.is_v7(), "path/pause_id", "must be a version 7 UUID");
        let from = instant(&mut f, "/from", body.from).unwrap_or(now);
        let until = instant(&mut f, "/until", Some(body.until));
        let until = f.finish(until)?;
        PauseDoc::parse(from, until)
    });
    let (done, stored) = door
        .write(
            "put_pause",
            once,
            command,
            move |tx, access, pause| {
                let (stored, new) = infusions::put_pause(tx, access, id, *pause)?;
                Ok((if new { Done::created(id.uuid()) } else { Done::ok(id.uuid()) }, stored))
            },
            move |tx, access, _| {
                let list = course::list_pauses(tx, access, false)?;
                list.into_iter().map(|(stored, _)| stored).find(|stored| stored.id == id).ok_or(Error::Deleted)
            },
        )
        .await?;
    let location = format!("/v1/patients/{}/pauses/{id}", path.0);
    Ok(Reply::ok(&PauseView::from(stored)).created_if(done.status == 201, &location))
}

/// End a pause
#[utoipa::path(tag = "prompts", operation_id = "delete_pause",
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("pause_id" = Uuid, Path, description = "Which"), OnceHeader),
    responses((status = 204, description = "Ended"), ActionErrors))]
#[delete("/pauses/{pause_id}")]
pub(super) async fn delete_pause(door: Door<Own>, id: PathOf<Id<Pause>>, key: IdempotencyKey) -> Result<Reply> {
    let id = id.0;
    let once = door.once(&key, &[]);
    door.write(
        "delete_pause",
        once,
        Ok(()),
        move |tx, access, ()| Ok((Done::no_content(), infusions::end_pause(tx, access, id)?)),
        |_, _, _| Ok(()),
    )
    .await?;
    Ok(Reply::no_content())
}
