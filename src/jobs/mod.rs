//! The work that nobody asks for: prompts come due, leave the server, and plans grow with time.
//!
//! [`tick`] does one round of everything that is due at a time it is told, so that tests move a clock instead of
//! waiting; [`run`] repeats it, and [`pass`] does what is due while a clock is moved. Any number of processes may do so on PostgreSQL. Nothing is held between two rounds:
//! a worker that dies loses nothing but the lease of what it was sending.
//!
//! **After an outage** (a prompt is found more than half an hour after its time) at most one prompt of a patient still
//! goes out: a safety prompt if one is still valid, else the latest valid one. The others lapse without a sound. Cards
//! that are never pushed stay where they are until they expire. Several prompts that come due together without an
//! outage (two that were snoozed until the evening) all go out.
//!
//! The scans span patients, each on a partial index: `prompts_next_action`, `deliveries_waiting`, `deliveries_leased`,
//! `patients_next_plan`, and for used idempotency keys `replays_created`, for deleted entries `entries_purge`. When nothing is due, a round is one
//! statement.

mod due;
mod horizon;
mod passing;
mod store;
mod sweep;
mod worker;

use jiff::Timestamp;

use crate::delivery::{self, Channel};
use crate::kernel::Result;
use crate::state::State;

pub use horizon::follow_protocol;
pub use passing::pass;
pub use worker::{Worker, run, start};

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Prompts that came due.
    pub due: usize,
    /// Deliveries that left.
    pub sent: usize,
    /// Patients whose plan was extended.
    pub planned: usize,
    /// When there is something to do next, as far as it is known; at once, if this round did anything.
    pub next: Option<Timestamp>,
}

/// One round of what is due at `now`: batches of bounded size, so that a worker that is asked to stop stops soon.
///
/// # Errors
///
/// When database or keyring cannot be reached. One kind of work that fails does not keep the others from being done.
pub async fn tick(state: &State, channel: &dyn Channel, now: Timestamp) -> Result<Outcome> {
    let agenda = state.db.read(store::agenda).await?;
    let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let due = match agenda.prompt {
        Some(oldest) if oldest <= now => due::mark_due(state, channel.name(), oldest, now).await,
        _ => Ok(0),
    };
    let sent = if is_due(agenda.delivery) || is_due(agenda.lease) || !matches!(due, Ok(0)) {
        delivery::deliver(state, channel, now).await
    } else {
        Ok(delivery::Round::default())
    };
    let planned = if is_due(agenda.plan) { horizon::extend(state, now).await } else { Ok(0) };
    let swept = if agenda.replay.is_some_and(|at| sweep::is_due(at, now)) || is_due(agenda.purge) {
        sweep::sweep(state, now).await
    } else {
        Ok(0)
    };
    let (due, sent, planned, swept) = (due?, sent?, planned?, swept?);
    let busy = due + sent.seen + planned + swept > 0;
    // What is due and was not done is in another worker's hands, or has just failed: to be looked at after a pause.
    let next = if busy { Some(now) } else { agenda.next().filter(|at| *at > now) };
    metrics::counter!("afterglow_prompts_due_total").increment(u64::try_from(due).unwrap_or(u64::MAX));
    metrics::counter!("afterglow_deliveries_sent_total").increment(u64::try_from(sent.sent).unwrap_or(u64::MAX));
    Ok(Outcome { due, sent: sent.sent, planned, next })
}
