//! Infusions.

use actix_web::{get, patch, post, put};
use serde::Serialize;
use utoipa::ToSchema;

use super::infusion::{EndInfusion, InfusionView, PutInfusion, StartInfusion};
use crate::care::door::{Policy, Records, Team};
use crate::care::{Access, Door};
use crate::course::actions;
use crate::course::store::{InfusionRow, find_visible_row, list_visible_rows};
use crate::db::Tx;
use crate::http::document::{IdempotencyKeyHeader, IfMatchHeader, IfNoneMatchHeader, ReadErrors, WriteErrors};
use crate::http::{Body, Command, MaybeBody, NewId, Patch, PathOf, PatientRef, Preconditions, Reply, Request};
use crate::idempotency::Outcome;
use crate::kernel::id::Infusion;
use crate::kernel::locale::TextLanguage;
use crate::kernel::{Error, Id, Listed, Result};
use crate::settings::{Settings, SettingsRow, find_settings, open_or_default};

/// An infusion in the list.
type InfusionItem = Listed<InfusionView>;

/// Every infusion of a patient, by time.
#[derive(Serialize, ToSchema)]
struct InfusionList {
    /// The infusions.
    items: Vec<InfusionItem>,
}

/// An infusion and the settings of its patient, sealed.
type SealedInfusion = (InfusionRow, Option<SettingsRow>);

/// Reads the infusion and the settings for the answer, and names the infusion in the audit row.
fn show<A>(tx: &mut Tx<'_>, access: &Access<A>, outcome: Outcome<InfusionRow>) -> Result<SealedInfusion> {
    let row = outcome.or_get(|id| find_visible_row(tx, access, id)?.ok_or(Error::NotFound))?;
    access.returns(row.id.uuid());
    Ok((row, find_settings(tx, access)?))
}

fn view<L: Policy>(door: &Door<L>, row: &InfusionRow, settings: &Settings) -> Result<InfusionView> {
    let stored = row.open(door.keys()?, door.patient()?)?;
    let zone = settings.zone_at(stored.doc.ended_at.unwrap_or(stored.updated_at));
    let patient = door.is_owner().then(|| TextLanguage::of(&settings.locale));
    Ok(InfusionView::of(stored, &zone, patient))
}

fn open<L: Policy>(door: &Door<L>, (row, settings): &SealedInfusion) -> Result<InfusionView> {
    let settings = open_or_default(settings.as_ref(), door.keys()?, door.patient()?)?;
    view(door, row, &settings)
}

fn changed(door: &Door<Team>, sealed: &SealedInfusion) -> Result<Reply> {
    let view = open(door, sealed)?;
    Ok(Reply::ok(&view).etag(view.tag()))
}

/// List a patient's infusions
///
/// By time: a patient has dozens. Recording staff see those of their clinic, and those that the patient reported
/// without one; everybody else sees all.
#[utoipa::path(tag = "infusions", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IfNoneMatchHeader),
    responses((status = 200, description = "The infusions", body = InfusionList), ReadErrors))]
#[get("/infusions")]
pub(super) async fn list_infusions(door: Door<Records>, when: Preconditions) -> Result<Reply> {
    let list = door.read("list_infusions", |tx, access| {
        let rows = list_visible_rows(tx, access)?;
        for row in &rows {
            access.returns(row.id.uuid());
        }
        Ok((rows, find_settings(tx, access)?))
    });
    let (rows, settings) = list.await?;
    let settings = open_or_default(settings.as_ref(), door.keys()?, door.patient()?)?;
    let item = |row: &InfusionRow| Listed::new(row.id.uuid(), view(&door, row, &settings));
    let mut items = rows.iter().map(item).collect::<Result<Vec<_>>>()?;
    items.sort_by_key(|item| item.place(InfusionView::place));
    Ok(door.whole_list("list_infusions", &InfusionList { items }, &when))
}

/// Read an infusion
#[utoipa::path(tag = "infusions",
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("infusion_id" = Uuid, Path, description = "The infusion's id"),
        IfNoneMatchHeader),
    responses((status = 200, description = "The infusion", body = InfusionView), (status = 304, description = "You have it"), ReadErrors))]
#[get("/infusions/{infusion_id}")]
pub(super) async fn get_infusion(door: Door<Records>, id: PathOf<Id<Infusion>>, when: Preconditions) -> Result<Reply> {
    let found = door.read("get_infusion", move |tx, access| {
        let row = find_visible_row(tx, access, id.0)?.ok_or(Error::NotFound)?;
        show(tx, access, Outcome::ok(id.0, row))
    });
    let view = open(&door, &found.await?)?;
    Ok(Reply::ok(&view).unless_known(view.tag(), &when))
}

/// Record an infusion
///
/// Creates it under a UUID of the client (version 4 or 7), or replaces it with `If-Match`. A completed infusion opens
/// the window, and the prompts of the following days are planned before the answer is sent. What a patient records is
/// their report (`source: patient`), which they may change until the clinic's record takes its place: under the same
/// id, or under another one that names it in `same_as`. What the clinic recorded a patient cannot replace (409).
#[utoipa::path(tag = "infusions", request_body = PutInfusion,
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("infusion_id" = Uuid, Path, description = "The infusion's id, a UUID of the client, version 4 or 7"),
        IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 201, description = "Recorded", body = InfusionView), (status = 200, description = "As asked", body = InfusionView), WriteErrors))]
#[put("/infusions/{infusion_id}")]
pub(super) async fn put_infusion(
    door: Door<Team>,
    request: Request<NewId<Infusion>, Body<PutInfusion>>,
) -> Result<Reply> {
    let answer = door.change(
        "put_infusion",
        request,
        |command| Ok((command.id.0, command.body.into_inner().parse()?, command.when)),
        |tx, access, (id, draft, when)| actions::put_infusion(tx, access, *id, draft, when),
        show,
    );
    answer.await?.reply(|sealed| changed(&door, &sealed))
}

type PatchInfusion = Patch<PutInfusion>;

/// Change an infusion
///
/// A correction changes contexts and plans, never journal text. A patient may only change their own report (409).
#[utoipa::path(tag = "infusions",
    request_body(content((PatchInfusion = "application/merge-patch+json"), (PatchInfusion = "application/json"))),
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("infusion_id" = Uuid, Path, description = "The infusion's id"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed", body = InfusionView), WriteErrors))]
#[patch("/infusions/{infusion_id}")]
pub(super) async fn patch_infusion(door: Door<Team>, request: Request<Id<Infusion>, PatchInfusion>) -> Result<Reply> {
    let answer = door.change(
        "patch_infusion",
        request,
        Ok,
        |tx, access, Command { id, body, when }| {
            actions::patch_infusion(tx, access, *id, |draft| PutInfusion::patched(&draft, body), when)
        },
        show,
    );
    answer.await?.reply(|sealed| changed(&door, &sealed))
}

/// Start an infusion
///
/// Notes that a planned infusion is under way, since now or the time given. Another start of one that is under way
/// needs
/// `If-Match`.
#[utoipa::path(tag = "infusions", request_body(content = StartInfusion, description = "May be absent"),
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("infusion_id" = Uuid, Path, description = "The infusion's id"), IdempotencyKeyHeader,
        IfMatchHeader),
    responses((status = 200, description = "Under way", body = InfusionView), WriteErrors))]
#[post("/infusions/{infusion_id}/start")]
pub(super) async fn start_infusion(
    door: Door<Team>,
    request: Request<Id<Infusion>, MaybeBody<StartInfusion>>,
) -> Result<Reply> {
    let answer = door.change(
        "start_infusion",
        request,
        |Command { id, when, body }| Ok((id, body.into_inner().map_or(Ok(None), StartInfusion::parse)?, when)),
        |tx, access, (id, started, when)| actions::start_infusion(tx, access, *id, *started, when),
        show,
    );
    answer.await?.reply(|sealed| changed(&door, &sealed))
}

/// End an infusion
///
/// Marks an infusion completed, now or at the time given; the start is the planned one unless said otherwise. Whoever
/// is nearest ends it: the clinic, or the patient ("I am done"). After a patient's end the clinic's word still counts,
/// and what the patient said stays as `reported`. If nobody has said it an hour after the planned end, the planned end
/// is taken (`source: provisional`) and only today and tomorrow are planned. Another end than the one that the same
/// side recorded before needs `If-Match`.
#[utoipa::path(tag = "infusions", request_body(content = EndInfusion, description = "May be absent"),
    params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), ("infusion_id" = Uuid, Path, description = "The infusion's id"), IdempotencyKeyHeader,
        IfMatchHeader),
    responses((status = 200, description = "Ended", body = InfusionView), WriteErrors))]
#[post("/infusions/{infusion_id}/end")]
pub(super) async fn end_infusion(
    door: Door<Team>,
    request: Request<Id<Infusion>, MaybeBody<EndInfusion>>,
) -> Result<Reply> {
    let answer = door.change(
        "end_infusion",
        request,
        |Command { id, when, body }| Ok((id, body.into_inner().unwrap_or_default().parse()?, when)),
        |tx, access, (id, end, when)| actions::end_infusion(tx, access, *id, *end, when),
        show,
    );
    answer.await?.reply(|sealed| changed(&door, &sealed))
}
