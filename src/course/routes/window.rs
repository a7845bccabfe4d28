//! The window.

use actix_web::get;
use jiff::civil::Time;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::care::Door;
use crate::care::door::Team;
use crate::course::store::background;
use crate::http::document::ReadErrors;
use crate::http::{PatientRef, Query, Reply};
use crate::kernel::{Code, Error, Fields, Result, device_time};
use crate::planning::Protocols;
use crate::planning::window::{ClinicalView, OwnerView, ReadinessFacts, window};

/// The query of the window.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WindowQuery {
    /// The instant; now by default.
    #[param(required = false, nullable = false, format = DateTime, example = "2026-03-10T09:00:00Z")]
    at: Option<String>,
    /// `clinical` for numbers and boundaries; for staff only.
    #[param(required = false, nullable = false, example = "clinical")]
    view: Option<String>,
    /// The protocol whose parameters count; the default protocol if absent.
    #[param(required = false, nullable = false, example = "afterglow-default")]
    protocol: Option<String>,
}

/// Either projection of the window: `index`, `curve` and instants come with `view=clinical` only.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum WindowAnswer {
    Clinical(Box<ClinicalView>),
    Owner(OwnerView),
}

/// The place in the window.
///
/// A teaching picture, not a measurement: the `disclaimer` is to be shown with it. Patients see phases in words and
/// days; numbers and boundary instants are for staff (`view=clinical`).
#[utoipa::path(tag = "window", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), WindowQuery),
    responses((status = 200, description = "The window", body = WindowAnswer), ReadErrors))]
#[get("/window")]
pub(super) async fn get_window(door: Door<Team>, query: Result<Query<WindowQuery>, Error>) -> Result<Reply> {
    let asked = query.and_then(|query| parse(query.into_inner(), &door.state().protocols));
    let (at, clinical) = door.first("get_window", asked).await?;
    let protocol = door.state().protocols.current();
    let at = at.unwrap_or(door.now());
    let found = door.read("get_window", move |tx, access| {
        if clinical && access.is_owner() {
            return Err(Error::Forbidden(Code::Forbidden));
        }
        background(tx, access)
    });
    let known = found.await?.open(door.keys()?, door.patient()?)?;
    let zone = known.zone_at(at);
    let ended = known.doses.iter().filter_map(|dose| dose.ended_at).filter(|end| *end <= at).max();
    let slept = ended.map(|end| {
        let there = known.zone_at(end);
        let dawn = there.instant(there.date(end).saturating_add(1.day()), Time::constant(6, 0, 0, 0));
        ReadinessFacts::first_sleep(end, dawn, None)
    });
    let readiness = ReadinessFacts { first_sleep: slept, ..ReadinessFacts::default() };
    let found = window(&known.doses, &protocol.window, at, readiness);
    Ok(Reply::ok(&if clinical {
        WindowAnswer::Clinical(Box::new(ClinicalView::of(&found, &zone)))
    } else {
        WindowAnswer::Owner(OwnerView::of(&found, &zone))
    }))
}

/// Parses the instant, and whether numbers are shown.
fn parse(query: WindowQuery, protocols: &Protocols) -> Result<(Option<Timestamp>, bool)> {
    let mut f = Fields::new();
    let at = device_time::take(&mut f, "query/at", query.at);
    let clinical = match query.view.as_deref() {
        None | Some("owner") => false,
        Some("clinical") => true,
        Some(_) => {
            f.fault("query/view", "must be owner or clinical");
            false
        }
    };
    let known = query.protocol.as_deref().is_none_or(|key| key == protocols.current().key);
    f.check(known, "query/protocol", "is not a protocol of this server");
    f.done()?;
    Ok((at, clinical))
}
