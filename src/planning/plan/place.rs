//! The instant of one prompt.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::anchor::Candidate;
use super::ready::Ready;
use super::{DropReason, Why};
use crate::kernel::Zone;
use crate::planning::facts::Facts;
use crate::planning::protocol::{Effort, Expiry, Kind, Protocol, Rule};
use crate::planning::{QuietHours, ZoneSince, zone_at};

/// No measure is asked so soon after an infusion.
const AFTER_DOSE: SignedDuration = SignedDuration::from_hours(24);

/// The clock on the patient's wall, wherever they lived.
pub(super) struct Calendar<'a> {
    zones: &'a [ZoneSince],
    nowhere: Zone,
    quiet: QuietHours,
}

impl<'a> Calendar<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self { zones: &facts.zones, nowhere: Zone::utc(), quiet: facts.quiet_hours }
    }

    /// The zone in force at `at`.
    pub(super) fn zone(&self, at: Timestamp) -> &Zone {
        zone_at(self.zones, at).unwrap_or(&self.nowhere)
    }

    /// The date on which `at` falls.
    pub(super) fn date(&self, at: Timestamp) -> Date {
        self.zone(at).date(at)
    }

    /// The instant of a local time. A change of zone is read as a change of the clock is: a local time that it skips
    /// is its first instant, one that it repeats is the first of the two.
    pub(super) fn instant(&self, date: Date, time: Time) -> Timestamp {
        let mut found = None;
        for (n, since) in self.zones.iter().enumerate() {
            let at = since.zone.instant(date, time);
            let at = if n == 0 { at } else { at.max(since.from) };
            found = Some(at);
            if self.zones.get(n + 1).is_none_or(|next| at < next.from) {
                break;
            }
        }
        found.unwrap_or_else(|| self.nowhere.instant(date, time))
    }

    /// Whether it is quiet at `at`.
    pub(super) fn is_quiet(&self, at: Timestamp) -> bool {
        self.quiet.contains(self.zone(at).local(at).time())
    }

    /// `at`, or the first instant after it that is not quiet. A change of zone may end a night, or lead from one into
    /// another.
    fn next_allowed(&self, at: Timestamp) -> Option<Timestamp> {
        let mut at = at;
        for _ in 0..8 {
            if !self.is_quiet(at) {
                return Some(at);
            }
            let over = self.quiet.next_allowed(self.zone(at), at);
            let changes = self.zones.iter().map(|since| since.from);
            at = changes.filter(|from| at < *from && *from < over).min().unwrap_or(over);
        }
        None
    }
}

/// Where a prompt was placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) due: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) base: Date,
    pub(super) why: Why,
}

/// Places prompts for one patient.
pub(super) struct Placer<'a> {
    pub(super) protocol: &'a Protocol,
    pub(super) facts: &'a Facts,
    pub(super) calendar: &'a Calendar<'a>,
    ready: Ready<'a>,
    spacing: SignedDuration,
}

impl<'a> Placer<'a> {
    pub(super) fn new(protocol: &'a Protocol, facts: &'a Facts, calendar: &'a Calendar<'a>) -> Self {
        let spacing = SignedDuration::from_mins(protocol.spacing_minutes);
        let ready = Ready::new(protocol, facts, calendar);
        Self { protocol, facts, calendar, ready, spacing }
    }

    /// Why nothing but safety may be asked at `at`.
    pub(super) fn rests(&self, at: Timestamp) -> Option<DropReason> {
        if self.facts.condition.suspended.as_ref().is_some_and(|time| time.contains(at)) {
            return Some(DropReason::Suspended);
        }
        self.facts.pauses.iter().any(|pause| pause.contains(at)).then_some(DropReason::Paused)
    }

    /// When a prompt that the patient put off until `due` may come, before `until`: a night, a rest or a session may
    /// have come between.
    pub(super) fn put_off(
        &self,
        rule: &Rule,
        due: Timestamp,
        until: Timestamp,
    ) -> Result<(Timestamp, Why), DropReason> {
        let due = self.calendar.next_allowed(due).filter(|due| *due < until).ok_or(DropReason::QuietHours)?;
        if let Some(reason) = self.rests(due).filter(|_| rule.kind != Kind::Safety) {
            return Err(reason);
        }
        let ready = self.when_ready(rule, due, until).filter(|due| *due < until).ok_or(DropReason::NotReady)?;
        Ok((ready, if ready > due { Why::Readiness } else { Why::QuietHours }))
    }

    /// The first instant from `due` to `until` at which the patient is ready for `rule`, and it is not night.
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

    /// The first spot of `candidate` that keeps its distance to `previous`, the last prompt not for safety.
    pub(super) fn place(&self, candidate: &Candidate<'_>, previous: Option<Timestamp>) -> Result<Spot, DropReason> {
        if let Some(due) = candidate.settled {
            let opening = candidate.openings.first();
            let base = opening.map_or_else(|| self.calendar.date(due), |opening| opening.base);
            let why = opening.map_or(Why::Window, |opening| opening.why);
            return Ok(Spot { due, expires: self.expires(candidate, base, due), base, why });
        }
        let mut reason = DropReason::TooLate;
        let free =
            previous.filter(|_| candidate.rule.kind != Kind::Safety).and_then(|at| at.checked_add(self.spacing).ok());
        for opening in &candidate.openings {
            let from = free.map_or(opening.from, |free| free.max(opening.from));
            if from > opening.until {
                reason = DropReason::Spacing;
                continue;
            }
            let expires = self.expires(candidate, opening.base, from);
            let allowed = if candidate.awake { Some(from) } else { self.calendar.next_allowed(from) };
            let Some(due) = allowed.filter(|due| *due < expires) else {
                reason = DropReason::QuietHours;
                continue;
            };
            if let Some(resting) = self.rests(due).filter(|_| candidate.rule.kind != Kind::Safety) {
                reason = resting;
                continue;
            }
            // What asks for effort waits until its part of the day is over.
            let Some(ready) = self.when_ready(candidate.rule, due, opening.until.max(due)) else {
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
                () if from > opening.from => Why::Spacing,
                () => opening.why,
            };
            return Ok(Spot { due, expires, base: opening.base, why });
        }
        Err(reason)
    }

    /// What speaks against asking it at `due`.
    fn unfit(&self, candidate: &Candidate<'_>, due: Timestamp) -> Option<DropReason> {
        if let Some(reason) = self.rests(due).filter(|_| candidate.rule.kind != Kind::Safety) {
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
