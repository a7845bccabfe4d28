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
use crate::planning::protocol::{Anchor, Effort, Expiry};

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

/// A prompt has no place; whether that is for its neighbours alone.
struct Crowded(bool);

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
        let expires = match call.rule.expires {
            Expiry::Hours(n) => plus(planned, hours(n)),
            Expiry::Until { days, time } => self.wall(base.saturating_add(days.days()), time),
        };
        call.starts.map_or(expires, |start| expires.min(start))
    }

    /// "Silence": from the start of any infusion, planned ones by their planned minutes, to its end and the acute
    /// phase.
    fn silent(&self, rule: &Rule, at: Timestamp) -> bool {
        !rule.at_home
            && self.facts.infusions.iter().any(|one| {
                let start = one.started_at.or(one.planned_start).or(one.ended_at).unwrap();
                let end = one.ended_at.unwrap_or(plus(start, minutes(i64::from(one.planned_minutes))));
                start <= at && at < plus(end.max(start), self.protocol.window.acute(one.route))
            })
    }

    /// Finds its time and expiry, three hours from `others`, the prompts of these days that are not for safety.
    fn place(&self, call: &Call<'_>, others: &[Timestamp]) -> Option<(Timestamp, Timestamp)> {
        if let Some(due) = call.went_out {
            let base = call.times.first().map_or(self.date(due), |time| time.base);
            return Some((due, self.expires(call, base, due)));
        }
        // Where the jitter leaves no room, the start of its part of the day is tried.
        let starts = |time: &chances::Chance| [time.from, time.unjittered];
        let times = call.times.iter().flat_map(|time| starts(time).map(|from| (time, from)));
        let mut crowded = false;
        for (time, from) in times {
            if from < time.from && !crowded {
                continue;
            }
            match self.place_from(call, time, from, others) {
                Ok(placed) => return Some(placed),
                Err(Crowded(is)) => crowded = is && from == time.from,
            }
        }
        None
    }

    fn place_from(
        &self,
        call: &Call<'_>,
        time: &chances::Chance,
        from: Timestamp,
        others: &[Timestamp],
    ) -> Result<(Timestamp, Timestamp), Crowded> {
        {
            let safety = call.rule.kind == PromptKind::Safety;
            let spacing = minutes(self.protocol.spacing_minutes);
            let lands = |planned| self.lands(call, planned, time.until).ok_or(Crowded(false));
            // Its first place is the start of its time, or three hours after a prompt that would be too near.
            let (mut planned, mut due) = (from, lands(from)?);
            while let Some(near) =
                others.iter().filter(|other| !safety && due.duration_since(**other).abs() < spacing).max()
            {
                planned = plus(*near, spacing);
                if planned > time.until {
                    return Err(Crowded(true));
                }
                due = lands(planned)?;
            }
            let expires = self.expires(call, time.base, planned);
            let moved = self.date(due) != self.date(planned);
            let strays = moved && call.last_date.is_some_and(|last| last < self.date(due));
            let late = call.not_after.is_some_and(|not_after| due > not_after);
            let recurs = matches!(call.rule.anchor, Anchor::Weekly | Anchor::Monthly);
            let wrong = due >= expires || strays || late || (!safety && self.rests(due)) || self.too_soon(call, due);
            let wrong = wrong || recurs && self.near_a_session(self.date(due));
            if wrong { Err(Crowded(false)) } else { Ok((due, expires)) }
        }
    }

    /// Finds the first moment after `planned` that is not quiet, not in a session, and one of readiness. Quiet hours
    /// may last longer than its part of the day, nothing else may.
    fn lands(&self, call: &Call<'_>, planned: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let mut due = if call.though_quiet { planned } else { self.awake_from(planned) };
        if call.rule.kind != PromptKind::Safety && self.rests(due) {
            return None;
        }
        let last = until.max(due);
        let blocked = |at: Timestamp| {
            let effort = call.rule.effort == Effort::Effortful;
            (self.quiet(at) && !call.though_quiet) || self.silent(call.rule, at) || (effort && !self.ready(at))
        };
        while blocked(due) {
            // Whole minutes but for one: "24 hours old" is over a moment after it.
            let moment = plus(due, SignedDuration::from_micros(1));
            due = if blocked(moment) { plus(due, minutes(1)) } else { moment };
            if due > last {
                return None;
            }
        }
        Some(due)
    }

    /// "mnt.* never on a day 0 or 1."
    fn near_a_session(&self, date: Date) -> bool {
        let near = |one: &chances::Session<'_>| date == one.starts_on || (0..=1).contains(&between(one.day_zero, date));
        self.sessions().iter().any(near)
    }

    /// Whether a measure would come within 24 hours after an infusion, or too soon after the last one.
    fn too_soon(&self, call: &Call<'_>, due: Timestamp) -> bool {
        let Some(days) = call.rule.min_days_since_last else { return false };
        let dosed = |end: Timestamp| end <= due && due < plus(end, hours(24));
        self.facts.infusions.iter().filter_map(|one| one.ended_at).any(dosed)
            || self.facts.last_measure_at.is_some_and(|last| due < plus(last, hours(24 * days)))
    }

    /// Returns the number of prompts and minutes that a date may hold, and the number of dials that are free.
    fn cap(&self, date: Date) -> (u32, u32, u32) {
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
        let last = sessions.iter().rfind(|one| one.day_zero <= date);
        let full = last.zip(day).is_some_and(|(last, day)| {
            last.last_of_a_series && caps.full_days_after_series.iter().any(|full| i64::from(*full) == day)
        });
        (prompts, most.unwrap_or(u32::MAX), if full { 0 } else { caps.free_dials_per_day })
    }

    /// Counts the prompts and minutes of these calls. The first dial of a minute is free.
    fn burden<'c>(&self, free: u32, calls: impl Iterator<Item = &'c Call<'c>>) -> (u32, u32) {
        let caps = &self.protocol.caps;
        let (mut prompts, mut total, mut free) = (0, 0, free);
        for call in calls.filter(|call| call.counts()) {
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

/// Places the prompts of one date, in the order in which places are given. `before` are the prompts of earlier
/// dates that are not for safety.
fn day<'c, 'a>(world: &World<'a>, date: Date, calls: &[&'c Call<'a>], before: &[Timestamp]) -> Vec<Placed<'c, 'a>> {
    let (most, longest, free) = world.cap(date);
    let mut kept: Vec<&'c Call<'a>> = Vec::new();
    let mut placed = Vec::new();
    for call in calls {
        let with: Vec<_> = kept.iter().copied().chain([*call]).collect();
        let (prompts, total) = world.burden(free, with.iter().copied());
        let counts = call.counts();
        let surely = call.rule.priority == 1 || call.went_out.is_some();
        if counts && !surely && (prompts > most || total > longest) {
            continue;
        }
        let found = in_order(world, date, &with, before, true).or_else(|| in_order(world, date, &with, before, false));
        if let Some(found) = found {
            (kept, placed) = (with, found);
        }
    }
    placed.sort_by_key(|(call, due, _)| (*due, &call.rule.key));
    placed
}

/// Places all of `calls` on `date`, in the order of the times that each would have alone, those with one part of the
/// day first if asked so; `None` if one has no place.
fn in_order<'c, 'a>(
    world: &World<'a>,
    date: Date,
    calls: &[&'c Call<'a>],
    before: &[Timestamp],
    one_part_first: bool,
) -> Option<Vec<Placed<'c, 'a>>> {
    let mut calls: Vec<_> = calls.iter().map(|call| (world.place(call, &[]).unwrap().0, *call)).collect();
    // Of two with the same time and the same key, the one that was taken first goes first.
    calls.sort_by_key(|(alone, call)| {
        (one_part_first && call.rule.window.len() > 1, call.went_out.is_none(), *alone, &call.rule.key)
    });
    let mut others = before.to_vec();
    let mut placed = Vec::new();
    for (_, call) in calls {
        let (due, expires) = world.place(call, &others).filter(|(due, _)| world.date(*due) == date)?;
        if call.rule.kind != PromptKind::Safety {
            others.push(due);
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
        calls.iter().filter_map(|call| Some((world.date(world.place(call, &[])?.0), call))).collect();
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
        let others = all.iter().filter(|(call, ..)| call.rule.kind != PromptKind::Safety);
        let before: Vec<_> = others.map(|(_, due, _)| *due).collect();
        // "At most once in seven days."
        let recent = |call: &&Call<'_>| {
            let same = all.iter().rev().find(|(other, ..)| other.rule.key == call.rule.key);
            let near = |apart: i64| same.is_some_and(|(_, due, _)| between(world.date(*due), *date) < apart);
            call.went_out.is_none() && call.rule.min_days_apart.is_some_and(near)
        };
        let those: Vec<_> = those.into_iter().filter(|call| !recent(call)).collect();
        all.extend(day(&world, *date, &those, &before));
    }
    let reminders = reminders(&world, &all);
    let mut asked: Vec<_> = all
        .iter()
        .filter(|(call, due, _)| {
            !call.orphan && between(world.today, world.date(*due)) <= i64::from(protocol.horizon_days)
        })
        .map(|one| asked(one, reminders.iter().find(|(id, _)| *id == one.0.id).map(|(_, at)| *at)))
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

/// Gives reminders, date by date: half-way to the expiry, outside quiet hours and sessions, three hours from other
/// prompts and reminders, as long as the date has places left. Those of safety checks need neither.
fn reminders(world: &World<'_>, all: &[Placed<'_, '_>]) -> Vec<(Id<Prompt>, Timestamp)> {
    let spacing = minutes(world.protocol.spacing_minutes);
    let half = |(call, due, expires): &Placed<'_, '_>| {
        let at = plus(*due, SignedDuration::from_secs(expires.duration_since(*due).as_secs() / 2));
        let safety = call.rule.kind == PromptKind::Safety;
        let may = !call.orphan && !call.card && call.rule.push && !call.rule.optional && call.rule.minutes > 1;
        let fits = !world.quiet(at) && !world.silent(call.rule, at) && (safety || !world.rests(at));
        (may && at > *due && fits).then_some(at)
    };
    let mut wanted: Vec<_> = all.iter().filter_map(|one| Some((half(one)?, one))).collect();
    wanted.sort_by_key(|(at, (call, ..))| (world.date(*at), call.rule.priority, call.rule.kind, *at));
    let mut given: Vec<(Id<Prompt>, Timestamp)> = Vec::new();
    let mut spaced: Vec<Timestamp> = Vec::new();
    for (at, (call, ..)) in wanted {
        if call.rule.kind == PromptKind::Safety {
            given.push((call.id, at));
            continue;
        }
        let date = world.date(at);
        // Dials are free in the order in which places were given.
        let mut on_date: Vec<_> =
            all.iter().filter(|(_, due, _)| world.date(*due) == date).map(|(call, ..)| *call).collect();
        on_date.sort_by_key(|call| {
            (call.went_out.is_none(), call.rule.priority, call.rule.kind, call.opens, &call.rule.key, call.occurrence)
        });
        let (most, _, free_dials) = world.cap(date);
        let (taken, _) = world.burden(free_dials, on_date.into_iter());
        let reminded = spaced.iter().filter(|other| world.date(**other) == date).count();
        let others = all.iter().filter(|(other, ..)| other.rule.kind != PromptKind::Safety && other.id != call.id);
        let apart = |other: Timestamp| at.duration_since(other).abs() >= spacing;
        let free = others.map(|(_, due, _)| *due).chain(spaced.iter().copied()).all(apart);
        if free && taken + u32::try_from(reminded).unwrap() < most {
            given.push((call.id, at));
            spaced.push(at);
        }
    }
    given
}
