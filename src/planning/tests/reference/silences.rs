//! What follows from what the patient leaves: "silence rule", "carry-over", "maintenance stops".

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::super::*;
use super::anchors::Circumstances;
use super::calls::{Against, Call, Found};
use super::chances::{Chance, Session};
use super::plus;
use crate::kernel::Id;
use crate::kernel::id::Prompt;
use crate::planning::protocol::{Anchor, Expiry};

impl<'a> Found<'_, 'a> {
    /// "No activity 48 h inside `peak`: one gentle message." The hours count from the last activity, and from the end
    /// of the infusion at the earliest. Plans are made daily, so it is known a day before.
    pub(super) fn quiet(&mut self, rule: &'a Rule, date: Date, session: &Session<'_>, next: Option<&Session<'_>>) {
        let Anchor::AfterSilence { hours: n, phase } = rule.anchor else { return };
        let world = self.world;
        let (Some(end), Some(active)) = (session.fact.ended_at, world.facts.last_active_at) else { return };
        let phases = &world.protocol.window.phases;
        let phase = phases.iter().find(|known| known.key == phase).unwrap();
        let after = |hours: f64| plus(end, SignedDuration::from_secs_f64(hours * 3600.0));
        let reached = [plus(end, hours(n)), plus(active, hours(n)), after(phase.start_h)].into_iter().max().unwrap();
        let over = phase.end_h.map_or(Timestamp::MAX, after);
        let known = |at| plus(world.now, hours(25.min(n))) > at;
        if reached >= over {
            return;
        }
        let chance = |from, until| vec![Chance { from, unjittered: from, until, base: date }];
        // "One gentle message": the other of the two is not asked once one has gone out.
        let out = |occurrence| {
            let (id, _) = world.id(rule, Some(session.fact.reported_as.unwrap_or(session.fact.id)), occurrence);
            world.facts.settled.iter().any(|past| past.id == id)
        };
        if world.date(reached) == date && known(reached) && (out(0) || !out(1)) {
            let times = |_| chance(reached, over);
            self.call(rule, 0, &Circumstances { session, next, date }.outside_the_template(&times));
        }
        // "And on the next date if that one has no room."
        let midnight = world.wall(date, jiff::civil::time(0, 0, 0, 0));
        let awake = world.awake_from(reached);
        if world.date(awake).tomorrow().unwrap() == date
            && known(midnight)
            && !world.rests(awake)
            && (out(1) || !out(0))
        {
            let times = |_| chance(midnight, plus(midnight, hours(24)));
            self.call(rule, 1, &Circumstances { session, next, date }.outside_the_template(&times));
        }
    }

    /// "Only X rules with expiry < 12 h, once, next day, priority 4."
    pub(super) fn once_more(&mut self, rule: &'a Rule, first: Date, session: &Session<'_>, next: Option<&Session<'_>>) {
        let world = self.world;
        let Some(carry) = world.protocol.carry_over else { return };
        let Anchor::Day(day) = rule.anchor else { return };
        let briefly = match rule.expires {
            Expiry::Hours(n) => n < carry.expires_within_hours,
            // Of an evening's length, if it is for the same date.
            Expiry::Until { days, time } => {
                let opens = world.protocol.windows.span(rule.window[0]).from;
                days == 0 && opens.duration_until(time) < hours(carry.expires_within_hours)
            }
        };
        let (id, _) = world.id(rule, Some(session.fact.reported_as.unwrap_or(session.fact.id)), 0);
        let lapsed = world.facts.settled.iter().find(|out| out.id == id && out.lapsed);
        let on = session.day_zero.saturating_add(day.days());
        let Some(out) = lapsed.filter(|_| rule.kind == PromptKind::Exercise && briefly) else { return };
        let date = world.date(out.due_at).tomorrow().unwrap();
        // Both its own day and the next one are looked at.
        let last = world.today.saturating_add(17.days());
        let looked_at = |date: Date| first <= date && date <= last;
        if session.fact.ended_at.is_none() || !looked_at(on) || !looked_at(date) {
            return;
        }
        let times = |jitter| world.parts(rule, date, jitter);
        let known = self.calls.len();
        self.call(rule, 1, &Circumstances { session, next, date }.outside_the_template(&times));
        for call in &mut self.calls[known..] {
            call.priority = carry.priority;
            call.carried_to = Some(date);
        }
    }

    /// "At most one a day (highest priority exercise)", unless it went out already.
    pub(super) fn one_a_day(&mut self) {
        let beats = |one: &Call<'_>, other: &Call<'_>| {
            one.carried_to == other.carried_to
                && (one.went_out.is_none(), one.rule.priority, one.opens, one.id)
                    < (other.went_out.is_none(), other.rule.priority, other.opens, other.id)
        };
        let all = self.calls.clone();
        self.calls.retain(|call| {
            call.carried_to.is_none() || call.went_out.is_some() || !all.iter().any(|other| beats(other, call))
        });
    }

    /// "Lapsed in a row", until "the patient or an infusion restarts it": the one that was one too many, with its date.
    pub(super) fn gave_up(&self, rule: &Rule) -> Option<(Id<Prompt>, Date)> {
        let facts = self.world.facts;
        let most = usize::try_from(rule.stops_after?).unwrap();
        let active = facts.last_active_at?;
        let ends = facts.infusions.iter().filter_map(|one| one.ended_at);
        let restarts: Vec<_> = ends.chain([active]).collect();
        let mut row = Vec::new();
        for out in &facts.settled {
            if out.rule_key == rule.key && out.lapsed && restarts.iter().all(|restart| *restart < out.due_at) {
                row.push((out.due_at, out.id));
            }
        }
        row.sort();
        row.into_iter().nth(most - 1).map(|(due, id)| (id, self.world.date(due)))
    }

    /// "One message, then none": in the place of the first of those that are no longer asked.
    pub(super) fn says_so(&mut self, of: &Rule, gave_up: Id<Prompt>, instead: &[Date]) {
        let world = self.world;
        let occurrence = (0..500).find(|number| world.id(of, None, *number).0 == gave_up).unwrap();
        for rule in &world.protocol.rules {
            if rule.anchor == Anchor::AfterStop(of.key.clone()) && !instead.is_empty() {
                let times = |jitter| instead.iter().flat_map(|date| world.parts(rule, *date, jitter)).collect();
                let wanted = super::calls::Wanted {
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
                self.call(rule, occurrence, &wanted);
            }
        }
    }
}
