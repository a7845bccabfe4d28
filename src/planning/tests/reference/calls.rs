//! The prompts that are called for, date by date.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::super::*;
use super::chances::{Chance, Session};
use super::{World, between, minutes, plus};
use crate::kernel::Id;
use crate::kernel::id::{Infusion, Prompt};
use crate::planning::caps::Compact;
use crate::planning::protocol::{Anchor, Expiry};

/// A prompt that is called for.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub(super) rule: &'a Rule,
    pub(super) id: Id<Prompt>,
    pub(super) anchor: Option<Id<Infusion>>,
    pub(super) occurrence: u32,
    pub(super) times: Vec<Chance>,
    pub(super) opens: Timestamp,
    pub(super) not_after: Option<Timestamp>,
    pub(super) starts: Option<Timestamp>,
    pub(super) last_date: Option<Date>,
    pub(super) though_quiet: bool,
    pub(super) card: bool,
    pub(super) went_out: Option<Timestamp>,
    pub(super) orphan: bool,
}

impl Call<'_> {
    /// Whether it takes a place under the cap: neither a card, nor what prepares for a session on its day.
    pub(super) fn counts(&self) -> bool {
        let on_the_day = matches!(self.rule.anchor, Anchor::BeforeStart { .. });
        self.rule.push && !self.rule.optional && !self.card && !on_the_day
    }
}

/// Collects the prompts that are called for from sixteen days ago to seventeen days ahead.
pub(super) fn calls<'a>(world: &World<'a>) -> Vec<Call<'a>> {
    let (first, last) = (world.today.saturating_sub(16.days()), world.today.saturating_add(17.days()));
    let mut found = Found { world, calls: Vec::new(), taken_back: Vec::new() };
    let sessions = world.sessions();
    let mut date = first;
    while date <= last {
        for rule in &world.protocol.rules {
            for (n, session) in sessions.iter().enumerate() {
                let previous = n.checked_sub(1).map(|n| &sessions[n]);
                found.before(rule, date, first, session, previous);
                found.after(rule, date, session, sessions.get(n + 1));
            }
            found.again_and_again(rule, date, &sessions);
        }
        date = date.tomorrow().unwrap();
    }
    found.orphans(first, last);
    found.calls
}

struct Found<'w, 'a> {
    world: &'w World<'a>,
    calls: Vec<Call<'a>>,
    taken_back: Vec<Id<Prompt>>,
}

/// The reason against a prompt that a rule calls for.
#[derive(Clone, Copy, PartialEq)]
enum Against {
    Nothing,
    /// Another session on the same date takes its place.
    Merged,
    /// The template is cut.
    Cut,
}

impl Against {
    fn of(merged: bool, cut: bool) -> Self {
        match (merged, cut) {
            (true, _) => Self::Merged,
            (false, true) => Self::Cut,
            (false, false) => Self::Nothing,
        }
    }
}

/// The circumstances in which a rule calls for a prompt.
struct Wanted<'s, 'f> {
    session: Option<&'s Session<'s>>,
    hangs_on: Option<Timestamp>,
    against: Against,
    not_after: Option<Timestamp>,
    starts: Option<Timestamp>,
    last_date: Option<Date>,
    though_quiet: bool,
    card: bool,
    times: &'f dyn Fn(SignedDuration) -> Vec<Chance>,
}

impl<'a> Found<'_, 'a> {
    fn call(&mut self, rule: &'a Rule, occurrence: u32, wanted: &Wanted<'_, '_>) {
        let facts = self.world.facts;
        let anchor = wanted.session.map(|session| session.fact.id);
        // "Two reports of one administration are joined": what was asked for the report is not asked again.
        let name = wanted.session.map(|session| session.fact.reported_as.unwrap_or(session.fact.id));
        let (id, jitter) = self.world.id(rule, name, occurrence);
        let times = (wanted.times)(jitter);
        let out = facts.settled.iter().find(|one| one.id == id);
        if let Some(out) = out.filter(|out| out.unanswered)
            && (wanted.against == Against::Merged || self.corrected(rule, occurrence, wanted, out, &times))
        {
            self.taken_back.push(id);
            return;
        }
        let can = rule.needs.iter().all(|need| facts.capabilities.contains(need));
        let has = rule.requires.iter().all(|need| facts.holds.contains(need));
        let gone = facts.overrides.iter().any(|one| one.rule_key == rule.key && one.change == RuleChange::LeftOut);
        // Nothing of what it would offer is offered.
        let withheld = rule.exercises.iter().filter(|key| facts.withheld.contains(*key)).count();
        let set_aside = withheld > 0 && withheld == rule.exercises.len();
        let replaced = wanted.session.is_some_and(|session| self.has_a_stand_in(rule, session));
        if out.is_none() && (!can || !has || gone || set_aside || replaced || wanted.against != Against::Nothing) {
            return;
        }
        let opens = times.first().map_or(Timestamp::MAX, |time| time.from);
        let opens = if rule.window.is_empty() { opens } else { opens - jitter };
        let Wanted { not_after, starts, last_date, though_quiet, card, .. } = *wanted;
        let went_out = out.map(|out| out.due_at);
        self.calls.push(Call {
            rule: out.and_then(|out| out.rule.as_deref()).unwrap_or(rule),
            id,
            anchor,
            occurrence,
            times,
            opens,
            not_after,
            starts,
            last_date,
            though_quiet,
            card,
            went_out,
            orphan: false,
        });
    }

    /// "`home.plus3` stands for `d0.landing`."
    fn has_a_stand_in(&self, rule: &Rule, session: &Session<'_>) -> bool {
        let facts = self.world.facts;
        self.world.protocol.rules.iter().any(|other| {
            let can = other.needs.iter().all(|need| facts.capabilities.contains(need))
                && other.requires.iter().all(|need| facts.holds.contains(need))
                && !facts.overrides.iter().any(|one| one.rule_key == other.key && one.change == RuleChange::LeftOut)
                && (other.exercises.is_empty() || !other.exercises.iter().all(|key| facts.withheld.contains(key)));
            other.stands_for.as_deref() == Some(rule.key.as_str()) && can && !(other.at_home && session.fact.supervised)
        })
    }

    /// "Correction after delivery."
    fn corrected(
        &mut self,
        rule: &'a Rule,
        occurrence: u32,
        wanted: &Wanted<'_, '_>,
        out: &PastPrompt,
        times: &[Chance],
    ) -> bool {
        let (Some(now), Some(then), Some(session)) = (wanted.hangs_on, out.hangs_on, wanted.session) else {
            return false;
        };
        let by_day = matches!(rule.anchor, Anchor::Day(_) | Anchor::BeforeNextDays(_));
        let far = now.duration_since(then).abs() >= hours(6);
        let moved = if by_day { self.world.date(now) != self.world.date(then) } else { far };
        let asks = matches!(rule.kind, PromptKind::Safety | PromptKind::Measure);
        let again = moved || out.taken_back;
        let Some(meant) = times.first().filter(|_| again && asks) else { return false };
        let (told, soon) = (session.fact.recorded_at, plus(session.fact.recorded_at, minutes(5)));
        let expires = match rule.expires {
            Expiry::Hours(n) => plus(meant.from, hours(n)),
            Expiry::Until { days, time } => self.world.wall(meant.base.saturating_add(days.days()), time),
        };
        let wanted = Wanted { against: Against::Nothing, ..*wanted };
        if meant.from > told {
            self.call(rule, occurrence + 1, &wanted);
        } else if rule.kind == PromptKind::Safety && expires > soon {
            let again = Chance { from: soon, unjittered: soon, until: Timestamp::MAX, base: meant.base };
            let times = move |_| vec![again.clone()];
            self.call(
                rule,
                occurrence + 1,
                &Wanted { not_after: None, starts: None, last_date: None, times: &times, ..wanted },
            );
        }
        true
    }

    /// "Preparation", "Series".
    fn before(
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
            // Once, on the day before, if the earliest of its days is looked at.
            Anchor::BeforeNextDays(before) if between(date, on) == 1 => {
                let dates: Vec<_> = before.iter().map(|n| on.saturating_sub(n.days())).collect();
                if dates.iter().all(|one| first <= *one) {
                    let times = |jitter| dates.iter().flat_map(|one| world.parts(rule, *one, jitter)).collect();
                    let last_date = dates.iter().copied().max();
                    self.call(rule, 0, &Wanted { times: &times, last_date, ..wanted });
                }
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
    fn after(&mut self, rule: &'a Rule, date: Date, session: &Session<'_>, next: Option<&Session<'_>>) {
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
    fn again_and_again(&mut self, rule: &'a Rule, date: Date, sessions: &[Session<'_>]) {
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
        let wanted = Wanted {
            session: None,
            hangs_on: None,
            against: Against::Nothing,
            not_after: None,
            starts: None,
            last_date: None,
            though_quiet: false,
            card: false,
            times: &times,
        };
        self.call(rule, u32::try_from(since / period).unwrap(), &wanted);
    }

    /// Adds the prompts that went out and are no longer called for: they were a burden on their date.
    fn orphans(&mut self, first: Date, last: Date) {
        for out in &self.world.facts.settled {
            let date = self.world.date(out.due_at);
            let known = self.calls.iter().any(|call| call.id == out.id) || self.taken_back.contains(&out.id);
            let rule = out.rule.as_deref().or(self.world.protocol.rule(&out.rule_key));
            // "What hangs on an infusion that turns out never to have been": nothing, unless it was answered or
            // skipped.
            let infusions = &self.world.facts.infusions;
            let gone = |id| infusions.iter().all(|one| one.id != id && one.reported_as != Some(id));
            if out.unanswered && out.anchor.is_some_and(gone) {
                continue;
            }
            if let Some(rule) = rule.filter(|_| !known && first <= date && date <= last) {
                self.calls.push(Call {
                    rule,
                    id: out.id,
                    anchor: None,
                    occurrence: 0,
                    times: Vec::new(),
                    opens: out.due_at,
                    not_after: None,
                    starts: None,
                    last_date: None,
                    though_quiet: false,
                    card: false,
                    went_out: Some(out.due_at),
                    orphan: true,
                });
            }
        }
    }
}
