//! Collects the responses that come back to the patient on the date that they wrote.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::builder::jitter;
use super::calendar::Calendar;
use super::candidate::{Candidate, Range};
use super::model::{DropReason, Dropped, Why};
use super::slots::{TimeSlot, back, later_days};
use crate::kernel::Id;
use crate::kernel::id::{Prompt, Response};
use crate::planning::facts::{DatedResponse, Facts};
use crate::planning::protocol::{Anchor, Protocol, Rule};

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
            let next = next(facts, calendar, rule, response, &mut known);
            let Some((id, occurrence)) = next else { continue };
            let dates = dates(facts, calendar, response.date);
            if range.holds(dates.0) || range.holds(dates.1) {
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

/// Returns the id and the number of the prompt that brings `response` back next; `None` if the last one was for its
/// date. Adds the ids up to it to `known`.
fn next(
    facts: &Facts,
    calendar: &Calendar<'_>,
    rule: &Rule,
    response: &DatedResponse,
    known: &mut Vec<Id<Prompt>>,
) -> Option<(Id<Prompt>, u32)> {
    for occurrence in 0.. {
        let id = facts.prompt_key.of_response(facts.patient, &rule.key, response.id, occurrence);
        known.push(id);
        let Some(past) = facts.settled.iter().find(|past| past.id == id) else { return Some((id, occurrence)) };
        if response.date <= calendar.date(past.due_at) {
            return None;
        }
    }
    None
}

/// Returns the date of a response, and the one on which the pause ends in which it lies: the same without a pause.
fn dates(facts: &Facts, calendar: &Calendar<'_>, date: Date) -> (Date, Date) {
    let mut free = date;
    loop {
        let noon = calendar.instant(free, jiff::civil::time(12, 0, 0, 0));
        let ends = facts.pauses.iter().filter(|pause| pause.contains(noon)).map(|pause| calendar.date(pause.until));
        match ends.max().filter(|end| *end > free) {
            Some(end) => free = end,
            None => return (date, free),
        }
    }
}

fn candidate<'a>(
    protocol: &'a Protocol,
    calendar: &Calendar<'_>,
    rule: &'a Rule,
    ((date, free), now): ((Date, Date), Timestamp),
    (id, occurrence): (Id<Prompt>, u32),
) -> Candidate<'a> {
    let jitter = jitter(id, protocol.jitter_minutes);
    let mut slots = later_days(protocol, rule, calendar, date, jitter);
    if free > date {
        let later = later_days(protocol, rule, calendar, free, jitter).into_iter();
        slots.extend(later.map(|slot| TimeSlot { why: Why::LaterDay, ..slot }));
    }
    // What was written today for today has the rest of the day.
    let soon = next_minute(now);
    slots.retain(|slot| slot.base != calendar.date(now) || slot.until >= soon);
    for slot in slots.iter_mut().filter(|slot| slot.base == calendar.date(now)) {
        (slot.from, slot.opens) = (slot.from.max(soon), slot.opens.max(soon));
    }
    let opens = slots.first().map_or(Timestamp::MAX, |slot| back(slot.from, jitter));
    Candidate {
        rule,
        id,
        anchor: None,
        occurrence,
        priority: rule.priority,
        carried_to: None,
        zero: None,
        wording: 0,
        opens,
        slots,
        awake: false,
        card: false,
        hangs_on: None,
        deadline: None,
        starts: None,
        last_date: None,
        settled: None,
        orphan: false,
    }
}

/// Returns the first whole minute after `now`.
fn next_minute(now: Timestamp) -> Timestamp {
    let second = now.as_second();
    let begun = Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(now);
    begun.saturating_add(SignedDuration::from_mins(1)).unwrap_or(now)
}
