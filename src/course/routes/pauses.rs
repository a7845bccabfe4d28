//! Pauses: periods in which only safety prompts are asked.

use actix_web::{delete, get, put};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::Door;
use crate::care::door::Own;
use crate::course::model::PauseRequest;
use crate::course::pauses;
use crate::course::store::{self, PauseRow};
use crate::http::document::{
    ActionErrors, IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, ReadErrors, WriteErrors,
};
use crate::http::{Body, EntityTag, NewId, PatientRef, Preconditions, Reply, Request, read_document};
use crate::kernel::id::Pause;
use crate::kernel::{Creation, FieldError, Fields, Id, Listed, Result, device_time};
use crate::planning::PausePeriod;

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
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
}

impl PauseView {
    fn reply(self) -> Reply {
        Reply::ok(&self).etag(&self.etag)
    }

    fn open(door: &Door<Own>, row: &PauseRow) -> Result<Self> {
        let stored = row.open(door.keys()?, door.patient()?)?;
        let PausePeriod { from, until } = stored.doc.period;
        let (version, etag) = (stored.version, EntityTag::version(stored.version));
        Ok(Self { id: stored.id.uuid(), from, until, version, etag })
    }
}

/// A pause in the list.
type PauseItem = Listed<PauseView>;

/// The pauses.
#[derive(Serialize, ToSchema)]
struct PauseList {
    /// The pauses.
    items: Vec<PauseItem>,
}

/// A pause to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutPause {
    /// Its first moment; now by default.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// The first moment after it, at most 60 days later.
    #[schema(format = DateTime)]
    until: String,
}

impl PutPause {
    fn parse(self, now: Timestamp) -> Result<PauseRequest> {
        let mut f = Fields::new();
        let from = device_time::take(&mut f, "/from", self.from);
        let until = device_time::take(&mut f, "/until", Some(self.until));
        let until = f.finish(until)?;
        // A pause from now on is the same request however late it is sent again.
        let creation = Some(Creation::of(&(from, until))?);
        Ok(PauseRequest { period: PausePeriod::parse(from.unwrap_or(now), until), creation })
    }
}

/// Reads what a PUT of a pause has, in a body that came another way. Returns also the members that it does not have.
///
/// # Errors
///
/// Every fault of the body but those of the period.
pub fn read_pause(body: Value, now: Timestamp) -> Result<(PauseRequest, Vec<FieldError>)> {
    let (body, ignored) = read_document::<PutPause>(body)?;
    Ok((body.parse(now)?, ignored))
}

/// List pauses
#[utoipa::path(tag = "prompts", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IfNoneMatchHeader),
    responses((status = 200, description = "The pauses", body = PauseList), ReadErrors))]
#[get("/pauses")]
pub(super) async fn list_pauses(door: Door<Own>, when: Preconditions) -> Result<Reply> {
    let rows = door.read("list_pauses", store::list_pauses).await?;
    let item = |row: &PauseRow| Listed::new(row.id.uuid(), PauseView::open(&door, row));
    let mut items = rows.iter().map(item).collect::<Result<Vec<_>>>()?;
    items.sort_by_key(|item| item.place(|pause| (pause.from, pause.id)));
    Ok(door.whole_list("list_pauses", &PauseList { items }, &when))
}

/// Pause everything but safety
///
/// Prompts in the pause are withdrawn, and come back if it ends early. Another period of the same pause needs
/// `If-Match`.
#[utoipa::path(tag = "prompts", request_body = PutPause,
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("pause_id" = Uuid, Path, description = "The pause's id, a UUID of the client, version 4 or 7"), IdempotencyKeyHeader, IfMatchHeader,
        IfNoneMatchHeader),
    responses((status = 201, description = "Paused", body = PauseView), (status = 200, description = "As asked", body = PauseView), WriteErrors))]
#[put("/pauses/{pause_id}")]
pub(super) async fn put_pause(door: Door<Own>, request: Request<NewId<Pause>, Body<PutPause>>) -> Result<Reply> {
    let now = door.now();
    let answer = door.change(
        "put_pause",
        request,
        |command| Ok((command.id.0, command.body.into_inner().parse(now)?, command.when)),
        |tx, access, (id, pause, when)| pauses::put_pause(tx, access, *id, pause, when),
        |tx, access, outcome| outcome.or_get(|id| pauses::get_pause(tx, access, id)),
    );
    answer.await?.reply(|row| PauseView::open(&door, &row).map(PauseView::reply))
}

/// End a pause
#[utoipa::path(tag = "prompts",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("pause_id" = Uuid, Path, description = "The pause's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "Ended"), ActionErrors))]
#[delete("/pauses/{pause_id}")]
pub(super) async fn delete_pause(door: Door<Own>, request: Request<Id<Pause>>) -> Result<Reply> {
    door.delete("delete_pause", request, |tx, access, command| pauses::end_pause(tx, access, command.id)).await
}
