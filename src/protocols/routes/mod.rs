//! The operations on the protocols of clinics.

mod plan;
mod view;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{HttpResponse, get, post, put, web};

use self::view::{
    ClinicProtocolItem, ClinicProtocolPage, ClinicProtocolView, CompareQuery, ProtocolComparison, RetireClinicProtocol,
    VersionQuery,
};
use super::actions::{self, Named};
use super::library;
use super::model::{SCHEMA, faults, protocol};
use super::store::{VersionKey, VersionRow};
use crate::db::Tx;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, IfMatchHeader, PublicErrors, ReadErrors, WriteErrors};
use crate::http::{Body, Command, Listing, Operations, PageQuery, PathOf, Query, Reply, Request};
use crate::idempotency::Outcome;
use crate::identity::{Claimed, Live, Staff};
use crate::kernel::id::Clinic;
use crate::kernel::{Error, Fields, Id, Result};
use crate::planning::ProtocolContent;
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
        .service(plan::get_clinic_plan)
        .service(plan::put_clinic_plan);
}

/// Reads what clinics have published before a request is answered, if it was not read a moment ago.
///
/// # Errors
///
/// Those of the request.
pub async fn before_request(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> std::result::Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if let Some(state) = request.app_data::<web::Data<State>>().cloned() {
        let now = state.clock.now();
        if let Err(error) = library::refresh(&state, now).await {
            // The request meets the same database, and says what is wrong with it.
            tracing::warn!(%error, "the protocols of clinics could not be read");
        }
    }
    next.call(request).await
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
    outcome: &Outcome<VersionRow>,
) -> Result<(VersionRow, Vec<VersionKey>)> {
    let number = outcome.value.as_ref().map(|row| row.key.number);
    actions::get(tx, live, named.ok_or(Error::NotFound)?, number)
}

/// Does a change of a protocol with the keys of its clinic, and answers with the version that it leaves.
async fn change<B: 'static, C: Send + 'static>(
    caller: Claimed<Staff>,
    request: Request<Named, B>,
    state: &State,
    parse: impl FnOnce(Command<Named, B>) -> Result<C>,
    mut work: impl FnMut(&mut Tx<'_>, &Live<Staff>, Option<&Keys>, &C) -> Result<Outcome<VersionRow>> + Send + 'static,
) -> Result<Reply> {
    let named = request.id().copied();
    let keys = actions::keys_of_clinic(state, caller.account(), named.map(|(clinic, _)| clinic)).await?;
    let inside = keys.clone();
    let work = move |tx: &mut Tx<'_>, live: &Live<Staff>, command: &C| work(tx, live, inside.as_ref(), command);
    let show = move |tx: &mut Tx<'_>, live: &Live<Staff>, outcome| shown(tx, live, named, &outcome);
    let (origin, found) = caller.change(state, request, parse, work, show).await?.into_parts();
    let view = reply(found, keys).await?;
    Ok(origin.reply(Reply::ok(&view).etag(&view.etag)))
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
#[utoipa::path(tag = "protocols", request_body = ProtocolContent,
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("protocol_id" = Uuid, Path, description = "The protocol's id"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Changed, or as it was", body = ClinicProtocolView),
        (status = 201, description = "Made", body = ClinicProtocolView), WriteErrors))]
#[put("/clinics/{clinic_id}/protocols/{protocol_id}")]
pub(super) async fn put_clinic_protocol(
    caller: Claimed<Staff>,
    request: Request<Named, Body<ProtocolContent>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let parse = |Command { id, when, body }: Command<Named, Body<ProtocolContent>>| Ok((id, body.into_inner(), when));
    change(caller, request, &state, parse, |tx, live, keys, (id, content, when)| {
        actions::put(tx, live, keys, *id, (content, when))
    })
    .await
}

/// Publish a protocol of a clinic
///
/// For the clinic's admins: the draft, with `If-Match`. It never changes again. From `in_force_from` on, a minute later,
/// plans are made by it, and what is still to come for the patients who follow it is planned again. A draft with faults is
/// refused with all of them (422).
#[utoipa::path(tag = "protocols",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("protocol_id" = Uuid, Path, description = "The protocol's id"), IdempotencyKeyHeader, IfMatchHeader),
    responses((status = 200, description = "Published", body = ClinicProtocolView), ActionErrors))]
#[post("/clinics/{clinic_id}/protocols/{protocol_id}/publish")]
pub(super) async fn publish_clinic_protocol(
    caller: Claimed<Staff>,
    request: Request<Named>,
    state: web::Data<State>,
) -> Result<Reply> {
    let parse = |Command { id, when, .. }: Command<Named, ()>| Ok((id, when));
    change(caller, request, &state, parse, |tx, live, keys, (id, when)| actions::publish(tx, live, keys, *id, when))
        .await
}

/// Retire a version of a protocol of a clinic
///
/// For the clinic's admins: no new plan is made by it, and the patients who follow it follow the newest published
/// version before it, or the program's own protocol. The prompts that it made keep it.
#[utoipa::path(tag = "protocols", request_body = RetireClinicProtocol,
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("protocol_id" = Uuid, Path, description = "The protocol's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "Retired", body = ClinicProtocolView), WriteErrors))]
#[post("/clinics/{clinic_id}/protocols/{protocol_id}/retire")]
pub(super) async fn retire_clinic_protocol(
    caller: Claimed<Staff>,
    request: Request<Named, Body<RetireClinicProtocol>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let parse =
        |Command { id, body, .. }: Command<Named, Body<RetireClinicProtocol>>| Ok((id, body.into_inner().version));
    change(caller, request, &state, parse, |tx, live, keys, (id, number)| actions::retire(tx, live, keys, *id, *number))
        .await
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

/// Compares two versions. The sample course is planned by both, so a draft must have no faults.
fn compared([before, after]: &[VersionRow; 2], keys: &Keys) -> Result<ProtocolComparison> {
    let of = |row: &VersionRow, content| protocol(row.key.id, row.key.number, content);
    let (one, other) = (of(before, before.open(keys)?), of(after, after.open(keys)?));
    let sound = |row: &VersionRow, protocol| row.was_published() || faults(protocol).is_empty();
    let mut fields = Fields::new();
    fields.check(sound(before, &one), "query/before", "has faults, so that no course can be planned by it");
    fields.check(sound(after, &other), "query/after", "has faults, so that no course can be planned by it");
    fields.done()?;
    Ok(ProtocolComparison::new(&one, &other, (before.key.number, after.key.number)))
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
