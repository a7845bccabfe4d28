//! Arithmetic with hours.

use jiff::{SignedDuration, Timestamp};

/// Converts hours to a duration, to the second.
pub(super) fn duration(hours: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64((hours * 3600.0).round()).unwrap_or(SignedDuration::MAX)
}

/// Returns the instant `elapsed` after `at`, limited to the range of a timestamp.
pub(super) fn after(at: Timestamp, elapsed: SignedDuration) -> Timestamp {
    at.checked_add(elapsed).unwrap_or(Timestamp::MAX)
}

/// Returns the hours from `start` to `end`.
pub(super) fn hours_between(start: Timestamp, end: Timestamp) -> f64 {
    end.duration_since(start).as_secs_f64() / 3600.0
}
