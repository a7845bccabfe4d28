//! Collects candidates: decides on each prompt that a rule calls for, whether it went out already, and whether a
//! correction of its infusion asks it again.

use std::collections::HashSet;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::calendar::Calendar;
use super::candidate::{Candidate, Range};
use super::conditions::Conditions;
use super::model::{DropReason, Dropped, Why};
use super::sessions::Session;
use super::silence::Silences;
use super::slots::{TimeSlot, back};
use crate::kernel::Id;
use crate::kernel::id::Prompt;
use crate::planning::facts::{Facts, InfusionFact, PastPrompt};
use crate::planning::protocol::{Anchor, Expiry, PromptKind, Protocol, Rule};

/// A check or measure that moves by this much after it went out is asked again.
const CORRECTED: SignedDuration = SignedDuration::from_hours(6);
/// The delay until then, if its new time has passed.
const SOON: SignedDuration = SignedDuration::from_mins(5);

/// The candidates found so far, and the reasons against others.
pub(super) struct CandidateBuilder<'a, 'b> {
    pub(super) protocol: &'a Protocol,
    pub(super) facts: &'a Facts,
    pub(super) calendar: &'a Calendar<'a>,
    pub(super) conditions: Conditions<'a>,
    pub(super) silences: Silences,
    pub(super) range: Range,
    pub(super) now: Timestamp,
    /// Whether something found follows from the patient's silence.
    pub(super) awaits_activity: bool,
    /// The ids of candidates that are asked if another has no place. The reason against one is not told.
    pub(super) substitutes: Vec<Id<Prompt>>,
    pub(super) found: Vec<Candidate<'a>>,
    pub(super) dropped: &'b mut Vec<Dropped>,
}

/// The limits of a candidate's time besides its slots.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) deadline: Option<Timestamp>,
    pub(super) starts: Option<Timestamp>,
    pub(super) last_date: Option<Date>,
}

impl<'a, 'b> CandidateBuilder<'a, 'b> {
    /// Begins with nothing found.
    pub(super) fn new(
        protocol: &'a Protocol,
        facts: &'a Facts,
        calendar: &'a Calendar<'a>,
        (range, now): (Range, Timestamp),
        dropped: &'b mut Vec<Dropped>,
    ) -> Self {
        let conditions = Conditions { protocol, facts, calendar };
        let silences = Silences::new(&protocol.window, facts);
        let found = Vec::with_capacity(64);
        let substitutes = Vec::new();
        let awaits_activity = false;
        Self {
            protocol,
            facts,
            calendar,
            conditions,
            silences,
            range,
            now,
            awaits_activity,
            substitutes,
            found,
            dropped,
        }
    }

    /// Returns the id of an occurrence of `rule`.
    pub(super) fn id(&self, rule: &Rule, session: Option<&Session<'_>>, occurrence: u32) -> Id<Prompt> {
        let name = session.map(|session| session.fact.name());
        self.facts.prompt_key.id(self.facts.patient, &rule.key, name, occurrence)
    }

    /// Adds the reason against an occurrence of `rule`.
    pub(super) fn refuse(&mut self, rule: &Rule, session: Option<&Session<'_>>, occurrence: u32, reason: DropReason) {
        let (id, anchor) = (self.id(rule, session, occurrence), session.map(|session| session.fact.id));
        self.dropped.push(Dropped { id, rule_key: rule.key.clone(), anchor, reason });
    }

    /// Adds a candidate, or the reason against it.
    pub(super) fn call(
        &mut self,
        rule: &'a Rule,
        session: Option<&Session<'_>>,
        occurrence: u32,
        against: Option<DropReason>,
        limits: Limits,
        slots: impl Fn(&Calendar<'_>, SignedDuration) -> Vec<TimeSlot>,
    ) {
        let anchor = session.map(|session| session.fact.id);
        let id = self.id(rule, session, occurrence);
        let out = self.facts.settled.iter().find(|settled| settled.id == id);
        let settled = out.map(|settled| settled.due_at);
        if let Some(out) = out.filter(|out| out.unanswered) {
            // A prompt that is merged or corrected after it went out takes no place and is not to be answered.
            let merged = against == Some(DropReason::Merged);
            let mut moved =
                || session.is_some_and(|session| self.correct(rule, session, occurrence, out, limits, &slots));
            if merged || moved() {
                let reason = if merged { DropReason::Merged } else { DropReason::Corrected };
                self.dropped.push(Dropped { id, rule_key: rule.key.clone(), anchor, reason });
                return;
            }
        }
        let against = if settled.is_some() {
            None
        } else {
            let replaced = || self.conditions.is_replaced(rule, session).then_some(DropReason::Replaced);
            self.conditions.refusal(rule).or(against).or_else(|| self.conditions.lacks(rule)).or_else(replaced)
        };
        if let Some(reason) = against {
            self.dropped.push(Dropped { id, rule_key: rule.key.clone(), anchor, reason });
            return;
        }
        let jitter = jitter(id, self.protocol.jitter_minutes);
        let slots = slots(self.calendar, jitter);
        let first = slots.first().map_or(Timestamp::MAX, |slot| slot.from);
        let opens = if rule.window.is_empty() { first } else { back(first, jitter) };
        let zero = session.map(|session| session.date);
        self.found.push(Candidate {
            anchor,
            occurrence,
            priority: rule.priority,
            zero,
            wording: session.map_or(0, |session| rule.wording(session.number)),
            opens,
            slots,
            card: out.is_some_and(|out| out.card && rule.push),
            hangs_on: session.and_then(|session| hangs_on(rule, session.fact)),
            deadline: limits.deadline,
            starts: limits.starts,
            last_date: limits.last_date,
            settled,
            ..Candidate::new(out.and_then(|out| out.rule.as_deref()).unwrap_or(rule), id)
        });
    }

    /// Asks a check or measure again whose time was corrected after it went out, and answers whether that was so. A
    /// correction is a move by six hours or more, or to another date for rules that count days. A prompt that was taken
    /// back counts as corrected too, as its earlier time may have proved right. It is asked at its new time. A check
    /// whose new time has passed is asked in five minutes, if it is still of use.
    fn correct(
        &mut self,
        rule: &'a Rule,
        session: &Session<'_>,
        occurrence: u32,
        out: &PastPrompt,
        limits: Limits,
        slots: &dyn Fn(&Calendar<'_>, SignedDuration) -> Vec<TimeSlot>,
    ) -> bool {
        if !self.is_corrected(rule, session.fact, out) {
            return false;
        }
        let meant = slots(self.calendar, jitter(out.id, self.protocol.jitter_minutes)).into_iter().next();
        let Some(meant) = meant else { return false };
        let told = session.fact.recorded_at;
        let soon = told.saturating_add(SOON).unwrap_or(told);
        let useful = match rule.expires {
            Expiry::Hours(hours) => meant.from.saturating_add(SignedDuration::from_hours(hours)).unwrap_or(soon) > soon,
            Expiry::Until { days, time } => self.calendar.instant(meant.base.saturating_add(days.days()), time) > soon,
        };
        let base = meant.base;
        if meant.from > told {
            self.call(rule, Some(session), occurrence + 1, None, limits, |calendar, jitter| slots(calendar, jitter));
        } else if rule.kind == PromptKind::Safety && useful {
            let again = move |_: &Calendar<'_>, _| {
                vec![TimeSlot { from: soon, opens: soon, until: Timestamp::MAX, base, why: Why::Corrected }]
            };
            self.call(rule, Some(session), occurrence + 1, None, Limits::default(), again);
        }
        true
    }

    /// Whether the time of a check or measure of `rule` was corrected after it went out.
    fn is_corrected(&self, rule: &Rule, fact: &InfusionFact, out: &PastPrompt) -> bool {
        if !matches!(rule.kind, PromptKind::Safety | PromptKind::Measure) {
            return false;
        }
        let Some((now, then)) = hangs_on(rule, fact).zip(out.hangs_on) else { return false };
        let moved = match rule.anchor {
            Anchor::Day(_) | Anchor::BeforeNextDays(_) => self.calendar.date(now) != self.calendar.date(then),
            _ => now.duration_since(then).abs() >= CORRECTED,
        };
        moved || out.taken_back
    }

    /// Collects the prompts that went out and that no rule calls for any more.
    pub(super) fn orphans(&mut self) {
        let mut known: HashSet<_> = self.found.iter().map(|candidate| candidate.id).collect();
        let taken_back = |one: &&Dropped| matches!(one.reason, DropReason::Merged | DropReason::Corrected);
        known.extend(self.dropped.iter().filter(taken_back).map(|one| one.id));
        let of = |id| self.facts.infusions.iter().find(|one| one.id == id || one.reported_as == Some(id));
        for settled in self.facts.settled.iter().filter(|settled| !known.contains(&settled.id)) {
            let against = settled.anchor.filter(|_| settled.unanswered).and_then(|anchor| match of(anchor) {
                // Its infusion turned out never to have been.
                None => Some(DropReason::Withdrawn),
                // Its infusion was corrected by so much that no plan reaches its time.
                Some(fact) => {
                    let rule = self.protocol.rule(&settled.rule_key);
                    rule.filter(|rule| self.is_corrected(rule, fact, settled)).map(|_| DropReason::Corrected)
                }
            });
            if let Some(reason) = against {
                // It is not to be answered, and takes no place.
                let (id, rule_key) = (settled.id, settled.rule_key.clone());
                self.dropped.push(Dropped { id, rule_key, anchor: settled.anchor, reason });
                continue;
            }
            let Some(rule) = settled.rule(self.protocol) else { continue };
            if self.range.holds(self.calendar.date(settled.due_at)) {
                self.found.push(Candidate {
                    opens: settled.due_at,
                    card: settled.card && rule.push,
                    settled: Some(settled.due_at),
                    orphan: true,
                    ..Candidate::new(rule, settled.id)
                });
            }
        }
    }
}

/// Returns the anchor of a rule's time: the start of the session that it prepares, or the end of the infusion.
fn hangs_on(rule: &Rule, fact: &InfusionFact) -> Option<Timestamp> {
    match rule.anchor {
        Anchor::BeforeNextDays(_) | Anchor::BeforeStart { .. } => fact.planned_start,
        _ => fact.ended_at,
    }
}

/// Returns the distance of a prompt from the start of its window: whole minutes, at most `most`.
pub(super) fn jitter(id: Id<Prompt>, most: u8) -> SignedDuration {
    let minutes = id.uuid().as_u64_pair().0 % (u64::from(most) + 1);
    SignedDuration::from_mins(i64::try_from(minutes).unwrap_or(0))
}
