//! The sessions of a patient, and the times in which a prompt may go out.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};

use super::super::*;
use super::patient::World;
use super::{between, minutes, plus};
use crate::kernel::Id;
use crate::kernel::id::{Infusion, Prompt};

/// A time in which a prompt may go out.
#[derive(Clone)]
pub(super) struct Chance {
    pub(super) from: Timestamp,
    pub(super) unjittered: Timestamp,
    pub(super) until: Timestamp,
    pub(super) base: Date,
}

/// An infusion on the calendar.
pub(super) struct Session<'a> {
    pub(super) fact: &'a InfusionFact,
    pub(super) start: Timestamp,
    pub(super) ends: Timestamp,
    pub(super) starts_on: Date,
    pub(super) day_zero: Date,
    /// How many sessions of its series came before it.
    pub(super) before: u32,
    pub(super) last_of_a_series: bool,
}

impl<'a> World<'a> {
    pub(super) fn sessions(&self) -> Vec<Session<'a>> {
        let mut list: Vec<_> = self
            .facts
            .infusions
            .iter()
            .map(|fact| {
                let planned = minutes(i64::from(fact.planned_minutes));
                let start = fact.started_at.or(fact.planned_start).or(fact.ended_at).unwrap();
                let day_zero = self.date(fact.ended_at.unwrap_or(start));
                let ends = fact.ended_at.unwrap_or(plus(start, planned)).max(start);
                Session { fact, start, ends, starts_on: self.date(start), day_zero, before: 0, last_of_a_series: false }
            })
            .collect();
        // The day-0 set hangs on the last end.
        list.sort_by_key(|one| (one.ends, one.start, one.fact.id));
        let gaps: Vec<_> = list.windows(2).map(|pair| between(pair[0].starts_on, pair[1].starts_on)).collect();
        for n in 0..list.len() {
            // Back to the first session of its series; another one on the same date is no further one.
            let mut first = n;
            while first > 0 && gaps[first - 1] <= 7 {
                first -= 1;
            }
            list[n].before = u32::try_from(gaps[first..n].iter().filter(|gap| **gap > 0).count()).unwrap();
            list[n].last_of_a_series = list[n].before > 0 && gaps.get(n).is_none_or(|gap| *gap > 7);
        }
        list
    }

    pub(super) fn id(
        &self,
        rule: &Rule,
        anchor: Option<Id<Infusion>>,
        occurrence: u32,
    ) -> (Id<Prompt>, SignedDuration) {
        let id = self.facts.prompt_key.id(self.facts.patient, &rule.key, anchor, occurrence).uuid();
        let first = u64::from_be_bytes(id.as_bytes()[..8].try_into().unwrap());
        let jitter = first % (u64::from(self.protocol.jitter_minutes) + 1);
        (Id::from_uuid(id), minutes(i64::try_from(jitter).unwrap()))
    }

    pub(super) fn parts(&self, rule: &Rule, date: Date, jitter: SignedDuration) -> Vec<Chance> {
        let chance = |part: &crate::planning::DayPart| {
            let span = self.protocol.windows.span(*part);
            let from = self.wall(date, (span.from + jitter).min(span.to));
            Chance {
                from,
                unjittered: self.wall(date, span.from).min(from),
                until: self.wall(date, span.to).max(from),
                base: date,
            }
        };
        rule.window.iter().map(chance).collect()
    }

    /// Places a rule that counts hours from the end of a session. The flags tell whether it ignores quiet hours, and
    /// whether it is a card.
    pub(super) fn hours_after(
        &self,
        rule: &Rule,
        session: &Session<'_>,
        end: Timestamp,
        n: i64,
    ) -> (Chance, bool, bool) {
        let clock = |hour, minute| self.wall(session.day_zero, Time::constant(hour, minute, 0, 0));
        let from = plus(end, hours(n));
        let at = |from| Chance { from, unjittered: from, until: Timestamp::MAX, base: session.day_zero };
        if rule.kind != PromptKind::Safety || from < clock(12, 0) {
            return (at(from), false, false);
        }
        let after = plus(end, self.protocol.window.acute(session.fact.route)).max(clock(22, 0));
        let from = if from <= clock(22, 30) { from } else { after };
        (at(from), true, self.speaks(rule, from) > clock(22, 30))
    }

    /// Finds the first minute from `at` on that is not in a session.
    pub(super) fn speaks(&self, rule: &Rule, mut at: Timestamp) -> Timestamp {
        while self.silent(rule, at) {
            at = plus(at, minutes(1));
        }
        at
    }

    /// Whether a check that may go out though it is quiet would come after half past ten, and is a card instead.
    pub(super) fn wakes(&self, rule: &Rule, time: &Chance) -> bool {
        let at = self.speaks(rule, time.from);
        self.quiet(at) && at > self.wall(time.base, Time::constant(22, 30, 0, 0))
    }
}
