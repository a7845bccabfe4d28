//! Care links.

use std::sync::Arc;

use actix_web::{delete, get, post, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::links::{self, Listed};
use crate::care::people::Names;
use crate::care::store::Link;
use crate::care::verification_words::words_of;
use crate::db::Tx;
use crate::http::document::{ActionErrors, IdempotencyKeyHeader, ReadErrors};
use crate::http::{Command, Listing, PageQuery, Reply, Request};
use crate::idempotency::Outcome;
use crate::identity::{Anyone, Caller, Claimed, Live, Staff, Unlocked};
use crate::kernel::id::CareLink;
use crate::kernel::page::Page;
use crate::kernel::{Id, Result};
use crate::state::State;
use crate::vault::Vault;

/// The link between one patient and one therapist.
#[derive(Serialize, ToSchema)]
pub(crate) struct CareLinkView {
    /// Its id.
    id: Uuid,
    /// `accepted` by the patient, `active` once the therapist has confirmed, `ended`.
    #[schema(example = "accepted")]
    state: &'static str,
    /// The patient.
    patient_id: Uuid,
    /// The name of the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Thea Brandt")]
    name: Option<String>,
    /// The clinic the therapist works for.
    clinic_id: Uuid,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Lakeside Clinic")]
    clinic_name: Option<String>,
    /// Two words that both sides see while the link has not ended. Compare them before you confirm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["maple", "lantern"]))]
    words: Vec<&'static str>,
    /// The instant at which the patient accepted.
    #[schema(value_type = String, format = DateTime)]
    accepted_at: Timestamp,
    /// The instant at which the therapist confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    active_at: Option<Timestamp>,
    /// The end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    ended_at: Option<Timestamp>,
    /// Whether a name that belongs here is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

impl CareLinkView {
    /// Shows a link to the patient or to the therapist in it.
    pub(crate) fn new(link: &Link, names: &Names, vault: &Vault, owner: bool) -> Self {
        let words = if link.state.live() { words_of(vault, link.id, link.person) } else { Vec::new() };
        let other = if owner { link.therapist } else { link.person };
        Self {
            id: link.id.uuid(),
            state: link.state.name(),
            patient_id: link.patient.uuid(),
            name: names.person(other),
            clinic_id: link.clinic.uuid(),
            clinic_name: names.clinic(link.clinic),
            words,
            accepted_at: link.accepted_at.0,
            active_at: link.active_at.map(|at| at.0),
            ended_at: link.ended_at.map(|at| at.0),
            unreadable: names.unreadable([other.uuid(), link.clinic.uuid()]),
        }
    }
}

/// A page of care links.
#[derive(Serialize, ToSchema)]
struct CareLinkPage {
    items: Vec<CareLinkView>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// List care links
///
/// A patient sees all of their links, also those that have ended. A therapist sees those that have not, and the
/// patients read in their access log that they were shown. Oldest first.
#[utoipa::path(tag = "care", params(PageQuery),
    responses((status = 200, description = "A page of links", body = CareLinkPage), ReadErrors))]
#[get("/care-links")]
pub(super) async fn list_care_links(
    caller: Claimed<Unlocked<Anyone>>,
    listing: Result<Listing>,
    state: web::Data<State>,
) -> Result<Reply> {
    let scope = caller.cursor_scope("list_care_links");
    let (asked, listing) = caller.page(&state, &scope, listing).await?;
    let (mut listed, next) = caller.read(&state, move |tx, live| links::list(tx, live, asked)).await?;
    if !listed.owner {
        let keys = links::keys_of(&state.vault, listed.links.iter().map(|link| link.patient)).await?;
        let vault = state.vault.clone();
        let unit = state.db.write(move |tx| {
            let live = caller.live(tx)?;
            links::show(tx, &vault, &live, &listed.links, &keys)
        });
        listed = unit.await?;
    }
    let Listed { links: items, owner, names } = listed;
    let names = names.open(&state.vault).await?;
    let page = Page { items, next }.try_map(|link| Ok(CareLinkView::new(&link, &names, &state.vault, owner)))?;
    Ok(listing.reply(&state.vault, &scope, page, |items, next_cursor| CareLinkPage { items, next_cursor }))
}

/// Confirm a care link
///
/// The therapist confirms that the person at the other end is the one they invited: compare the two words first. The
/// link is then `active`. Who stands in for the therapist now is written into the access log of the patient. A
/// repetition changes nothing.
#[utoipa::path(tag = "care",
    params(("link_id" = Uuid, Path, description = "The care link's id"), IdempotencyKeyHeader),
    responses((status = 200, description = "The active link", body = CareLinkView), ActionErrors))]
#[post("/care-links/{link_id}/confirm")]
pub(super) async fn confirm_care_link(
    caller: Claimed<Staff>,
    request: Request<Id<CareLink>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let keys = links::keys_of_link(&state, caller.account(), request.id()).await?;
    let (planner, log) = (Arc::clone(&state.planner), (state.vault.clone(), keys));
    let shown = log.clone();
    let confirm = move |tx: &mut Tx<'_>, live: &Live<Staff>, Command { id, .. }: &Command<_>| {
        links::confirm(tx, planner.as_ref(), live, *id, &log).map(|link| Outcome::ok(*id, link))
    };
    let show = move |tx: &mut Tx<'_>, live: &Live<Staff>, outcome| links::show_confirmed(tx, &shown, live, outcome);
    let (origin, (link, names)) = caller.change(&state, request, Ok, confirm, show).await?.into_parts();
    let names = names.open(&state.vault).await?;
    Ok(origin.reply(Reply::ok(&CareLinkView::new(&link, &names, &state.vault, false))))
}

/// End a care link
///
/// Either side ends it, at once and for good. Grants that only this link could read are closed; a new link starts
/// empty. A repetition changes nothing.
#[utoipa::path(tag = "care",
    params(("link_id" = Uuid, Path, description = "The care link's id"), IdempotencyKeyHeader),
    responses((status = 204, description = "It has ended"), ActionErrors))]
#[delete("/care-links/{link_id}")]
pub(super) async fn end_care_link(
    caller: Caller,
    request: Request<Id<CareLink>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let (keys, planner) =
        (links::keys_of_link(&state, caller.account(), request.id()).await?, Arc::clone(&state.planner));
    let end = move |tx: &mut Tx<'_>, live: &_, command: &Command<_>| {
        links::end_own(tx, planner.as_ref(), live, command.id, keys.clone())
    };
    caller.delete(&state, request, end).await
}
