//! Infusions.

use actix_web::{get, patch, post, put, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::parse_instant;
use crate::care::door::{Record, Team};
use crate::care::{Access, Door};
use crate::course::{self, InfusionDraft, InfusionPatch, InfusionStatus, Source};
use crate::db::Tx;
use crate::http::document::{IfMatchHeader, OnceHeader, ReadErrors, WriteErrors};
use crate::http::{Body, EntityTag, IdempotencyKey, PatchBody, PathOf, PatientRef, Preconditions, Reply};
use crate::kernel::id::Infusion;
use crate::kernel::{Change, Error, Fields, Id, Result};
use crate::prompts::infusions::{self, StoredInfusion};
use crate::replay::Done;
use crate::window::Route;

/// One administration of ketamine.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct InfusionView {
    /// Its id.
    id: Uuid,
    /// How far it has come.
    #[schema(example = "completed", examples("planned", "completed", "cancelled", "no_show"))]
    status: &'static str,
    /// How ketamine was given.
    #[schema(value_type = String, example = "iv_infusion", examples("iv_infusion", "im", "sc", "in_racemic", "in_esketamine", "sublingual", "oral"))]
    route: Route,
    /// When it is to start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    planned_start: Option<Timestamp>,
    /// How long it is to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 40)]
    planned_minutes: Option<u32>,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    started_at: Option<Timestamp>,
    /// When it ended: what the window counts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    ended_at: Option<Timestamp>,
    /// Dose in milligrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 35.0)]
    dose_mg: Option<f64>,
    /// Body weight in kilograms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 70.0)]
    weight_kg: Option<f64>,
    /// Where and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Room 2")]
    setting: Option<String>,
    /// Whether staff were there.
    supervised: bool,
    /// A note of the clinic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
    /// Who recorded it last.
    recorded_by: Uuid,
    /// Who said so.
    #[schema(example = "clinic", examples("clinic", "patient", "provisional"))]
    source: &'static str,
    /// Infusions within six hours that are other administrations.
    distinct_from: Vec<Uuid>,
    /// Why it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cancel_reason: Option<String>,
    /// Its version, also in the `ETag`.
    version: i64,
    /// When it was first recorded.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<StoredInfusion> for InfusionView {
    fn from(stored: StoredInfusion) -> Self {
        let facts = stored.doc;
        Self {
            id: stored.id.uuid(),
            status: match facts.status {
                InfusionStatus::Planned => "planned",
                InfusionStatus::Completed => "completed",
                InfusionStatus::Cancelled => "cancelled",
                InfusionStatus::NoShow => "no_show",
            },
            route: facts.route,
            planned_start: facts.planned_start,
            planned_minutes: facts.planned_minutes,
            started_at: facts.started_at,
            ended_at: facts.ended_at,
            dose_mg: facts.dose_mg,
            weight_kg: facts.weight_kg,
            setting: facts.setting.map(crate::kernel::Text::into_string),
            supervised: facts.supervised,
            note: facts.note.map(crate::kernel::Text::into_string),
            recorded_by: facts.recorded_by.uuid(),
            source: match facts.source {
                Source::Clinic => "clinic",
                Source::Patient => "patient",
                Source::Provisional => "provisional",
            },
            distinct_from: facts.distinct_from.into_iter().map(Id::uuid).collect(),
            cancel_reason: facts.cancel_reason.map(crate::kernel::Text::into_string),
            version: stored.version,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            // The reply adds them.
        }
    }
}

/// Every infusion of a patient, by time.
#[derive(Serialize, ToSchema)]
struct InfusionList {
    /// The infusions.
    items: Vec<InfusionView>,
}

/// An infusion as it is recorded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutInfusion {
    /// `planned` or `completed`; a recorded one may also become `cancelled` or `no_show`.
    #[schema(example = "completed")]
    status: String,
    /// How ketamine is given.
    #[schema(example = "iv_infusion")]
    route: String,
    /// When it is to start; needed for `planned`.
    #[schema(format = DateTime)]
    planned_start: Option<String>,
    /// How long it is to take: 1 to 720.
    #[schema(example = 40)]
    planned_minutes: Option<i64>,
    /// When it started; needed for `completed`.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// When it ended; needed for `completed`. At most 12 hours after the start and 5 minutes from now.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Dose in milligrams: more than 0, at most 2000.
    #[schema(example = 35.0)]
    dose_mg: Option<f64>,
    /// Body weight in kilograms: 20 to 400.
    #[schema(example = 70.0)]
    weight_kg: Option<f64>,
    /// Where and how.
    #[schema(max_length = 200, example = "Room 2")]
    setting: Option<String>,
    /// Whether staff are there; true unless said otherwise.
    supervised: Option<bool>,
    /// A note of the clinic.
    #[schema(max_length = 2000)]
    note: Option<String>,
    /// Infusions within six hours that are other administrations.
    #[serde(default)]
    #[schema(max_items = 8)]
    distinct_from: Vec<Uuid>,
    /// Why it was cancelled.
    #[schema(max_length = 500)]
    cancel_reason: Option<String>,
}

fn parse_status(name: &str) -> Result<InfusionStatus, &'static str> {
    match name {
        "planned" => Ok(InfusionStatus::Planned),
        "completed" => Ok(InfusionStatus::Completed),
        "cancelled" => Ok(InfusionStatus::Cancelled),
        "no_show" => Ok(InfusionStatus::NoShow),
        _ => Err("must be planned, completed, cancelled or no_show"),
    }
}

impl PutInfusion {
    fn parse(self) -> Result<InfusionDraft> {
        let mut f = Fields::new();
        let status = f.take("/status", parse_status(&self.status));
        let route = f.take("/route", Route::parse(&self.route));
        let planned_start = super::instant(&mut f, "/planned_start", self.planned_start);
        let started_at = super::instant(&mut f, "/started_at", self.started_at);
        let ended_at = super::instant(&mut f, "/ended_at", self.ended_at);
        let (status, route) = f.finish(status.zip(route))?;
        Ok(InfusionDraft {
            status,
            route,
            planned_start,
            planned_minutes: self.planned_minutes,
            started_at,
            ended_at,
            dose_mg: self.dose_mg,
            weight_kg: self.weight_kg,
            setting: self.setting,
            supervised: self.supervised,
            note: self.note,
            distinct_from: self.distinct_from.into_iter().map(Id::from_uuid).collect(),
            cancel_reason: self.cancel_reason,
        })
    }
}

/// What changes of an infusion; `null` clears a field.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PatchInfusion {
    /// `planned → completed | cancelled | no_show`, `completed → cancelled`.
    #[schema(example = "cancelled")]
    status: Option<String>,
    /// How ketamine was given.
    route: Option<String>,
    /// When it is to start.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    planned_start: Change<String>,
    /// How long it is to take.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    planned_minutes: Change<i64>,
    /// When it started.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Change<String>,
    /// When it ended.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Change<String>,
    /// Dose in milligrams.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    dose_mg: Change<f64>,
    /// Body weight in kilograms.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    weight_kg: Change<f64>,
    /// Where and how.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    setting: Change<String>,
    /// Whether staff were there.
    supervised: Option<bool>,
    /// A note of the clinic.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    note: Change<String>,
    /// Infusions within six hours that are other administrations; replaces the list.
    distinct_from: Option<Vec<Uuid>>,
    /// Why it was cancelled.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    cancel_reason: Change<String>,
}

impl PatchInfusion {
    fn parse(self) -> Result<InfusionPatch> {
        let mut f = Fields::new();
        let status = self.status.and_then(|name| f.take("/status", parse_status(&name)));
        let route = self.route.and_then(|name| f.take("/route", Route::parse(&name)));
        let at = |text: String| parse_instant(&text);
        let patch = InfusionPatch {
            status,
            route,
            planned_start: self.planned_start.parse("/planned_start", &mut f, at),
            planned_minutes: self.planned_minutes,
            started_at: self.started_at.parse("/started_at", &mut f, at),
            ended_at: self.ended_at.parse("/ended_at", &mut f, at),
            dose_mg: self.dose_mg,
            weight_kg: self.weight_kg,
            setting: self.setting,
            supervised: self.supervised,
            note: self.note,
            distinct_from: self.distinct_from.map(|list| list.into_iter().map(Id::from_uuid).collect()),
            cancel_reason: self.cancel_reason,
        };
        f.done()?;
        Ok(patch)
    }
}

/// The end of an infusion.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndInfusion {
    /// When it started, if that was not recorded.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// When it ended; now unless said otherwise.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Dose in milligrams, if that was not recorded.
    #[schema(example = 35.0)]
    dose_mg: Option<f64>,
}

/// The infusion, which is in the answer: that it was shown stands in the audit row of this access.
fn shown<A>(access: &Access<A>, stored: StoredInfusion) -> StoredInfusion {
    access.returns(stored.id.uuid());
    stored
}

/// The infusion as it is now, for the answer to a retry.
fn again<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Infusion>) -> Result<StoredInfusion> {
    Ok(shown(access, course::find_infusion(tx, access, id)?.ok_or(Error::NotFound)?))
}

fn reply(stored: StoredInfusion) -> Reply {
    let tag = EntityTag::version(stored.version);
    Reply::ok(&InfusionView::from(stored)).etag(&tag)
}

/// List a patient's infusions
///
/// All of them, by time: a patient has dozens.
#[utoipa::path(tag = "infusions", operation_id = "list_infusions",
    params(("patient_id" = PatientRef, Path, description = "Whose")),
    responses((status = 200, description = "The infusions", body = InfusionList), ReadErrors))]
#[get("/infusions")]
pub(super) async fn list_infusions(door: Door<Team>) -> Result<Reply> {
    let list = door.read("list_infusions", |tx, access| {
        let mut list = course::list_infusions(tx, access)?;
        list.sort_by_key(|stored| (stored.doc.started_at.or(stored.doc.planned_start), stored.id));
        for stored in &list {
            access.returns(stored.id.uuid());
        }
        Ok(list)
    });
    Ok(Reply::ok(&InfusionList { items: list.await?.into_iter().map(InfusionView::from).collect() }))
}

/// Read an infusion
#[utoipa::path(tag = "infusions", operation_id = "get_infusion",
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("infusion_id" = Uuid, Path, description = "Which"),
        crate::http::document::IfNoneMatchHeader),
    responses((status = 200, description = "The infusion", body = InfusionView), (status = 304, description = "You have it"), ReadErrors))]
#[get("/infusions/{infusion_id}")]
pub(super) async fn get_infusion(door: Door<Team>, id: PathOf<Id<Infusion>>, when: Preconditions) -> Result<Reply> {
    let stored = door.read("get_infusion", move |tx, access| {
        let stored = course::find_infusion(tx, access, id.0)?.ok_or(Error::NotFound)?;
        access.returns(stored.id.uuid());
        Ok(stored)
    });
    let stored = stored.await?;
    let tag = EntityTag::version(stored.version);
    Ok(Reply::ok(&InfusionView::from(stored)).unless_known(&tag, &when))
}

/// Record an infusion
///
/// Creates it under a UUIDv7 of the client, or replaces it with `If-Match`. A completed infusion opens the window, and
/// the prompts of the following days are planned before the answer is sent.
#[utoipa::path(tag = "infusions", operation_id = "put_infusion", request_body = PutInfusion,
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("infusion_id" = Uuid, Path, description = "A UUIDv7 of the client"),
        OnceHeader, IfMatchHeader),
    responses((status = 201, description = "Recorded", body = InfusionView), (status = 200, description = "As asked", body = InfusionView), WriteErrors))]
#[put("/infusions/{infusion_id}")]
pub(super) async fn put_infusion(
    door: Door<Record>,
    id: PathOf<Id<Infusion>>,
    when: Preconditions,
    key: IdempotencyKey,
    body: Result<Body<PutInfusion>, Error>,
    path: web::Path<(String, Uuid)>,
) -> Result<Reply> {
    let id = id.0;
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| body.into_inner().parse()).and_then(|draft| {
        if id.is_v7() { Ok(draft) } else { Err(Error::field("path/infusion_id", "must be a version 7 UUID")) }
    });
    let (done, stored) = door
        .write(
            "put_infusion",
            once,
            command,
            move |tx, access, draft| {
                let (stored, new) = infusions::put_infusion(tx, access, id, draft, &when)?;
                Ok((if new { Done::created(id.uuid()) } else { Done::ok(id.uuid()) }, shown(access, stored)))
            },
            move |tx, access, _| again(tx, access, id),
        )
        .await?;
    let location = format!("/v1/patients/{}/infusions/{id}", path.0);
    Ok(reply(stored).created_if(done.status == 201, &location))
}

/// Change an infusion
///
/// A correction changes contexts and plans, never what was written.
#[utoipa::path(tag = "infusions", operation_id = "patch_infusion",
    request_body(content((PatchInfusion = "application/merge-patch+json"), (PatchInfusion = "application/json"))),
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("infusion_id" = Uuid, Path, description = "Which"), OnceHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = InfusionView), WriteErrors))]
#[patch("/infusions/{infusion_id}")]
pub(super) async fn patch_infusion(
    door: Door<Record>,
    id: PathOf<Id<Infusion>>,
    when: Preconditions,
    key: IdempotencyKey,
    body: Result<PatchBody<PatchInfusion>, Error>,
) -> Result<Reply> {
    let id = id.0;
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| body.into_inner().parse());
    let (_, stored) = door
        .write(
            "patch_infusion",
            once,
            command,
            move |tx, access, patch| {
                Ok((Done::ok(id.uuid()), shown(access, infusions::patch_infusion(tx, access, id, patch, &when)?)))
            },
            move |tx, access, _| again(tx, access, id),
        )
        .await?;
    Ok(reply(stored))
}

/// End an infusion
///
/// Marks a planned infusion completed, now or at the time given; the start is the planned one unless said otherwise.
#[utoipa::path(tag = "infusions", operation_id = "end_infusion", request_body = EndInfusion,
    params(("patient_id" = PatientRef, Path, description = "Whose"), ("infusion_id" = Uuid, Path, description = "Which"), OnceHeader),
    responses((status = 200, description = "Ended", body = InfusionView), WriteErrors))]
#[post("/infusions/{infusion_id}/end")]
pub(super) async fn end_infusion(
    door: Door<Record>,
    id: PathOf<Id<Infusion>>,
    key: IdempotencyKey,
    body: Result<Body<EndInfusion>, Error>,
) -> Result<Reply> {
    let id = id.0;
    let once = door.once(&key, body.as_ref().map_or(&[], |body| body.raw().as_ref()));
    let command = body.and_then(|body| {
        let body = body.into_inner();
        let mut f = Fields::new();
        let started = super::instant(&mut f, "/started_at", body.started_at);
        let ended = super::instant(&mut f, "/ended_at", body.ended_at);
        f.done()?;
        Ok((started, ended, body.dose_mg))
    });
    let (_, stored) = door
        .write(
            "end_infusion",
            once,
            command,
            move |tx, access, end| {
                Ok((Done::ok(id.uuid()), shown(access, infusions::end_infusion(tx, access, id, *end)?)))
            },
            move |tx, access, _| again(tx, access, id),
        )
        .await?;
    Ok(reply(stored))
}
