//! The instant of one prompt.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::anchor::Candidate;
use super::calendar::Calendar;
use super::model::{DropReason, Why};
use super::readiness::Readiness;
use crate::planning::facts::Facts;
use crate::planning::protocol::{Effort, Expiry, PromptKind, Protocol, Rule};

/// The time after an infusion in which no measure is asked.
const AFTER_DOSE: SignedDuration = SignedDuration::from_hours(24);

/// The place of a prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    pub(super) due: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) base: Date,
    pub(super) why: Why,
}

/// The placer of one patient's prompts.
pub(super) struct Placer<'a> {
    pub(super) protocol: &'a Protocol,
    pub(super) facts: &'a Facts,
    pub(super) calendar: &'a Calendar<'a>,
    ready: Readiness<'a>,
    spacing: SignedDuration,
}

impl<'a> Placer<'a> {
    pub(super) fn new(protocol: &'a Protocol, facts: &'a Facts, calendar: &'a Calendar<'a>) -> Self {
        let spacing = SignedDuration::from_mins(protocol.spacing_minutes);
        let ready = Readiness::new(protocol, facts, calendar);
        Self { protocol, facts, calendar, ready, spacing }
    }

    /// Returns the reason why only safety checks may be asked at `at`.
    pub(super) fn rests(&self, at: Timestamp) -> Option<DropReason> {
        if self.facts.condition.suspended.as_ref().is_some_and(|time| time.contains(at)) {
            return Some(DropReason::Suspended);
        }
        self.facts.pauses.iter().any(|pause| pause.contains(at)).then_some(DropReason::Paused)
    }

    /// Finds the instant before `until` for a prompt that the patient put off until `due`. Quiet hours, a pause or a
    /// session may have come between.
    pub(super) fn put_off(
        &self,
        rule: &Rule,
        due: Timestamp,
        until: Timestamp,
    ) -> Result<(Timestamp, Why), DropReason> {
        let due = self.calendar.next_allowed(due).filter(|due| *due < until).ok_or(DropReason::QuietHours)?;
        if let Some(reason) = self.rests(due).filter(|_| rule.kind != PromptKind::Safety) {
            return Err(reason);
        }
        let ready = self.when_ready(rule, due, until).filter(|due| *due < until).ok_or(DropReason::NotReady)?;
        Ok((ready, if ready > due { Why::Readiness } else { Why::QuietHours }))
    }

    /// Finds the first instant from `due` to `until`, outside quiet hours, at which the patient is ready for `rule`.
    fn when_ready(&self, rule: &Rule, due: Timestamp, until: Timestamp) -> Option<Timestamp> {
        if rule.effort == Effort::Light {
            return Some(due);
        }
        let mut due = due;
        loop {
            let ready = self.ready.first(due, until)?;
            if !self.calendar.is_quiet(ready) {
                return Some(ready);
            }
            due = self.calendar.next_allowed(ready).filter(|due| *due <= until)?;
        }
    }

    /// Finds the first placement of `candidate` that keeps its distance to `previous`, the last prompt not for safety.
    pub(super) fn place(
        &self,
        candidate: &Candidate<'_>,
        previous: Option<Timestamp>,
    ) -> Result<Placement, DropReason> {
        if let Some(due) = candidate.settled {
            let slot = candidate.slots.first();
            let base = slot.map_or_else(|| self.calendar.date(due), |slot| slot.base);
            let why = slot.map_or(Why::Window, |slot| slot.why);
            return Ok(Placement { due, expires: self.expires(candidate, base, due), base, why });
        }
        let mut reason = DropReason::TooLate;
        let free = previous
            .filter(|_| candidate.rule.kind != PromptKind::Safety)
            .and_then(|at| at.checked_add(self.spacing).ok());
        for slot in &candidate.slots {
            let from = free.map_or(slot.from, |free| free.max(slot.from));
            if from > slot.until {
                reason = DropReason::Spacing;
                continue;
            }
            let expires = self.expires(candidate, slot.base, from);
            let allowed = if candidate.awake { Some(from) } else { self.calendar.next_allowed(from) };
            let Some(due) = allowed.filter(|due| *due < expires) else {
                reason = DropReason::QuietHours;
                continue;
            };
            if let Some(resting) = self.rests(due).filter(|_| candidate.rule.kind != PromptKind::Safety) {
                reason = resting;
                continue;
            }
            // An effortful prompt waits at most until its part of the day is over.
            let Some(ready) = self.when_ready(candidate.rule, due, slot.until.max(due)) else {
                reason = DropReason::NotReady;
                continue;
            };
            let (waited, due) = (ready > due, ready);
            if candidate.deadline.is_some_and(|deadline| due > deadline) {
                reason = DropReason::TooLate;
                continue;
            }
            if let Some(unfit) = self.unfit(candidate, due) {
                reason = unfit;
                continue;
            }
            let why = match () {
                () if waited => Why::Readiness,
                () if due > from => Why::QuietHours,
                () if from > slot.from => Why::Spacing,
                () => slot.why,
            };
            return Ok(Placement { due, expires, base: slot.base, why });
        }
        Err(reason)
    }

    /// Returns the reason against asking it at `due`.
    fn unfit(&self, candidate: &Candidate<'_>, due: Timestamp) -> Option<DropReason> {
        if let Some(reason) = self.rests(due).filter(|_| candidate.rule.kind != PromptKind::Safety) {
            return Some(reason);
        }
        let distance = SignedDuration::from_hours(24 * candidate.rule.min_days_since_last?);
        let since = |from: Timestamp| due.duration_since(from);
        let dosed = |end: Timestamp| end <= due && since(end) < AFTER_DOSE;
        let soon = self.facts.last_measure_at.is_some_and(|last| since(last) < distance)
            || self.facts.infusions.iter().filter_map(|infusion| infusion.ended_at).any(dosed);
        soon.then_some(DropReason::TooSoon)
    }

    fn expires(&self, candidate: &Candidate<'_>, base: Date, due: Timestamp) -> Timestamp {
        match candidate.rule.expires {
            Expiry::Hours(hours) => due.saturating_add(SignedDuration::from_hours(hours)).unwrap_or(due),
            Expiry::Until { days, time } => self.calendar.instant(base.saturating_add(days.days()), time),
        }
    }
}
