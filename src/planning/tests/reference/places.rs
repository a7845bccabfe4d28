//! The first minute that is allowed, by trying one after the other.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::super::*;
use super::calls::Call;
use super::patient::World;
use super::{chances, minutes, plus};
use crate::planning::protocol::{Anchor, Effort, Expiry};

/// A prompt has no place; whether that is for its neighbours alone.
struct Crowded(bool);

impl World<'_> {
    fn expires(&self, call: &Call<'_>, base: Date, planned: Timestamp) -> Timestamp {
        let expires = match call.rule.expires {
            Expiry::Hours(n) => plus(planned, hours(n)),
            Expiry::Until { days, time } => self.wall(base.saturating_add(days.days()), time),
        };
        call.starts.map_or(expires, |start| expires.min(start))
    }

    /// Finds its time and expiry, three hours from `others`, the prompts of these days that are not for safety.
    pub(super) fn place(&self, call: &Call<'_>, others: &[Timestamp]) -> Option<(Timestamp, Timestamp)> {
        self.place_on(call, others, &|_| true)
    }

    /// Does the same for the first place on one of `dates`.
    pub(super) fn place_on(
        &self,
        call: &Call<'_>,
        others: &[Timestamp],
        dates: &dyn Fn(Date) -> bool,
    ) -> Option<(Timestamp, Timestamp)> {
        if let Some(due) = call.went_out {
            let base = call.times.first().map_or(self.date(due), |time| time.base);
            return Some((due, self.expires(call, base, due)));
        }
        // Where the jitter leaves no room, the start of its part of the day is tried.
        let starts = |time: &chances::Chance| [time.from, time.unjittered];
        let times = call.times.iter().flat_map(|time| starts(time).map(|from| (time, from)));
        let mut crowded = false;
        for (time, from) in times {
            if from < time.from && !crowded {
                continue;
            }
            match self.place_from(call, time, from, others) {
                Ok(placed) if dates(self.date(placed.0)) => return Some(placed),
                Ok(_) => crowded = false,
                Err(Crowded(is)) => crowded = is && from == time.from,
            }
        }
        None
    }

    fn place_from(
        &self,
        call: &Call<'_>,
        time: &chances::Chance,
        from: Timestamp,
        others: &[Timestamp],
    ) -> Result<(Timestamp, Timestamp), Crowded> {
        {
            let safety = call.rule.kind == PromptKind::Safety;
            let spacing = minutes(self.protocol.spacing_minutes);
            let lands = |planned| self.lands(call, planned, time.until).ok_or(Crowded(false));
            // Its first place is the start of its time, or three hours after a prompt that would be too near.
            let (mut planned, mut due) = (from, lands(from)?);
            while let Some(near) =
                others.iter().filter(|other| call.keeps_apart() && due.duration_since(**other).abs() < spacing).max()
            {
                planned = plus(*near, spacing);
                if planned > time.until {
                    return Err(Crowded(true));
                }
                due = lands(planned)?;
            }
            let expires = self.expires(call, time.base, planned);
            let moved = self.date(due) != self.date(planned);
            let strays = moved && call.last_date.is_some_and(|last| last < self.date(due));
            let late = call.not_after.is_some_and(|not_after| due > not_after);
            let recurs = matches!(call.rule.anchor, Anchor::Weekly | Anchor::Monthly | Anchor::AfterStop(_));
            let wrong = due >= expires || strays || late || (!safety && self.rests(due)) || self.too_soon(call, due);
            let wrong = wrong || recurs && self.near_a_session(self.date(due));
            if wrong { Err(Crowded(false)) } else { Ok((due, expires)) }
        }
    }

    /// Finds the first moment after `planned` that is not quiet, not in a session, and one of readiness. Quiet hours
    /// may last longer than its part of the day, nothing else may.
    fn lands(&self, call: &Call<'_>, planned: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let mut due = if call.though_quiet { planned } else { self.awake_from(planned) };
        if call.rule.kind != PromptKind::Safety && self.rests(due) {
            return None;
        }
        let last = until.max(due);
        let blocked = |at: Timestamp| {
            let effort = call.rule.effort == Effort::Effortful;
            (self.quiet(at) && !call.though_quiet) || self.silent(call.rule, at) || (effort && !self.ready(at))
        };
        while blocked(due) {
            // Whole minutes but for one: "24 hours old" is over a moment after it.
            let moment = plus(due, SignedDuration::from_micros(1));
            due = if blocked(moment) { plus(due, minutes(1)) } else { moment };
            if due > last {
                return None;
            }
        }
        Some(due)
    }
}
