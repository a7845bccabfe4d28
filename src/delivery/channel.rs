//! The channel of pushes.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use super::model::Push;

/// The reason why a push did not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelError(pub &'static str);

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ChannelError {}

/// A way to a patient's phone. The same push may come twice, with the same delivery id.
pub trait Channel: Send + Sync {
    /// Returns its name in the outbox.
    fn name(&self) -> &'static str;

    /// Sends one push.
    fn send<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Result<(), ChannelError>>;
}

impl<C: Channel + ?Sized> Channel for &C {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn send<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Result<(), ChannelError>> {
        (**self).send(push)
    }
}

impl<C: Channel + ?Sized> Channel for Arc<C> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn send<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Result<(), ChannelError>> {
        (**self).send(push)
    }
}

/// A channel that writes a log line instead of sending, for development.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogChannel;

impl Channel for LogChannel {
    fn name(&self) -> &'static str {
        "log"
    }

    fn send<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Result<(), ChannelError>> {
        let Push { delivery, patient, prompt, text, .. } = push;
        tracing::info!(%delivery, %patient, %prompt, "{text}");
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A channel that keeps every push, for tests.
#[derive(Debug, Default)]
pub struct MemoryChannel(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    sent: Vec<Push>,
    failures: usize,
}

impl MemoryChannel {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pushes that were sent, in order.
    pub fn sent(&self) -> Vec<Push> {
        self.memory().sent.clone()
    }

    /// Lets the next `times` sends fail.
    pub fn fail(&self, times: usize) {
        self.memory().failures = times;
    }
}

impl Channel for MemoryChannel {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn send<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Result<(), ChannelError>> {
        let mut memory = self.memory();
        let answer = if memory.failures > 0 {
            memory.failures -= 1;
            Err(ChannelError("told to fail"))
        } else {
            memory.sent.push(push.clone());
            Ok(())
        };
        drop(memory);
        Box::pin(std::future::ready(answer))
    }
}
