//! The patient, as the rules speak of them: local time, quiet hours, rests, readiness, sessions.

use jiff::Timestamp;
use jiff::civil::Date;

use super::super::*;
use super::calls::Call;
use super::{between, chances, minutes, plus};
use crate::kernel::Zone;

/// The patient, as the rules speak of them.
pub(super) struct World<'a> {
    pub(super) protocol: &'a Protocol,
    pub(super) facts: &'a Facts,
    pub(super) today: Date,
    pub(super) now: Timestamp,
}

impl World<'_> {
    pub(super) fn zone(&self, at: Timestamp) -> &Zone {
        let zones = &self.facts.zones;
        let known = zones.iter().rfind(|since| since.from <= at);
        &known.unwrap_or(&zones[0]).zone
    }

    pub(super) fn date(&self, at: Timestamp) -> Date {
        self.zone(at).date(at)
    }

    /// Finds the first instant at which the local time is this one or a later one of that date.
    pub(super) fn wall(&self, date: Date, time: jiff::civil::Time) -> Timestamp {
        let zones = &self.facts.zones;
        let stays = zones.iter().enumerate().map(|(n, since)| {
            let from = if n == 0 { Timestamp::MIN } else { since.from };
            let until = zones.get(n + 1).map_or(Timestamp::MAX, |next| next.from);
            (since.zone.instant(date, time).max(from), until)
        });
        stays.filter(|(at, until)| at < until).map(|(at, _)| at).min().unwrap()
    }

    pub(super) fn quiet(&self, at: Timestamp) -> bool {
        self.facts.quiet_hours.contains(self.zone(at).local(at).time())
    }

    pub(super) fn awake_from(&self, mut at: Timestamp) -> Timestamp {
        while self.quiet(at) {
            at = plus(at, minutes(1));
        }
        at
    }

    pub(super) fn rests(&self, at: Timestamp) -> bool {
        let open = self.facts.condition.suspended.iter();
        self.facts.pauses.iter().chain(open).any(|pause| pause.from <= at && at < pause.until)
    }

    /// "Readiness": nothing effortful in a session, in its acute phase, before the first sleep, while an alert is open,
    /// or within 24 hours of an answer of four or more.
    pub(super) fn ready(&self, at: Timestamp) -> bool {
        let Condition { dissociation, drowsiness, suspended, .. } = &self.facts.condition;
        let high = [dissociation, drowsiness]
            .into_iter()
            .flatten()
            .any(|answer| answer.value >= 4 && answer.answered_at <= at && at <= plus(answer.answered_at, hours(24)));
        if high || suspended.is_some_and(|open| open.from <= at && at < open.until) {
            return false;
        }
        let infusions = &self.facts.infusions;
        let under_way = infusions.iter().any(|one| {
            let start = one.started_at.or(one.planned_start);
            start.zip(one.ended_at).is_some_and(|(start, end)| start <= at && at < end)
        });
        let last = infusions.iter().filter(|one| one.ended_at.is_some_and(|end| end <= at));
        let Some(last) = last.max_by_key(|one| (one.ended_at, one.id)) else { return !under_way };
        let end = last.ended_at.unwrap();
        let acute = self.protocol.window.acute(last.route);
        let six = self.wall(self.date(end).tomorrow().unwrap(), jiff::civil::time(6, 0, 0, 0));
        let slept = at >= six.max(plus(end, hours(6))) || at >= plus(end, hours(18)) || at >= plus(end, hours(24));
        !under_way && at >= plus(end, acute) && slept
    }

    /// "Silence": from the start of any infusion, planned ones by their planned minutes, to its end and the acute
    /// phase.
    pub(super) fn silent(&self, rule: &Rule, at: Timestamp) -> bool {
        !rule.at_home
            && self.facts.infusions.iter().any(|one| {
                let start = one.started_at.or(one.planned_start).or(one.ended_at).unwrap();
                let end = one.ended_at.unwrap_or(plus(start, minutes(i64::from(one.planned_minutes))));
                start <= at && at < plus(end.max(start), self.protocol.window.acute(one.route))
            })
    }

    /// "mnt.* never on a day 0 or 1."
    pub(super) fn near_a_session(&self, date: Date) -> bool {
        let near = |one: &chances::Session<'_>| date == one.starts_on || (0..=1).contains(&between(one.day_zero, date));
        self.sessions().iter().any(near)
    }

    /// Whether a measure would come within 24 hours after an infusion, or too soon after the last one.
    pub(super) fn too_soon(&self, call: &Call<'_>, due: Timestamp) -> bool {
        let Some(days) = call.rule.min_days_since_last else { return false };
        let dosed = |end: Timestamp| end <= due && due < plus(end, hours(24));
        self.facts.infusions.iter().filter_map(|one| one.ended_at).any(dosed)
            || self.facts.last_measure_at.is_some_and(|last| due < plus(last, hours(24 * days)))
    }
}
