//! The task that deletes used keys after a day.

use jiff::SignedDuration;

use super::store;
use crate::tasks::{Clearing, Due};

/// Keys are kept for a few minutes more than a day, so that one round deletes many.
const KEPT: SignedDuration = SignedDuration::from_mins(24 * 60 + 5);

/// Deletes used keys.
pub const TASK: Clearing = Clearing {
    name: "used-keys",
    next_due: &[Due::at("idempotency_records", "created_at").after(KEPT)],
    clear: store::delete_old,
};
