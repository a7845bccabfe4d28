//! Pauses: times in which nothing but safety is asked.

use actix_web::{delete, get, put};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::instant;
use crate::care::Door;
use crate::care::door::Own;
use crate::course::{self, Stored};
use crate::http::document::{ActionErrors, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, NewId, PatientRef, Reply, Request};
use crate::kernel::id::Pause;
use crate::kernel::{Fields, Id, Result};
use crate::planning::PausePeriod;
use crate::prompts::infusions;

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

impl From<Stored<Pause, PausePeriod>> for PauseView {
    fn from(stored: Stored<Pause, PausePeriod>) -> Self {
        Self { id: stored.id.uuid(), from: stored.doc.from, until: stored.doc.until, version: stored.version }
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

impl PutPause {
    fn parse(self, now: Timestamp) -> Result<PausePeriod> {
        let mut f = Fields::new();
        let from = instant(&mut f, "/from", self.from).unwrap_or(now);
        let until = instant(&mut f, "/until", Some(self.until));
        PausePeriod::parse(from, f.finish(until)?)
    }
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
pub(super) async fn put_pause(door: Door<Own>, request: Request<NewId<Pause>, Body<PutPause>>) -> Result<Reply> {
    let now = door.now();
    let answer = door.change(
        "put_pause",
        request,
        |command| Ok((command.id.0, command.body.into_inner().parse(now)?)),
        |tx, access, (id, pause)| infusions::put_pause(tx, access, *id, *pause),
        |tx, access, outcome| outcome.or_get(|id| infusions::get_pause(tx, access, id)),
    );
    answer.await?.reply(|stored| Ok(Reply::ok(&PauseView::from(stored))))
}

/// End a pause
#[utoipa::path(tag = "prompts", operation_id = "delete_pause",
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("pause_id" = Uuid, Path, description = "Which"), OnceHeader),
    responses((status = 204, description = "Ended"), ActionErrors))]
#[delete("/pauses/{pause_id}")]
pub(super) async fn delete_pause(door: Door<Own>, request: Request<Id<Pause>>) -> Result<Reply> {
    door.delete("delete_pause", request, |tx, access, command| infusions::end_pause(tx, access, command.id)).await
}
