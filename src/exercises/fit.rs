//! The rules of exercises: offers, fit to the phase, suggestions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use uuid::Uuid;

use super::catalogue::{Availability, Exercise, Guidance, newest};
use crate::planning::window::Phase;
use crate::settings::CautionFlag;

/// The fit of an exercise to a phase: advice, never a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It was made for it.
    Good,
    /// It was made for later days.
    Early,
    /// It was made for earlier days.
    Late,
}

impl Fit {
    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Early => "early",
            Self::Late => "late",
        }
    }

    /// Returns the fit of `exercise` to `phase`. During an infusion it is that of the acute phase, without one that of
    /// maintenance.
    pub fn of(exercise: &Exercise, phase: Phase) -> Self {
        let phase = counted(phase);
        if exercise.phases.contains(&phase) {
            Self::Good
        } else if exercise.phases.iter().all(|other| *other < phase) {
            Self::Late
        } else {
            Self::Early
        }
    }
}

/// Returns the phase by which exercises are chosen during `phase`.
fn counted(phase: Phase) -> Phase {
    match phase {
        Phase::None => Phase::Maintenance,
        Phase::InSession => Phase::Acute,
        other => other,
    }
}

/// Returns the offer of `exercise` to a patient in `phase` with `flags`. An open assignment of a linked therapist
/// (`assigned`) opens an exercise that is offered together with a therapist; nothing opens one that is not offered for
/// now.
pub fn offer(exercise: &Exercise, flags: &BTreeSet<CautionFlag>, assigned: bool, phase: Phase) -> Availability {
    let phase = counted(phase);
    if phase == Phase::Acute && !exercise.phases.contains(&phase) {
        return Availability::NotNow;
    }
    let own =
        if exercise.guidance == Guidance::TherapistOnly { Availability::WithTherapist } else { Availability::Yes };
    let cautions = exercise.cautions.iter().filter(|caution| flags.contains(&caution.flag));
    match cautions.map(|caution| caution.offer).max().unwrap_or(Availability::Yes).max(own) {
        Availability::WithTherapist if assigned => Availability::Yes,
        offer => offer,
    }
}

/// The situation of a patient who asks for suggestions.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The phase of the window.
    pub phase: Phase,
    /// The date in their zone.
    pub today: Date,
    /// The minutes they have.
    pub minutes: Option<u32>,
    /// Their caution flags; never shown.
    pub flags: BTreeSet<CautionFlag>,
    /// The date on which they last did an exercise, by its key.
    pub done: BTreeMap<String, Date>,
    /// The exercises of their prompts that wait for an answer, each with the prompt.
    pub prompted: BTreeMap<String, Uuid>,
    /// The exercises of open assignments over active links, each with the assignment and its due day.
    pub assigned: BTreeMap<String, (Uuid, Option<Date>)>,
}

/// A reason why an exercise is suggested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A therapist asked for it.
    Assignment,
    /// A prompt points to it.
    Prompt,
    /// It was made for these days.
    Phase,
    /// It fits into the minutes at hand.
    Minutes,
    /// It is new to them.
    NotDoneYet,
    /// They did it so many days ago.
    DoneBefore(i64),
}

/// An exercise of the library in a situation.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The exercise.
    pub exercise: &'static Exercise,
    /// Whether it is offered.
    pub offer: Availability,
    /// Its fit to the phase.
    pub fit: Fit,
    /// The days since it was last done.
    pub days_since: Option<i64>,
}

impl Situation {
    /// Returns every exercise of the library, in its order.
    pub fn library(&self) -> Vec<Candidate> {
        newest().map(|exercise| self.candidate(exercise)).collect()
    }

    fn candidate(&self, exercise: &'static Exercise) -> Candidate {
        let assigned = self.assigned.contains_key(&exercise.key);
        let days = |last: &Date| self.today.duration_since(*last).as_hours().div_euclid(24).max(0);
        Candidate {
            exercise,
            offer: offer(exercise, &self.flags, assigned, self.phase),
            fit: Fit::of(exercise, self.phase),
            days_since: self.done.get(&exercise.key).map(days),
        }
    }

    /// Suggests at most `most` exercises, the best first, each with the reasons. An exercise is left out if it is not
    /// offered, takes longer than the minutes at hand or was done today. It must be asked for or made for the phase.
    pub fn suggest(&self, most: usize) -> Vec<(Candidate, Vec<Reason>)> {
        let mut found: Vec<_> = self
            .library()
            .into_iter()
            .filter(|one| one.offer == Availability::Yes && one.days_since != Some(0))
            .filter(|one| self.minutes.is_none_or(|minutes| one.exercise.minutes <= minutes))
            .map(|one| {
                let reasons = self.reasons(&one);
                (one, reasons)
            })
            .filter(|(one, _)| one.fit == Fit::Good || self.is_asked_for(&one.exercise.key))
            .collect();
        // The sort is stable: among equals the considered order of the library decides.
        found.sort_by_key(|(one, _)| self.rank(one));
        found.truncate(most);
        found
    }

    fn is_asked_for(&self, key: &str) -> bool {
        self.assigned.contains_key(key) || self.prompted.contains_key(key)
    }

    /// Returns the rank of a suggestion: assigned ones first, by due day; then those of a prompt; then new ones; then
    /// those done longest ago.
    fn rank(&self, one: &Candidate) -> (bool, Date, bool, i64) {
        let key = &one.exercise.key;
        let assigned = self.assigned.get(key);
        let due = assigned.and_then(|(_, due)| *due).unwrap_or(Date::MAX);
        let waited = one.days_since.map_or(i64::MIN, |days| -days);
        (assigned.is_none(), due, !self.prompted.contains_key(key), waited)
    }

    fn reasons(&self, one: &Candidate) -> Vec<Reason> {
        let key = &one.exercise.key;
        let mut reasons = Vec::new();
        if self.assigned.contains_key(key) {
            reasons.push(Reason::Assignment);
        }
        if self.prompted.contains_key(key) {
            reasons.push(Reason::Prompt);
        }
        if one.fit == Fit::Good {
            reasons.push(Reason::Phase);
        }
        if self.minutes.is_some() {
            reasons.push(Reason::Minutes);
        }
        reasons.push(one.days_since.map_or(Reason::NotDoneYet, Reason::DoneBefore));
        reasons
    }
}
