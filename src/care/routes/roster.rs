//! The roster.

use actix_web::{get, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::links;
use crate::care::people::Names;
use crate::care::roster::{self, OnRoster};
use crate::http::document::ReadErrors;
use crate::http::{Listing, PageQuery, Reply};
use crate::identity::{Claimed, Staff};
use crate::kernel::Result;
use crate::kernel::page::Page;
use crate::state::State;

/// A patient whom the caller looks after.
#[derive(Serialize, ToSchema)]
struct RosterPatient {
    /// The patient, as in `/v1/patients/{patient_id}`.
    patient_id: Uuid,
    /// The person's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ann Walker")]
    name: Option<String>,
    /// `therapist`: over a care link of the caller's own. `cover`: as a patient of a therapist for whom the caller
    /// stands in. `record`: as a patient of the clinic.
    #[schema(example = "therapist")]
    role: &'static str,
    /// The care link that puts them here.
    link_id: Uuid,
    /// The clinic of that link.
    clinic_id: Uuid,
    /// The instant from which that link is active.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Whether a name that belongs here is damaged and left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    unreadable: Option<bool>,
}

impl RosterPatient {
    fn new(OnRoster { link, role }: &OnRoster, names: &Names) -> Self {
        Self {
            patient_id: link.patient.uuid(),
            name: names.person(link.person),
            role,
            link_id: link.id.uuid(),
            clinic_id: link.clinic.uuid(),
            since: link.active_at.unwrap_or(link.accepted_at).0,
            unreadable: names.unreadable([link.person.uuid()]),
        }
    }
}

/// A page of the roster.
#[derive(Serialize, ToSchema)]
struct RosterPage {
    items: Vec<RosterPatient>,
    /// The cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// List my patients
///
/// The patients with an active care link to the caller or to a therapist for whom they stand in and, for staff who record
/// infusions, the patients of their clinics. Each patient's access log notes that they were listed.
#[utoipa::path(tag = "care", params(PageQuery),
    responses((status = 200, description = "A page of patients", body = RosterPage), ReadErrors))]
#[get("/me/patients")]
pub(super) async fn list_my_patients(
    caller: Claimed<Staff>,
    listing: Result<Listing>,
    state: web::Data<State>,
) -> Result<Reply> {
    let scope = caller.cursor_scope("list_my_patients");
    let (asked, listing) = caller.page(&state, &scope, listing).await?;
    let Page { items, next } = caller.read(&state, move |tx, live| roster::list(tx, live, asked)).await?;
    let keys = links::keys_of(&state.vault, items.iter().copied()).await?;
    let vault = state.vault.clone();
    let unit = state.db.write(move |tx| {
        let live = caller.live(tx)?;
        roster::show(tx, &vault, &live, &items, &keys)
    });
    let (items, names) = unit.await?;
    let names = names.open(&state.vault).await?;
    let page = Page { items, next }.try_map(|at| Ok(RosterPatient::new(&at, &names)))?;
    Ok(listing.reply(&state.vault, &scope, page, |items, next_cursor| RosterPage { items, next_cursor }))
}
