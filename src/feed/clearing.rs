//! The task that forgets what therapists ceased to see half a year ago.

use jiff::{SignedDuration, Timestamp};

use super::store;
use crate::tasks::{Clearing, Due};

/// The time for which a removal is told to those who did not ask in between.
const KEPT: SignedDuration = SignedDuration::from_hours(180 * 24);

/// Forgets old removals. A therapist's app that asks with an older cursor begins again.
pub const TASK: Clearing = Clearing {
    name: "old-feed-removals",
    next_due: &[Due::at("feed", "removed_at").after(KEPT)],
    clear: |tx, now, most| store::delete_removed(tx, until(now), most),
};

fn until(now: Timestamp) -> Timestamp {
    now.saturating_sub(KEPT).unwrap_or(now)
}
