//! The task that empties the outbox.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::actions::deliver;
use super::channel::Channel;
use super::due::MarkDue;
use crate::kernel::Result;
use crate::tasks::{Due, Task, TaskProgress, TaskRun};

/// Sends the waiting deliveries, and those that a worker which died has left.
#[derive(Clone, Copy, Debug)]
pub struct Deliver<C>(pub C);

impl<C: Channel> Task for Deliver<C> {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn next_due(&self) -> &'static [Due] {
        const {
            &[
                Due::at("deliveries", "due_at").only("state = 'waiting'"),
                Due::at("deliveries", "lease_until").only("state = 'leased'"),
            ]
        }
    }

    fn follows(&self) -> Option<&'static str> {
        Some(MarkDue::NAME)
    }

    fn run<'a>(&'a self, TaskRun { state, now, .. }: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        async move {
            let round = deliver(state, &self.0, now).await?;
            metrics::counter!("afterglow_deliveries_sent_total")
                .increment(u64::try_from(round.sent).unwrap_or(u64::MAX));
            Ok(TaskProgress { sent: round.sent, ..TaskProgress::rows(round.seen) })
        }
        .boxed()
    }
}
