//! The tasks that delete old letters and expired proofs.

use jiff::SignedDuration;

use super::store;
use crate::tasks::{Clearing, Due};

/// The time for which the row of a letter is kept after it has left.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);
/// The time for which an expired proof is kept.
const PROOF_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Deletes letters that left a month ago.
pub const TASK: Clearing = Clearing {
    name: "old-letters",
    next_due: &[Due::at("letters", "done_at").after(KEPT)],
    clear: |tx, now, most| store::delete_done(tx, now.saturating_sub(KEPT).unwrap_or(now), most),
};

/// Deletes proofs that expired a day ago.
pub const PROOFS: Clearing = Clearing {
    name: "expired-proofs",
    next_due: &[Due::at("address_proofs", "expires_at").after(PROOF_KEPT)],
    clear: |tx, now, most| store::delete_expired(tx, now.saturating_sub(PROOF_KEPT).unwrap_or(now), most),
};
