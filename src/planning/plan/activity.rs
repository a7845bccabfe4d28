//! Prompts that follow from what the patient leaves: a message after a silence, an exercise that lapsed, and the stop of
//! what recurs.

use std::collections::BTreeMap;

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};

use super::builder::{CandidateBuilder, Limits};
use super::calendar::{Calendar, days};
use super::candidate::Candidate;
use super::model::{DropReason, Dropped, Planned, Why};
use super::place::rests;
use super::sessions::Session;
use super::slots::{TimeSlot, windows};
use crate::kernel::Id;
use crate::kernel::id::Prompt;
use crate::planning::facts::{Facts, PastPrompt};
use crate::planning::protocol::{Anchor, Expiry, PromptKind, Protocol, Rule};

/// A silence is foreseen by this much, as plans are made once a day, and a day may have an hour more.
const AHEAD: SignedDuration = SignedDuration::from_hours(25);
const A_DAY: SignedDuration = SignedDuration::from_hours(24);

fn plus(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// The most periods of a recurring rule without a lapsed prompt that a row may hold, beside those that stop the rule.
/// In a pause, or over a cap, none goes out.
const MOST_WITHOUT: usize = 60;

/// Returns the instant at which a row of lapsed prompts begins: the last activity of the patient, or the end of the
/// last infusion if that is later.
pub fn row_begins(facts: &Facts) -> Option<Timestamp> {
    let active = facts.last_active_at?;
    Some(facts.infusions.iter().filter_map(|infusion| infusion.ended_at).fold(active, Timestamp::max))
}

/// Lists the ids that the prompts in a row of lapsed ones have, up to `now`, with those of the messages about a stop. A
/// row may have begun long ago.
pub fn ids_in_a_row(protocol: &Protocol, facts: &Facts, now: Timestamp) -> Vec<Id<Prompt>> {
    let Some(begins) = row_begins(facts) else { return Vec::new() };
    let calendar = Calendar::new(facts);
    let (origin, first, last) = (calendar.date(facts.care_start), calendar.date(begins), calendar.date(now));
    let mut ids = Vec::new();
    for rule in &protocol.rules {
        let Some((period, lapsed)) = period(rule).zip(rule.stops_after) else { continue };
        let most = usize::try_from(lapsed).unwrap_or(usize::MAX).saturating_add(MOST_WITHOUT);
        let number = |date| days(origin, date).div_euclid(period).max(0);
        let message = |other: &&Rule| matches!(&other.anchor, Anchor::AfterStop(of) if *of == rule.key);
        for rule in protocol.rules.iter().filter(message).chain([rule]) {
            let row = (number(first)..=number(last)).take(most).filter_map(|number| u32::try_from(number).ok());
            ids.extend(row.map(|occurrence| facts.prompt_key.id(facts.patient, &rule.key, None, occurrence)));
        }
    }
    ids
}

/// Returns the id of the other of the two prompts about a silence, if `planned` is one of them. Only one of the two is
/// asked, and the other may have gone out long ago.
pub fn other_about_silence(protocol: &Protocol, facts: &Facts, planned: &Planned) -> Option<Id<Prompt>> {
    let rule = protocol.rule(&planned.rule_key)?;
    let Anchor::AfterSilence { .. } = rule.anchor else { return None };
    let infusion = facts.infusions.iter().find(|infusion| Some(infusion.id) == planned.anchor)?;
    let other = 1_u32.checked_sub(planned.occurrence)?;
    Some(facts.prompt_key.id(facts.patient, &rule.key, Some(infusion.name()), other))
}

/// Returns the number of days after which a rule recurs.
pub(super) fn period(rule: &Rule) -> Option<i64> {
    match rule.anchor {
        Anchor::Weekly => Some(7),
        Anchor::Monthly => Some(28),
        _ => None,
    }
}

impl Protocol {
    /// Whether prompts of `rule` that lapse come once more on the next day: exercises of a day that expire soon.
    pub fn carries_over(&self, rule: &Rule) -> bool {
        let Some(carry) = self.carry_over.filter(|_| rule.kind == PromptKind::Exercise) else { return false };
        let within = SignedDuration::from_hours(carry.expires_within_hours);
        let Anchor::Day(_) = rule.anchor else { return false };
        match (rule.expires, rule.window.first()) {
            (Expiry::Hours(hours), _) => SignedDuration::from_hours(hours) < within,
            (Expiry::Until { days: 0, time }, Some(part)) => {
                time.duration_since(self.windows.span(*part).from) < within
            }
            (Expiry::Until { .. }, _) => false,
        }
    }
}

impl<'a> CandidateBuilder<'a, '_> {
    /// Collects the message to a patient who has not been active for so many hours since the end of `session`. It is
    /// called for when that time is over, or a day before, and on the next date if that one has no room; activity moves
    /// it, past the end of the phase for good.
    pub(super) fn after_silence(&mut self, session: &Session<'_>, next: Option<&Session<'_>>) {
        let Some((end, active)) = session.fact.ended_at.zip(self.facts.last_active_at) else { return };
        let protocol = self.protocol;
        for rule in &protocol.rules {
            let Anchor::AfterSilence { hours, phase } = rule.anchor else { continue };
            let Some((starts, ends)) = protocol.window.phase_times(session.fact.route, phase) else { continue };
            let length = SignedDuration::from_hours(hours);
            let from = plus(end.max(active), length).max(plus(end, starts));
            let until = ends.map_or(Timestamp::MAX, |ends| plus(end, ends));
            let date = self.calendar.date(from);
            if from >= until {
                // It may have been planned before the patient became active, and wait for the end of a night.
                let perhaps_planned = plus(end, length) <= active && self.now < plus(until, A_DAY);
                if perhaps_planned && !(self.went_out(rule, session, 0) || self.went_out(rule, session, 1)) {
                    self.refuse(rule, Some(session), 0, DropReason::Answered);
                }
                continue;
            }
            // The date may be full: the rule's distance in days keeps the second from being asked beside the first. A
            // patient who rests is left in peace.
            let awake = self.calendar.next_allowed(from).filter(|awake| rests(self.facts, *awake).is_none());
            let next_date = awake.and_then(|awake| self.calendar.date(awake).tomorrow().ok());
            let second = next_date.map(|date| {
                let morning = self.calendar.instant(date, Time::midnight());
                (1, date, morning, plus(morning, A_DAY))
            });
            for (occurrence, date, from, until) in std::iter::once((0, date, from, until)).chain(second) {
                let is_foreseen = from.duration_since(self.now) < AHEAD.min(length);
                // Once one of the two has gone out, the other is not asked, also if the end of the session is corrected.
                let [out, other_out] = [occurrence, 1 - occurrence].map(|one| self.went_out(rule, session, one));
                if !is_foreseen || (other_out && !out) || !self.range.holds(date) {
                    continue;
                }
                let against = cut_after(session, next, date);
                let eve = next.and_then(|next| next.start_date.yesterday().ok());
                let limits = Limits { last_date: eve, ..Limits::default() };
                self.awaits_activity |= !out && !other_out;
                if occurrence > 0 {
                    self.substitutes.push(self.id(rule, Some(session), occurrence));
                }
                self.call(rule, Some(session), occurrence, against, limits, |_, _| {
                    vec![TimeSlot { from, opens: from, until, base: date, why: Why::Silence }]
                });
            }
        }
    }

    /// Whether an occurrence of `rule` about a silence after `session` has gone out.
    fn went_out(&self, rule: &Rule, session: &Session<'_>, occurrence: u32) -> bool {
        let id = self.id(rule, Some(session), occurrence);
        self.facts.settled.iter().any(|past| past.id == id)
    }

    /// Collects the prompt of an exercise that lapsed once more, for the next day, if `rule` is carried over.
    pub(super) fn carry_over(&mut self, rule: &'a Rule, session: &Session<'_>, next: Option<&Session<'_>>) {
        let protocol = self.protocol;
        let Some(carry) = protocol.carry_over.filter(|_| protocol.carries_over(rule)) else { return };
        let facts = self.facts;
        let mut lapsed = facts.settled.iter().filter(|past| past.lapsed && past.rule_key == rule.key).peekable();
        if lapsed.peek().is_none() {
            return;
        }
        let first = self.id(rule, Some(session), 0);
        let lapsed = lapsed.find(|past| past.id == first);
        let Some(date) = lapsed.and_then(|past| self.calendar.date(past.due_at).tomorrow().ok()) else { return };
        if !self.range.holds(date) {
            return;
        }
        let against = cut_after(session, next, date);
        let eve = next.and_then(|next| next.start_date.yesterday().ok());
        let limits = Limits { last_date: eve, ..Limits::default() };
        let count = self.found.len();
        self.call(rule, Some(session), 1, against, limits, |calendar, jitter| {
            let slots = windows(protocol, rule, calendar, date, jitter).into_iter();
            slots.map(|slot| TimeSlot { why: Why::CarriedOver, ..slot }).collect()
        });
        for candidate in self.found.iter_mut().skip(count) {
            (candidate.priority, candidate.carried_to) = (carry.priority, Some(date));
        }
    }

    /// Keeps one of the exercises that are carried over to a date: the one of the highest priority, unless another has
    /// gone out already.
    pub(super) fn carry_one_a_day(&mut self) {
        let mut best: BTreeMap<Date, _> = BTreeMap::new();
        let rank = |one: &Candidate<'a>| (one.settled.is_none(), one.rule.priority, one.opens, one.id);
        for (date, one) in self.found.iter().filter_map(|one| Some((one.carried_to?, one))) {
            let rank = rank(one);
            best.entry(date).and_modify(|best| *best = rank.min(*best)).or_insert(rank);
        }
        if best.is_empty() {
            return;
        }
        let dropped = &mut *self.dropped;
        self.found.retain(|one| {
            let kept = one.settled.is_some() || one.carried_to.is_none_or(|date| best.get(&date) == Some(&rank(one)));
            if !kept {
                let (id, rule_key) = (one.id, one.rule.key.clone());
                dropped.push(Dropped { id, rule_key, anchor: one.anchor, reason: DropReason::Cap });
            }
            kept
        });
    }

    /// Finds the prompt of `rule` with which as many have lapsed in a row as stop it. Activity of the patient and an
    /// infusion begin a new row.
    pub(super) fn stopped_by(&self, rule: &Rule) -> Option<&'a PastPrompt> {
        let (facts, most) = (self.facts, rule.stops_after?);
        let begins = row_begins(facts)?;
        let lapsed = |past: &&PastPrompt| past.rule_key == rule.key && past.lapsed && past.due_at > begins;
        let mut row: Vec<_> = facts.settled.iter().filter(lapsed).collect();
        row.sort_by_key(|past| (past.due_at, past.id));
        row.get(usize::try_from(most).ok()?.checked_sub(1)?).copied()
    }
}

/// Returns the reason against what is not of the template of `session` on `date`.
fn cut_after(session: &Session<'_>, next: Option<&Session<'_>>, date: Date) -> Option<DropReason> {
    match next {
        Some(next) if session.gap_to(next) <= 0 => Some(DropReason::Merged),
        Some(next) if next.start_date <= date => Some(DropReason::Superseded),
        _ if session.fact.provisional && days(session.date, date) > 1 => Some(DropReason::Provisional),
        _ => None,
    }
}
