//! The silences: the times of sessions, with their acute phases.

use jiff::{SignedDuration, Timestamp};

use crate::planning::facts::{Facts, InfusionFact};
use crate::planning::protocol::Rule;
use crate::planning::window::WindowParams;

/// The end of a session without a recorded end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UntoldEnd {
    /// The planned one. A plan looks ahead, and is made again when the end is recorded.
    AsPlanned,
    /// The planned one, but not before this instant. What leaves now must not fall into a session that goes on.
    NotBefore(Timestamp),
}

/// Returns the time in which nothing leaves the server because of a session: from its start to the end of its acute
/// phase. `untold` says when a session without a recorded end is over; for any other, `span` holds the end.
pub fn silence(
    (start, end): (Timestamp, Timestamp),
    acute: SignedDuration,
    untold: UntoldEnd,
) -> (Timestamp, Timestamp) {
    let end = match untold {
        UntoldEnd::AsPlanned => end,
        UntoldEnd::NotBefore(at) => end.max(at),
    };
    (start, end.saturating_add(acute).unwrap_or(end))
}

/// Returns the start and the end of a session. One without an end is as long as planned.
pub fn session_span(start: Timestamp, end: Option<Timestamp>, planned_minutes: u32) -> (Timestamp, Timestamp) {
    let length = SignedDuration::from_mins(i64::from(planned_minutes));
    let end = end.unwrap_or_else(|| start.saturating_add(length).unwrap_or(start));
    (start, end.max(start))
}

impl InfusionFact {
    /// Returns the start and the end of the session. One that is not over is as long as planned.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let start = self.started_at.or(self.planned_start).or(self.ended_at)?;
        Some(session_span(start, self.ended_at, self.planned_minutes))
    }

    /// Returns the time in which nothing leaves the server because of this session: from its start to the end of its
    /// acute phase. Only checks of use at home may.
    pub fn silence(&self, params: &WindowParams) -> Option<(Timestamp, Timestamp)> {
        Some(silence(self.span()?, params.acute(self.route), UntoldEnd::AsPlanned))
    }
}

/// The silences of one patient.
pub(super) struct Silences(Vec<(Timestamp, Timestamp)>);

impl Silences {
    pub(super) fn new(params: &WindowParams, facts: &Facts) -> Self {
        Self(facts.infusions.iter().filter_map(|infusion| infusion.silence(params)).collect())
    }

    /// Leaves those that end after `at`: for instants from then on.
    pub(super) fn after(mut self, at: Timestamp) -> Self {
        self.0.retain(|(_, until)| *until > at);
        self
    }

    /// Returns the end of the silence around `at`, if there is one.
    pub(super) fn end(&self, at: Timestamp) -> Option<Timestamp> {
        self.0.iter().filter(|(from, until)| *from <= at && at < *until).map(|(_, until)| *until).max()
    }

    /// Returns the first instant from `at` on that is in no silence for `rule`.
    pub(super) fn over(&self, rule: &Rule, mut at: Timestamp) -> Timestamp {
        while let Some(end) = self.end(at).filter(|_| !rule.at_home) {
            at = end;
        }
        at
    }
}
