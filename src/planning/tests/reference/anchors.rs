//! The prompts that rules call for by their anchors: before a session, after it, again and again.

use jiff::ToSpan;
use jiff::civil::{Date, Time};

use super::super::*;
use super::calls::{Against, Found, Wanted};
use super::chances::{Chance, Session};
use super::{between, minutes};
use crate::planning::caps::Compact;
use crate::planning::protocol::{Anchor, Expiry};

/// The place of a prompt among the sessions.
pub(super) struct Circumstances<'s> {
    pub(super) session: &'s Session<'s>,
    pub(super) next: Option<&'s Session<'s>>,
    pub(super) date: Date,
}

impl<'s> Circumstances<'s> {
    /// What is not of the template comes before the date of the next session, and not after an end that nobody told.
    pub(super) fn outside_the_template<'f>(&self, times: &'f dyn Fn(SignedDuration) -> Vec<Chance>) -> Wanted<'s, 'f> {
        let &Self { session, next, date } = self;
        let merged = next.is_some_and(|next| next.starts_on <= session.starts_on);
        let too_late = next.is_some_and(|next| next.starts_on <= date);
        let untold = session.fact.provisional && between(session.day_zero, date) > 1;
        Wanted {
            session: Some(session),
            hangs_on: session.fact.ended_at,
            against: Against::of(merged, too_late || untold),
            not_after: None,
            starts: None,
            last_date: next.map(|next| next.starts_on.yesterday().unwrap()),
            though_quiet: false,
            card: false,
            times,
        }
    }
}

impl<'a> Found<'_, 'a> {
    /// "Preparation", "Series".
    pub(super) fn before(
        &mut self,
        rule: &'a Rule,
        date: Date,
        first: Date,
        session: &Session<'_>,
        previous: Option<&Session<'_>>,
    ) {
        let world = self.world;
        let Some(planned) = session.fact.planned_start else { return };
        let on = world.date(planned);
        let gap = previous.map(|previous| between(previous.starts_on, on));
        let compact = world.protocol.series.iter().find(|compact| Some(compact.gap_days) == gap);
        let key = rule.stands_for.as_ref().unwrap_or(&rule.key);
        let kept = |compact: &Compact| compact.preparation.iter().any(|kept| kept == key || *kept == rule.key);
        let dropped = compact.map_or(rule.only_in_series, |compact| !kept(compact));
        let start = planned.min(session.start);
        let wanted = Wanted {
            session: Some(session),
            hangs_on: Some(planned),
            against: Against::of(gap.is_some_and(|gap| gap <= 0), dropped),
            not_after: Some(start),
            starts: Some(start),
            last_date: None,
            though_quiet: false,
            card: false,
            times: &|_| Vec::new(),
        };
        match &rule.anchor {
            // Once, on the day before, with those of its days that are looked at.
            Anchor::BeforeNextDays(before) if between(date, on) == 1 => {
                let days = before.iter().map(|n| on.saturating_sub(n.days()));
                let dates: Vec<_> = days.filter(|one| first <= *one).collect();
                let times = |jitter| dates.iter().flat_map(|one| world.parts(rule, *one, jitter)).collect();
                let last_date = dates.iter().copied().max();
                self.call(rule, 0, &Wanted { times: &times, last_date, ..wanted });
            }
            Anchor::BeforeStart { hours: n, earliest, at_least_minutes } if date == on => {
                let until = start - minutes(*at_least_minutes);
                let from = (planned - hours(*n)).max(world.wall(on, *earliest));
                let times = |_| {
                    if from <= until { vec![Chance { from, unjittered: from, until, base: on }] } else { Vec::new() }
                };
                self.call(rule, 0, &Wanted { times: &times, not_after: Some(until), last_date: Some(on), ..wanted });
            }
            _ => {}
        }
    }

    /// "Series", "Late sessions", "Ending".
    pub(super) fn after(&mut self, rule: &'a Rule, date: Date, session: &Session<'_>, next: Option<&Session<'_>>) {
        let world = self.world;
        let Some(end) = session.fact.ended_at else { return };
        let n = between(session.day_zero, date);
        let after_end = match rule.anchor {
            Anchor::Day(day) if i64::from(day) == n => None,
            Anchor::AfterEnd { hours } if n == 0 => Some(hours),
            _ => return,
        };
        if rule.at_home && session.fact.supervised {
            return;
        }
        let gap = next.map(|next| between(session.starts_on, next.starts_on));
        let room = next.map(|next| between(session.day_zero, next.starts_on));
        let compact = world.protocol.series.iter().find(|compact| Some(compact.gap_days) == gap);
        let kept = match compact {
            Some(compact) => {
                let out = |key: &str, one: &Override| one.rule_key == key && one.change == RuleChange::LeftOut;
                let left_out = |key: &&String| world.facts.overrides.iter().any(|one| out(key, one));
                // They take turns, "tell first".
                let turns = compact.one_of.len();
                let turn = usize::try_from(session.before).unwrap();
                let one = (0..turns).map(|n| &compact.one_of[(turn + n) % turns]).find(|key| !left_out(key));
                compact.days.contains(&rule.key) || one.is_some_and(|one| *one == rule.key)
            }
            None => room.is_none_or(|room| n < room),
        };
        let said = !session.fact.provisional || n <= 1;
        let late = world.protocol.rules.iter().filter(|rule| !rule.at_home).any(|rule| match rule.anchor {
            Anchor::AfterEnd { hours } => world.hours_after(rule, session, end, hours).2,
            _ => false,
        });
        let (though_quiet, card) = after_end.map_or((false, false), |hours| {
            let (_, though_quiet, card) = world.hours_after(rule, session, end, hours);
            (though_quiet, card)
        });
        let since = |day: i32| world.wall(session.day_zero.saturating_add(day.days()), Time::midnight());
        let answers = || world.facts.settled.iter().filter_map(|out| out.answered_at);
        let answered = rule.unless_answered_since.is_some_and(|day| answers().any(|at| at >= since(day)));
        let not_after = next.filter(|_| room.is_some_and(|room| n >= room)).map(|next| next.start);
        let eve = next.filter(|_| not_after.is_none()).map(|next| next.starts_on.yesterday().unwrap());
        let times = |jitter| -> Vec<Chance> {
            if let Some(hours) = after_end {
                return vec![world.hours_after(rule, session, end, hours).0];
            }
            let mut times = world.parts(rule, date, jitter);
            if let Some(early) = rule.after_late_session.filter(|_| late) {
                times[0].from = world.wall(date, early);
                times[0].unjittered = times[0].from;
            } else if n == 0 {
                times.retain(|time| time.until > end);
                for time in &mut times {
                    time.from = time.from.max(end);
                    time.unjittered = time.unjittered.max(end);
                }
            } else if let (PromptKind::Measure, Expiry::Hours(hours)) = (rule.kind, rule.expires) {
                for more in 1..=hours / 24 {
                    times.extend(world.parts(rule, date.saturating_add(more.days()), jitter));
                }
            } else if let (Some(early), Some(until)) = (rule.after_late_session, not_after) {
                // "Next morning d1.check before the next start", also if that is early.
                let from = world.wall(date, early);
                times.push(Chance { from, unjittered: from, until, base: date });
                times.retain(|time| time.from <= time.until);
            }
            times
        };
        let wanted = Wanted {
            session: Some(session),
            hangs_on: Some(end),
            against: Against::of(gap.is_some_and(|gap| gap <= 0), (n > 0 && !(said && kept)) || answered),
            not_after,
            starts: None,
            last_date: eve,
            though_quiet,
            card,
            times: &times,
        };
        self.call(rule, 0, &wanted);
    }

    /// "Recurring rules anchor to the start of care, occurrence = whole periods since."
    pub(super) fn again_and_again(&mut self, rule: &'a Rule, date: Date, sessions: &[Session<'_>]) {
        let world = self.world;
        let origin = world.date(world.facts.care_start);
        let period = match rule.anchor {
            Anchor::Weekly => 7,
            Anchor::Monthly => 28,
            _ => return,
        };
        let since = between(origin, date);
        let horizon = i64::from(world.protocol.horizon_days);
        let last = sessions.iter().rfind(|one| one.day_zero <= date);
        let long_ago = last.is_some_and(|last| last.fact.ended_at.is_some() && between(last.day_zero, date) > horizon);
        let soon = sessions.iter().any(|one| one.day_zero > date && between(date, one.starts_on) <= 7);
        let asked = if period == 7 {
            world.facts.weekly_day.on_or_after(date) == date && long_ago && !soon
        } else {
            since > 0 && since % 28 == 0
        };
        if since < 0 || !asked {
            return;
        }
        let times = |jitter| {
            let later = match rule.expires {
                Expiry::Hours(hours) if period == 28 => hours / 24,
                _ => 0,
            };
            let days = (0..=later).map(|more| date.saturating_add(more.days()));
            days.filter(|day| period == 7 || !world.near_a_session(*day))
                .flat_map(|day| world.parts(rule, day, jitter))
                .collect()
        };
        let stopped = self.gave_up(rule).is_some_and(|(_, gave_up)| gave_up < date);
        if stopped {
            self.not_asked_any_more.push((rule.key.clone(), date));
        }
        let wanted = Wanted {
            session: None,
            hangs_on: None,
            against: Against::of(false, stopped),
            not_after: None,
            starts: None,
            last_date: None,
            though_quiet: false,
            card: false,
            times: &times,
        };
        self.call(rule, u32::try_from(since / period).unwrap(), &wanted);
    }
}
