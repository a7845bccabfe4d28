//! Sessions that ran out are forgotten, with their refresh tokens.

use jiff::SignedDuration;

use super::store;
use crate::tasks::{Clearing, Due};

/// How long a session that ran out is kept: longer than any access token of it lives.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Forgets sessions that ran out.
pub const TASK: Clearing = Clearing {
    name: "over-sessions",
    next_due: &[Due::at("sessions", "expires_at").after(KEPT)],
    clear: |tx, _, now, most| store::delete_over(tx, now, most),
};
