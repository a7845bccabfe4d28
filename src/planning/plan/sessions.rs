//! The infusions that count, on the patient's calendar.

use jiff::Timestamp;
use jiff::civil::Date;

use super::calendar::{Calendar, days};
use crate::planning::facts::{Facts, InfusionFact};
use crate::planning::protocol::Protocol;

/// One infusion on the patient's calendar.
pub(super) struct Session<'a> {
    pub(super) fact: &'a InfusionFact,
    /// Day 0: the date of its end, or of its planned start.
    pub(super) date: Date,
    /// The date of its start.
    pub(super) start_date: Date,
    pub(super) start: Timestamp,
    /// Its number in its series, from 0. Sessions at most a week apart are a series.
    pub(super) number: u32,
    /// Whether a series ends with it.
    pub(super) ends_series: bool,
}

/// The most days between two sessions of a series.
const SERIES: i64 = 7;

impl Session<'_> {
    /// Counts the days from the start of this session to that of the next one: what their templates go by.
    pub(super) fn gap_to(&self, next: &Self) -> i64 {
        days(self.start_date, next.start_date)
    }
}

/// The infusions that count, by their ends. Of two on one date, the one that ends last comes last.
pub(super) struct Sessions<'a>(pub(super) Vec<Session<'a>>);

impl<'a> Sessions<'a> {
    pub(super) fn new(facts: &'a Facts, calendar: &Calendar<'_>) -> Self {
        let mut sessions: Vec<_> = facts
            .infusions
            .iter()
            .filter_map(|fact| {
                let (start, end) = fact.span()?;
                let start_date = calendar.date(start);
                let date = fact.ended_at.map_or(start_date, |end| calendar.date(end));
                Some((end, Session { fact, date, start_date, start, number: 0, ends_series: false }))
            })
            .collect();
        sessions.sort_by_key(|(end, session)| (*end, session.start, session.fact.id));
        let mut sessions: Vec<_> = sessions.into_iter().map(|(_, session)| session).collect();
        number(&mut sessions);
        Self(sessions)
    }

    /// Whether `date` is the day of a session or the day after it.
    pub(super) fn are_near(&self, date: Date) -> bool {
        self.0.iter().any(|session| (session.start_date == date) || (0..=1).contains(&days(session.date, date)))
    }
}

/// Numbers the sessions of each series. Two on one date have one number.
fn number(sessions: &mut [Session<'_>]) {
    for n in 1..sessions.len() {
        let Some([previous, session]) = sessions.get_mut(n - 1..=n) else { return };
        session.number = match previous.gap_to(session) {
            ..=0 => previous.number,
            1..=SERIES => previous.number + 1,
            _ => 0,
        };
    }
    for n in 0..sessions.len() {
        let goes_on = sessions.get(n).zip(sessions.get(n + 1)).is_some_and(|(one, next)| one.gap_to(next) <= SERIES);
        if let Some(session) = sessions.get_mut(n) {
            session.ends_series = session.number > 0 && !goes_on;
        }
    }
}

/// Whether `date` lies after the days of the last infusion, and the next session is more than a week away.
pub(super) fn between_windows(sessions: &Sessions<'_>, protocol: &Protocol, date: Date) -> bool {
    let is_past = |session: &Session<'_>| session.date <= date;
    let over = |last: &Session<'_>| last.fact.ended_at.is_some();
    let last = sessions.0.iter().rev().find(|session| is_past(session));
    last.is_some_and(|last| over(last) && days(last.date, date) > i64::from(protocol.horizon_days))
        && sessions.0.iter().all(|next| is_past(next) || days(date, next.start_date) > 7)
}
