//! The window.

use actix_web::get;
use jiff::civil::Time;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::care::Door;
use crate::care::door::{Clinical, Policy, Team};
use crate::course::store::background;
use crate::course::surroundings::{ContextSource, Needed};
use crate::http::document::ReadErrors;
use crate::http::{PatientRef, Query, Reply};
use crate::kernel::{Error, Fields, Result, device_time};
use crate::planning::Protocols;
use crate::planning::window::{ClinicalView, OwnerView, ReadinessFacts, Window, window};

/// The language in which staff read the window.
const STAFF: &str = "en";

/// The query of the window.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WindowQuery {
    /// The instant; now by default.
    #[param(required = false, nullable = false, format = DateTime, example = "2026-03-10T09:00:00Z")]
    at: Option<String>,
    /// The protocol whose parameters count; the default protocol if absent.
    #[param(required = false, nullable = false, example = "afterglow-default")]
    protocol: Option<String>,
}

/// The place in the window.
///
/// A teaching picture, not a measurement: the `disclaimer` is to be shown with it. Phases in words and days, for the
/// patient in their language; numbers and boundary instants are in `…/window/clinical`, for staff.
#[utoipa::path(tag = "window", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), WindowQuery),
    responses((status = 200, description = "The window", body = OwnerView), ReadErrors))]
#[get("/window")]
pub(super) async fn get_window(door: Door<Team>, query: Result<Query<WindowQuery>, Error>) -> Result<Reply> {
    let (found, around) = find(&door, "get_window", query).await?;
    let reader = if door.is_owner() { around.locale.as_str() } else { STAFF };
    let known = door.state().protocols.known();
    let params = &known.current().window;
    Ok(Reply::ok(&OwnerView::of(&found, params, |at| around.date(at), reader)))
}

/// The place in the window with its numbers.
///
/// For staff only: what the patient sees, and index, readiness, curve and boundary instants. A teaching picture, not a
/// measurement: the `disclaimer` is to be shown with it.
#[utoipa::path(tag = "window", params(("patient_id" = PatientRef, Path, description = "The patient's id"), WindowQuery),
    responses((status = 200, description = "The window with its numbers", body = ClinicalView), ReadErrors))]
#[get("/window/clinical")]
pub(super) async fn get_clinical_window(
    door: Door<Clinical>,
    query: Result<Query<WindowQuery>, Error>,
) -> Result<Reply> {
    let (found, around) = find(&door, "get_clinical_window", query).await?;
    Ok(Reply::ok(&ClinicalView::of(&found, |at| around.date(at))))
}

/// Computes the window, and returns it with what it follows from.
async fn find<L: Policy>(
    door: &Door<L>,
    act: &'static str,
    query: Result<Query<WindowQuery>, Error>,
) -> Result<(Window, ContextSource)> {
    let asked = query.and_then(|query| parse(query.into_inner(), &door.state().protocols.known()));
    let at = door.first(act, asked).await?.unwrap_or(door.now());
    let needed = Needed::Window(at, door.state().protocols.known().current().window.horizon());
    let read = door.read(act, move |tx, access| background(tx, access, needed));
    let known = read.await?.open(door.keys()?, door.patient()?)?;
    let ended = known.doses.iter().filter_map(|dose| dose.ended_at).filter(|end| *end <= at).max();
    let slept = ended.map(|end| {
        let there = known.zone_at(end);
        let dawn = there.instant(there.date(end).saturating_add(1.day()), Time::constant(6, 0, 0, 0));
        ReadinessFacts::first_sleep(end, dawn, None)
    });
    let readiness = ReadinessFacts { first_sleep: slept, ..ReadinessFacts::default() };
    let found = window(&known.doses, &door.state().protocols.known().current().window, at, readiness);
    Ok((found, known))
}

/// Parses the instant.
fn parse(query: WindowQuery, protocols: &Protocols) -> Result<Option<Timestamp>> {
    let mut f = Fields::new();
    let at = device_time::take(&mut f, "query/at", query.at);
    let known = query.protocol.as_deref().is_none_or(|key| key == protocols.current().key);
    f.check(known, "query/protocol", "is not a protocol of this server");
    f.done()?;
    Ok(at)
}
