//! The rules of exercises: which are offered, how they fit the phase, which are suggested.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use uuid::Uuid;

use super::catalogue::{Exercise, Guidance, Offer, newest};
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
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Early => "early",
            Self::Late => "late",
        }
    }

    /// The fit of `exercise` to `phase`. During an infusion it is as after landing, without one as between windows.
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

/// The phase that an exercise can be made for.
fn counted(phase: Phase) -> Phase {
    match phase {
        Phase::None => Phase::Maintenance,
        Phase::InSession => Phase::Acute,
        other => other,
    }
}

/// Whether `exercise` is offered to somebody in `phase` of whom `flags` are true. An open assignment of a linked
/// therapist (`assigned`) opens what is done together with one; nothing opens what is not for now.
pub fn offer(exercise: &Exercise, flags: &BTreeSet<CautionFlag>, assigned: bool, phase: Phase) -> Offer {
    let phase = counted(phase);
    if phase == Phase::Acute && !exercise.phases.contains(&phase) {
        return Offer::NotNow;
    }
    let own = if exercise.guidance == Guidance::TherapistOnly { Offer::WithTherapist } else { Offer::Yes };
    let cautions = exercise.cautions.iter().filter(|caution| flags.contains(&caution.flag));
    match cautions.map(|caution| caution.offer).max().unwrap_or(Offer::Yes).max(own) {
        Offer::WithTherapist if assigned => Offer::Yes,
        offer => offer,
    }
}

/// The situation of a patient who asks what to do now.
#[derive(Clone, Debug)]
pub struct Situation {
    /// The phase of the window.
    pub phase: Phase,
    /// The date where they are.
    pub today: Date,
    /// The minutes they have.
    pub minutes: Option<u32>,
    /// Their caution flags; never shown.
    pub flags: BTreeSet<CautionFlag>,
    /// The date on which they last did an exercise, by its key.
    pub done: BTreeMap<String, Date>,
    /// Exercises that a prompt of theirs, which waits for an answer, suggests, with the prompt.
    pub prompted: BTreeMap<String, Uuid>,
    /// Exercises of open assignments over live links, with the assignment and its due day.
    pub assigned: BTreeMap<String, (Uuid, Option<Date>)>,
}

/// Why an exercise is suggested.
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
    pub offer: Offer,
    /// Its fit to the phase.
    pub fit: Fit,
    /// Days since it was last done.
    pub days_since: Option<i64>,
}

impl Situation {
    /// Every exercise of the library, in its order.
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

    /// The exercises to do now, the best first, at most `most`, each with the reasons. What is not offered, takes longer than
    /// there is time or was done today is not among it; what was neither asked for nor made for these days is not
    /// either.
    pub fn suggest(&self, most: usize) -> Vec<(Candidate, Vec<Reason>)> {
        let mut found: Vec<_> = self
            .library()
            .into_iter()
            .filter(|one| one.offer == Offer::Yes && one.days_since != Some(0))
            .filter(|one| self.minutes.is_none_or(|minutes| one.exercise.minutes <= minutes))
            .map(|one| {
                let reasons = self.reasons(&one);
                (one, reasons)
            })
            .filter(|(one, _)| one.fit == Fit::Good || self.is_asked_for(&one.exercise.key))
            .collect();
        // The library is in a considered order: where nothing speaks for one of two, it decides.
        found.sort_by_key(|(one, _)| self.rank(one));
        found.truncate(most);
        found
    }

    fn is_asked_for(&self, key: &str) -> bool {
        self.assigned.contains_key(key) || self.prompted.contains_key(key)
    }

    /// The order of suggestions: what is assigned, the sooner due the earlier; what a prompt points to; what is new; what was done longest ago.
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
