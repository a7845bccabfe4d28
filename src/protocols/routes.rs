//! Protocols of clinics, over HTTP.

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, put, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::actions::{self, Named, choice_tag, tag};
use super::model::{IN_FORCE_AFTER, SCHEMA, faults, protocol};
use super::store::{PlanChoice, VersionKey, VersionRow};
use crate::db::Tx;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, IfMatchHeader, PublicErrors, ReadErrors, WriteErrors};
use crate::http::{
    Body, Command, EntityTag, Listing, Operations, PageQuery, PathOf, Preconditions, Query, Reply, Request,
};
use crate::idempotency::Outcome;
use crate::identity::{Claimed, Live, Staff};
use crate::kernel::id::{Clinic, ClinicProtocol};
use crate::kernel::{Error, Fields, Id, Result};
use crate::planning::burden::{Asked, DayBurden, burden};
use crate::planning::compare::{Difference, Effect, differences, effect};
use crate::planning::{Protocol, ProtocolContent};
use crate::state::State;
use crate::vault::Keys;

/// Registers what anybody may read.
pub fn configure_public(config: &mut Operations<'_, '_>) {
    config.service(get_protocol_schema);
}

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config
        .service(list_clinic_protocols)
        .service(get_clinic_protocol)
        .service(put_clinic_protocol)
        .service(publish_clinic_protocol)
        .service(retire_clinic_protocol)
        .service(compare_clinic_protocol)
        .service(get_clinic_plan)
        .service(put_clinic_plan);
}

/// A protocol of a clinic in a list.
#[derive(Serialize, ToSchema)]
struct ClinicProtocolItem {
    /// Its id.
    id: Uuid,
    /// The number of its newest version.
    #[schema(example = 2)]
    version: i32,
    /// The state of that version: `draft`, `published` or `retired`.
    #[schema(example = "draft")]
    state: &'static str,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ten days, gently")]
    title: Option<String>,
    /// The instant of the last change.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// Whether its content is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

/// A page of protocols.
#[derive(Serialize, ToSchema)]
struct ClinicProtocolPage {
    items: Vec<ClinicProtocolItem>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A version in the history of a protocol.
#[derive(Serialize, ToSchema)]
struct ProtocolVersionItem {
    /// Its number.
    #[schema(example = 1)]
    version: i32,
    /// `draft`, `published` or `retired`.
    #[schema(example = "published")]
    state: &'static str,
    /// The instant at which it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    published_at: Option<Timestamp>,
}

/// What stands against publishing a protocol.
#[derive(Serialize, ToSchema)]
struct ProtocolFault {
    /// The place in the content, as a JSON Pointer.
    #[schema(example = "/rules/3/text")]
    pointer: String,
    /// What is wrong.
    #[schema(example = "the text has at most 240 characters")]
    detail: String,
}

/// What is asked on a day around a single infusion.
#[derive(Serialize, ToSchema)]
struct ProtocolDay {
    /// The day after the infusion; below 0, before it.
    #[schema(example = 1)]
    day: i32,
    /// The number of prompts that a phone announces.
    #[schema(example = 3)]
    prompts: u32,
    /// Their minutes.
    #[schema(example = 24)]
    minutes: u32,
    /// The most prompts that the caps allow; absent where none holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    most_prompts: Option<u32>,
    /// The most minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 26)]
    most_minutes: Option<u32>,
    /// The rules for which the caps leave no place.
    dropped: Vec<String>,
}

/// A version of a protocol of a clinic.
#[derive(Serialize, ToSchema)]
struct ClinicProtocolView {
    /// Its id, which is the `key` of the protocol in prompts.
    id: Uuid,
    /// The number of the version.
    #[schema(example = 1)]
    version: i32,
    /// `draft`, `published` or `retired`.
    #[schema(example = "draft")]
    state: &'static str,
    /// The content, as `/schemas/protocol.json` describes it.
    content: Value,
    /// What stands against publishing it.
    faults: Vec<ProtocolFault>,
    /// What it asks on each day around a single infusion, against its caps.
    burden: Vec<ProtocolDay>,
    /// The instant at which it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    published_at: Option<Timestamp>,
    /// The instant from which plans are made by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    in_force_from: Option<Timestamp>,
    /// Every version, the newest first.
    versions: Vec<ProtocolVersionItem>,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v1\"")]
    etag: EntityTag,
}

/// The content of a protocol.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object, example = json!({ "title": "Ten days, gently", "locale": "en", "horizon_days": 10 }))]
struct PutClinicProtocol(ProtocolContent);

/// The version that is to be retired.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RetireClinicProtocol {
    /// Its number.
    #[schema(minimum = 1, example = 1)]
    version: i32,
}

/// The version that is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VersionQuery {
    /// Its number; the newest by default.
    #[param(minimum = 1, example = 1)]
    version: Option<i32>,
}

/// The two versions that are compared.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CompareQuery {
    /// The number of the version before.
    #[param(minimum = 1, example = 1)]
    before: i32,
    /// The number of the version after; the newest by default.
    #[param(minimum = 1, example = 2)]
    after: Option<i32>,
}

/// A difference between two versions.
#[derive(Serialize, ToSchema)]
struct ProtocolDifference {
    /// The rule; absent for one of the protocol as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "d1.tell")]
    rule_key: Option<String>,
    /// The member; absent for a rule that came or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "window")]
    member: Option<String>,
    /// The value before; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    before: Option<Value>,
    /// The value after; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    after: Option<Value>,
}

/// A prompt of a sample induction.
#[derive(Serialize, ToSchema)]
struct SamplePrompt {
    /// The rule.
    #[schema(example = "d1.tell")]
    rule_key: String,
    /// The number of the infusion, from 0; absent for what recurs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    infusion: Option<usize>,
    /// The day of the course, from 0 on the day of the first infusion.
    #[schema(example = 1)]
    course_day: i32,
    /// The local time.
    #[schema(example = "12:10:00")]
    local_time: String,
    /// Its duration in minutes.
    #[schema(example = 12)]
    minutes: u32,
}

/// A prompt of a sample induction that is asked otherwise.
#[derive(Serialize, ToSchema)]
struct SampleChange {
    /// As it was.
    before: SamplePrompt,
    /// As it is.
    after: SamplePrompt,
}

/// Two versions of a protocol, compared.
#[derive(Serialize, ToSchema)]
struct ProtocolComparison {
    /// The number of the version before.
    #[schema(example = 1)]
    before: i32,
    /// The number of the version after.
    #[schema(example = 2)]
    after: i32,
    /// What is different in them.
    differences: Vec<ProtocolDifference>,
    /// What a patient with two infusions a week for three weeks is no longer asked.
    gone: Vec<SamplePrompt>,
    /// What they are asked anew.
    new: Vec<SamplePrompt>,
    /// What they are asked at another time, or takes longer or shorter.
    changed: Vec<SampleChange>,
}

/// The protocol that a clinic has chosen for its patients.
#[derive(Serialize, ToSchema)]
struct ClinicPlan {
    /// The protocol; absent for the program's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    protocol_id: Option<Uuid>,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v1\"")]
    etag: EntityTag,
}

/// The choice of a clinic.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutClinicPlan {
    /// The protocol, which must be published; absent for the program's own.
    #[schema(nullable = false)]
    protocol_id: Option<Uuid>,
}

impl ClinicProtocolItem {
    fn new(row: &VersionRow, keys: Option<&Keys>) -> Result<Self> {
        let content = keys.map(|keys| Error::skip_damaged(row.open(keys))).transpose()?.flatten();
        Ok(Self {
            id: row.key.id.uuid(),
            version: row.key.number,
            state: row.state().name(),
            unreadable: content.is_none().then_some(true),
            title: content.map(|content| content.title),
            updated_at: row.key.updated_at.0,
        })
    }
}

impl From<VersionKey> for ProtocolVersionItem {
    fn from(key: VersionKey) -> Self {
        let state = super::model::VersionState::named(&key.state).name();
        Self { version: key.number, state, published_at: key.published_at.map(|at| at.0) }
    }
}

impl From<DayBurden> for ProtocolDay {
    fn from(of: DayBurden) -> Self {
        let DayBurden { day, prompts, minutes, most_prompts, most_minutes, dropped } = of;
        Self { day, prompts, minutes, most_prompts, most_minutes, dropped }
    }
}

impl ClinicProtocolView {
    fn new((row, versions): (VersionRow, Vec<VersionKey>), keys: &Keys) -> Result<Self> {
        let content = row.open(keys)?;
        let json = serde_json::to_value(&content).map_err(|error| Error::Internal(Box::new(error)))?;
        let protocol = protocol(row.key.id, row.key.number, content);
        let found = faults(&protocol);
        let published_at = row.key.published_at.map(|at| at.0);
        Ok(Self {
            id: row.key.id.uuid(),
            version: row.key.number,
            state: row.state().name(),
            content: json,
            // One with faults may not be planned by.
            burden: if found.is_empty() { burden(&protocol).into_iter().map(Into::into).collect() } else { Vec::new() },
            faults: found.into_iter().map(|one| ProtocolFault { pointer: one.pointer, detail: one.detail }).collect(),
            published_at,
            in_force_from: published_at.and_then(|at| at.saturating_add(IN_FORCE_AFTER).ok()),
            versions: versions.into_iter().map(Into::into).collect(),
            etag: tag(&row.key),
        })
    }
}

impl From<Difference> for ProtocolDifference {
    fn from(of: Difference) -> Self {
        let Difference { rule_key, member, before, after } = of;
        Self { rule_key, member, before, after }
    }
}

impl From<Asked> for SamplePrompt {
    fn from(of: Asked) -> Self {
        let Asked { infusion, course_day, local_time, rule_key, minutes } = of;
        let local_time = local_time.strftime("%H:%M:%S").to_string();
        Self { rule_key, infusion, course_day, local_time, minutes }
    }
}

impl ProtocolComparison {
    fn new(before: &Protocol, after: &Protocol, numbers: (i32, i32)) -> Self {
        let Effect { gone, new, changed } = effect(before, after);
        let change = |(before, after): (Asked, Asked)| SampleChange { before: before.into(), after: after.into() };
        Self {
            before: numbers.0,
            after: numbers.1,
            differences: differences(before, after).into_iter().map(Into::into).collect(),
            gone: gone.into_iter().map(Into::into).collect(),
            new: new.into_iter().map(Into::into).collect(),
            changed: changed.into_iter().map(change).collect(),
        }
    }
}

impl ClinicPlan {
    fn new(choice: Option<&PlanChoice>) -> Self {
        let protocol_id = choice.and_then(|choice| choice.protocol_id).map(Id::uuid);
        Self { protocol_id, etag: choice_tag(choice) }
    }
}

/// Returns the keys of the clinic that a request names.
async fn keys_of<T>(state: &State, named: Option<T>, clinic: impl FnOnce(T) -> Id<Clinic>) -> Result<Option<Keys>> {
    match named.map(clinic) {
        Some(clinic) => state.vault.keys(clinic.uuid()).await,
        None => Ok(None),
    }
}

/// Answers with a version. Planning a sample course takes a while: it is done apart.
async fn reply(found: (VersionRow, Vec<VersionKey>), keys: Option<Keys>) -> Result<ClinicProtocolView> {
    let keys = keys.ok_or(Error::NotFound)?;
    let view = web::block(move || ClinicProtocolView::new(found, &keys)).await;
    view.map_err(|error| Error::Internal(Box::new(error)))?
}

/// Reads what an answer shows after a change.
fn shown(
    tx: &mut Tx<'_>,
    live: &Live<Staff>,
    named: Option<Named>,
    outcome: Outcome<VersionRow>,
) -> Result<(VersionRow, Vec<VersionKey>)> {
    let number = outcome.value.as_ref().map(|row| row.key.number);
    actions::get(tx, live, named.ok_or(Error::NotFound)?, number)
}

/// List a clinic's protocols
///
/// For members who treat patients or administer the clinic: the newest version of each.
#[utoipa::path(tag = "protocols",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"), PageQuery),
    responses((status = 200, description = "A page of protocols", body = ClinicProtocolPage), ReadErrors))]
#[get("/clinics/{clinic_id}/protocols")]
pub(super) async fn list_clinic_protocols(
    caller: Claimed<Staff>,
    clinic: PathOf<Id<Clinic>>,
    listing: Result<Listing>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (clinic, scope) = (clinic.into_inner(), caller.cursor_scope("list_clinic_protocols"));
    let (asked, listing) = caller.page(&state, &scope, listing).await?;
    let page = caller.read(&state, move |tx, live| actions::list(tx, live, clinic, asked)).await?;
    let keys = state.vault.keys(clinic.uuid()).await?;
    let page = page.try_map(|row| ClinicProtocolItem::new(&row, keys.as_ref()))?;
    Ok(listing.reply(&state.vault, &scope, page, |items, next_cursor| ClinicProtocolPage { items, next_cursor }))
}

/// Read a protocol of a clinic
///
/// The newest version, or the one that is asked for: its content, what stands against publishing it, and what it asks
/// on each day.
#[utoipa::path(tag = "protocols",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("protocol_id" = Uuid, Path, description = "The protocol's id"), VersionQuery),
    responses((status = 200, description = "The version", body = ClinicProtocolView), ReadErrors))]
#[get("/clinics/{clinic_id}/protocols/{protocol_id}")]
pub(super) async fn get_clinic_protocol(
    caller: Claimed<Staff>,
    named: PathOf<Named>,
    query: Result<Query<VersionQuery>, Error>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (named, number) = (named.into_inner(), caller.first(&state, query).await?.into_inner().version);
    let found = caller.read(&state, move |tx, live| actions::get(tx, live, named, number)).await?;
    let view = reply(found, state.vault.keys(named.0.uuid()).await?).await?;
    Ok(Reply::ok(&view).etag(&view.etag).compressed_if(true))
}

/// Write a protocol of a clinic
///
/// For the clinic's admins: makes a protocol, or changes its draft with `If-Match`. Where the newest version is
/// published, a draft of the next one is begun. A draft may have faults: the answer lists them, each with its place, and
/// what the draft asks on each day against its caps.
#[utoipa::path(tag = "protocols", request_body = PutClinicProtocol,
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("protocol_id" = Uuid, Path, description = "An id that the client makes"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed, or as it was", body = ClinicProtocolView),
        (status = 201, description = "Made", body = ClinicProtocolView), WriteErrors))]
#[put("/clinics/{clinic_id}/protocols/{protocol_id}")]
pub(super) async fn put_clinic_protocol(
    caller: Claimed<Staff>,
    request: Request<Named, Body<PutClinicProtocol>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let named = request.id().copied();
    let keys = keys_of(&state, named, |named| named.0).await?;
    let sealing = keys.clone();
    let parse =
        |Command { id, when, body }: Command<Named, Body<PutClinicProtocol>>| Ok((id, body.into_inner().0, when));
    let work = move |tx: &mut Tx<'_>, live: &Live<Staff>, (id, content, when): &(Named, ProtocolContent, _)| {
        actions::put(tx, live, sealing.as_ref(), *id, (content, when))
    };
    let show = move |tx: &mut Tx<'_>, live: &Live<Staff>, outcome| shown(tx, live, named, outcome);
    let (origin, found) = caller.change(&state, request, parse, work, show).await?.into_parts();
    let view = reply(found, keys).await?;
    Ok(origin.reply(Reply::ok(&view).etag(&view.etag)))
}

/// Publish a protocol of a clinic
///
/// For the clinic's admins: the draft, with `If-Match`. It never changes again. From `in_force_from` on, a minute later,
/// plans are made by it, and what is still to come for the patients who follow it is planned again. A draft with faults is
/// refused with all of them (422).
#[utoipa::path(tag = "protocols",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("protocol_id" = Uuid, Path, description = "The protocol's id"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Published", body = ClinicProtocolView), WriteErrors))]
#[post("/clinics/{clinic_id}/protocols/{protocol_id}/publish")]
pub(super) async fn publish_clinic_protocol(
    caller: Claimed<Staff>,
    request: Request<Named>,
    state: web::Data<State>,
) -> Result<Reply> {
    let named = request.id().copied();
    let keys = keys_of(&state, named, |named| named.0).await?;
    let opening = keys.clone();
    let work = move |tx: &mut Tx<'_>, live: &Live<Staff>, (id, when): &(Named, Preconditions)| {
        actions::publish(tx, live, opening.as_ref(), *id, when)
    };
    let show = move |tx: &mut Tx<'_>, live: &Live<Staff>, outcome| shown(tx, live, named, outcome);
    let parse = |Command { id, when, .. }: Command<Named, _>| Ok((id, when));
    let (origin, found) = caller.change(&state, request, parse, work, show).await?.into_parts();
    let view = reply(found, keys).await?;
    Ok(origin.reply(Reply::ok(&view).etag(&view.etag)))
}

/// Retire a version of a protocol of a clinic
///
/// For the clinic's admins: no new plan is made by it, and the patients who follow it follow the newest published
/// version before it, or the program's own protocol. The prompts that it made keep it.
#[utoipa::path(tag = "protocols", request_body = RetireClinicProtocol,
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("protocol_id" = Uuid, Path, description = "The protocol's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "Retired", body = ClinicProtocolView), ActionErrors))]
#[post("/clinics/{clinic_id}/protocols/{protocol_id}/retire")]
pub(super) async fn retire_clinic_protocol(
    caller: Claimed<Staff>,
    request: Request<Named, Body<RetireClinicProtocol>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let named = request.id().copied();
    let keys = keys_of(&state, named, |named| named.0).await?;
    let opening = keys.clone();
    let parse =
        |Command { id, body, .. }: Command<Named, Body<RetireClinicProtocol>>| Ok((id, body.into_inner().version));
    let work = move |tx: &mut Tx<'_>, live: &Live<Staff>, (id, number): &(Named, i32)| {
        actions::retire(tx, live, opening.as_ref(), *id, *number)
    };
    let show = move |tx: &mut Tx<'_>, live: &Live<Staff>, outcome| shown(tx, live, named, outcome);
    let (origin, found) = caller.change(&state, request, parse, work, show).await?.into_parts();
    let view = reply(found, keys).await?;
    Ok(origin.reply(Reply::ok(&view).etag(&view.etag)))
}

/// Compare two versions of a protocol of a clinic
///
/// What is different in them, and what that changes for a patient with two infusions a week for three weeks.
#[utoipa::path(tag = "protocols",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("protocol_id" = Uuid, Path, description = "The protocol's id"), CompareQuery),
    responses((status = 200, description = "The differences", body = ProtocolComparison), ReadErrors))]
#[get("/clinics/{clinic_id}/protocols/{protocol_id}/comparison")]
pub(super) async fn compare_clinic_protocol(
    caller: Claimed<Staff>,
    named: PathOf<Named>,
    query: Result<Query<CompareQuery>, Error>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (named, CompareQuery { before, after }) = (named.into_inner(), caller.first(&state, query).await?.into_inner());
    let read = caller.read(&state, move |tx, live| {
        Ok([actions::get(tx, live, named, Some(before))?.0, actions::get(tx, live, named, after)?.0])
    });
    let rows = read.await?;
    let keys = state.vault.keys(named.0.uuid()).await?.ok_or(Error::NotFound)?;
    let compared = web::block(move || compared(&rows, &keys)).await;
    Ok(Reply::ok(&compared.map_err(|error| Error::Internal(Box::new(error)))??).compressed_if(true))
}

/// Compares two versions. The sample course is planned by both, which must have no faults.
fn compared([before, after]: &[VersionRow; 2], keys: &Keys) -> Result<ProtocolComparison> {
    let of = |row: &VersionRow, content| protocol(row.key.id, row.key.number, content);
    let (one, other) = (of(before, before.open(keys)?), of(after, after.open(keys)?));
    let mut fields = Fields::new();
    fields.check(faults(&one).is_empty(), "query/before", "has faults, so that no course can be planned by it");
    fields.check(faults(&other).is_empty(), "query/after", "has faults, so that no course can be planned by it");
    fields.done()?;
    Ok(ProtocolComparison::new(&one, &other, (before.key.number, after.key.number)))
}

/// Read which protocol a clinic has chosen
///
/// For members who treat patients or administer the clinic.
#[utoipa::path(tag = "protocols",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id")),
    responses((status = 200, description = "The choice", body = ClinicPlan), ReadErrors))]
#[get("/clinics/{clinic_id}/protocol")]
pub(super) async fn get_clinic_plan(
    caller: Claimed<Staff>,
    clinic: PathOf<Id<Clinic>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let clinic = clinic.into_inner();
    let choice = caller.read(&state, move |tx, live| actions::get_choice(tx, live, clinic)).await?;
    let view = ClinicPlan::new(choice.as_ref());
    Ok(Reply::ok(&view).etag(&view.etag))
}

/// Choose the protocol of a clinic's patients
///
/// For the clinic's admins, with `If-Match`. Patients for whom their therapist has chosen another keep that one. A minute
/// later, what is still to come is planned again.
#[utoipa::path(tag = "protocols", request_body = PutClinicPlan,
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Chosen, or as it was", body = ClinicPlan), WriteErrors))]
#[put("/clinics/{clinic_id}/protocol")]
pub(super) async fn put_clinic_plan(
    caller: Claimed<Staff>,
    request: Request<Id<Clinic>, Body<PutClinicPlan>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let clinic = request.id().copied();
    let parse = |Command { id, when, body }: Command<Id<Clinic>, Body<PutClinicPlan>>| {
        Ok(((id, body.into_inner().protocol_id.map(Id::from_uuid)), when))
    };
    type Wish = ((Id<Clinic>, Option<Id<ClinicProtocol>>), Preconditions);
    let work = |tx: &mut Tx<'_>, live: &Live<Staff>, (wish, when): &Wish| actions::choose(tx, live, *wish, when);
    let show = move |tx: &mut Tx<'_>, live: &Live<Staff>, outcome: Outcome<Option<PlanChoice>>| {
        outcome.or_read(|| actions::get_choice(tx, live, clinic.ok_or(Error::NotFound)?))
    };
    let answer = caller.change(&state, request, parse, work, show).await?;
    answer.reply(|choice| {
        let view = ClinicPlan::new(choice.as_ref());
        Ok(Reply::ok(&view).etag(&view.etag))
    })
}

/// Read the JSON Schema of protocols
///
/// Describes the content of a protocol that a clinic writes: its limits and its rules.
#[utoipa::path(tag = "protocols", security(()),
    responses((status = 200, description = "The schema", body = serde_json::Value, content_type = "application/schema+json"), PublicErrors))]
#[get("/schemas/protocol.json")]
pub(super) async fn get_protocol_schema() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/schema+json")
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .body(SCHEMA)
}
