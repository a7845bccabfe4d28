//! The activity of a patient, for linked therapists if the patient shares it.

use std::collections::BTreeSet;

use actix_web::get;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Serialize;
use utoipa::ToSchema;

use crate::care::access::Read;
use crate::care::door::Shared;
use crate::care::store::find_patient;
use crate::care::{Access, Door};
use crate::changes;
use crate::db::Tx;
use crate::http::document::ReadErrors;
use crate::http::{PatientRef, Reply};
use crate::kernel::{Error, Result};
use crate::prompts::model::StoredPrompt;
use crate::prompts::store::{self, PromptRow};
use crate::settings::{SettingsRow, find_settings, open_or_default};

/// The length of the period in days, today included.
const DAYS: i32 = 7;

/// The activity of a patient.
#[derive(Serialize, ToSchema)]
struct ActivityView {
    /// Whether the patient lets linked therapists see it.
    shared: bool,
    /// The number of the last seven local dates, today included, on which the patient wrote, answered or changed
    /// something. Absent when it is not shared; the patient always sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 7, example = 5)]
    days_active_of_7: Option<usize>,
    /// The prompts that came due in these days, offered and answered. Absent when activity is not shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prompts: Option<AdherenceView>,
}

/// The number of offered and of answered prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
struct AdherenceView {
    /// The prompts that came due. A prompt that was withdrawn, before or after that, was not offered.
    #[schema(example = 8)]
    offered: u32,
    /// The offered prompts that were answered in time, however late the answer arrived.
    #[schema(example = 6)]
    answered: u32,
    /// The share of `answered` in `offered`; absent when nothing was offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 0.75)]
    share: Option<f64>,
}

impl AdherenceView {
    fn of(prompts: &[StoredPrompt], now: Timestamp) -> Self {
        let mut found = Self::default();
        for prompt in prompts.iter().filter(|prompt| prompt.due_at <= now || prompt.is_completed()) {
            let state = prompt.state(now);
            found.offered += u32::from(state != "cancelled");
            found.answered += u32::from(state == "completed");
        }
        let share = || (f64::from(found.answered) / f64::from(found.offered) * 1000.0).round() / 1000.0;
        found.share = (found.offered > 0).then(share);
        found
    }
}

/// Read how active a patient was
///
/// Gives days and counts only, no times and no content. A therapist sees it only if the patient switched
/// `share_activity` on.
#[utoipa::path(tag = "prompts", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`")),
    responses((status = 200, description = "The last seven days", body = ActivityView), ReadErrors))]
#[get("/activity")]
pub(super) async fn get_activity(door: Door<Shared>) -> Result<Reply> {
    let (row, times, rows) = door.read("get_activity", read).await?;
    let (keys, patient) = (door.keys()?, door.patient()?);
    let settings = open_or_default(row.as_ref(), keys, patient)?;
    if !settings.share_activity && !door.is_owner() {
        return Ok(Reply::ok(&ActivityView { shared: false, days_active_of_7: None, prompts: None }));
    }
    let (now, zone) = (door.now(), settings.zone_at(door.now()));
    let first = zone.date(now).saturating_sub((DAYS - 1).days());
    let days: BTreeSet<_> =
        times.into_iter().map(|at| settings.zone_at(at).date(at)).filter(|date| *date >= first).collect();
    let began = zone.instant(first, jiff::civil::Time::MIN);
    let mut prompts = Vec::with_capacity(rows.len());
    for row in rows.into_iter().filter(|row| row.due_at.0 >= began) {
        prompts.extend(Error::skip_damaged(row.open(keys, patient))?);
    }
    Ok(Reply::ok(&ActivityView {
        shared: settings.share_activity,
        days_active_of_7: Some(days.len().min(7)),
        prompts: Some(AdherenceView::of(&prompts, now)),
    }))
}

/// The sealed settings, the times of the patient's changes, and the sealed prompts.
type Sources = (Option<SettingsRow>, Vec<Timestamp>, Vec<PromptRow>);

/// Reads the sources of the activity. The zones in which its days began stand in the sealed settings: nine days cover
/// seven in any zones.
fn read(tx: &mut Tx<'_>, access: &Access<Read>) -> Result<Sources> {
    let since =
        access.now().saturating_sub(SignedDuration::from_hours(24 * (i64::from(DAYS) + 2))).unwrap_or(access.now());
    let own = find_patient(tx, access)?.ok_or(Error::NotFound)?.account_id;
    let times = changes::list_by(tx, access.patient(), own, since)?;
    let rows = store::list(tx, access, (since, access.now()), None, i64::MAX)?;
    Ok((find_settings(tx, access)?, times, rows))
}
