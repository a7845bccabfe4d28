//! The views of a window for each reader.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::curve::CurvePoint;
use super::model::{Overlay, PhaseTime, Window, rounded};
use super::params::WindowParams;
use super::phase::Phase;
use crate::kernel::Id;
use crate::kernel::id::Infusion;
use crate::kernel::locale::TextLanguage;

/// The window as its owner sees it: words and days, no number that invites counting down.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = WindowView)]
pub struct OwnerView {
    /// The phase: `none`, `in_session`, `acute`, `settling`, `peak`, `consolidate`, `closing`, `maintenance`.
    #[schema(value_type = String, example = "peak")]
    pub phase: Phase,
    /// Its label, in the language of the patient who asks. Staff read English.
    #[schema(example = "Open window")]
    pub label: String,
    /// One plain sentence about it, in the same language.
    pub sentence: String,
    /// The local day: 0 is the date on which the infusion ended. Absent before the first infusion and during one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    pub day: Option<i64>,
    /// `prep` in the days before the next planned infusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "prep")]
    pub overlay: Option<Overlay>,
    /// The phases of this infusion; empty before the first one and during one.
    pub phases: Vec<OwnerPhase>,
    /// The explanation of the picture, in the same language. Show it with the phases.
    pub disclaimer: String,
}

/// One phase as the owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WindowPhase)]
pub struct OwnerPhase {
    /// The phase.
    #[schema(value_type = String, example = "peak")]
    pub key: Phase,
    /// Its label.
    #[schema(example = "Open window")]
    pub label: String,
    /// The local days it touches.
    pub days: Days,
}

/// Local days, counted from the date on which the infusion ended. A day on which one phase gives way to the next
/// belongs to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = WindowDays)]
pub struct Days {
    /// The first day.
    #[schema(example = 1)]
    pub from: i64,
    /// The last day; absent when the phase has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    pub to: Option<i64>,
}

/// The window as a clinician sees it: all that the owner sees, and the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = ClinicalWindowView)]
pub struct ClinicalView {
    /// The instant of the window.
    #[schema(value_type = String, format = DateTime, example = "2026-11-02T15:00:00Z")]
    pub at: Timestamp,
    /// The phase: `none`, `in_session`, `acute`, `settling`, `peak`, `consolidate`, `closing`, `maintenance`.
    #[schema(value_type = String, example = "peak")]
    pub phase: Phase,
    /// Its label.
    #[schema(example = "Open window")]
    pub label: String,
    /// The sentence that the owner reads, in English.
    pub sentence: String,
    /// The local day: 0 is the date on which the infusion ended. Absent before the first infusion and during one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    pub day: Option<i64>,
    /// `prep` in the days before the next planned infusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "prep")]
    pub overlay: Option<Overlay>,
    /// The infusion of the phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    pub infusion_id: Option<Id<Infusion>>,
    /// Hours since it ended, to a tenth; absent before the first infusion and during one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 26.5)]
    pub hours_since: Option<f64>,
    /// The index, from 0 to 1: a teaching heuristic. It measures nothing and decides nothing.
    #[schema(example = 0.995)]
    pub index: f64,
    /// Readiness for effort, from 0 to 1. Effortful prompts wait below 0.5.
    #[schema(example = 1.0)]
    pub readiness: f64,
    /// The phases of this infusion; empty before the first one and during one.
    pub phases: Vec<ClinicalPhase>,
    /// The index over time, every six hours from the end of the most recent completed infusion to the horizon.
    pub curve: Vec<CurvePoint>,
    /// The explanation of the picture. Show it with the curve.
    pub disclaimer: String,
}

/// One phase as a clinician sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ClinicalWindowPhase)]
pub struct ClinicalPhase {
    /// The phase.
    #[schema(value_type = String, example = "peak")]
    pub key: Phase,
    /// Its label.
    #[schema(example = "Open window")]
    pub label: String,
    /// The local days it touches.
    pub days: Days,
    /// Its first instant.
    #[schema(value_type = String, format = DateTime, example = "2026-11-02T15:00:00Z")]
    pub starts_at: Timestamp,
    /// The first instant after it; absent for the last phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false, example = "2026-11-04T15:00:00Z")]
    pub ends_at: Option<Timestamp>,
}

impl OwnerView {
    /// Renders `window`, computed by `params`, in the language of the BCP 47 tag `reader`. `date` returns the local
    /// date of an instant for its owner.
    pub fn of(window: &Window, params: &WindowParams, date: impl Fn(Timestamp) -> Date, reader: &str) -> Self {
        let language = TextLanguage::of(reader);
        let phase = |(time, days): (&PhaseTime, Days)| OwnerPhase {
            key: time.phase,
            label: time.phase.label(language).to_owned(),
            days,
        };
        Self {
            phase: window.phase,
            label: window.phase.label(language).to_owned(),
            sentence: window.phase.sentence(language).to_owned(),
            day: window.day(&date),
            overlay: window.overlay,
            phases: window.days(&date).map(phase).collect(),
            disclaimer: params.disclaimer_for(reader).to_owned(),
        }
    }
}

impl ClinicalView {
    /// Renders `window` for a clinician in English. `date` returns the local date of an instant for the patient.
    pub fn of(window: &Window, date: impl Fn(Timestamp) -> Date) -> Self {
        let language = TextLanguage::English;
        let phase = |(time, days): (&PhaseTime, Days)| ClinicalPhase {
            key: time.phase,
            label: time.phase.label(language).to_owned(),
            days,
            starts_at: time.starts_at,
            ends_at: time.ends_at,
        };
        let point = |point: &CurvePoint| CurvePoint { hours: point.hours, index: rounded(point.index, 1000.0) };
        Self {
            at: window.at,
            phase: window.phase,
            label: window.phase.label(language).to_owned(),
            sentence: window.phase.sentence(language).to_owned(),
            day: window.day(&date),
            overlay: window.overlay,
            infusion_id: window.infusion_id,
            hours_since: window.hours_since.map(|hours| rounded(hours, 10.0)),
            index: rounded(window.index, 1000.0),
            readiness: rounded(window.readiness, 1000.0),
            phases: window.days(&date).map(phase).collect(),
            curve: window.curve.iter().map(point).collect(),
            disclaimer: window.disclaimer.clone(),
        }
    }
}

impl Window {
    /// Returns the local day: 0 is the date on which the infusion ended. `date` returns the local date of an instant.
    pub fn day(&self, date: &impl Fn(Timestamp) -> Date) -> Option<i64> {
        self.ended_at.map(|end| day(end, self.at, date))
    }

    /// Lists the phases with the local days that they touch.
    fn days(&self, date: &impl Fn(Timestamp) -> Date) -> impl Iterator<Item = (&PhaseTime, Days)> {
        let phases = self.ended_at.map(|end| {
            self.phases.iter().map(move |time| {
                // A phase that ends at midnight does not touch the day that begins then.
                let last = |until: Timestamp| {
                    day(end, until.checked_sub(SignedDuration::from_micros(1)).unwrap_or(until), date)
                };
                let (from, to) = (day(end, time.starts_at, date), time.ends_at.map(last));
                // After a flight to the west it may be the day before that on which the phase began.
                let told = (time.phase == self.phase).then(|| day(end, self.at, date));
                let from = told.map_or(from, |told| from.min(told));
                (time, Days { from, to: to.map(|to| told.map_or(to, |told| to.max(told))) })
            })
        });
        phases.into_iter().flatten()
    }
}

/// Counts the local days from the date of `end` to the date of `at`. Neither clocks put back across midnight nor a
/// flight make a day before 0.
fn day(end: Timestamp, at: Timestamp, date: &impl Fn(Timestamp) -> Date) -> i64 {
    (date(at).duration_since(date(end)).as_hours() / 24).max(0)
}
