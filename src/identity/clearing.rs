//! Sessions that ran out are forgotten, with their refresh tokens.

use super::store;
use crate::tasks::{Clearing, Due};

/// Forgets sessions that ran out.
pub const TASK: Clearing = Clearing {
    name: "over-sessions",
    next_due: &[Due::at("sessions", "expires_at").after(store::KEPT)],
    clear: |tx, _, now, most| store::delete_over(tx, now, most),
};
