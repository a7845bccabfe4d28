//! The loop around [`tick`](super::tick).

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Failures, guarded, round};
use crate::state::State;
use crate::tasks::{ListedTask, Tasks};

/// The longest that the loop sleeps, so that work planned meanwhile is found in time.
const NAP: Duration = Duration::from_millis(250);
/// The time that the loop waits when it cannot find out what is due.
const REST: Duration = Duration::from_secs(1);

/// Does what is due until `stop` is true, then finishes its round.
pub async fn run(state: State, tasks: Tasks<'static>, mut stop: watch::Receiver<bool>) {
    let mut failing = BTreeSet::new();
    let mut begun = vec![false; tasks.len()];
    while !*stop.borrow() {
        let now = state.clock.now();
        let mut failures = Failures::new();
        for (ListedTask { task, .. }, begun) in tasks.iter().zip(&mut begun).filter(|(_, begun)| !**begun) {
            match guarded(task.begin(&state, now)).await {
                Ok(()) => *begun = true,
                Err(error) => failures.push((task.name(), error)),
            }
        }
        let pause = match guarded(round(&state, &tasks, now, Some(&stop))).await {
            Ok((outcome, failed)) => {
                failures.extend(failed);
                let until = outcome.next.filter(|_| failures.is_empty());
                until.map_or(NAP, |next| {
                    Duration::try_from(next.duration_since(state.clock.now())).unwrap_or_default().min(NAP)
                })
            }
            Err(error) => {
                failures.push(("agenda", error));
                REST
            }
        };
        report(&mut failing, &failures);
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            // A dropped sender also asks to stop.
            tokio::select! {
                changed = stop.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
    for ListedTask { task, .. } in &tasks {
        if let Err(error) = guarded(task.end(&state)).await {
            tracing::error!(task = task.name(), %error, "the background work could not be ended");
        }
    }
}

/// Logs tasks that begin to fail or recover, once and not every second of an outage.
fn report(failing: &mut BTreeSet<&'static str>, failures: &Failures) {
    failing.retain(|task| {
        let still = failures.iter().any(|(name, _)| name == task);
        if !still {
            tracing::info!(task, "the background work goes on");
        }
        still
    });
    for (task, error) in failures {
        if failing.insert(task) {
            tracing::error!(task, %error, "the background work stands still");
        }
    }
}

/// A loop that is running.
#[derive(Debug)]
pub struct Worker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Worker {
    /// Lets the loop finish its round, and waits for that.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if self.task.await.is_err() {
            tracing::error!("the background work ended badly");
        }
    }
}

/// Starts the loop on the runtime of the caller.
pub fn start(state: State, tasks: Tasks<'static>) -> Worker {
    let (stop, stopped) = watch::channel(false);
    Worker { stop, task: tokio::spawn(run(state, tasks, stopped)) }
}
