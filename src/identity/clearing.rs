//! The tasks that delete expired sessions with their refresh tokens, and old counts of failed log-ins.

use super::store;
use crate::tasks::{Clearing, Due};

/// Deletes expired sessions.
pub const TASK: Clearing = Clearing {
    name: "over-sessions",
    next_due: &[Due::at("sessions", "expires_at").after(store::KEPT)],
    clear: |tx, _, now, most| store::delete_over(tx, now, most),
};

/// Deletes the counts of failed log-ins of addresses that nobody has tried for a day.
pub const FAILURES: Clearing = Clearing {
    name: "log-in-failures",
    next_due: &[Due::at("log_in_failures", "last_at").after(store::KEPT)],
    clear: |tx, _, now, most| store::delete_failures(tx, now, most),
};
