//! The instant of one prompt.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::calendar::Calendar;
use super::candidate::Candidate;
use super::model::{DropReason, Why};
use super::readiness::Readiness;
use super::sessions::Sessions;
use super::silence::Silences;
use super::slots::TimeSlot;
use crate::planning::facts::{Facts, InfusionFact};
use crate::planning::protocol::{Anchor, Effort, Expiry, PromptKind, Protocol, Rule};

/// The time after an infusion in which no measure is asked.
const AFTER_DOSE: SignedDuration = SignedDuration::from_hours(24);

/// The distance of a prompt that was put off from its neighbours.
const NEIGHBOURS: SignedDuration = SignedDuration::from_mins(30);

/// The place of a prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    pub(super) due: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) base: Date,
    pub(super) why: Why,
}

/// The cause that moves a prompt from its first place.
#[derive(Clone, Copy, Debug)]
enum MoveCause {
    Quiet,
    Session,
    Readiness,
}

impl MoveCause {
    fn why(self) -> Why {
        match self {
            Self::Quiet => Why::QuietHours,
            Self::Session => Why::AfterSession,
            Self::Readiness => Why::Readiness,
        }
    }

    /// Returns the reason to drop a prompt that has no place where this leaves it.
    fn reason(self) -> DropReason {
        match self {
            Self::Quiet => DropReason::QuietHours,
            Self::Session => DropReason::InSession,
            Self::Readiness => DropReason::NotReady,
        }
    }
}

/// The placer of one patient's prompts.
pub(super) struct Placer<'a> {
    pub(super) protocol: &'a Protocol,
    pub(super) facts: &'a Facts,
    pub(super) calendar: &'a Calendar<'a>,
    pub(super) sessions: &'a Sessions<'a>,
    pub(super) spacing: SignedDuration,
    silences: Silences,
    ready: Readiness<'a>,
}

/// Returns the reason why the patient is asked only safety checks at `at`.
pub(super) fn rests(facts: &Facts, at: Timestamp) -> Option<DropReason> {
    if facts.condition.suspended.as_ref().is_some_and(|time| time.contains(at)) {
        return Some(DropReason::Suspended);
    }
    facts.pauses.iter().any(|pause| pause.contains(at)).then_some(DropReason::Paused)
}

impl<'a> Placer<'a> {
    /// Makes the placer of prompts at `from` or later.
    pub(super) fn new(
        protocol: &'a Protocol,
        facts: &'a Facts,
        calendar: &'a Calendar<'a>,
        sessions: &'a Sessions<'a>,
        from: Timestamp,
    ) -> Self {
        let spacing = SignedDuration::from_mins(protocol.spacing_minutes);
        let silences = Silences::new(&protocol.window, facts).after(from);
        let doses: Vec<_> = facts.infusions.iter().map(InfusionFact::dose).collect();
        let ready = Readiness::new(&protocol.window, &doses, &facts.condition, calendar, from);
        Self { protocol, facts, calendar, sessions, spacing, silences, ready }
    }

    /// Returns the reason why only safety checks may be asked at `at`.
    pub(super) fn rests(&self, at: Timestamp) -> Option<DropReason> {
        rests(self.facts, at)
    }

    /// Whether `at` lies in a session or its acute phase, and `rule` is not asked there.
    pub(super) fn is_silent(&self, rule: &Rule, at: Timestamp) -> bool {
        !rule.at_home && self.silences.end(at).is_some()
    }

    /// Finds the instant before `until` for a prompt that the patient put off until `due`, at a distance from the
    /// prompts at `others`. Quiet hours, a pause or a session may have come between, or a therapist's caution.
    pub(super) fn put_off(
        &self,
        rule: &Rule,
        (due, until): (Timestamp, Timestamp),
        others: &[Timestamp],
    ) -> Result<(Timestamp, Why), DropReason> {
        if rule.is_withheld(&self.facts.withheld) {
            return Err(DropReason::Withheld);
        }
        let (from, at, cause) = self.apart(rule, false, (due, until), NEIGHBOURS, others)?;
        let (why, reason) = match cause {
            Some(cause) => (cause.why(), cause.reason()),
            None if from > due => (Why::Spacing, DropReason::Spacing),
            None => (Why::QuietHours, DropReason::QuietHours),
        };
        if at >= until {
            return Err(reason);
        }
        match self.rests(at).filter(|_| rule.kind != PromptKind::Safety) {
            Some(reason) => Err(reason),
            None => Ok((at, why)),
        }
    }

    /// Finds the first allowed instant that keeps `distance` to the prompts at `others`, with the instant from which it
    /// was searched and what moved it from there. The search begins at `from`, and after each prompt that is too near;
    /// past `until` there is no room.
    fn apart(
        &self,
        rule: &Rule,
        awake: bool,
        (from, until): (Timestamp, Timestamp),
        distance: SignedDuration,
        others: &[Timestamp],
    ) -> Result<(Timestamp, Timestamp, Option<MoveCause>), DropReason> {
        let mut from = from;
        while from <= until {
            let (at, cause) = self.allowed(rule, awake, from, until)?;
            match others.iter().filter(|other| at.duration_since(**other).abs() < distance).max() {
                Some(near) => from = near.saturating_add(distance).unwrap_or(Timestamp::MAX),
                None => return Ok((from, at, cause)),
            }
        }
        Err(DropReason::Spacing)
    }

    /// Finds the first instant from `from` that is neither in quiet hours (unless `awake`) nor in a session, and at
    /// which the patient is ready for `rule`, with what moved it there. Quiet hours may pass `until`, the end of its
    /// part of the day; nothing else may.
    fn allowed(
        &self,
        rule: &Rule,
        awake: bool,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<(Timestamp, Option<MoveCause>), DropReason> {
        let next_awake = |at| if awake { Some(at) } else { self.calendar.next_allowed(at) };
        let mut at = next_awake(from).ok_or(DropReason::QuietHours)?;
        if let Some(reason) = self.rests(at).filter(|_| rule.kind != PromptKind::Safety) {
            return Err(reason);
        }
        let mut cause = (at > from).then_some(MoveCause::Quiet);
        let last = until.max(at);
        loop {
            let silence = self.silences.end(at).filter(|_| !rule.at_home);
            let (next, by) = match silence {
                Some(end) => (end, MoveCause::Session),
                None if rule.effort == Effort::Effortful => {
                    (self.ready.first(at, last).ok_or(DropReason::NotReady)?, MoveCause::Readiness)
                }
                None => (at, MoveCause::Readiness),
            };
            let (next, by) = match next_awake(next) {
                Some(awake) if awake > next => (awake, if next > at { by } else { MoveCause::Quiet }),
                Some(_) => (next, by),
                None => return Err(DropReason::QuietHours),
            };
            if next == at {
                return Ok((at, cause));
            }
            if next > last {
                return Err(by.reason());
            }
            (at, cause) = (next, Some(by));
        }
    }

    /// Finds the first placement of `candidate` that keeps its distance to the prompts at `others`, which are not for
    /// safety.
    pub(super) fn place(&self, candidate: &Candidate<'_>, others: &[Timestamp]) -> Result<Placement, DropReason> {
        self.place_on(candidate, None, others)
    }

    /// Finds the first placement of `candidate` whose date lies between the two `dates`, if there are any.
    pub(super) fn place_on(
        &self,
        candidate: &Candidate<'_>,
        dates: Option<(Date, Date)>,
        others: &[Timestamp],
    ) -> Result<Placement, DropReason> {
        if let Some(due) = candidate.settled {
            let slot = candidate.slots.first();
            let base = slot.map_or_else(|| self.calendar.date(due), |slot| slot.base);
            let why = slot.map_or(Why::Window, |slot| slot.why);
            return Ok(Placement { due, expires: self.expires(candidate, base, due), base, why });
        }
        let admits = |placement: &Placement| {
            let date = || self.calendar.date(placement.due);
            dates.is_none_or(|(first, last)| (first..=last).contains(&date()))
        };
        let mut reason = DropReason::TooLate;
        for slot in &candidate.slots {
            let early = || self.place_in(candidate, slot, slot.opens, others);
            match self.place_in(candidate, slot, slot.from, others) {
                Ok(placement) if !admits(&placement) => reason = DropReason::Spacing,
                Ok(placement) => return Ok(placement),
                // The jitter must not decide whether there is room.
                Err(DropReason::Spacing)
                    if slot.opens < slot.from
                        && let Ok(placement) = early()
                        && admits(&placement) =>
                {
                    return Ok(placement);
                }
                Err(against) => reason = against,
            }
        }
        Err(reason)
    }

    /// Finds the first placement in one slot, from `first` on. What quiet hours, a session or the patient's condition
    /// moved is judged where it lands; its expiry counts from its first place.
    fn place_in(
        &self,
        candidate: &Candidate<'_>,
        slot: &TimeSlot,
        first: Timestamp,
        others: &[Timestamp],
    ) -> Result<Placement, DropReason> {
        let others = if candidate.keeps_distance() { others } else { &[] };
        let times = (first, slot.until);
        let (from, due, cause) = self.apart(candidate.rule, candidate.awake, times, self.spacing, others)?;
        let expires = self.expires(candidate, slot.base, from);
        let moved = cause.map_or(DropReason::QuietHours, MoveCause::reason);
        let date = self.calendar.date(due);
        let strays = date != self.calendar.date(from) && candidate.last_date.is_some_and(|last| date > last);
        if due >= expires || strays {
            return Err(moved);
        }
        if let Some(unfit) = self.unfit(candidate, due) {
            return Err(unfit);
        }
        let why = match cause {
            Some(cause) => cause.why(),
            None if from > slot.from => Why::Spacing,
            None => slot.why,
        };
        Ok(Placement { due, expires, base: slot.base, why })
    }

    /// Returns the reason against asking it at `due`.
    fn unfit(&self, candidate: &Candidate<'_>, due: Timestamp) -> Option<DropReason> {
        if let Some(reason) = self.rests(due).filter(|_| candidate.rule.kind != PromptKind::Safety) {
            return Some(reason);
        }
        if candidate.deadline.is_some_and(|deadline| due > deadline) {
            return Some(DropReason::TooLate);
        }
        let recurring = candidate.rule.recurs() || matches!(candidate.rule.anchor, Anchor::AfterStop(_));
        if recurring && self.sessions.are_near(self.calendar.date(due)) {
            return Some(DropReason::Superseded);
        }
        let distance = SignedDuration::from_hours(24 * candidate.rule.min_days_since_last?);
        let since = |from: Timestamp| due.duration_since(from);
        let dosed = |end: Timestamp| end <= due && since(end) < AFTER_DOSE;
        let soon = self.facts.last_measure_at.is_some_and(|last| since(last) < distance)
            || self.facts.infusions.iter().filter_map(|infusion| infusion.ended_at).any(dosed);
        soon.then_some(DropReason::TooSoon)
    }

    fn expires(&self, candidate: &Candidate<'_>, base: Date, due: Timestamp) -> Timestamp {
        let expires = match candidate.rule.expires {
            Expiry::Hours(hours) => due.saturating_add(SignedDuration::from_hours(hours)).unwrap_or(due),
            Expiry::Until { days, time } => self.calendar.instant(base.saturating_add(days.days()), time),
        };
        // A preparation is of no use once its session has begun.
        candidate.starts.map_or(expires, |start| expires.min(start))
    }
}
