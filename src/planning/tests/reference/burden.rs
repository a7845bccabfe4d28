//! The burden of a date: its cap, and the reminders that the rest of it holds.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::super::*;
use super::calls::Call;
use super::patient::World;
use super::{Placed, between, minutes, plus};
use crate::kernel::Id;
use crate::kernel::id::Prompt;

impl World<'_> {
    /// Returns the number of prompts and minutes that a date may hold, and the number of dials that are free.
    pub(super) fn cap(&self, date: Date) -> (u32, u32, u32) {
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
    pub(super) fn burden<'c>(&self, free: u32, calls: impl Iterator<Item = &'c Call<'c>>) -> (u32, u32) {
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

/// Gives reminders, date by date: half-way to the expiry, outside quiet hours and sessions, three hours from other
/// prompts and reminders, as long as the date has places left. Those of safety checks need neither.
pub(super) fn reminders(world: &World<'_>, all: &[Placed<'_, '_>]) -> Vec<(Id<Prompt>, Timestamp)> {
    let spacing = minutes(world.protocol.spacing_minutes);
    let half = |(call, due, expires): &Placed<'_, '_>| {
        let at = plus(*due, SignedDuration::from_secs(expires.duration_since(*due).as_secs() / 2));
        let safety = call.rule.kind == PromptKind::Safety;
        let may = !call.orphan && !call.card && call.rule.push && !call.rule.optional && call.rule.minutes > 1;
        let fits = !world.quiet(at) && !world.silent(call.rule, at) && (safety || !world.rests(at));
        (may && at > *due && fits).then_some(at)
    };
    let mut wanted: Vec<_> = all.iter().filter_map(|one| Some((half(one)?, one))).collect();
    wanted.sort_by_key(|(at, (call, ..))| (world.date(*at), call.priority, call.rule.kind, *at));
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
            (call.went_out.is_none(), call.priority, call.rule.kind, call.opens, &call.rule.key, call.occurrence)
        });
        let (most, _, free_dials) = world.cap(date);
        let (taken, _) = world.burden(free_dials, on_date.into_iter());
        let reminded = spaced.iter().filter(|other| world.date(**other) == date).count();
        let others = all.iter().filter(|(other, ..)| other.keeps_apart() && other.id != call.id);
        let apart = |other: Timestamp| at.duration_since(other).abs() >= spacing;
        let free = others.map(|(_, due, _)| *due).chain(spaced.iter().copied()).all(apart);
        if free && taken + u32::try_from(reminded).unwrap() < most {
            given.push((call.id, at));
            spaced.push(at);
        }
    }
    given
}
