//! Readiness for tasks that ask for effort: judged when planned, and again when something leaves.

use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::calendar::Calendar;
use crate::planning::calendar::{QuietHours, ZoneSince};
use crate::planning::facts::Condition;
use crate::planning::window::{Dose, ReadinessFacts, Route, WindowParams, doses_for_contexts, ready};

/// The readiness from which effort may be asked.
const ENOUGH: f64 = 0.5;
/// The longest time that a high rating weighs.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Sleep, which needs no report.
const SLEPT: SignedDuration = SignedDuration::from_hours(18);
/// An upper bound of the time from an infusion to the end of the first sleep after it, in any zones.
const LONGEST_NIGHT: SignedDuration = SignedDuration::from_hours(4 * 24);

/// The readiness of one patient from an instant on: steps, not a curve.
pub(super) struct Readiness<'a> {
    condition: &'a Condition,
    params: &'a WindowParams,
    doses: Vec<Dose>,
    /// The end of each infusion, with the end of the first sleep after it; by time.
    sleeps: Vec<(Timestamp, Timestamp)>,
    /// The instants at which readiness may rise; by time.
    steps: Vec<Timestamp>,
}

impl<'a> Readiness<'a> {
    pub(super) fn new(
        params: &'a WindowParams,
        doses: &[Dose],
        condition: &'a Condition,
        calendar: &Calendar<'_>,
        from: Timestamp,
    ) -> Self {
        // A patient may have hundreds of infusions. Every step after an earlier one lies before `from`.
        let acute = Route::ALL.into_iter().map(|route| params.acute(route));
        let earlier = from.saturating_sub(acute.fold(LONGEST_NIGHT, Ord::max)).unwrap_or(Timestamp::MIN);
        let doses = doses_for_contexts(doses, (earlier, Timestamp::MAX));
        let plus = |at: Timestamp, by| at.saturating_add(by).unwrap_or(at);
        let ended = || doses.iter().filter_map(|dose| Some((dose, dose.end()?)));
        let mut sleeps: Vec<_> = ended()
            .map(|(_, end)| {
                let morning = calendar.date(end).saturating_add(1.day());
                let dawn = calendar.instant(morning, Time::constant(6, 0, 0, 0));
                (end, ReadinessFacts::first_sleep(end, dawn, condition.slept_at))
            })
            .collect();
        sleeps.sort_unstable();
        let slept = sleeps.iter().flat_map(|(end, slept)| [*slept, plus(*end, SLEPT), plus(*end, DAY)]);
        let awake = ended().map(|(dose, end)| plus(end, params.acute(dose.route)));
        let ratings = [condition.dissociation, condition.drowsiness].into_iter().flatten();
        // A rating still weighs when it is exactly a day old.
        let faded = ratings.map(|rating| plus(plus(rating.answered_at, DAY), SignedDuration::from_micros(1)));
        let resumed = condition.suspended.as_ref().map(|time| time.until);
        let mut steps: Vec<_> = slept.chain(awake).chain(faded).chain(resumed).collect();
        steps.sort_unstable();
        Self { condition, params, doses, sleeps, steps }
    }

    /// Finds the first instant from `from` to `until` at which effort may be asked.
    pub(super) fn first(&self, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let later = self.steps.iter().copied().filter(|step| from < *step && *step <= until);
        std::iter::once(from).chain(later).find(|at| self.at(*at) >= ENOUGH)
    }

    fn at(&self, at: Timestamp) -> f64 {
        let condition = self.condition;
        let known = ReadinessFacts {
            first_sleep: self.sleeps.iter().rev().find(|(end, _)| *end <= at).map(|(_, slept)| *slept),
            dissociation: condition.dissociation,
            drowsiness: condition.drowsiness,
            suspended: condition.suspended.as_ref().is_some_and(|time| time.contains(at)),
        };
        ready(&self.doses, self.params, at, known)
    }
}

/// Returns the first instant at which effort may be asked, by these infusions alone, of a patient who has lived in
/// `zones`: `until` if there is none before it. `None` if it may be asked at `now`.
pub fn unready_until(
    params: &WindowParams,
    doses: &[Dose],
    zones: &[ZoneSince],
    (now, until): (Timestamp, Timestamp),
) -> Option<Timestamp> {
    let (condition, calendar) = (Condition::default(), Calendar::of(zones, QuietHours::default()));
    let first = Readiness::new(params, doses, &condition, &calendar, now).first(now, until);
    Some(first.unwrap_or(until)).filter(|first| *first > now)
}
