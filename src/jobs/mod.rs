//! The loop of the background work. `app` holds the list of tasks; the slices define them.
//!
//! [`tick`] does one round of everything that is due at a time it is told, so that tests move a clock instead of
//! waiting; [`run`] repeats it, and [`advance()`] does what is due while a clock is moved. Any number of processes may
//! do so on PostgreSQL. Nothing is held between two rounds: a worker that dies loses nothing but the lease of what it
//! was sending. When nothing is due, a round is one statement.

mod advance;
mod worker;

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::kernel::{Error, Result};
use crate::state::State;
use crate::tasks::{self, ListedTask, TaskProgress, TaskRun, Tasks};

pub use advance::advance;
pub use worker::{Worker, run, start};

/// The result of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundSummary {
    /// Prompts that came due.
    pub due: usize,
    /// Deliveries that left.
    pub sent: usize,
    /// Patients whose plan was extended.
    pub planned: usize,
    /// The next due time, as far as it is known; at once, if this round did anything.
    pub next: Option<Timestamp>,
}

/// The tasks that failed, with their faults.
type Failures = Vec<(&'static str, Error)>;

/// Does one round of what is due at `now`, in batches of bounded size, so that a worker that is asked to stop stops
/// soon.
///
/// # Errors
///
/// When database or keyring cannot be reached. The failure of one task does not stop the others.
pub async fn tick(state: &State, tasks: &Tasks<'_>, now: Timestamp) -> Result<RoundSummary> {
    let (outcome, failures) = round(state, tasks, now, None).await?;
    failures.into_iter().next().map_or(Ok(outcome), |(_, error)| Err(error))
}

/// Does one round as [`tick`] does, and returns every task that failed. Once `stop` is true, tasks begin no further
/// portion of their work.
async fn round(
    state: &State,
    tasks: &Tasks<'_>,
    now: Timestamp,
    stop: Option<&watch::Receiver<bool>>,
) -> Result<(RoundSummary, Failures)> {
    for ListedTask { task, .. } in tasks {
        task.before(state, now).await?;
    }
    let times = tasks::next_due(state, tasks).await?;
    let (mut all, mut awake, mut failures) = (TaskProgress::default(), Vec::new(), Failures::new());
    for (ListedTask { task, put_off }, time) in tasks.iter().zip(&times) {
        let name = task.name();
        let follows = task.follows().is_some_and(|before| awake.contains(&before));
        let Some(since) = time.filter(|at| *at <= now).or(follows.then_some(now)) else { continue };
        match guarded(task.run(TaskRun { state, now, since, stop, put_off })).await {
            Ok(done) if done.rows == 0 => {}
            Ok(done) => {
                awake.push(name);
                all += done;
            }
            Err(error) => {
                metrics::counter!("afterglow_task_failures_total", "task" => name).increment(1);
                // It may have done a part of its work.
                awake.push(name);
                failures.push((name, error));
            }
        }
    }
    // Due work that was not done is with another worker or has just failed. It is looked at again after a pause.
    let later = times.into_iter().flatten().filter(|at| *at > now).min();
    let TaskProgress { rows, due, sent, planned } = all;
    Ok((RoundSummary { due, sent, planned, next: if rows > 0 { Some(now) } else { later } }, failures))
}

/// Does a part of a task. A panic is a fault of that task alone.
async fn guarded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|_payload| Err(Error::internal("a task panicked")))
}
