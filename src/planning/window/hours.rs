//! Hours, as the model counts them.

use jiff::{SignedDuration, Timestamp};

/// Hours as a duration, to the second.
pub(super) fn duration(hours: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64((hours * 3600.0).round()).unwrap_or(SignedDuration::MAX)
}

/// The instant `elapsed` after `at`, truncated to what a timestamp can hold.
pub(super) fn after(at: Timestamp, elapsed: SignedDuration) -> Timestamp {
    at.checked_add(elapsed).unwrap_or(Timestamp::MAX)
}

/// Hours from `start` to `end`.
pub(super) fn hours_between(start: Timestamp, end: Timestamp) -> f64 {
    end.duration_since(start).as_secs_f64() / 3600.0
}
