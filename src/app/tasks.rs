//! The one list of background work.

use jiff::Timestamp;

use crate::delivery::{Channel, Deliver, MarkDue};
use crate::jobs::{self, RoundSummary};
use crate::kernel::Result;
use crate::schedule::FollowClinics;
use crate::schedule::horizon::Horizon;
use crate::state::State;
use crate::tasks::{Task as _, Tasks};
use crate::{audit, care, exercises, feed, idempotency, identity, journal, letters, sync};

/// Returns the tasks of a server that delivers by `channel`, in the order in which a round does them.
pub fn tasks<'c>(channel: impl Channel + 'c) -> Tasks<'c> {
    vec![
        Box::new(MarkDue::by(channel.name())),
        Box::new(Deliver::by(channel)),
        Box::new(letters::NotifyOwners::default()),
        Box::new(letters::SendLetters),
        Box::new(FollowClinics::default()),
        Box::new(Horizon::default()),
        Box::new(care::grants::EndExpired::default()),
        Box::new(care::grants::TellBegun::default()),
        Box::new(care::TellPatients::default()),
        Box::new(care::TellCovered::default()),
        Box::new(audit::Anchoring),
        Box::new(sync::renewal::DataAnchoring),
        Box::new(idempotency::clearing::TASK),
        Box::new(identity::clearing::TASK),
        Box::new(identity::clearing::SPENT),
        Box::new(identity::clearing::FAILURES),
        Box::new(identity::clearing::CEREMONIES),
        Box::new(letters::clearing::TASK),
        Box::new(letters::clearing::PROOFS),
        Box::new(journal::purge::task()),
        Box::new(exercises::purge::task()),
        Box::new(sync::clearing::TASK),
        Box::new(feed::backlog::Follow::default()),
        Box::new(feed::clearing::TASK),
    ]
}

/// Returns the tasks of a process that answers no requests, beside servers that do. Without a way of letters it leaves
/// those that the servers write to them: it would drop what they can send.
pub fn worker_tasks<'c>(state: &State, channel: impl Channel + 'c) -> Tasks<'c> {
    let mut list = tasks(channel);
    if !state.config.sends_letters() {
        list.retain(|task| task.name() != letters::SendLetters.name());
    }
    list
}

/// Does one round of everything that is due at `now`, see [`jobs::tick`].
///
/// # Errors
///
/// As [`jobs::tick`].
pub async fn tick(state: &State, channel: &dyn Channel, now: Timestamp) -> Result<RoundSummary> {
    jobs::tick(state, &tasks(channel), now).await
}

/// Moves a manual clock, and does the work that becomes due on the way, see [`jobs::advance`].
///
/// # Errors
///
/// As [`jobs::advance`].
pub async fn advance(state: &State, channel: &dyn Channel, to: Timestamp) -> Result<usize> {
    jobs::advance(state, &tasks(channel), to).await
}
