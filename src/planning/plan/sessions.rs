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
}

/// The infusions that count, by time.
pub(super) struct Sessions<'a>(pub(super) Vec<Session<'a>>);

impl<'a> Sessions<'a> {
    pub(super) fn new(facts: &'a Facts, calendar: &Calendar<'_>) -> Self {
        let mut sessions: Vec<_> = facts
            .infusions
            .iter()
            .filter_map(|fact| {
                let start = fact.started_at.or(fact.planned_start).or(fact.ended_at)?;
                let start_date = calendar.date(start);
                let date = fact.ended_at.map_or(start_date, |end| calendar.date(end));
                Some(Session { fact, date, start_date, start })
            })
            .collect();
        sessions.sort_by_key(|session| (session.start, session.fact.id));
        Self(sessions)
    }
}

/// Whether `date` lies after the days of the last infusion, and no other session is known.
pub(super) fn between_windows(sessions: &Sessions<'_>, protocol: &Protocol, date: Date) -> bool {
    sessions
        .0
        .last()
        .is_some_and(|last| last.fact.ended_at.is_some() && days(last.date, date) > i64::from(protocol.horizon_days))
}
