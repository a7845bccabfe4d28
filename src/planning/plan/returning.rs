//! Collects the responses that come back to the patient on the date that they wrote.
//!
//! None is lost. Where its date has no room, it comes on the next date that has, in order of the dates that were
//! written. If the seven days after its date have no room either, it stands in the app on its date, without a push. One
//! whose date has passed when it arrives, or whose prompt expired in an outage, comes at the next time with room.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::builder::jitter;
use super::calendar::Calendar;
use super::candidate::{Candidate, Range};
use super::model::{DropReason, Dropped, Why};
use super::slots::{TimeSlot, days_from, windows};
use crate::kernel::Id;
use crate::kernel::id::{Prompt, Response};
use crate::planning::facts::{DatedResponse, Facts};
use crate::planning::protocol::{Anchor, Protocol, Rule};

/// The number of days after its date on which a response that found no room still comes. If all of them are full, it
/// is a card in the app.
const ROOM_DAYS: i32 = 7;

/// Collects a candidate for each response that is still to come back on a date of `range`. One that came back does so
/// again only if it was given a later date since. A prompt that is out and whose response is gone is taken back.
pub(super) fn candidates<'a>(
    protocol: &'a Protocol,
    facts: &'a Facts,
    calendar: &Calendar<'_>,
    (range, now): (Range, Timestamp),
    dropped: &mut Vec<Dropped>,
) -> Vec<(Candidate<'a>, Id<Response>)> {
    let mut found = Vec::new();
    for rule in &protocol.rules {
        let Anchor::DateOf(exercise) = &rule.anchor else { continue };
        let mut known = Vec::new();
        for response in facts.dated.iter().filter(|response| response.exercise == *exercise) {
            let next = next(facts, rule, response, &mut known);
            let Some((id, occurrence, missed)) = next else { continue };
            let dates = dates(facts, calendar, (response.date, calendar.date(now)), missed);
            if range.holds(dates.on) || range.holds(dates.free) {
                found.push((candidate(protocol, calendar, rule, (dates, now), (id, occurrence)), response.id));
            }
        }
        let gone = facts.settled.iter().filter(|past| past.rule_key == rule.key && past.unanswered);
        let gone = gone.filter(|past| !past.taken_back && !known.contains(&past.id));
        dropped.extend(gone.map(|past| Dropped {
            id: past.id,
            rule_key: rule.key.clone(),
            anchor: None,
            reason: DropReason::Withdrawn,
        }));
    }
    found
}

/// Returns the id and the number of the prompt that brings `response` back next, and whether one for its date expired
/// before it reached the patient; `None` if one for its date did reach them. Adds the ids up to it to `known`.
fn next(
    facts: &Facts,
    rule: &Rule,
    response: &DatedResponse,
    known: &mut Vec<Id<Prompt>>,
) -> Option<(Id<Prompt>, u32, bool)> {
    let mut missed = false;
    for occurrence in 0.. {
        let id = facts.prompt_key.of_response(facts.patient, &rule.key, response.id, occurrence);
        known.push(id);
        let Some(past) = facts.settled.iter().find(|past| past.id == id) else {
            return Some((id, occurrence, missed));
        };
        if response.date <= past.date {
            if !past.missed {
                return None;
            }
            missed = true;
        }
    }
    None
}

/// The dates of a response that comes back.
#[derive(Clone, Copy)]
struct Dates {
    /// The date that the patient wrote.
    written: Date,
    /// The first date on which it comes: the same, or today if it is too late for that.
    on: Date,
    /// The date on which the pause ends in which that lies: the same without a pause.
    free: Date,
}

/// Returns the dates of a response with the date `written`, on the day `today`. One that was not in time for its date,
/// such as one that arrives long after it or that was `missed` on it, comes from today on.
fn dates(facts: &Facts, calendar: &Calendar<'_>, (written, today): (Date, Date), missed: bool) -> Dates {
    let free = after_pauses(facts, calendar, written);
    if missed || free.saturating_add(ROOM_DAYS.days()) < today {
        return Dates { written, on: today, free: after_pauses(facts, calendar, today) };
    }
    Dates { written, on: written, free }
}

/// Returns `date`, or the date on which the pause ends in which it lies.
fn after_pauses(facts: &Facts, calendar: &Calendar<'_>, date: Date) -> Date {
    let mut free = date;
    loop {
        let noon = calendar.instant(free, jiff::civil::time(12, 0, 0, 0));
        let ends = facts.pauses.iter().filter(|pause| pause.contains(noon)).map(|pause| calendar.date(pause.until));
        match ends.max().filter(|end| *end > free) {
            Some(end) => free = end,
            None => return free,
        }
    }
}

fn candidate<'a>(
    protocol: &'a Protocol,
    calendar: &Calendar<'_>,
    rule: &'a Rule,
    (Dates { written, on, free }, now): (Dates, Timestamp),
    (id, occurrence): (Id<Prompt>, u32),
) -> Candidate<'a> {
    let jitter = jitter(id, protocol.jitter_minutes);
    let days = |date| days_from(protocol, rule, calendar, (date, ROOM_DAYS), jitter);
    let mut slots = days(on);
    if free > on {
        slots.extend(days(free).into_iter().map(|slot| TimeSlot { why: Why::LaterDay, ..slot }));
    }
    // What was written today for today has the rest of the day.
    let soon = next_minute(now);
    slots.retain(|slot| slot.until >= soon);
    for slot in &mut slots {
        (slot.from, slot.opens) = (slot.from.max(soon), slot.opens.max(soon));
    }
    // Those that have waited longest go first.
    let first = windows(protocol, rule, calendar, written, jitter);
    let opens = first.first().map_or(Timestamp::MAX, |slot| slot.opens);
    Candidate { occurrence, opens, slots, ..Candidate::new(rule, id) }
}

/// Returns the first whole minute after `now`.
fn next_minute(now: Timestamp) -> Timestamp {
    let second = now.as_second();
    let begun = Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(now);
    begun.saturating_add(SignedDuration::from_mins(1)).unwrap_or(now)
}
