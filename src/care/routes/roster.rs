//! The roster.

use actix_web::{HttpRequest, get, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{PageQuery, cursor, scope};
use crate::care::{links, roster};
use crate::http::document::ReadErrors;
use crate::http::{Query, Reply};
use crate::identity::{Claimed, Staff};
use crate::kernel::Result;
use crate::kernel::page::Page;
use crate::state::State;

/// A patient whom the caller looks after.
#[derive(Serialize, ToSchema)]
struct RosterPatient {
    /// The patient, as in `/v1/patients/{patient_id}`.
    patient_id: Uuid,
    /// What they are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ann Walker")]
    name: Option<String>,
    /// `therapist`: over a care link of one's own. `record`: as a patient of the clinic.
    #[schema(example = "therapist")]
    role: &'static str,
    /// The care link that puts them here.
    link_id: Uuid,
    /// The clinic of that link.
    clinic_id: Uuid,
    /// Since when that link is active.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// A page of the roster.
#[derive(Serialize, ToSchema)]
struct RosterPage {
    items: Vec<RosterPatient>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// List my patients
///
/// The patients with an active care link to the caller and, for those who record infusions, the patients of their
/// clinics. Each of them reads in their access log that they were listed.
#[utoipa::path(tag = "care", operation_id = "list_my_patients", params(PageQuery),
    responses((status = 200, description = "A page of patients", body = RosterPage), ReadErrors))]
#[get("/me/patients")]
pub(super) async fn list_my_patients(
    caller: Claimed<Staff>,
    query: Query<PageQuery>,
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<Reply> {
    let (query, scope) = (query.into_inner(), scope("list_my_patients", caller.account()));
    let (limit, after) = (query.limit()?, query.after(&state, &scope)?);
    let unit = state.db.read(move |tx| {
        let live = caller.live(tx)?;
        roster::list(tx, &live, after, limit.rows())
    });
    let page = Page::cut(unit.await?, limit, |id| *id);
    let keys = links::keys_of(&state.vault, page.items.iter().copied()).await?;
    let (vault, ids) = (state.vault.clone(), page.items);
    let unit = state.db.write(move |tx| {
        let live = caller.live(tx)?;
        roster::show(tx, &vault, &live, &ids, &keys)
    });
    let (shown, names) = unit.await?;
    let names = names.open(&state.vault).await?;
    let items = shown.into_iter().map(|at| RosterPatient {
        patient_id: at.link.patient.uuid(),
        name: names.person(at.link.person),
        role: at.role,
        link_id: at.link.id.uuid(),
        clinic_id: at.link.clinic.uuid(),
        since: at.link.active_at.unwrap_or(at.link.accepted_at),
    });
    let view = RosterPage { items: items.collect(), next_cursor: cursor(&state, &scope, page.next) };
    Ok(Reply::ok(&view).next(&request, view.next_cursor.as_deref()))
}
