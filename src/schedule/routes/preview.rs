//! The preview of a protocol for made-up infusions.

use std::collections::BTreeSet;

use actix_web::{post, web};
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::overrides::PutOverride;
use super::preview_view::PreviewView;
use crate::http::document::SearchErrors;
use crate::http::{Body, Command, Reply, Request};
use crate::identity::Caller;
use crate::kernel::{Error, Fields, Id, Result, Zone, device_time};
use crate::planning::window::{Rating, Route};
use crate::planning::{
    Capability, Condition, Facts, InfusionFact, PausePeriod, Prerequisite, PromptKey, Protocol, QuietHours,
    USUAL_MINUTES, Weekday, ZoneSince, preview, zone_at,
};
use crate::protocols::actions::list_clinics_met;
use crate::settings::{QuietHoursDto, overrides, parse_quiet_hours, parse_weekday};
use crate::state::State;

/// The longest span of the infusions in days: more than half a year.
const DAYS: i64 = 200;

/// The made-up facts of a patient. Times carry an offset. Omitted fields are as for a new patient.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewProtocol {
    /// The infusions, up to 30, within 200 days of each other.
    #[schema(max_items = 30)]
    infusions: Vec<PreviewInfusion>,
    /// The zones of the patient, oldest first, up to 20.
    #[schema(max_items = 20)]
    zones: Vec<PreviewZone>,
    /// The hours in which nothing is delivered; 21:00 to 08:00 by default.
    #[schema(nullable = false)]
    quiet_hours: Option<QuietHoursDto>,
    /// The day of the weekly prompt.
    #[schema(example = "sunday")]
    weekly_day: Option<String>,
    /// The start of care, from which recurring prompts count; the first infusion by default.
    #[schema(format = DateTime)]
    care_start: Option<String>,
    /// The times in which only safety checks are asked, up to 20.
    #[serde(default)]
    #[schema(max_items = 20)]
    pauses: Vec<PreviewPause>,
    /// The rules that are left out or moved for this patient.
    #[serde(default)]
    #[schema(max_items = 64)]
    overrides: Vec<PutOverride>,
    /// The patient's condition; nothing holds them back by default.
    #[schema(nullable = false)]
    condition: Option<PreviewCondition>,
    /// The prerequisites that the patient meets: `live_link`, `entry`, `unshared_entry`, `if_then_response`,
    /// `response`, `takeaway`. All by default.
    #[schema(nullable = false, example = json!(["live_link", "entry"]))]
    holds: Option<Vec<String>>,
    /// The capabilities of the server: `checks`, `measures`, `attachments`, `adaptive`. None by default.
    #[serde(default)]
    #[schema(example = json!(["checks", "measures"]))]
    capabilities: Vec<String>,
}

/// A made-up infusion: planned, or with an end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewInfusion {
    /// The planned start.
    #[schema(format = DateTime, example = "2026-03-24T09:00:00+01:00")]
    planned_start: Option<String>,
    /// The start.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// The end.
    #[schema(format = DateTime, example = "2026-03-24T10:00:00+01:00")]
    ended_at: Option<String>,
    /// The route; `iv_infusion` by default.
    #[schema(example = "iv_infusion")]
    route: Option<String>,
    /// The planned duration in minutes, from 1 to 720; 60 by default.
    #[schema(minimum = 1, maximum = 720, example = 60)]
    planned_minutes: Option<i64>,
    /// Whether staff are there; true by default.
    supervised: Option<bool>,
    /// Whether its end is only the planned one.
    #[serde(default)]
    provisional: bool,
}

/// A zone and the start of its period.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewZone {
    /// Its IANA name.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// The start of the period; the first one has none.
    #[schema(format = DateTime)]
    from: Option<String>,
}

/// A pause.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewPause {
    /// Its first moment.
    #[schema(format = DateTime)]
    from: String,
    /// The first moment after it.
    #[schema(format = DateTime)]
    until: String,
}

/// The patient's condition. Below a readiness of 0.5, an effortful prompt waits, and is dropped when its part of the
/// day is over.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewCondition {
    /// The instant of the last report of having slept.
    #[schema(format = DateTime)]
    slept_at: Option<String>,
    /// The newest rating of dissociation.
    #[schema(nullable = false)]
    dissociation: Option<PreviewRating>,
    /// The newest rating of drowsiness.
    #[schema(nullable = false)]
    drowsiness: Option<PreviewRating>,
    /// The time in which only safety checks are asked, because an alert is open.
    #[schema(nullable = false)]
    suspended: Option<PreviewPause>,
}

/// An answer on a scale of 0 to 10: 4 or more weighs for 24 hours.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewRating {
    /// The answer.
    #[schema(minimum = 0, maximum = 10)]
    value: u8,
    /// The instant at which it was given.
    #[schema(format = DateTime)]
    answered_at: String,
}

/// Parses each of `names` as a `T`.
fn words<T: serde::de::DeserializeOwned + Ord>(f: &mut Fields, pointer: &str, names: Vec<String>) -> BTreeSet<T> {
    let parse = |(n, name): (usize, String)| {
        let known = serde_json::from_value(serde_json::Value::String(name)).map_err(|_unknown| "is not known");
        f.take(&format!("{pointer}/{n}"), known)
    };
    names.into_iter().enumerate().filter_map(parse).collect()
}

impl PreviewInfusion {
    fn parse(self, f: &mut Fields, n: usize) -> Option<InfusionFact> {
        let at = |name: &str| format!("/infusions/{n}/{name}");
        let planned_start = device_time::take(f, &at("planned_start"), self.planned_start);
        let started_at = device_time::take(f, &at("started_at"), self.started_at);
        let ended_at = device_time::take(f, &at("ended_at"), self.ended_at);
        let known = planned_start.or(started_at).or(ended_at).is_some();
        f.check(known, &format!("/infusions/{n}"), "needs `planned_start` or `ended_at`");
        let right = started_at.zip(ended_at).is_none_or(|(start, end)| start < end);
        f.check(right, &at("ended_at"), "must be later than the start");
        let route = self.route.map_or(Some(Route::IvInfusion), |name| f.take(&at("route"), Route::parse(&name)))?;
        let minutes = self.planned_minutes.unwrap_or(i64::from(USUAL_MINUTES));
        f.check((1..=720).contains(&minutes), &at("planned_minutes"), "must be between 1 and 720");
        known.then_some(InfusionFact {
            id: Id::from_uuid(Uuid::from_u128(u128::try_from(n).unwrap_or(0) + 1)),
            route,
            supervised: self.supervised.unwrap_or(true),
            planned_minutes: u32::try_from(minutes).unwrap_or(USUAL_MINUTES),
            planned_start,
            started_at,
            ended_at,
            provisional: self.provisional,
            recorded_at: Timestamp::UNIX_EPOCH,
            reported_as: None,
        })
    }
}

impl PreviewPause {
    fn parse(self, f: &mut Fields, pointer: &str) -> Option<PausePeriod> {
        let from = device_time::take(f, &format!("{pointer}/from"), Some(self.from));
        let until = device_time::take(f, &format!("{pointer}/until"), Some(self.until));
        let (from, until) = from.zip(until)?;
        f.check(from < until, &format!("{pointer}/until"), "must be later than `from`");
        Some(PausePeriod { from, until })
    }
}

impl PreviewRating {
    fn parse(self, f: &mut Fields, pointer: &str) -> Option<Rating> {
        f.check(self.value <= 10, &format!("{pointer}/value"), "must be 0 to 10");
        let answered_at = device_time::take(f, &format!("{pointer}/answered_at"), Some(self.answered_at))?;
        Some(Rating { value: self.value, answered_at })
    }
}

impl PreviewCondition {
    fn parse(self, f: &mut Fields) -> Condition {
        Condition {
            slept_at: device_time::take(f, "/condition/slept_at", self.slept_at),
            dissociation: self.dissociation.and_then(|one| one.parse(f, "/condition/dissociation")),
            drowsiness: self.drowsiness.and_then(|one| one.parse(f, "/condition/drowsiness")),
            suspended: self.suspended.and_then(|one| one.parse(f, "/condition/suspended")),
        }
    }
}

impl PreviewProtocol {
    fn parse(self, protocol: &Protocol) -> Result<Facts> {
        let edits = self.overrides.into_iter().map(PutOverride::draft).collect();
        let overrides = overrides::parse(protocol, &[], "/overrides", edits)?;
        let mut f = Fields::new();
        f.check((1..=30).contains(&self.infusions.len()), "/infusions", "must be 1 to 30");
        f.check((1..=20).contains(&self.zones.len()), "/zones", "must be 1 to 20");
        f.check(self.pauses.len() <= 20, "/pauses", "must be at most 20");
        f.done()?;
        let mut f = Fields::new();
        let numbered = self.infusions.into_iter().enumerate();
        let infusions: Vec<_> = numbered.filter_map(|(n, infusion)| infusion.parse(&mut f, n)).collect();
        let mut zones: Vec<ZoneSince> = Vec::new();
        for (n, PreviewZone { time_zone, from }) in self.zones.into_iter().enumerate() {
            let zone = f.take(&format!("/zones/{n}/time_zone"), Zone::parse(&time_zone));
            let pointer = format!("/zones/{n}/from");
            let from = device_time::take(&mut f, &pointer, from).unwrap_or(Timestamp::UNIX_EPOCH);
            f.check(zones.last().is_none_or(|last| last.from < from), &pointer, "must be later than the one before");
            zones.extend(zone.map(|zone| ZoneSince { zone, from }));
        }
        let numbered = self.pauses.into_iter().enumerate();
        let pauses = numbered.filter_map(|(n, pause)| pause.parse(&mut f, &format!("/pauses/{n}"))).collect();
        let condition = self.condition.unwrap_or_default().parse(&mut f);
        let times = infusions.iter().flat_map(|one| [one.planned_start, one.started_at, one.ended_at]).flatten();
        let (first, last) = (times.clone().min(), times.max());
        let span = first.zip(last).map(|(first, last)| last.duration_since(first).as_hours() / 24);
        f.check(span.is_none_or(|days| days <= DAYS), "/infusions", "must lie within 200 days");
        let care_start = device_time::take(&mut f, "/care_start", self.care_start).or(first);
        let weekly_day = parse_weekday(&mut f, self.weekly_day).unwrap_or(Weekday::Sunday);
        let quiet = parse_quiet_hours(&mut f, self.quiet_hours);
        let holds = self.holds.map_or_else(|| Prerequisite::ALL.into(), |names| words(&mut f, "/holds", names));
        let capabilities: BTreeSet<Capability> = words(&mut f, "/capabilities", self.capabilities);
        let care_start = f.finish(care_start)?;
        Ok(Facts {
            patient: Id::from_uuid(Uuid::nil()),
            prompt_key: PromptKey::NOBODY,
            care_start,
            zones,
            quiet_hours: quiet?.unwrap_or_else(QuietHours::default),
            weekly_day,
            infusions,
            pauses,
            settled: Vec::new(),
            last_active_at: None,
            overrides,
            dated: Vec::new(),
            withheld: BTreeSet::new(),
            holds,
            condition,
            last_measure_at: None,
            capabilities,
        })
    }
}

/// Previews the time from three days before the first infusion to the end of the horizon after the last; `None` without
/// infusions.
fn view(protocol: &Protocol, facts: &Facts) -> Option<PreviewView> {
    let times = facts.infusions.iter().flat_map(|one| [one.planned_start, one.started_at, one.ended_at]).flatten();
    let date = |at: Timestamp| zone_at(&facts.zones, at).map_or(jiff::civil::Date::MIN, |zone| zone.date(at));
    let first = times.clone().min().map(date)?.saturating_sub(3.days());
    let last = times.max().map(date)?.saturating_add(protocol.horizon_days.days());
    Some(PreviewView::of(protocol, facts, preview(protocol, facts, first, last)))
}

/// Preview a protocol
///
/// Lists the prompts for a patient with these infusions, zones, quiet hours and pauses, from three days before the
/// first infusion to the end of the horizon after the last. Each prompt has the rule that made it and the reason for
/// its time. Prompts that rules call for and that are not asked are listed with the reason. Nothing is stored. The
/// protocol is one of the program, or one that a clinic has published where the caller works or is treated: its newest
/// version counts.
#[utoipa::path(tag = "prompts", request_body = PreviewProtocol,
    params(("key" = String, Path, description = "Its name", example = "afterglow-default")),
    responses((status = 200, description = "What would be asked", body = PreviewView), SearchErrors))]
#[post("/protocols/{key}/preview")]
pub(super) async fn preview_protocol(
    caller: Caller,
    request: Request<(String,), Body<PreviewProtocol>>,
    state: web::Data<State>,
) -> Result<Reply> {
    let Command { id: (key,), body, .. } = caller.first(&state, request.into_command()).await?;
    let (clinics, known) = (caller.read(&state, list_clinics_met).await?, state.protocols.known());
    let newest = known.every_version(&clinics).filter(|one| one.key == key).last();
    let protocol = newest.ok_or(Error::NotFound)?.clone();
    let facts = body.into_inner().parse(&protocol)?;
    let view = web::block(move || view(&protocol, &facts)).await.map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(Reply::ok(&view.ok_or_else(|| Error::internal("a preview without infusions"))?))
}
