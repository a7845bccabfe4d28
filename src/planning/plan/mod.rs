//! Planning: a pure function of protocol, facts and time.
//!
//! 1. `anchor` and `recurring`: the prompts that infusions, coming sessions and the calendar call for, and the slots in
//!    which each may be placed; `activity`: those that follow from what the patient left. `conditions` says which rules
//!    ask at all, `builder` what has gone out already.
//! 2. `cap`: date by date, in order of priority, the prompts that keep every cap and spacing are taken; then reminders
//!    take the remaining places.
//! 3. `place`: the instant of one prompt: zone history, spacing, quiet hours, silences, readiness, pauses.
//!
//! The time decides only which dates are planned: those of the last sixteen days (so that a prompt that has gone out
//! keeps its place) and of the protocol's horizon; and whether a silence has lasted long enough for a message, or will
//! have within a day. All else follows from the facts, so planning tomorrow gives the same prompts as planning today.

mod activity;
mod anchor;
mod builder;
mod calendar;
mod candidate;
mod cap;
mod conditions;
mod model;
mod place;
mod returning;
mod readiness;
mod recurring;
mod sessions;
mod silence;
mod slots;

use std::collections::HashMap;

use jiff::{Timestamp, ToSpan};

pub use activity::{ids_in_a_row, other_about_silence, row_begins};
pub use model::{DropReason, Dropped, Plan, Planned, Why};
pub use readiness::unready_until;
pub use silence::{UntoldEnd, session_span, silence};

use super::facts::Facts;
use super::protocol::{Protocol, Rule};

/// The number of past days that are planned again: a whole window and the days of preparation before it.
const PAST_DAYS: i32 = 16;
/// The number of days after the horizon that are planned too, because their prompts take the places of reminders of
/// earlier ones.
const MARGIN_DAYS: i32 = 3;

/// Plans the prompts of one patient, from sixteen days before `now` to the protocol's horizon after it.
pub fn plan(protocol: &Protocol, facts: &Facts, now: Timestamp) -> Plan {
    let edited = (!facts.overrides.is_empty()).then(|| protocol.with(&facts.overrides));
    let protocol = edited.as_ref().unwrap_or(protocol);
    let calendar = calendar::Calendar::new(facts);
    let today = calendar.date(now);
    let range = candidate::Range {
        first: today.saturating_sub(PAST_DAYS.days()),
        last: today.saturating_add((protocol.horizon_days + MARGIN_DAYS).days()),
    };
    let sessions = sessions::Sessions::new(facts, &calendar);
    let mut dropped = Vec::new();
    let mut calls = builder::CandidateBuilder::new(protocol, facts, &calendar, (range, now), &mut dropped);
    anchor::collect(&mut calls, &sessions);
    let (mut candidates, awaits_activity, substitutes) = (calls.found, calls.awaits_activity, calls.substitutes);
    let returning = returning::candidates(protocol, facts, &calendar, (range, now), &mut dropped);
    let returns: HashMap<_, _> = returning.iter().map(|(candidate, response)| (candidate.id, *response)).collect();
    candidates.extend(returning.into_iter().map(|(candidate, _)| candidate));
    let from = candidates.iter().filter_map(candidate::Candidate::earliest).min().unwrap_or(now);
    let placer = place::Placer::new(protocol, facts, &calendar, &sessions, from);
    let taken = cap::take(&placer, &candidates, &mut dropped);
    dropped.retain(|one| !substitutes.contains(&one.id));
    let own = |key: &str| {
        let of_therapist = facts.overrides.iter().any(|one| one.rule_key == key && one.is_own());
        protocol.rule(key).filter(|_| of_therapist).cloned().map(Box::new)
    };
    let horizon = today.saturating_add(protocol.horizon_days.days());
    let mut prompts: Vec<_> = taken
        .into_iter()
        .filter(cap::Placed::is_called_for)
        .map(|taken| taken.planned(protocol, &calendar))
        .map(|planned| Planned { returns: returns.get(&planned.id).copied(), own: own(&planned.rule_key), ..planned })
        .filter(|planned| planned.local_date <= horizon)
        .collect();
    // A change of zone can repeat a date: the order of dates is not that of time.
    prompts.sort_by(|one: &Planned, other| (one.due_at, &one.rule_key).cmp(&(other.due_at, &other.rule_key)));
    Plan { prompts, dropped, awaits_activity }
}

/// Finds the instant before `until` for a prompt of `rule` that the patient put off until `due`, with the reason for a
/// delay. It keeps half an hour from the prompts at `others`. An error is the reason why it is dropped.
pub fn put_off(
    protocol: &Protocol,
    facts: &Facts,
    rule: &Rule,
    (due, until): (Timestamp, Timestamp),
    others: &[Timestamp],
) -> Result<(Timestamp, Why), DropReason> {
    let calendar = calendar::Calendar::new(facts);
    let sessions = sessions::Sessions::new(facts, &calendar);
    place::Placer::new(protocol, facts, &calendar, &sessions, due).put_off(rule, (due, until), others)
}
