//! The task that empties the outbox.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;

use super::actions::{Tails, deliver};
use super::channel::Channel;
use super::due::MarkDue;
use super::model::TASK;
use crate::kernel::Result;
use crate::state::State;
use crate::tasks::{Due, Task, TaskProgress, TaskRun};

/// The age of the oldest waiting delivery from which on deliveries are late.
pub const LATE: SignedDuration = SignedDuration::from_secs(60);

/// Sends the waiting deliveries, and those that a worker which died has left.
#[derive(Debug)]
pub struct Deliver<C> {
    channel: C,
    late: AtomicBool,
    tails: Tails,
}

impl<C> Deliver<C> {
    /// Makes the task of a process that sends by `channel` what goes to no device.
    pub fn by(channel: C) -> Self {
        Self { channel, late: AtomicBool::new(false), tails: Tails::default() }
    }

    /// Tells how long the oldest delivery has waited, and logs once when that begins to be long, and when it ends.
    fn watch(&self, age: SignedDuration) {
        metrics::gauge!("afterglow_delivery_backlog_seconds").set(age.as_secs_f64().max(0.0));
        let late = age > LATE;
        if self.late.swap(late, Ordering::Relaxed) != late {
            if late {
                tracing::error!(seconds = age.as_secs(), "deliveries are late: the workers have too much to do");
            } else {
                tracing::info!("deliveries leave in time again");
            }
        }
    }
}

impl<C: Channel> Task for Deliver<C> {
    fn name(&self) -> &'static str {
        TASK
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

    fn end<'a>(&'a self, _state: &'a State) -> BoxFuture<'a, Result<()>> {
        self.tails.end().map(Ok).boxed()
    }

    fn run<'a>(&'a self, TaskRun { state, now, since, .. }: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        async move {
            let left = !state.channels.left_to_others().is_empty();
            if !left {
                self.watch(now.duration_since(since));
            }
            let round = deliver(state, &self.channel, &self.tails, now).await?;
            // What waits for another process does not make this one late.
            if let Some(oldest) = round.oldest.filter(|_| left) {
                self.watch(now.duration_since(oldest));
            }
            if round.is_last {
                self.watch(SignedDuration::ZERO);
            }
            Ok(TaskProgress { sent: round.sent, ..TaskProgress::rows(round.seen) })
        }
        .boxed()
    }
}
