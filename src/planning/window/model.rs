//! Phases, and the window that infusions open.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::curve::{Curve, CurvePoint};
use super::dose::Dose;
use super::hours::{after, duration, hours_between};
use super::params::{Span, WindowParams};
use super::phase::Phase;
use crate::kernel::Id;
use crate::kernel::id::Infusion;

/// An overlay of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlay {
    /// The days before the next infusion.
    Prep,
}

/// The patient's readiness for effort as far as it is known; an unknown holds nothing back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadinessFacts {
    /// The end of the first sleep after the most recent infusion, known or presumed. Without it, 18 hours count.
    pub first_sleep: Option<Timestamp>,
    /// The newest rating of dissociation.
    pub dissociation: Option<Rating>,
    /// The newest rating of drowsiness.
    pub drowsiness: Option<Rating>,
    /// Whether everything but safety checks is suspended.
    pub suspended: bool,
}

impl ReadinessFacts {
    /// Returns the end of the first sleep after an infusion that ended at `end`. It is presumed at `dawn` (06:00 on the
    /// local day after it), or six hours after `end` if that is later. An earlier answer of the patient counts instead.
    pub fn first_sleep(end: Timestamp, dawn: Timestamp, answered: Option<Timestamp>) -> Timestamp {
        let presumed = dawn.max(after(end, SignedDuration::from_hours(6)));
        answered.filter(|at| *at >= end).map_or(presumed, |at| at.min(presumed))
    }
}

/// An answer on a scale of 0 to 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// The answer.
    pub value: u8,
    /// The instant at which it was given.
    pub answered_at: Timestamp,
}

impl Rating {
    /// Whether it is high (4 or more) and at most 24 hours old.
    fn weighs(self, at: Timestamp) -> bool {
        let age = at.duration_since(self.answered_at);
        self.value >= 4 && age >= SignedDuration::ZERO && age <= SignedDuration::from_hours(24)
    }
}

/// The start and end of a phase of an infusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseTime {
    /// The phase.
    pub phase: Phase,
    /// Its first instant.
    pub starts_at: Timestamp,
    /// The first instant after it; none for the last phase.
    pub ends_at: Option<Timestamp>,
}

/// The window at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The instant.
    pub at: Timestamp,
    /// The phase of the infusion under way, else of the most recent completed one.
    pub phase: Phase,
    /// The overlay of the phase.
    pub overlay: Option<Overlay>,
    /// The index, from 0 to 1: the largest of all completed infusions'.
    pub index: f64,
    /// The infusion of the phase.
    pub infusion_id: Option<Id<Infusion>>,
    /// The end of that infusion; none while it is under way.
    pub ended_at: Option<Timestamp>,
    /// Hours since it ended.
    pub hours_since: Option<f64>,
    /// Readiness for effort, from 0 to 1.
    pub readiness: f64,
    /// The phases of that infusion; empty without one and while it is under way.
    pub phases: Vec<PhaseTime>,
    /// The index from the end of the most recent completed infusion to the horizon; empty without one.
    pub curve: Vec<CurvePoint>,
    /// The texts that go with every window.
    pub disclaimer: String,
}

impl Window {
    /// Lists the phases of this infusion that are still to begin.
    pub fn upcoming(&self) -> impl Iterator<Item = &PhaseTime> {
        self.phases.iter().filter(|time| time.starts_at > self.at)
    }
}

/// The context of an entry in the windows of the infusions. Derived from its `occurred_at`, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = WindowContext)]
pub struct Context {
    /// The phase: `none`, `in_session`, `acute`, `settling`, `peak`, `consolidate`, `closing`, `maintenance`.
    #[schema(value_type = String, example = "peak")]
    pub phase: Phase,
    /// Hours since the infusion ended, to a tenth; absent before the first one and during one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 26.5)]
    pub hours_since: Option<f64>,
    /// The infusion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    pub infusion_id: Option<Id<Infusion>>,
}

/// Computes the window that `doses` have opened, at `at`. An infusion that ended after `at` has opened none yet.
///
/// The formula and its constants are those of `clinical.md` §1.3.
pub fn window(doses: &[Dose], params: &WindowParams, at: Timestamp, facts: ReadinessFacts) -> Window {
    // Every point of the curve looks at each of them.
    let doses = &doses_for_window(doses, params.horizon(), at);
    let place = PhaseAt::find(doses, params, at);
    let curve = Curve::new(params);
    Window {
        at,
        phase: place.phase,
        overlay: overlay(doses, params, at),
        index: curve.index(doses, at, at),
        infusion_id: place.dose.map(|dose| dose.infusion_id),
        ended_at: place.ended_at,
        hours_since: place.ended_at.map(|end| hours_between(end, at)),
        readiness: readiness(place.phase, place.ended_at, at, facts),
        phases: place.phases(params),
        curve: last_ended(doses, at).map(|(end, _)| curve.sample(doses, at, end)).unwrap_or_default(),
        disclaimer: params.disclaimer.clone(),
    }
}

/// Computes [`Window::readiness`] without the rest of the window.
pub fn ready(doses: &[Dose], params: &WindowParams, at: Timestamp, facts: ReadinessFacts) -> f64 {
    let place = PhaseAt::find(doses, params, at);
    readiness(place.phase, place.ended_at, at, facts)
}

/// Derives the context of an entry that happened at `occurred_at`.
pub fn context(doses: &[Dose], params: &WindowParams, occurred_at: Timestamp) -> Context {
    let place = PhaseAt::find(doses, params, occurred_at);
    Context {
        phase: place.phase,
        hours_since: place.ended_at.map(|end| rounded(hours_between(end, occurred_at), 10.0)),
        infusion_id: place.dose.map(|dose| dose.infusion_id),
    }
}

/// Lists the doses on which the contexts of the instants from `from` to `until` depend: few of a long history.
pub fn doses_for_contexts(doses: &[Dose], (from, until): (Timestamp, Timestamp)) -> Vec<Dose> {
    let last = last_ended(doses, from).map(|(end, _)| end);
    doses.iter().filter(|dose| matters(dose, last, until)).copied().collect()
}

/// Lists the doses on which the window at `at` depends, by parameters with this `horizon`: few of a long history.
pub fn doses_for_window(doses: &[Dose], horizon: SignedDuration, at: Timestamp) -> Vec<Dose> {
    // The curve begins at the last end. Whatever ended within the horizon before it is still in it.
    let from = last_ended(doses, at).map_or(at, |(end, _)| end.saturating_sub(horizon).unwrap_or(Timestamp::MIN));
    let last = last_ended(doses, from).map(|(end, _)| end);
    let next = next_start(doses, at);
    let needed = |dose: &&Dose| matters(dose, last, at) || (next.is_some() && dose.due() == next);
    doses.iter().filter(needed).copied().collect()
}

/// Whether the context of an instant up to `until` may depend on `dose`. `last` is the last end by the first of these
/// instants: what ended or began before it has given way.
fn matters(dose: &Dose, last: Option<Timestamp>, until: Timestamp) -> bool {
    let gave_way = |at: Timestamp| last.is_some_and(|last| at < last);
    match (dose.start(), dose.end()) {
        (start, Some(end)) => start.unwrap_or(end).min(end) <= until && !gave_way(end),
        (Some(start), None) => start <= until && !gave_way(start),
        (None, None) => false,
    }
}

/// The phase at an instant, and its infusion.
struct PhaseAt<'a> {
    phase: Phase,
    dose: Option<&'a Dose>,
    ended_at: Option<Timestamp>,
}

impl<'a> PhaseAt<'a> {
    fn find(doses: &'a [Dose], params: &WindowParams, at: Timestamp) -> Self {
        let last = last_ended(doses, at);
        let under_way = doses
            .iter()
            .filter_map(|dose| Some((dose.under_way(at, last.map(|(end, _)| end))?, dose)))
            .max_by_key(|(start, dose)| (*start, dose.infusion_id));
        match (under_way, last) {
            (Some((_, dose)), _) => Self { phase: Phase::InSession, dose: Some(dose), ended_at: None },
            (None, Some((end, dose))) => {
                let elapsed = at.duration_since(end);
                let within = params.spans(dose.route).find(|span| span.end.is_none_or(|end| elapsed < end));
                let phase = within.map_or(Phase::Maintenance, |span| span.phase);
                Self { phase, dose: Some(dose), ended_at: Some(end) }
            }
            (None, None) => Self { phase: Phase::None, dose: None, ended_at: None },
        }
    }

    fn phases(&self, params: &WindowParams) -> Vec<PhaseTime> {
        let Some((dose, end)) = self.dose.zip(self.ended_at) else { return Vec::new() };
        let time = |span: Span| PhaseTime {
            phase: span.phase,
            starts_at: after(end, span.start),
            ends_at: span.end.map(|until| after(end, until)),
        };
        params.spans(dose.route).map(time).collect()
    }
}

/// Finds the infusion that ended last, at `at` or before. The id decides between equal ends, so that the order of
/// `doses` does not matter.
fn last_ended(doses: &[Dose], at: Timestamp) -> Option<(Timestamp, &Dose)> {
    doses
        .iter()
        .filter_map(|dose| Some((dose.end().filter(|end| *end <= at)?, dose)))
        .max_by_key(|(end, dose)| (*end, dose.infusion_id))
}

/// Finds the next start after `at`.
fn next_start(doses: &[Dose], at: Timestamp) -> Option<Timestamp> {
    doses.iter().filter_map(Dose::due).filter(|start| *start > at).min()
}

fn overlay(doses: &[Dose], params: &WindowParams, at: Timestamp) -> Option<Overlay> {
    let since = at.duration_since(next_start(doses, at)?);
    let prep = params.prep_overlay;
    (duration(prep.start_h) <= since && since < duration(prep.end_h)).then_some(Overlay::Prep)
}

/// Computes the readiness (`RULES.md`, "Readiness"): 0 in `acute`, 0.3 in `settling` until the first sleep, else 1;
/// less after a high answer.
fn readiness(phase: Phase, ended_at: Option<Timestamp>, at: Timestamp, facts: ReadinessFacts) -> f64 {
    let slept = ended_at.is_some_and(|end| {
        facts.first_sleep.is_some_and(|sleep| end <= sleep && sleep <= at)
            || at.duration_since(end) >= SignedDuration::from_hours(18)
    });
    let base = match phase {
        Phase::InSession | Phase::Acute => 0.0,
        Phase::Settling if !slept => 0.3,
        _ => 1.0,
    };
    let weighed = [facts.dissociation, facts.drowsiness].into_iter().flatten().any(|rating| rating.weighs(at));
    match (facts.suspended, weighed) {
        (true, _) => 0.0,
        (false, true) => base * 0.4,
        (false, false) => base,
    }
}

/// Rounds `value` to the nearest `parts`-th.
pub(super) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
