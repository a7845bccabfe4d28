//! Used keys are forgotten after a day.

use jiff::SignedDuration;

use super::store;
use crate::tasks::{Clearing, Due};

/// A few minutes more than the day for which keys are kept save a round for each of them.
const KEPT: SignedDuration = SignedDuration::from_mins(24 * 60 + 5);

/// Forgets used keys.
pub const TASK: Clearing = Clearing {
    name: "used-keys",
    next_due: &[Due::at("replays", "created_at").after(KEPT)],
    clear: |tx, _, now, most| store::delete_old(tx, now, most),
};
