//! Covers.

use actix_web::{delete, get, put, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::covers::{self, CoverRequest};
use crate::care::people::Names;
use crate::care::store::CoverRow;
use crate::db::Tx;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, ReadErrors, WriteErrors, page};
use crate::http::{Body, Command, Listing, NewId, PageQuery, PathOf, Reply, Request};
use crate::identity::{Claimed, Live, Staff};
use crate::kernel::id::{Clinic, Cover};
use crate::kernel::{Fields, Id, Result, device_time};
use crate::state::State;

/// The clinic and the new id of a cover.
type OfNew = (Id<Clinic>, NewId<Cover>);

/// The time in which a colleague stands in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutCover {
    /// The account of another therapist of the clinic.
    colleague_id: Uuid,
    /// The first moment; now by default.
    #[schema(format = DateTime, nullable = false)]
    starts_at: Option<String>,
    /// The first moment after it, at most 21 days later.
    #[schema(format = DateTime)]
    ends_at: String,
}

impl PutCover {
    fn parse(self) -> Result<CoverRequest> {
        let mut fields = Fields::new();
        let starts_at = device_time::take(&mut fields, "/starts_at", self.starts_at);
        let ends_at = device_time::take(&mut fields, "/ends_at", Some(self.ends_at));
        let ends_at = fields.finish(ends_at)?;
        Ok(CoverRequest { colleague: Id::from_uuid(self.colleague_id), starts_at, ends_at })
    }
}

/// A colleague who stands in for a therapist.
#[derive(Serialize, ToSchema)]
pub(crate) struct CoverView {
    /// Its id.
    id: Uuid,
    /// The clinic.
    clinic_id: Uuid,
    /// The therapist who is away.
    therapist_id: Uuid,
    /// The name of the therapist.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Thea Brandt")]
    therapist_name: Option<String>,
    /// The colleague who stands in.
    colleague_id: Uuid,
    /// The name of the colleague.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Tom Adler")]
    colleague_name: Option<String>,
    /// The first moment.
    #[schema(value_type = String, format = DateTime)]
    starts_at: Timestamp,
    /// The first moment after it.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
    /// The instant at which it was ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    ended_at: Option<Timestamp>,
    /// Whether a name that belongs here is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

impl CoverView {
    fn new(row: &CoverRow, names: &Names) -> Self {
        Self {
            id: row.id.uuid(),
            clinic_id: row.clinic_id.uuid(),
            therapist_id: row.therapist_id.uuid(),
            therapist_name: names.person(row.therapist_id),
            colleague_id: row.colleague_id.uuid(),
            colleague_name: names.person(row.colleague_id),
            starts_at: row.starts_at.0,
            ends_at: row.ends_at.0,
            ended_at: row.ended_at.map(|at| at.0),
            unreadable: names.unreadable([row.therapist_id.uuid(), row.colleague_id.uuid()]),
        }
    }
}

page! {
    /// A page of covers.
    CoverList: "The covers, newest first." of CoverView
}

/// List covers
///
/// Those in which you are away or stand in; for admins, all of the clinic.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"), PageQuery),
    responses((status = 200, description = "A page of covers", body = CoverList), ReadErrors))]
#[get("/clinics/{clinic_id}/covers")]
pub(super) async fn list_covers(
    caller: Claimed<Staff>,
    clinic: PathOf<Id<Clinic>>,
    listing: Result<Listing>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (clinic, scope) = (clinic.into_inner(), caller.cursor_scope("list_covers"));
    let (asked, listing) = caller.page(&state, &scope, listing).await?;
    let (page, names) = caller.read(&state, move |tx, live| covers::list(tx, live, clinic, asked)).await?;
    let names = names.open(&state.vault).await?;
    let page = page.try_map(|row| Ok(CoverView::new(&row, &names)))?;
    Ok(listing.reply(&state.vault, &scope, page, CoverList::of))
}

/// Name a colleague who stands in
///
/// A therapist names another therapist of the clinic, for 21 days at most. The colleague then sees the therapist's
/// patients in their roster, and what these have granted to the care team; never what is for the therapist alone. The
/// patients read it in their access logs. A repetition changes nothing.
#[utoipa::path(tag = "care", request_body = PutCover,
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("cover_id" = Uuid, Path, description = "The cover's id, a UUID of the client, version 4 or 7"),
        IdempotencyKeyHeader),
    responses((status = 201, description = "Named", body = CoverView),
        (status = 200, description = "As asked", body = CoverView), WriteErrors))]
#[put("/clinics/{clinic_id}/covers/{cover_id}")]
pub(super) async fn put_cover(
    caller: Claimed<Staff>,
    request: Request<OfNew, Body<PutCover>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let clinic = request.id().map(|(clinic, _)| *clinic);
    let parse = |command: Command<OfNew, Body<PutCover>>| Ok((command.id, command.body.into_inner().parse()?));
    let work = |tx: &mut Tx<'_>, live: &Live<Staff>, (id, asked): &(OfNew, CoverRequest)| {
        covers::put(tx, live, (id.0, id.1.0), asked)
    };
    let show = move |tx: &mut Tx<'_>, live: &Live<Staff>, outcome| covers::show(tx, live, clinic, outcome);
    let (origin, (row, names)) = caller.change(&state, request, parse, work, show).await?.into_parts();
    let names = names.open(&state.vault).await?;
    Ok(origin.reply(Reply::ok(&CoverView::new(&row, &names))))
}

/// End a cover
///
/// By its therapist, its colleague, or an admin. A repetition changes nothing.
#[utoipa::path(tag = "care",
    params(("clinic_id" = Uuid, Path, description = "The clinic's id"),
        ("cover_id" = Uuid, Path, description = "The cover's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "It has ended"), ActionErrors))]
#[delete("/clinics/{clinic_id}/covers/{cover_id}")]
pub(super) async fn delete_cover(
    caller: Claimed<Staff>,
    request: Request<(Id<Clinic>, Id<Cover>)>,
    state: web::Data<State>,
) -> Result<Reply> {
    caller.delete(&state, request, |tx, live, command| covers::end(tx, live, command.id)).await
}
