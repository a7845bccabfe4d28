//! Collects the prompts that rules call for.

use jiff::{SignedDuration, ToSpan};

use super::builder::{CandidateBuilder, Limits};
use super::calendar::days;
use super::model::{DropReason, Why};
use super::sessions::{Session, Sessions};
use super::slots::{
    Evening, TimeSlot, back, before_an_early_start, ends_late, evening_of, last_push, later_days, windows,
};
use crate::planning::overrides::leave_out;
use crate::planning::protocol::{Anchor, PromptKind, Rule};

/// Collects the prompts that are called for.
pub(super) fn collect<'a>(calls: &mut CandidateBuilder<'a, '_>, sessions: &Sessions<'a>) {
    // A rule may hang on a day that is further away than plans reach.
    let days = || calls.protocol.rules.iter().flat_map(Rule::days);
    let (before, after) = (days().fold(-7, i32::min), days().fold(calls.protocol.horizon_days, i32::max));
    let (first, last) =
        (calls.range.first.saturating_sub(after.days()), calls.range.last.saturating_sub(before.days()));
    for (n, session) in sessions.0.iter().enumerate() {
        let previous = n.checked_sub(1).and_then(|n| sessions.0.get(n));
        let next = sessions.0.get(n + 1);
        let near = first <= session.date && session.start_date <= last;
        if near {
            calls.preparation(session, previous);
            calls.days_after(session, next);
        }
        // A silence may begin however long after the last session.
        if near || next.is_none_or(|next| calls.range.first <= next.start_date) {
            calls.after_silence(session, next);
        }
    }
    calls.carry_one_a_day();
    calls.recurring(sessions);
    calls.orphans();
}

impl CandidateBuilder<'_, '_> {
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
                    // The first possible one counts: not one that is long over, and none before one that is far away.
                    let dates = before.iter().map(|days| date.saturating_sub(days.days()));
                    let dates = dates.filter(|date| self.range.first <= *date);
                    let dates: Vec<_> = dates.take_while(|date| *date <= self.range.last).collect();
                    if !dates.is_empty() {
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
            let planned = rule.days().any(|day| self.range.holds(session.date.saturating_add(day.days())));
            if !planned || (rule.at_home && session.fact.supervised) {
                continue;
            }
            let date = session.date.saturating_add(day.days());
            let against = match (gap, compact) {
                (Some(..=0), _) => Some(DropReason::Merged),
                _ if day == 0 => None,
                _ if session.fact.provisional && day > 1 => Some(DropReason::Provisional),
                (_, Some(compact)) => {
                    let kept = compact.keeps(&rule.key, session.number, |key| leave_out(&self.facts.overrides, key));
                    (!kept).then_some(DropReason::Series)
                }
                (Some(_), None) => room.is_some_and(|room| i64::from(day) >= room).then_some(DropReason::Superseded),
                (None, None) => None,
            }
            .or_else(|| self.conditions.is_answered_since(rule, session).then_some(DropReason::Answered));
            let deadline = next.map(|next| next.start).filter(|_| room.is_some_and(|room| i64::from(day) >= room));
            // What was meant for a day before the next session does not move into that day.
            let eve = next.filter(|_| deadline.is_none()).and_then(|next| next.start_date.yesterday().ok());
            let limits = Limits { deadline, starts: None, last_date: eve };
            let rules = (protocol, &self.silences);
            let (evening, late) = match rule.anchor {
                Anchor::AfterEnd { hours } => {
                    let (slot, late) = evening_of(rules, self.calendar, session, rule, end, hours);
                    (Some(slot), late)
                }
                _ => (None, Evening::Usual),
            };
            let tomorrow = rule.after_late_session.filter(|_| ends_late(rules, self.calendar, session, end));
            let count = self.found.len();
            self.call(rule, Some(session), 0, against, limits, |calendar, jitter| {
                match (evening, tomorrow) {
                    (Some(evening), _) => vec![evening],
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
            if late != Evening::Usual {
                for candidate in self.found.iter_mut().skip(count) {
                    // A check that is asked again has another place than the first one.
                    let wakes = |slot: &TimeSlot| {
                        let lands = self.silences.over(rule, slot.from);
                        self.calendar.is_quiet(lands) && lands > last_push(self.calendar, slot.base)
                    };
                    candidate.awake = true;
                    candidate.card |= late == Evening::Over || candidate.slots.iter().any(wakes);
                }
            }
            self.carry_over(rule, session, next);
        }
    }
}
