//! The one list of background work.

use jiff::Timestamp;

use crate::delivery::{Channel, Deliver, MarkDue};
use crate::jobs::{self, RoundSummary};
use crate::kernel::Result;
use crate::schedule::FollowClinics;
use crate::schedule::horizon::Horizon;
use crate::state::State;
use crate::tasks::{ListedTask, Task as _, Tasks};
use crate::{audit, care, exercises, feed, idempotency, identity, journal, letters, sync};

/// Returns the tasks of a server that delivers by `channel`, in the order in which a round does them.
pub fn tasks<'c>(channel: impl Channel + 'c) -> Tasks<'c> {
    vec![
        ListedTask::of(MarkDue::by(channel.name())),
        ListedTask::of(Deliver::by(channel)),
        ListedTask::of(letters::NotifyOwners),
        ListedTask::of(letters::SendLetters),
        ListedTask::of(FollowClinics),
        ListedTask::of(Horizon),
        ListedTask::of(care::grants::EndExpired),
        ListedTask::of(care::grants::TellBegun),
        ListedTask::of(care::TellPatients),
        ListedTask::of(care::TellCovered),
        ListedTask::of(audit::Anchoring),
        ListedTask::of(sync::renewal::DataAnchoring),
        ListedTask::of(idempotency::clearing::TASK),
        ListedTask::of(identity::clearing::TASK),
        ListedTask::of(identity::clearing::SPENT),
        ListedTask::of(identity::clearing::FAILURES),
        ListedTask::of(identity::clearing::CEREMONIES),
        ListedTask::of(letters::clearing::TASK),
        ListedTask::of(letters::clearing::PROOFS),
        ListedTask::of(journal::purge::task()),
        ListedTask::of(exercises::purge::task()),
        ListedTask::of(sync::clearing::TASK),
        ListedTask::of(feed::backlog::Follow),
        ListedTask::of(feed::clearing::TASK),
    ]
}

/// Returns the tasks of a process that answers no requests, beside servers that do. Without a way of letters it leaves
/// those that the servers write to them: it would drop what they can send.
pub fn worker_tasks<'c>(state: &State, channel: impl Channel + 'c) -> Tasks<'c> {
    let mut list = tasks(channel);
    if !state.config.sends_letters() {
        list.retain(|listed| listed.task.name() != letters::SendLetters.name());
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
