//! The task that forgets the mutations of a quarter of a year ago.

use jiff::{SignedDuration, Timestamp};

use super::store;
use crate::tasks::{Clearing, Due};

/// The time for which a mutation that is sent again is known.
const KEPT: SignedDuration = SignedDuration::from_hours(91 * 24);

/// Forgets old mutations.
pub const TASK: Clearing = Clearing {
    name: "old-mutations",
    next_due: &[Due::at("mutations", "at").after(KEPT)],
    clear: |tx, now, most| store::delete_old(tx, until(now), most),
};

fn until(now: Timestamp) -> Timestamp {
    now.saturating_sub(KEPT).unwrap_or(now)
}
