//! Collects the prompts that rules call for.

use std::collections::HashSet;

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::calendar::{Calendar, days};
use super::model::{DropReason, Dropped, Why};
use super::sessions::{Session, Sessions, between_windows};
use super::slots::{Evening, TimeSlot, back, before_an_early_start, ends_late, evening_of, later_days, windows};
use crate::kernel::Id;
use crate::kernel::id::{Infusion, Prompt};
use crate::planning::facts::{Facts, PastPrompt};
use crate::planning::overrides::RuleChange;
use crate::planning::protocol::{Anchor, Expiry, PromptKind, Protocol, Rule};

/// A check or measure that moves by this much after it went out is asked again.
const CORRECTED: SignedDuration = SignedDuration::from_hours(6);
/// The delay until then, if its new time has passed.
const SOON: SignedDuration = SignedDuration::from_mins(5);

/// The dates that are planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) first: Date,
    pub(super) last: Date,
}

impl Range {
    pub(super) fn holds(self, date: Date) -> bool {
        self.first <= date && date <= self.last
    }
}

/// A prompt that a rule calls for.
pub(super) struct Candidate<'a> {
    pub(super) rule: &'a Rule,
    pub(super) id: Id<Prompt>,
    pub(super) anchor: Option<Id<Infusion>>,
    pub(super) occurrence: u32,
    /// The date of day 0.
    pub(super) zero: Option<Date>,
    /// The number of the wording of its text.
    pub(super) wording: u32,
    /// The start of its first window: the jitter decides nothing about places.
    pub(super) opens: Timestamp,
    /// The slots, in the order in which they are tried.
    pub(super) slots: Vec<TimeSlot>,
    /// Whether it may go out in quiet hours: a check in the evening of a late session.
    pub(super) awake: bool,
    /// Whether it is only a card in the app this time, without a push.
    pub(super) card: bool,
    /// The start or end of the infusion from which its time is computed.
    pub(super) hangs_on: Option<Timestamp>,
    /// The latest instant for it.
    pub(super) deadline: Option<Timestamp>,
    /// The start of the session that it prepares.
    pub(super) starts: Option<Timestamp>,
    /// The last date on which it has a place if something moves it.
    pub(super) last_date: Option<Date>,
    /// The instant at which it was due, if it went out or was answered.
    pub(super) settled: Option<Timestamp>,
    /// Whether it is no longer called for. It went out and still counts.
    pub(super) orphan: bool,
}

impl Candidate<'_> {
    /// Whether it is a safety check, which keeps no distance to others.
    pub(super) fn is_safety(&self) -> bool {
        self.rule.kind == PromptKind::Safety
    }

    /// Whether the phone may announce it.
    pub(super) fn is_pushed(&self) -> bool {
        self.rule.push && !self.card
    }

    /// Whether it takes a place under the cap of its date.
    pub(super) fn is_capped(&self) -> bool {
        self.rule.is_capped() && !self.card
    }

    /// Whether it may have a reminder. What takes a minute has none.
    pub(super) fn may_remind(&self) -> bool {
        !self.orphan && !self.card && self.rule.counts() && self.rule.minutes > 1
    }
}

/// Collects the prompts that are called for on the dates of `range`.
pub(super) fn candidates<'a>(
    protocol: &'a Protocol,
    facts: &'a Facts,
    calendar: &'a Calendar<'a>,
    sessions: &Sessions<'a>,
    range: Range,
    dropped: &mut Vec<Dropped>,
) -> Vec<Candidate<'a>> {
    let mut calls = CandidateBuilder { protocol, facts, calendar, range, found: Vec::with_capacity(64), dropped };
    for (n, session) in sessions.0.iter().enumerate() {
        let previous = n.checked_sub(1).and_then(|n| sessions.0.get(n));
        let next = sessions.0.get(n + 1);
        let near = range.first.saturating_sub(protocol.horizon_days.days()) <= session.date
            && session.start_date <= range.last.saturating_add(7.days());
        if near {
            calls.preparation(session, previous);
            calls.days_after(session, next);
        }
    }
    calls.recurring(sessions);
    calls.orphans();
    calls.found
}

struct CandidateBuilder<'a, 'b> {
    protocol: &'a Protocol,
    facts: &'a Facts,
    calendar: &'a Calendar<'a>,
    range: Range,
    found: Vec<Candidate<'a>>,
    dropped: &'b mut Vec<Dropped>,
}

/// The limits of a candidate's time besides its slots.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    deadline: Option<Timestamp>,
    starts: Option<Timestamp>,
    last_date: Option<Date>,
}

impl<'a> CandidateBuilder<'a, '_> {
    /// Adds a candidate, or the reason against it.
    fn call(
        &mut self,
        rule: &'a Rule,
        session: Option<&Session<'_>>,
        occurrence: u32,
        against: Option<DropReason>,
        limits: Limits,
        slots: impl Fn(&Calendar<'_>, SignedDuration) -> Vec<TimeSlot>,
    ) {
        let anchor = session.map(|session| session.fact.id);
        let name = session.map(|session| session.fact.name());
        let id = self.facts.prompt_key.id(self.facts.patient, &rule.key, name, occurrence);
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
            let replaced = || self.is_replaced(rule, session).then_some(DropReason::Replaced);
            self.refusal(rule).or(against).or_else(|| self.lacks(rule)).or_else(replaced)
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
            rule: out.and_then(|out| out.rule.as_deref()).unwrap_or(rule),
            id,
            anchor,
            occurrence,
            zero,
            wording: session.map_or(0, |session| rule.wording(session.number)),
            opens,
            slots,
            awake: false,
            card: false,
            hangs_on: session.and_then(|session| hangs_on(rule, session)),
            deadline: limits.deadline,
            starts: limits.starts,
            last_date: limits.last_date,
            settled,
            orphan: false,
        });
    }

    /// Returns the reason not to ask for `rule` at all, whatever the infusion.
    fn refusal(&self, rule: &Rule) -> Option<DropReason> {
        if !rule.needs.iter().all(|need| self.facts.capabilities.contains(need)) {
            return Some(DropReason::Capability);
        }
        if self.facts.overrides.iter().any(|one| one.rule_key == rule.key && one.change == RuleChange::LeftOut) {
            return Some(DropReason::LeftOut);
        }
        rule.is_withheld(&self.facts.withheld).then_some(DropReason::Withheld)
    }

    fn lacks(&self, rule: &Rule) -> Option<DropReason> {
        let has = rule.requires.iter().all(|wanted| self.facts.holds.contains(wanted));
        (!has).then_some(DropReason::Prerequisite)
    }

    /// Whether a rule for quiet days finds that the patient has answered a prompt in them.
    fn is_answered_since(&self, rule: &Rule, session: &Session<'_>) -> bool {
        let Some(day) = rule.unless_answered_since else { return false };
        let since = self.calendar.instant(session.date.saturating_add(day.days()), Time::midnight());
        self.facts.settled.iter().filter_map(|past| past.answered_at).any(|at| at >= since)
    }

    /// Whether another rule comes in the place of `rule` for this session.
    fn is_replaced(&self, rule: &Rule, session: Option<&Session<'_>>) -> bool {
        let home = session.is_some_and(|session| !session.fact.supervised);
        self.protocol
            .rules
            .iter()
            .filter(|other| other.stands_for.as_ref() == Some(&rule.key))
            .any(|other| (home || !other.at_home) && self.refusal(other).is_none() && self.lacks(other).is_none())
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
        if !matches!(rule.kind, PromptKind::Safety | PromptKind::Measure) {
            return false;
        }
        let Some((now, then)) = hangs_on(rule, session).zip(out.hangs_on) else { return false };
        let moved = match rule.anchor {
            Anchor::Day(_) | Anchor::BeforeNextDays(_) => self.calendar.date(now) != self.calendar.date(then),
            _ => now.duration_since(then).abs() >= CORRECTED,
        };
        let meant = slots(self.calendar, jitter(out.id, self.protocol.jitter_minutes)).into_iter().next();
        let Some(meant) = meant.filter(|_| moved || out.taken_back) else { return false };
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

    /// Collects the prompts before `session`.
    fn preparation(&mut self, session: &Session<'_>, previous: Option<&Session<'_>>) {
        let Some(planned) = session.fact.planned_start else { return };
        let date = self.calendar.date(planned);
        let gap = previous.map(|previous| days(previous.start_date, date));
        // A session that began early ends its preparation.
        let start = planned.min(session.start);
        let protocol = self.protocol;
        for rule in &protocol.rules {
            let against = || match gap {
                Some(..=0) => Some(DropReason::Merged),
                Some(gap) => {
                    let compact = protocol.series.iter().find(|compact| compact.gap_days == gap);
                    let Some(compact) = compact else { return rule.only_in_series.then_some(DropReason::Series) };
                    let kept = compact.prepares(&rule.key)
                        || rule.stands_for.as_ref().is_some_and(|key| compact.prepares(key));
                    (!kept).then_some(DropReason::Series)
                }
                None => rule.only_in_series.then_some(DropReason::Series),
            };
            match &rule.anchor {
                Anchor::BeforeNextDays(before) => {
                    let dates = before.iter().map(|days| date.saturating_sub(days.days()));
                    let dates: Vec<_> = dates.filter(|date| self.range.holds(*date)).collect();
                    if dates.len() == before.len() {
                        let last_date = dates.iter().copied().max();
                        let limits = Limits { deadline: Some(start), starts: Some(start), last_date };
                        self.call(rule, Some(session), 0, against(), limits, |calendar, jitter| {
                            let whys = std::iter::once(Why::Window).chain(std::iter::repeat(Why::EarlierDay));
                            let windows = dates.iter().zip(whys).flat_map(|(date, why)| {
                                windows(protocol, rule, calendar, *date, jitter).into_iter().map(move |slot| TimeSlot {
                                    why: if why == Why::Window { slot.why } else { why },
                                    ..slot
                                })
                            });
                            windows.collect()
                        });
                    }
                }
                Anchor::BeforeStart { hours, earliest, at_least_minutes } if self.range.holds(date) => {
                    let latest = back(start, SignedDuration::from_mins(*at_least_minutes));
                    let limits = Limits { deadline: Some(latest), starts: Some(start), last_date: Some(date) };
                    self.call(rule, Some(session), 0, against(), limits, |calendar, _| {
                        let earliest = calendar.instant(date, *earliest);
                        let from = back(planned, SignedDuration::from_hours(*hours)).max(earliest);
                        let why = Why::BeforeStart;
                        if from > latest {
                            Vec::new()
                        } else {
                            vec![TimeSlot { from, opens: from, until: latest, base: date, why }]
                        }
                    });
                }
                _ => {}
            }
        }
    }

    /// Collects the prompts of the days after `session`.
    fn days_after(&mut self, session: &Session<'_>, next: Option<&Session<'_>>) {
        let Some(end) = session.fact.ended_at else { return };
        let gap = next.map(|next| session.gap_to(next));
        // After a session over midnight, the day of the next one comes earlier than the gap says.
        let room = next.map(|next| days(session.date, next.start_date));
        let protocol = self.protocol;
        let compact = gap.and_then(|gap| protocol.series.iter().find(|compact| compact.gap_days == gap));
        for rule in &protocol.rules {
            let day = match rule.anchor {
                Anchor::Day(day) => day,
                Anchor::AfterEnd { .. } => 0,
                _ => continue,
            };
            let date = session.date.saturating_add(day.days());
            if !self.range.holds(date) || (rule.at_home && session.fact.supervised) {
                continue;
            }
            let against = match (gap, compact) {
                (Some(..=0), _) => Some(DropReason::Merged),
                _ if day == 0 => None,
                _ if session.fact.provisional && day > 1 => Some(DropReason::Provisional),
                (_, Some(compact)) => {
                    let kept = compact.keeps(&rule.key, session.number, &self.facts.overrides);
                    (!kept).then_some(DropReason::Series)
                }
                (Some(_), None) => room.is_some_and(|room| i64::from(day) >= room).then_some(DropReason::Superseded),
                (None, None) => None,
            }
            .or_else(|| self.is_answered_since(rule, session).then_some(DropReason::Answered));
            let deadline = next.map(|next| next.start).filter(|_| room.is_some_and(|room| i64::from(day) >= room));
            // What was meant for a day before the next session does not move into that day.
            let eve = next.filter(|_| deadline.is_none()).and_then(|next| next.start_date.yesterday().ok());
            let limits = Limits { deadline, starts: None, last_date: eve };
            let after = |hours| evening_of(protocol, self.calendar, session, rule, end, hours);
            let late = match rule.anchor {
                Anchor::AfterEnd { hours } => after(hours).1,
                _ => Evening::Usual,
            };
            let tomorrow = rule.after_late_session.filter(|_| ends_late(protocol, self.calendar, session, end));
            let count = self.found.len();
            self.call(rule, Some(session), 0, against, limits, |calendar, jitter| {
                match (rule.anchor.clone(), tomorrow) {
                    (Anchor::AfterEnd { hours }, _) => {
                        vec![evening_of(protocol, calendar, session, rule, end, hours).0]
                    }
                    (_, Some(time)) => {
                        let mut slots = windows(protocol, rule, calendar, date, jitter);
                        if let Some(first) = slots.first_mut() {
                            let from = calendar.instant(date, time);
                            *first = TimeSlot { from, opens: from, why: Why::LateSession, ..*first };
                        }
                        slots
                    }
                    // On day 0, slots start at the end of the session at the earliest.
                    _ if day == 0 => windows(protocol, rule, calendar, date, jitter)
                        .into_iter()
                        .filter(|slot| slot.until > end)
                        .map(|slot| TimeSlot { from: slot.from.max(end), opens: slot.opens.max(end), ..slot })
                        .collect(),
                    _ if rule.kind == PromptKind::Measure => later_days(protocol, rule, calendar, date, jitter),
                    _ => {
                        let mut slots = windows(protocol, rule, calendar, date, jitter);
                        slots.extend(deadline.and_then(|until| before_an_early_start(rule, calendar, date, until)));
                        slots
                    }
                }
            });
            for candidate in self.found.iter_mut().skip(count) {
                candidate.awake = late != Evening::Usual;
                candidate.card = late == Evening::Over;
            }
        }
    }

    /// Collects the prompts that went out and that no rule calls for any more.
    fn orphans(&mut self) {
        let mut known: HashSet<_> = self.found.iter().map(|candidate| candidate.id).collect();
        let taken_back = |one: &&Dropped| matches!(one.reason, DropReason::Merged | DropReason::Corrected);
        known.extend(self.dropped.iter().filter(taken_back).map(|one| one.id));
        let counts = |id| self.facts.infusions.iter().any(|one| one.id == id || one.reported_as == Some(id));
        for settled in self.facts.settled.iter().filter(|settled| !known.contains(&settled.id)) {
            if settled.unanswered && settled.anchor.is_some_and(|anchor| !counts(anchor)) {
                // Its infusion turned out never to have been: it is not to be answered, and takes no place.
                let (id, rule_key) = (settled.id, settled.rule_key.clone());
                self.dropped.push(Dropped { id, rule_key, anchor: settled.anchor, reason: DropReason::Withdrawn });
                continue;
            }
            let Some(rule) = settled.rule(self.protocol) else { continue };
            if self.range.holds(self.calendar.date(settled.due_at)) {
                self.found.push(Candidate {
                    rule,
                    id: settled.id,
                    anchor: None,
                    occurrence: 0,
                    zero: None,
                    wording: 0,
                    opens: settled.due_at,
                    slots: Vec::new(),
                    awake: false,
                    card: false,
                    hangs_on: None,
                    deadline: None,
                    starts: None,
                    last_date: None,
                    settled: Some(settled.due_at),
                    orphan: true,
                });
            }
        }
    }

    /// Collects recurring prompts.
    fn recurring(&mut self, sessions: &Sessions<'_>) {
        let protocol = self.protocol;
        let origin = self.calendar.date(self.facts.care_start);
        for rule in &protocol.rules {
            let period = match rule.anchor {
                Anchor::Weekly => 7,
                Anchor::Monthly => 28,
                _ => continue,
            };
            // The period before the range may still reach into it: a weekly day lies anywhere in its period.
            let first = days(origin, self.range.first).div_euclid(period).max(0);
            for occurrence in first.. {
                let Ok(whole) = i32::try_from(occurrence * period) else { break };
                let start = origin.saturating_add(whole.days());
                if start > self.range.last {
                    break;
                }
                let weekly = period == 7;
                let date = if weekly { self.facts.weekly_day.on_or_after(start) } else { start };
                let asked = if weekly { between_windows(sessions, protocol, date) } else { occurrence > 0 };
                let Ok(occurrence) = u32::try_from(occurrence) else { break };
                if asked && self.range.holds(date) {
                    self.call(rule, None, occurrence, None, Limits::default(), |calendar, jitter| {
                        let mut slots = later_days(protocol, rule, calendar, date, jitter);
                        slots.retain(|slot| weekly && slot.base == date || !weekly && !sessions.are_near(slot.base));
                        slots
                    });
                }
            }
        }
    }
}

/// Returns the anchor of a rule's time: the start of the session that it prepares, or the end of the infusion.
fn hangs_on(rule: &Rule, session: &Session<'_>) -> Option<Timestamp> {
    match rule.anchor {
        Anchor::BeforeNextDays(_) | Anchor::BeforeStart { .. } => session.fact.planned_start,
        _ => session.fact.ended_at,
    }
}

/// Returns the distance of a prompt from the start of its window: whole minutes, at most `most`.
pub(super) fn jitter(id: Id<Prompt>, most: u8) -> SignedDuration {
    let minutes = id.uuid().as_u64_pair().0 % (u64::from(most) + 1);
    SignedDuration::from_mins(i64::try_from(minutes).unwrap_or(0))
}
