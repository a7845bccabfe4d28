//! The patient's newest dials, by which something lighter comes in the place of a prompt that asks for effort.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::window::Rating;

/// The newest dials of a patient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dials {
    /// Mood, from unpleasant to pleasant.
    pub mood: Option<Rating>,
    /// Distress, from none to unbearable.
    pub distress: Option<Rating>,
}

/// The dials at which a rule comes in the place of an effortful prompt. Either is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeavyDials {
    /// The highest mood.
    pub mood_at_most: u8,
    /// The lowest distress.
    pub distress_at_least: u8,
    /// The age in hours up to which a dial counts.
    pub within_hours: i64,
}

impl HeavyDials {
    /// Whether one of `dials` is heavy at `now`.
    pub fn are_met(self, dials: Dials, now: Timestamp) -> bool {
        let counts = |rating: &Rating| {
            let age = now.duration_since(rating.answered_at);
            !age.is_negative() && age <= SignedDuration::from_hours(self.within_hours)
        };
        dials.mood.filter(counts).is_some_and(|mood| mood.value <= self.mood_at_most)
            || dials.distress.filter(counts).is_some_and(|distress| distress.value >= self.distress_at_least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::Protocol;

    #[test]
    fn only_heavy_dials_of_the_last_day_put_something_lighter_in_the_place_of_effort() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let rating = |value, ago| Some(Rating { value, answered_at: now - ago });
        let protocol = Protocol::default_v1();
        let (day, second) = (SignedDuration::from_hours(24), SignedDuration::from_secs(1));
        for (mood, distress, heavy) in [
            (None, None, false),
            (rating(2, second), None, true),
            (rating(3, second), rating(7, second), false),
            (rating(9, second), rating(8, second), true),
            (rating(0, day), None, true),
            (rating(0, day + second), rating(10, day + second), false),
            (rating(0, -second), None, false),
        ] {
            let dials = Dials { mood, distress };
            let lighter = |key| protocol.lighter_than(protocol.rule(key).unwrap(), dials, now);
            let found = lighter("d1.tell").map(|rule| rule.key.as_str());
            assert_eq!(found, heavy.then_some("adapt.low"), "{dials:?}");
            assert_eq!(lighter("d2.mood"), None, "what asks little comes all the same");
        }
    }
}
