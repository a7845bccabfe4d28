//! Chooses among the candidates: date by date, by priority, as long as everything chosen finds its place.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::calendar::{Calendar, days};
use super::candidate::Candidate;
use super::model::{DropReason, Dropped, Planned};
use super::place::{Placement, Placer};
use super::sessions::Sessions;
use crate::planning::caps::Caps;
use crate::planning::protocol::{Anchor, PromptKind, Protocol};

/// A candidate in its place.
pub(super) struct Placed<'c, 'a> {
    candidate: &'c Candidate<'a>,
    placement: Placement,
    reminder: Option<Timestamp>,
    /// Whether it is only a card, because none of its dates has room.
    card: bool,
}

impl<'c, 'a> Placed<'c, 'a> {
    fn new(candidate: &'c Candidate<'a>, placement: Placement) -> Self {
        Self { candidate, placement, reminder: None, card: false }
    }

    /// Whether it is still called for.
    pub(super) fn is_called_for(&self) -> bool {
        !self.candidate.orphan
    }

    /// Converts it to a prompt of the plan.
    pub(super) fn planned(&self, protocol: &Protocol, calendar: &Calendar<'_>) -> Planned {
        let Candidate { rule, id, anchor, occurrence, priority, zero, wording, .. } = *self.candidate;
        let zone = calendar.zone(self.placement.due);
        let local = zone.local(self.placement.due);
        Planned {
            id,
            rule_key: rule.key.clone(),
            protocol: protocol.key.clone(),
            protocol_version: protocol.version,
            kind: rule.kind,
            priority,
            anchor,
            occurrence,
            day: zero.and_then(|zero| i32::try_from(days(zero, self.placement.base)).ok()),
            local_date: local.date(),
            local_time: local.time(),
            zone: zone.clone(),
            due_at: self.placement.due,
            expires_at: self.placement.expires,
            reminder_at: self.reminder,
            minutes: rule.minutes,
            optional: rule.optional,
            push: self.candidate.is_pushed() && !self.card,
            returns: None,
            wording,
            hangs_on: self.candidate.hangs_on,
            why: self.placement.why,
            own: None,
        }
    }
}

/// The cap of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cap {
    prompts: u32,
    minutes: u32,
    free_dials: u32,
}

/// The load of a date.
#[derive(Clone, Copy, Debug, Default)]
struct DayLoad {
    prompts: u32,
    minutes: u32,
    free_dials: u32,
}

impl DayLoad {
    fn with(self, candidate: &Candidate<'_>, caps: &Caps, cap: Cap) -> Self {
        let rule = candidate.rule;
        if !candidate.is_capped() {
            return self;
        }
        let dial = rule.kind == PromptKind::Habit && rule.minutes <= caps.free_dial_minutes;
        if dial && self.free_dials < cap.free_dials {
            return Self { free_dials: self.free_dials + 1, ..self };
        }
        Self { prompts: self.prompts + 1, minutes: self.minutes + rule.minutes, ..self }
    }

    fn within(self, cap: Cap) -> bool {
        self.prompts <= cap.prompts && self.minutes <= cap.minutes
    }
}

/// Returns the cap of a date: that of its day after the last infusion, or that of a day of preparation if it is larger.
fn cap_of(caps: &Caps, sessions: &Sessions<'_>, date: Date) -> Cap {
    let limit = |minutes: Option<u32>| minutes.unwrap_or(u32::MAX);
    let free_dials = caps.free_dials_per_day;
    let mut cap = Cap { prompts: caps.later.prompts, minutes: limit(caps.later.minutes), free_dials };
    let last = sessions.0.iter().rev().find(|session| session.date <= date);
    if let Some(last) = last {
        let day = days(last.date, date);
        let held = caps.days.iter().find(|cap| i64::from(cap.first) <= day && day <= i64::from(cap.last));
        if let Some(held) = held {
            cap = Cap { prompts: held.prompts, minutes: limit(held.minutes), free_dials };
        }
        if last.ends_series && caps.full_days_after_series.iter().any(|full| i64::from(*full) == day) {
            cap.free_dials = 0;
        }
    }
    let before = 1..=i64::from(caps.preparation.days_before);
    if sessions.0.iter().any(|session| before.contains(&days(date, session.start_date))) {
        cap.prompts = cap.prompts.max(caps.preparation.prompts);
        cap.minutes = cap.minutes.max(limit(caps.preparation.minutes));
    }
    cap
}

/// Takes the candidates that fit, in order of time. One that waits for room goes on to the next date that it would have
/// alone. After its last date it is a card on its first one, which takes no place.
pub(super) fn take<'c, 'a>(
    placer: &Placer<'_>,
    candidates: &'c [Candidate<'a>],
    dropped: &mut Vec<Dropped>,
) -> Vec<Placed<'c, 'a>> {
    let mut drop = |candidate: &Candidate<'_>, reason| {
        let Candidate { id, anchor, .. } = *candidate;
        dropped.push(Dropped { id, rule_key: candidate.rule.key.clone(), anchor, reason });
    };
    let mut dates: BTreeMap<Date, Vec<PlacementRequest<'c, 'a>>> = BTreeMap::new();
    for candidate in candidates {
        match placer.place(candidate, &[]) {
            Ok(placement) => {
                let date = placer.calendar.date(placement.due);
                dates.entry(date).or_default().push(PlacementRequest { candidate, placement, date });
            }
            Err(reason) => drop(candidate, reason),
        }
    }

    let caps = &placer.protocol.caps;
    let mut loads = BTreeMap::new();
    let mut taken: Vec<Placed<'c, 'a>> = Vec::with_capacity(candidates.len());
    let mut cards = Vec::new();
    // The times of the prompts of earlier dates, which need not lie earlier: a change of zone can repeat a date.
    let mut others = Vec::with_capacity(candidates.len());
    while let Some((day, mut wishes)) = dates.pop_first() {
        wishes.sort_by_key(PlacementRequest::rank);
        let mut without_room = Vec::new();
        let cap = cap_of(caps, placer.sessions, day);
        let mut load = DayLoad::default();
        let mut chosen: Vec<Arranged<'_, 'c, 'a>> = Vec::new();
        for wish in &wishes {
            let held = wish.candidate.priority == 1 || wish.candidate.settled.is_some();
            let apart = wish.candidate.rule.min_days_apart;
            if apart.zip(wish.latest_in(&taken, placer.calendar)).is_some_and(|(apart, since)| since < apart) {
                drop(wish.candidate, DropReason::TooSoon);
                continue;
            }
            let heavier = load.with(wish.candidate, caps, cap);
            if !held && wish.candidate.is_capped() && !heavier.within(cap) {
                drop(wish.candidate, DropReason::Cap);
                continue;
            }
            let with = chosen.iter().map(|(wish, _)| *wish).chain([wish]);
            match arrange(placer, with.collect(), day, &others) {
                Ok(arranged) => (load, chosen) = (heavier, arranged),
                Err(_) if wish.candidate.waits_for_room() => without_room.push(wish.candidate),
                Err(reason) => drop(wish.candidate, reason),
            }
        }
        loads.insert(day, load);
        others.extend(chosen.iter().filter(|(wish, _)| wish.candidate.keeps_distance()).map(|(_, placed)| placed.due));
        let from = taken.len();
        let without_reminder = |(wish, placement): Arranged<'_, 'c, 'a>| Placed::new(wish.candidate, placement);
        taken.extend(chosen.into_iter().map(without_reminder));
        if let Some(today) = taken.get_mut(from..) {
            today.sort_by_key(|taken| (taken.placement.due, &taken.candidate.rule.key));
        }
        for candidate in without_room {
            let next = day.saturating_add(1.day());
            if let Ok(placement) = placer.place_on(candidate, Some((next, Date::MAX)), &[]) {
                let date = placer.calendar.date(placement.due);
                dates.entry(date).or_default().push(PlacementRequest { candidate, placement, date });
            } else if let Ok(placement) = placer.place(candidate, &[]) {
                cards.push(Placed { card: true, ..Placed::new(candidate, placement) });
            }
        }
    }
    remind(placer, &loads, &mut taken);
    taken.extend(cards);
    taken
}

/// A candidate with the placement that it would have alone.
struct PlacementRequest<'c, 'a> {
    candidate: &'c Candidate<'a>,
    placement: Placement,
    date: Date,
}

impl<'a> PlacementRequest<'_, 'a> {
    /// Returns the order in which places are given.
    fn rank(&self) -> (bool, u8, PromptKind, Timestamp, &'a str, u32) {
        let Candidate { rule, occurrence, priority, .. } = *self.candidate;
        let open = self.candidate.settled.is_none();
        (open, priority, rule.kind, self.candidate.opens, &rule.key, occurrence)
    }

    /// Returns the order in which prompts of a date are placed: by the times that they would have alone.
    fn time(&self) -> (bool, Timestamp, &'a str) {
        let Candidate { rule, settled, .. } = self.candidate;
        (settled.is_none(), self.placement.due, &rule.key)
    }

    /// Counts the days since the last one of `taken` by the same rule; `None` for one that has gone out.
    fn latest_in(&self, taken: &[Placed<'_, '_>], calendar: &Calendar<'_>) -> Option<i64> {
        let Candidate { rule, settled, .. } = self.candidate;
        let mut same = taken.iter().rev().filter(|other| other.candidate.rule.key == rule.key);
        let latest = same.next().filter(|_| settled.is_none())?;
        Some(days(calendar.date(latest.placement.due), self.date))
    }

    /// Whether it has more than one part of the day to go to, or none that it is bound to.
    fn is_flexible(&self) -> bool {
        let rule = self.candidate.rule;
        rule.window.len() > 1 || matches!(rule.anchor, Anchor::AfterSilence { .. })
    }
}

/// A candidate with its placement among the others of its date.
type Arranged<'w, 'c, 'a> = (&'w PlacementRequest<'c, 'a>, Placement);

/// Places each of `wishes` on `date`: those with one part of the day before those with more, or else all by time.
/// Returns the reason why one of them has no place.
fn arrange<'w, 'c, 'a>(
    placer: &Placer<'_>,
    mut wishes: Vec<&'w PlacementRequest<'c, 'a>>,
    date: Date,
    others: &[Timestamp],
) -> Result<Vec<Arranged<'w, 'c, 'a>>, DropReason> {
    wishes.sort_by_key(|wish| (wish.is_flexible(), wish.time()));
    let first = in_order(placer, &wishes, date, others);
    if first.is_ok() || !wishes.iter().any(|wish| wish.is_flexible()) {
        return first;
    }
    wishes.sort_by_key(|wish| wish.time());
    in_order(placer, &wishes, date, others)
}

fn in_order<'w, 'c, 'a>(
    placer: &Placer<'_>,
    wishes: &[&'w PlacementRequest<'c, 'a>],
    date: Date,
    others: &[Timestamp],
) -> Result<Vec<Arranged<'w, 'c, 'a>>, DropReason> {
    let mut others = others.to_vec();
    let mut arranged = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let today = wish.candidate.waits_for_room().then_some((date, date));
        let placement = placer.place_on(wish.candidate, today, &others)?;
        if placer.calendar.date(placement.due) != date {
            return Err(DropReason::Spacing);
        }
        if wish.candidate.keeps_distance() {
            others.push(placement.due);
        }
        arranged.push((*wish, placement));
    }
    Ok(arranged)
}

/// Gives the remaining places to reminders: one each, half-way to expiry, never in quiet hours or a session, and at a
/// distance from other prompts. Reminders of safety checks need neither place nor distance. What takes a minute has
/// none.
fn remind(placer: &Placer<'_>, loads: &BTreeMap<Date, DayLoad>, taken: &mut [Placed<'_, '_>]) {
    let calendar = placer.calendar;
    let is_safety = |taken: &Placed<'_, '_>| taken.candidate.is_safety();
    let spaced = taken.iter().filter(|taken| taken.candidate.keeps_distance());
    let mut others: Vec<_> = spaced.map(|taken| (taken.placement.due, Some(taken.candidate.id))).collect();
    let mut wanted: Vec<_> = taken
        .iter_mut()
        .filter(|taken| taken.candidate.may_remind() && placer.protocol.reminders.each > 0)
        .filter_map(|taken| {
            let Placement { due, expires, .. } = taken.placement;
            let half = SignedDuration::from_secs(expires.duration_since(due).as_secs() / 2);
            let at = due.checked_add(half).ok().filter(|at| *at > due && !calendar.is_quiet(*at))?;
            let silent = placer.is_silent(taken.candidate.rule, at);
            let rests = !is_safety(taken) && placer.rests(at).is_some();
            (!silent && !rests).then(|| (calendar.date(at), at, taken))
        })
        .collect();
    wanted.sort_by_key(|(date, at, taken)| (*date, taken.candidate.priority, taken.candidate.rule.kind, *at));
    let mut left = None;
    for (date, at, taken) in wanted {
        if is_safety(taken) {
            taken.reminder = Some(at);
            continue;
        }
        let room = match left {
            Some((known, room)) if known == date => room,
            _ => {
                let cap = cap_of(&placer.protocol.caps, placer.sessions, date).prompts;
                cap.saturating_sub(loads.get(&date).map_or(0, |load| load.prompts))
            }
        };
        let id = taken.candidate.id;
        let near = |(other, of): &(Timestamp, _)| *of != Some(id) && at.duration_since(*other).abs() < placer.spacing;
        let given = room > 0 && !others.iter().any(near);
        if given {
            taken.reminder = Some(at);
            others.push((at, None));
        }
        left = Some((date, room.saturating_sub(u32::from(given))));
    }
}
