//! The times in which a prompt may be placed: the windows of its days, and the evening of a session.

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::calendar::Calendar;
use super::model::Why;
use super::sessions::Session;
use super::silence::Silences;
use crate::planning::protocol::{Anchor, Expiry, PromptKind, Protocol, Rule};

/// A time in which a prompt may be placed.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeSlot {
    pub(super) from: Timestamp,
    /// The start of its part of the day, without jitter.
    pub(super) opens: Timestamp,
    pub(super) until: Timestamp,
    /// The day it belongs to.
    pub(super) base: Date,
    pub(super) why: Why,
}

/// The room that the evening of a session leaves for a check some hours after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evening {
    /// By day, or in the small hours: as for any other prompt.
    Usual,
    /// It may go out in quiet hours.
    Late,
    /// It is too late for a push: it is a card in the app.
    Over,
}

/// Places a rule that counts hours from the end. A check in the evening may go out until 22:30. If its hour is later,
/// it goes out at the end of the acute phase or at 22:00, whichever is later. If that is too late as well, or a session
/// moves it past 22:30, it is only a card.
pub(super) fn evening_of(
    (protocol, silences): (&Protocol, &Silences),
    calendar: &Calendar<'_>,
    session: &Session<'_>,
    rule: &Rule,
    end: Timestamp,
    hours: i64,
) -> (TimeSlot, Evening) {
    let base = session.date;
    let from = end.saturating_add(SignedDuration::from_hours(hours)).unwrap_or(end);
    let slot = |from, why| TimeSlot { from, opens: from, until: Timestamp::MAX, base, why };
    if rule.kind != PromptKind::Safety || from < calendar.instant(base, Time::constant(12, 0, 0, 0)) {
        return (slot(from, Why::AfterEnd), Evening::Usual);
    }
    let last = last_push(calendar, base);
    let slot = if from <= last {
        slot(from, Why::AfterEnd)
    } else {
        let acute = protocol.window.acute(session.fact.route);
        let ten = calendar.instant(base, Time::constant(22, 0, 0, 0));
        slot(end.saturating_add(acute).unwrap_or(end).max(ten), Why::LateSession)
    };
    let evening = if silences.over(rule, slot.from) <= last { Evening::Late } else { Evening::Over };
    (slot, evening)
}

/// Returns the last instant of a day at which a check may go out in quiet hours: half past ten, or, on a day that loses
/// it to a change of the zone or of the clock, the last instant before the change, where it is later at once.
pub(super) fn last_push(calendar: &Calendar<'_>, date: Date) -> Timestamp {
    let last = date.at(22, 30, 0, 0);
    let at = calendar.instant(date, last.time());
    if calendar.zone(at).local(at) > last { at.saturating_sub(1.nanosecond()).unwrap_or(at) } else { at }
}

/// Whether a session ends too late for a check in the evening.
pub(super) fn ends_late(
    (protocol, silences): (&Protocol, &Silences),
    calendar: &Calendar<'_>,
    session: &Session<'_>,
    end: Timestamp,
) -> bool {
    protocol.rules.iter().filter(|rule| !rule.at_home).any(|rule| match rule.anchor {
        Anchor::AfterEnd { hours } => {
            evening_of((protocol, silences), calendar, session, rule, end, hours).1 == Evening::Over
        }
        _ => false,
    })
}

/// Lists the windows of `rule` on its day, and on the days after it until it expires.
pub(super) fn later_days(
    protocol: &Protocol,
    rule: &Rule,
    calendar: &Calendar<'_>,
    date: Date,
    jitter: SignedDuration,
) -> Vec<TimeSlot> {
    let more = match rule.expires {
        Expiry::Hours(hours) => i32::try_from(hours / 24).unwrap_or(0),
        Expiry::Until { days, .. } => days,
    };
    days_from(protocol, rule, calendar, (date, more), jitter)
}

/// Lists the windows of `rule` on `date` and on the `more` days after it.
pub(super) fn days_from(
    protocol: &Protocol,
    rule: &Rule,
    calendar: &Calendar<'_>,
    (date, more): (Date, i32),
    jitter: SignedDuration,
) -> Vec<TimeSlot> {
    let day = |days: i32| {
        let slots = windows(protocol, rule, calendar, date.saturating_add(days.days()), jitter);
        slots.into_iter().map(move |slot| if days == 0 { slot } else { TimeSlot { why: Why::LaterDay, ..slot } })
    };
    (0..=more).flat_map(day).collect()
}

/// Lists the windows of `rule` on `date`.
pub(super) fn windows(
    protocol: &Protocol,
    rule: &Rule,
    calendar: &Calendar<'_>,
    date: Date,
    jitter: SignedDuration,
) -> Vec<TimeSlot> {
    let whys = std::iter::once(Why::Window).chain(std::iter::repeat(Why::LaterWindow));
    let slots = rule.window.iter().zip(whys).map(|(part, why)| {
        let span = protocol.windows.span(*part);
        let from: Time = span.from.saturating_add(jitter).min(span.to);
        // A change of the clock may take the whole window; its end is then no earlier than its start.
        let from = calendar.instant(date, from);
        let opens = calendar.instant(date, span.from).min(from);
        TimeSlot { from, opens, until: calendar.instant(date, span.to).max(from), base: date, why }
    });
    slots.collect()
}

/// Returns an early slot for a check on the morning after a session, in case the next session starts before that
/// morning's window.
pub(super) fn before_an_early_start(
    rule: &Rule,
    calendar: &Calendar<'_>,
    date: Date,
    until: Timestamp,
) -> Option<TimeSlot> {
    let from = calendar.instant(date, rule.after_late_session?);
    (from <= until).then_some(TimeSlot { from, opens: from, until, base: date, why: Why::BeforeStart })
}

/// Returns `at` less `by`.
pub(super) fn back(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(at)
}
