//! The prompts that are called for, date by date.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::super::*;
use super::chances::{Chance, Session};
use super::patient::World;
use super::{minutes, plus};
use crate::kernel::Id;
use crate::kernel::id::{Infusion, Prompt};
use crate::planning::protocol::{Anchor, Expiry};

/// A prompt that is called for.
#[derive(Clone)]
pub(super) struct Call<'a> {
    pub(super) rule: &'a Rule,
    pub(super) id: Id<Prompt>,
    pub(super) anchor: Option<Id<Infusion>>,
    pub(super) occurrence: u32,
    pub(super) priority: u8,
    pub(super) carried_to: Option<Date>,
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
    /// Whether it comes on a later date if one has no room.
    pub(super) fn waits(&self) -> bool {
        matches!(self.rule.anchor, Anchor::DateOf(_)) && self.went_out.is_none()
    }

    /// Whether it keeps three hours from others, and they from it: neither what is for safety nor a card.
    pub(super) fn keeps_apart(&self) -> bool {
        self.rule.kind != PromptKind::Safety && !self.card
    }

    /// Whether it takes a place under the cap: neither a card, nor what prepares for a session on its day, nor what the
    /// patient wrote for the date.
    pub(super) fn counts(&self) -> bool {
        let outside = matches!(self.rule.anchor, Anchor::BeforeStart { .. } | Anchor::DateOf(_));
        self.rule.push && !self.rule.optional && !self.card && !outside
    }
}

/// Collects the prompts that are called for from sixteen days ago to seventeen days ahead.
pub(super) fn calls<'a>(world: &World<'a>) -> Vec<Call<'a>> {
    let (first, last) = (world.today.saturating_sub(16.days()), world.today.saturating_add(17.days()));
    let mut found = Found { world, calls: Vec::new(), taken_back: Vec::new(), not_asked_any_more: Vec::new() };
    let sessions = world.sessions();
    let mut date = first;
    while date <= last {
        for rule in &world.protocol.rules {
            for (n, session) in sessions.iter().enumerate() {
                let previous = n.checked_sub(1).map(|n| &sessions[n]);
                found.before(rule, date, first, session, previous);
                found.after(rule, date, session, sessions.get(n + 1));
                found.quiet(rule, date, session, sessions.get(n + 1));
            }
            found.again_and_again(rule, date, &sessions);
        }
        date = date.tomorrow().unwrap();
    }
    for rule in &world.protocol.rules {
        for (n, session) in sessions.iter().enumerate() {
            found.once_more(rule, first, session, sessions.get(n + 1));
        }
        if let Some((gave_up, _)) = found.gave_up(rule) {
            let instead = std::mem::take(&mut found.not_asked_any_more);
            let own: Vec<_> = instead.iter().filter(|(key, _)| *key == rule.key).map(|(_, date)| *date).collect();
            found.not_asked_any_more = instead;
            found.says_so(rule, gave_up, &own);
        }
    }
    found.one_a_day();
    found.orphans(first, last);
    for rule in &world.protocol.rules {
        found.comes_back(rule, first, last);
    }
    found.calls
}

/// The calls found so far.
pub(super) struct Found<'w, 'a> {
    pub(super) world: &'w World<'a>,
    pub(super) calls: Vec<Call<'a>>,
    taken_back: Vec<Id<Prompt>>,
    /// The dates of recurring rules that have stopped.
    pub(super) not_asked_any_more: Vec<(String, Date)>,
}

/// The reason against a prompt that a rule calls for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Against {
    Nothing,
    /// Another session on the same date takes its place.
    Merged,
    /// The template is cut.
    Cut,
}

impl Against {
    pub(super) fn of(merged: bool, cut: bool) -> Self {
        match (merged, cut) {
            (true, _) => Self::Merged,
            (false, true) => Self::Cut,
            (false, false) => Self::Nothing,
        }
    }
}

/// The circumstances in which a rule calls for a prompt.
pub(super) struct Wanted<'s, 'f> {
    pub(super) session: Option<&'s Session<'s>>,
    pub(super) hangs_on: Option<Timestamp>,
    pub(super) against: Against,
    pub(super) not_after: Option<Timestamp>,
    pub(super) starts: Option<Timestamp>,
    pub(super) last_date: Option<Date>,
    pub(super) though_quiet: bool,
    pub(super) card: bool,
    pub(super) times: &'f dyn Fn(SignedDuration) -> Vec<Chance>,
}

impl<'a> Found<'_, 'a> {
    pub(super) fn call(&mut self, rule: &'a Rule, occurrence: u32, wanted: &Wanted<'_, '_>) {
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
        let card = card || though_quiet && times.iter().any(|time| self.world.wakes(rule, time));
        let went_out = out.map(|out| out.due_at);
        self.calls.push(Call {
            rule: out.and_then(|out| out.rule.as_deref()).unwrap_or(rule),
            id,
            anchor,
            occurrence,
            priority: rule.priority,
            carried_to: None,
            times,
            opens,
            not_after,
            starts,
            last_date,
            though_quiet,
            card: card || out.is_some_and(|out| out.card && rule.push),
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
        let again = self.is_for_another_time(rule, wanted.hangs_on, out);
        let Some((session, meant)) = wanted.session.zip(times.first()).filter(|_| again) else { return false };
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

    /// Whether a check or measure went out for a time that proved wrong, now that its infusion was at `now`.
    fn is_for_another_time(&self, rule: &Rule, now: Option<Timestamp>, out: &PastPrompt) -> bool {
        let Some((now, then)) = now.zip(out.hangs_on) else { return false };
        let by_day = matches!(rule.anchor, Anchor::Day(_) | Anchor::BeforeNextDays(_));
        let far = now.duration_since(then).abs() >= hours(6);
        let moved = if by_day { self.world.date(now) != self.world.date(then) } else { far };
        let asks = matches!(rule.kind, PromptKind::Safety | PromptKind::Measure);
        asks && (moved || out.taken_back)
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
            // What went out for a time that proved wrong, also where nothing looks at the right one.
            let its =
                infusions.iter().find(|one| out.anchor.is_some_and(|id| one.id == id || one.reported_as == Some(id)));
            let wrong = its.zip(self.world.protocol.rule(&out.rule_key)).is_some_and(|(its, rule)| {
                let before = matches!(rule.anchor, Anchor::BeforeNextDays(_) | Anchor::BeforeStart { .. });
                self.is_for_another_time(rule, if before { its.planned_start } else { its.ended_at }, out)
            });
            if out.unanswered && wrong {
                continue;
            }
            if let Some(rule) = rule.filter(|_| !known && first <= date && date <= last) {
                self.calls.push(Call {
                    rule,
                    id: out.id,
                    anchor: None,
                    occurrence: 0,
                    priority: rule.priority,
                    carried_to: None,
                    times: Vec::new(),
                    opens: out.due_at,
                    not_after: None,
                    starts: None,
                    last_date: None,
                    though_quiet: false,
                    card: out.card && rule.push,
                    went_out: Some(out.due_at),
                    orphan: true,
                });
            }
        }
    }
}
