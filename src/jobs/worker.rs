//! The loop around [`tick`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{follow_protocol, tick};
use crate::delivery::Channel;
use crate::kernel::{Error, Result};
use crate::state::State;

/// The longest the loop sleeps: what is planned for sooner meanwhile is found in time.
const NAP: Duration = Duration::from_millis(250);
/// How long the loop waits after an error.
const REST: Duration = Duration::from_secs(1);

/// Does what is due until `stop` says so, and then finishes the round it is in.
pub async fn run(state: State, channel: Arc<dyn Channel>, mut stop: watch::Receiver<bool>) {
    let (mut failing, mut followed) = (false, false);
    while !*stop.borrow() {
        let now = state.clock.now();
        // Once: the protocol is a part of the program.
        followed = followed || follow_protocol(&state, state.protocols.current(), now).await.is_ok();
        let round = AssertUnwindSafe(tick(&state, channel.as_ref(), now)).catch_unwind().await;
        let round: Result<_> = round.unwrap_or_else(|_payload| Err(Error::internal("a round of work panicked")));
        let pause = match &round {
            Ok(outcome) => outcome.next.map_or(NAP, |next| {
                let left = next.duration_since(state.clock.now());
                Duration::try_from(left).unwrap_or_default().min(NAP)
            }),
            Err(_) => REST,
        };
        match &round {
            Ok(_) if failing => tracing::info!("the background work goes on"),
            // Said once, not every second of an outage.
            Err(error) if !failing => tracing::error!(%error, "the background work stands still"),
            _ => {}
        }
        failing = round.is_err();
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            // A sender that is gone asks to stop, too.
            tokio::select! {
                changed = stop.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(pause) => {}
            }
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
pub fn start(state: State, channel: Arc<dyn Channel>) -> Worker {
    let (stop, stopped) = watch::channel(false);
    Worker { stop, task: tokio::spawn(run(state, channel, stopped)) }
}
