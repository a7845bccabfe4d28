//! A second planner, to check the first: written from the rules, date by date, slowly, and sharing none of its code.
//!
//! For each date and each rule it asks whether anything calls for it; it looks for the first minute that is allowed by
//! trying one minute after the other; and for each decision under a cap it counts everything again.

mod calls;
mod chances;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use self::calls::{Call, calls};
use super::*;
use crate::kernel::id::{Infusion, Prompt};
use crate::kernel::{Id, Zone};
use crate::planning::protocol::{Effort, Expiry};

/// The parts of a prompt that are compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    pub(super) rule: String,
    pub(super) occurrence: u32,
    pub(super) anchor: Option<Id<Infusion>>,
    pub(super) id: Id<Prompt>,
    pub(super) due: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) push: bool,
    pub(super) reminder: Option<Timestamp>,
}

/// Takes the same parts of the plan.
pub(super) fn of(plan: &Plan) -> Vec<Asked> {
    let asked = |one: &Planned| Asked {
        rule: one.rule_key.clone(),
        occurrence: one.occurrence,
        anchor: one.anchor,
        id: one.id,
        due: one.due_at,
        expires: one.expires_at,
        push: one.push,
        reminder: one.reminder_at,
    };
    let mut list: Vec<_> = plan.prompts.iter().map(asked).collect();
    list.sort();
    list
}

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

fn plus(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap()
}

fn between(from: Date, to: Date) -> i64 {
    to.duration_since(from).as_hours() / 24
}

/// The patient, as the rules speak of them.
struct World<'a> {
    protocol: &'a Protocol,
    facts: &'a Facts,
    today: Date,
}

impl World<'_> {
    fn zone(&self, at: Timestamp) -> &Zone {
        let zones = &self.facts.zones;
        let known = zones.iter().rfind(|since| since.from <= at);
        &known.unwrap_or(&zones[0]).zone
    }

    fn date(&self, at: Timestamp) -> Date {
        self.zone(at).date(at)
    }

    /// Finds the first instant at which the local time is this one or a later one of that date.
    fn wall(&self, date: Date, time: jiff::civil::Time) -> Timestamp {
        let zones = &self.facts.zones;
        let stays = zones.iter().enumerate().map(|(n, since)| {
            let from = if n == 0 { Timestamp::MIN } else { since.from };
            let until = zones.get(n + 1).map_or(Timestamp::MAX, |next| next.from);
            (since.zone.instant(date, time).max(from), until)
        });
        stays.filter(|(at, until)| at < until).map(|(at, _)| at).min().unwrap()
    }

    fn quiet(&self, at: Timestamp) -> bool {
        self.facts.quiet_hours.contains(self.zone(at).local(at).time())
    }

    fn awake_from(&self, mut at: Timestamp) -> Timestamp {
        while self.quiet(at) {
            at = plus(at, minutes(1));
        }
        at
    }

    fn rests(&self, at: Timestamp) -> bool {
        let open = self.facts.condition.suspended.iter();
        self.facts.pauses.iter().chain(open).any(|pause| pause.from <= at && at < pause.until)
    }

    /// "Readiness": nothing effortful in a session, in its acute phase, before the first sleep, while an alert is open,
    /// or within 24 hours of an answer of four or more.
    fn ready(&self, at: Timestamp) -> bool {
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

    fn expires(&self, call: &Call<'_>, base: Date, planned: Timestamp) -> Timestamp {
        match call.rule.expires {
            Expiry::Hours(n) => plus(planned, hours(n)),
            Expiry::Until { days, time } => self.wall(base.saturating_add(days.days()), time),
        }
    }

    /// Finds its time after `previous`, the last prompt that was not for safety, and its expiry there.
    fn place(&self, call: &Call<'_>, previous: Option<Timestamp>) -> Option<(Timestamp, Timestamp)> {
        if let Some(due) = call.went_out {
            let base = call.times.first().map_or(self.date(due), |time| time.base);
            return Some((due, self.expires(call, base, due)));
        }
        let safety = call.rule.kind == PromptKind::Safety;
        let spacing = minutes(self.protocol.spacing_minutes);
        call.times.iter().find_map(|time| {
            let mut planned = time.from;
            if let Some(previous) = previous.filter(|_| !safety) {
                planned = planned.max(plus(previous, spacing));
            }
            if planned > time.until {
                return None;
            }
            let expires = self.expires(call, time.base, planned);
            let mut due = if call.though_quiet { planned } else { self.awake_from(planned) };
            if due >= expires || (!safety && self.rests(due)) {
                return None;
            }
            let last = time.until.max(due);
            while call.rule.effort == Effort::Effortful && (!self.ready(due) || self.quiet(due)) {
                // Whole minutes but for one: "24 hours old" is over a moment after it.
                let moment = plus(due, SignedDuration::from_micros(1));
                let over = self.ready(moment) && !self.quiet(moment);
                due = if over { moment } else { plus(due, minutes(1)) };
                if due > last {
                    return None;
                }
            }
            if call.not_after.is_some_and(|not_after| due > not_after) || (!safety && self.rests(due)) {
                return None;
            }
            (!self.too_soon(call, due)).then_some((due, expires))
        })
    }

    /// Whether a measure would come within 24 hours after an infusion, or too soon after the last one.
    fn too_soon(&self, call: &Call<'_>, due: Timestamp) -> bool {
        let Some(days) = call.rule.min_days_since_last else { return false };
        let dosed = |end: Timestamp| end <= due && due < plus(end, hours(24));
        self.facts.infusions.iter().filter_map(|one| one.ended_at).any(dosed)
            || self.facts.last_measure_at.is_some_and(|last| due < plus(last, hours(24 * days)))
    }

    /// Returns the number of prompts and minutes that a date may hold.
    fn cap(&self, date: Date) -> (u32, u32) {
        let caps = &self.protocol.caps;
        let sessions = self.sessions();
        let day = sessions.iter().rfind(|one| one.day_zero <= date).map(|one| between(one.day_zero, date));
        let held = caps
            .days
            .iter()
            .find(|cap| day.is_some_and(|day| (i64::from(cap.first)..=i64::from(cap.last)).contains(&day)));
        let (mut prompts, mut most) =
            held.map_or((caps.later.prompts, caps.later.minutes), |cap| (cap.prompts, cap.minutes));
        let prepares = (1..=i64::from(caps.preparation.days_before))
            .any(|n| sessions.iter().any(|one| between(date, one.starts_on) == n));
        if prepares {
            prompts = prompts.max(caps.preparation.prompts);
            most = most.zip(caps.preparation.minutes).map(|(one, other)| one.max(other));
        }
        (prompts, most.unwrap_or(u32::MAX))
    }

    /// Counts the prompts and minutes of these calls. The first dial of a minute is free.
    fn burden<'c>(&self, calls: impl Iterator<Item = &'c Call<'c>>) -> (u32, u32) {
        let caps = &self.protocol.caps;
        let (mut prompts, mut total, mut free) = (0, 0, caps.free_dials_per_day);
        for call in calls.filter(|call| call.rule.push && !call.rule.optional) {
            if call.rule.kind == PromptKind::Habit && call.rule.minutes <= caps.free_dial_minutes && free > 0 {
                free -= 1;
            } else {
                prompts += 1;
                total += call.rule.minutes;
            }
        }
        (prompts, total)
    }
}

type Placed<'c, 'a> = (&'c Call<'a>, Timestamp, Timestamp);

/// Places the prompts of one date, in the order in which places are given. `previous` is the last prompt before that
/// date.
fn day<'c, 'a>(
    world: &World<'a>,
    date: Date,
    calls: &[&'c Call<'a>],
    previous: Option<Timestamp>,
) -> Vec<Placed<'c, 'a>> {
    let (most, longest) = world.cap(date);
    let mut kept: Vec<&'c Call<'a>> = Vec::new();
    let mut placed = Vec::new();
    for call in calls {
        let with: Vec<_> = kept.iter().copied().chain([*call]).collect();
        let (prompts, total) = world.burden(with.iter().copied());
        let counts = call.rule.push && !call.rule.optional;
        let surely = call.rule.priority == 1 || call.went_out.is_some();
        if counts && !surely && (prompts > most || total > longest) {
            continue;
        }
        if let Some(found) = in_order(world, date, &with, previous) {
            (kept, placed) = (with, found);
        }
    }
    placed.sort_by_key(|(call, due, _)| (*due, &call.rule.key));
    placed
}

/// Places all of `calls` on `date`, in the order of the times that each would have alone; `None` if one has no place.
fn in_order<'c, 'a>(
    world: &World<'a>,
    date: Date,
    calls: &[&'c Call<'a>],
    previous: Option<Timestamp>,
) -> Option<Vec<Placed<'c, 'a>>> {
    let mut calls: Vec<_> = calls.iter().map(|call| (world.place(call, None).unwrap().0, *call)).collect();
    // Of two with the same time and the same key, the one that was taken first goes first.
    calls.sort_by_key(|(alone, call)| (*alone, &call.rule.key));
    let mut previous = previous;
    let mut placed = Vec::new();
    for (_, call) in calls {
        let (due, expires) = world.place(call, previous).filter(|(due, _)| world.date(*due) == date)?;
        if call.rule.kind != PromptKind::Safety {
            previous = Some(due);
        }
        placed.push((call, due, expires));
    }
    Some(placed)
}

/// Plans the prompts of a patient.
pub(super) fn reference(protocol: &Protocol, facts: &Facts, now: Timestamp) -> Vec<Asked> {
    let mut own = protocol.clone();
    for Override { rule_key, change } in &facts.overrides {
        if let RuleChange::MovedTo(part) = change {
            own.rules.iter_mut().find(|rule| rule.key == *rule_key).unwrap().window = vec![*part];
        }
    }
    let protocol = &own;
    let mut world = World { protocol, facts, today: Date::ZERO };
    world.today = world.date(now);
    let calls = calls(&world);
    let mut by_date: Vec<(Date, &Call<'_>)> =
        calls.iter().filter_map(|call| Some((world.date(world.place(call, None)?.0), call))).collect();
    by_date.sort_by_key(|(date, call)| {
        (
            *date,
            call.went_out.is_none(),
            call.rule.priority,
            call.rule.kind,
            call.opens,
            &call.rule.key,
            call.occurrence,
        )
    });
    let mut dates: Vec<_> = by_date.iter().map(|(date, _)| *date).collect();
    dates.dedup();
    let mut all: Vec<Placed<'_, '_>> = Vec::new();
    for date in &dates {
        let those: Vec<_> = by_date.iter().filter(|(on, _)| on == date).map(|(_, call)| *call).collect();
        let previous = all.iter().rev().find(|(call, ..)| call.rule.kind != PromptKind::Safety).map(|(_, due, _)| *due);
        all.extend(day(&world, *date, &those, previous));
    }
    let mut asked: Vec<_> = all
        .iter()
        .filter(|(call, due, _)| {
            !call.orphan && between(world.today, world.date(*due)) <= i64::from(protocol.horizon_days)
        })
        .map(|one| asked(one, reminder(&world, &all, one)))
        .collect();
    asked.sort();
    asked
}

fn asked(&(call, due, expires): &Placed<'_, '_>, reminder: Option<Timestamp>) -> Asked {
    let push = call.rule.push && !call.card;
    Asked {
        rule: call.rule.key.clone(),
        occurrence: call.occurrence,
        anchor: call.anchor,
        id: call.id,
        due,
        expires,
        push,
        reminder,
    }
}

/// Finds the instant of the reminder of `this`: half-way to its expiry, outside quiet hours, if that date has a place
/// left after all prompts and all earlier reminders.
fn reminder(world: &World<'_>, all: &[Placed<'_, '_>], this: &Placed<'_, '_>) -> Option<Timestamp> {
    let half = |(call, due, expires): &Placed<'_, '_>| {
        let at = plus(*due, SignedDuration::from_secs(expires.duration_since(*due).as_secs() / 2));
        let safety = call.rule.kind == PromptKind::Safety;
        let may = !call.orphan && call.rule.push && !call.rule.optional && at > *due;
        (may && !world.quiet(at) && (safety || !world.rests(at))).then_some(at)
    };
    let at = half(this)?;
    if this.0.rule.kind == PromptKind::Safety {
        return Some(at);
    }
    let date = world.date(at);
    let on_date = all.iter().filter(|(_, due, _)| world.date(*due) == date).map(|(call, ..)| *call);
    // Dials are free in the order in which places were given.
    let mut on_date: Vec<_> = on_date.collect();
    on_date.sort_by_key(|call| {
        (call.went_out.is_none(), call.rule.priority, call.rule.kind, call.opens, &call.rule.key, call.occurrence)
    });
    let (taken, _) = world.burden(on_date.into_iter());
    let left = world.cap(date).0.saturating_sub(taken);
    let rank =
        |place: usize, one: &Placed<'_, '_>| half(one).map(|at| (one.0.rule.priority, one.0.rule.kind, at, place));
    let place = all.iter().position(|one| one.0.id == this.0.id)?;
    let mine = rank(place, this)?;
    let before = all
        .iter()
        .enumerate()
        .filter(|(_, one)| one.0.rule.kind != PromptKind::Safety && half(one).is_some_and(|at| world.date(at) == date))
        .filter(|(place, one)| rank(*place, one).is_some_and(|other| other < mine))
        .count();
    (u32::try_from(before).unwrap() < left).then_some(at)
}
