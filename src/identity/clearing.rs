//! The tasks that delete expired sessions with their refresh tokens, the spent tokens of sessions that live on, old
//! counts of failed log-ins, and answered challenges that are over.

use jiff::SignedDuration;

use super::model::SessionLifetime;
use super::passkeys;
use super::store;
use crate::tasks::{Clearing, Due};

/// Deletes expired sessions.
pub const TASK: Clearing = Clearing {
    name: "over-sessions",
    next_due: &[Due::at("sessions", "expires_at").after(store::KEPT)],
    clear: store::delete_over,
};

/// The time for which an unspent refresh token may be good.
const GOOD: SignedDuration = SessionLifetime::LONGEST_IDLE;

/// Deletes refresh tokens that were spent as long ago as an unspent one is good. Until then a spent one that comes
/// again tells of theft; afterwards it is unknown, and refused like any other.
pub const SPENT: Clearing = Clearing {
    name: "spent-tokens",
    next_due: &[Due::at("refresh_tokens", "spent_at").after(GOOD)],
    clear: |tx, now, most| store::delete_spent(tx, now.saturating_sub(GOOD).unwrap_or(now), most),
};

/// Deletes the counters of failed log-ins that nobody has touched for a day.
pub const FAILURES: Clearing = Clearing {
    name: "log-in-failures",
    next_due: &[Due::at("log_in_failures", "last_at").after(store::KEPT)],
    clear: store::delete_failures,
};

/// Forgets challenges that were answered, once they have been over for a day: from then on they are refused by their
/// time alone, by every process.
pub const CEREMONIES: Clearing = Clearing {
    name: "passkey-ceremonies",
    next_due: &[Due::at("passkey_ceremonies", "expires_at").after(store::KEPT)],
    clear: |tx, now, most| passkeys::store::delete_over(tx, now.saturating_sub(store::KEPT).unwrap_or(now), most),
};
