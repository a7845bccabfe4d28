//! On how many days somebody was active: for those whom the patient lets see it.

use std::collections::BTreeSet;

use actix_web::get;
use jiff::ToSpan;
use serde::Serialize;
use utoipa::ToSchema;

use crate::care::Door;
use crate::care::door::Shared;
use crate::changes;
use crate::http::document::ReadErrors;
use crate::http::{PatientRef, Reply};
use crate::kernel::Result;

/// The days that are looked at, today included.
const DAYS: i32 = 7;
/// More changes than this in a week are not counted further: every day has been seen long before.
const MOST: i64 = 5000;

/// On how many days a patient was active.
#[derive(Serialize, ToSchema)]
struct ActivityView {
    /// Whether the patient lets linked therapists see it.
    shared: bool,
    /// On how many of the last seven local dates, today included, the patient wrote, answered or changed something.
    /// Absent when it is not shared; the patient always sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 7, example = 5)]
    days_active_of_7: Option<usize>,
}

/// Read how active a patient was
///
/// Days, not times, and nothing of what was done. A therapist sees it only if the patient switched `share_activity` on.
#[utoipa::path(tag = "prompts", operation_id = "get_activity",
    params(("patient_id" = PatientRef, Path, description = "Whose")),
    responses((status = 200, description = "The last seven days", body = ActivityView), ReadErrors))]
#[get("/activity")]
pub(super) async fn get_activity(door: Door<Shared>) -> Result<Reply> {
    let found = door.read("get_activity", |tx, access| {
        let (settings, _) = crate::prompts::actions::settings(tx, access)?;
        if !settings.share_activity && !access.is_owner() {
            return Ok(ActivityView { shared: false, days_active_of_7: None });
        }
        let zone = settings.zone_at(access.now());
        let first = zone.date(access.now()).saturating_sub((DAYS - 1).days());
        // A day early: a day of another zone may have begun before.
        let since = zone.instant(first.yesterday().unwrap_or(first), jiff::civil::Time::MIN);
        let times = changes::list_own(tx, access.patient(), since, MOST)?;
        let days: BTreeSet<_> =
            times.into_iter().map(|at| settings.zone_at(at).date(at)).filter(|date| *date >= first).collect();
        Ok(ActivityView { shared: settings.share_activity, days_active_of_7: Some(days.len().min(7)) })
    });
    Ok(Reply::ok(&found.await?))
}
