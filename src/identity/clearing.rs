//! The task that deletes expired sessions with their refresh tokens.

use super::store;
use crate::tasks::{Clearing, Due};

/// Deletes expired sessions.
pub const TASK: Clearing = Clearing {
    name: "over-sessions",
    next_due: &[Due::at("sessions", "expires_at").after(store::KEPT)],
    clear: |tx, _, now, most| store::delete_over(tx, now, most),
};
