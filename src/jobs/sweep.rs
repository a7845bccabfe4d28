//! Clearing away what has had its time.

use jiff::{SignedDuration, Timestamp};

use crate::exercises;
use crate::idempotency;
use crate::journal;
use crate::kernel::Result;
use crate::state::State;

/// Rows of one kind cleared in one round.
const ROUND: i64 = 100;
/// Used keys are kept for a day; a few minutes more save a sweep for each of them.
const KEPT: SignedDuration = SignedDuration::from_mins(24 * 60 + 5);

/// Whether the used key of `oldest` is to be cleared at `now`.
pub(super) fn is_due(oldest: Timestamp, now: Timestamp) -> bool {
    now.duration_since(oldest) > KEPT
}

/// Clears one round of each kind. Every slice whose rows have a time is called from here, with a bounded number.
pub(super) async fn sweep(state: &State, now: Timestamp) -> Result<usize> {
    let keys = state.db.write_bulk(move |tx| idempotency::sweep(tx, now, ROUND)).await?;
    let planner = state.planner.clone();
    let entries = state.db.write_bulk(move |tx| journal::purge(tx, planner.as_ref(), now, ROUND)).await?;
    let planner = state.planner.clone();
    let responses = state.db.write_bulk(move |tx| exercises::actions::purge(tx, planner.as_ref(), now, ROUND)).await?;
    Ok(keys + entries + responses)
}
