//! A second planner, to check the first: written from the rules, date by date, slowly, and sharing none of its code.
//!
//! For each date and each rule it asks whether anything calls for it; it looks for the first minute that is allowed by
//! trying one minute after the other; and for each decision under a cap it counts everything again.

mod anchors;
mod burden;
mod calls;
mod chances;
mod notes;
mod patient;
mod places;
mod silences;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use self::burden::reminders;
use self::calls::{Call, calls};
use self::patient::World;
use super::*;
use crate::kernel::Id;
use crate::kernel::id::{Infusion, Prompt};
use crate::planning::protocol::Anchor;

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
        let surely = call.priority == 1 || call.went_out.is_some();
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
    let today = |call: &Call<'_>| {
        let waits = call.waits();
        move |on: Date| !waits || on == date
    };
    let mut calls: Vec<_> =
        calls.iter().map(|call| (world.place_on(call, &[], &today(call)).unwrap().0, *call)).collect();
    // Of two with the same time and the same key, the one that was taken first goes first.
    calls.sort_by_key(|(alone, call)| {
        let any_time = matches!(call.rule.anchor, Anchor::AfterSilence { .. });
        (one_part_first && (any_time || call.rule.window.len() > 1), call.went_out.is_none(), *alone, &call.rule.key)
    });
    let mut others = before.to_vec();
    let mut placed = Vec::new();
    for (_, call) in calls {
        let (due, expires) = world.place_on(call, &others, &today(call)).filter(|(due, _)| world.date(*due) == date)?;
        if call.keeps_apart() {
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
    let mut world = World { protocol, facts, today: Date::ZERO, now };
    world.today = world.date(now);
    let calls = calls(&world);
    let mut by_date: Vec<(Date, &Call<'_>)> =
        calls.iter().filter_map(|call| Some((world.date(world.place(call, &[])?.0), call))).collect();
    let mut all: Vec<Placed<'_, '_>> = Vec::new();
    let mut cards = Vec::new();
    let mut next = by_date.iter().map(|(date, _)| *date).min();
    while let Some(date) = &next {
        let mut those: Vec<_> = by_date.iter().filter(|(on, _)| on == date).map(|(_, call)| *call).collect();
        those.sort_by_key(|call| {
            (call.went_out.is_none(), call.priority, call.rule.kind, call.opens, &call.rule.key, call.occurrence)
        });
        let others = all.iter().filter(|(call, ..)| call.keeps_apart());
        let before: Vec<_> = others.map(|(_, due, _)| *due).collect();
        // "At most once in seven days."
        let recent = |call: &&Call<'_>| {
            let same = all.iter().rev().find(|(other, ..)| other.rule.key == call.rule.key);
            let near = |apart: i64| same.is_some_and(|(_, due, _)| between(world.date(*due), *date) < apart);
            call.went_out.is_none() && call.rule.min_days_apart.is_some_and(near)
        };
        let those: Vec<_> = those.into_iter().filter(|call| !recent(call)).collect();
        let placed = day(&world, *date, &those, &before);
        let lost = those.iter().filter(|call| call.waits() && placed.iter().all(|(other, ..)| other.id != call.id));
        for call in lost {
            // "It comes on the next date with room", and after a week it is a card on its own.
            match world.place_on(call, &[], &|on| on > *date) {
                Some((due, _)) => by_date.push((world.date(due), call)),
                None => cards.push(Asked { push: false, ..asked(&alone(&world, call), None) }),
            }
        }
        all.extend(placed);
        next = by_date.iter().map(|(on, _)| *on).filter(|on| on > date).min();
    }
    let reminders = reminders(&world, &all);
    let is_near = |due| between(world.today, world.date(due)) <= i64::from(protocol.horizon_days);
    let mut asked: Vec<_> = all
        .iter()
        .filter(|(call, due, _)| !call.orphan && is_near(*due))
        .map(|one| asked(one, reminders.iter().find(|(id, _)| *id == one.0.id).map(|(_, at)| *at)))
        .chain(cards.into_iter().filter(|card| is_near(card.due)))
        .collect();
    asked.sort();
    asked
}

/// Places a call as if there were no other.
fn alone<'c, 'a>(world: &World<'a>, call: &'c Call<'a>) -> Placed<'c, 'a> {
    let (due, expires) = world.place(call, &[]).unwrap();
    (call, due, expires)
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
