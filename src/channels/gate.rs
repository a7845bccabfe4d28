//! The configured channels, each with a limit of parallel sends and a circuit breaker: a channel that is down is left
//! alone for a while, and holds no other. A process may leave some of them to others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::model::{Address, Channel, Notice, SendError};

/// The number of sends under way at once in a channel.
const AT_ONCE: usize = 64;
/// The longest that a channel may take for one push.
const PATIENCE: Duration = Duration::from_secs(5);
/// The failures in a row after which a channel rests.
const FAILURES: u32 = 5;
/// The time for which it rests. Then one push tries it.
const REST: SignedDuration = SignedDuration::from_secs(30);

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sending {
    /// The push service has taken it.
    Sent,
    /// The channel rests until the instant: nothing was tried.
    Resting(Timestamp),
    /// It was not taken.
    Failed(SendError),
}

/// The channels that are configured: all that devices are reached by, and which of them this process sends by.
#[derive(Default)]
pub struct Channels(Vec<Gate>);

struct Gate {
    channel: Arc<dyn Channel>,
    /// Whether this process sends by it.
    served: bool,
    permits: Semaphore,
    breaker: Mutex<Breaker>,
}

/// The failures of a channel in a row, and the end of its rest.
#[derive(Clone, Copy, Debug, Default)]
struct Breaker {
    failures: u32,
    rests_until: Option<Timestamp>,
}

impl Breaker {
    /// Returns the end of the rest. When it is over, one push may try the channel, and the others still wait.
    fn rest(&mut self, now: Timestamp) -> Option<Timestamp> {
        let until = self.rests_until?;
        if until > now {
            return Some(until);
        }
        self.rests_until = Some(now.saturating_add(REST).unwrap_or(now));
        None
    }

    fn note(&mut self, worked: bool, now: Timestamp) {
        if worked {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.rests_until = Some(now.saturating_add(REST).unwrap_or(now));
        }
    }
}

impl std::fmt::Debug for Channels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Channels {
    /// Makes the set of these channels. Of two with one name the first counts.
    pub fn new(list: impl IntoIterator<Item = Arc<dyn Channel>>) -> Self {
        let gate =
            |channel| Gate { channel, served: true, permits: Semaphore::new(AT_ONCE), breaker: Mutex::default() };
        Self(list.into_iter().map(gate).collect())
    }

    /// Leaves all but the channels of these names to other processes.
    #[must_use]
    pub fn only(mut self, names: &[String]) -> Self {
        for gate in &mut self.0 {
            gate.served = names.iter().any(|name| name == gate.channel.name());
        }
        self
    }

    /// Whether this process sends by the channel of that name.
    pub fn serves(&self, name: &str) -> bool {
        self.0.iter().any(|gate| gate.served && gate.channel.name() == name)
    }

    /// Returns the names of the channels that are left to other processes.
    pub fn left_to_others(&self) -> Vec<&'static str> {
        self.names().filter(|name| !self.serves(name)).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|gate| gate.channel.name())
    }

    /// Returns the public key that browsers need to subscribe, if a channel has one.
    pub fn public_key(&self) -> Option<String> {
        self.0.iter().find_map(|gate| gate.channel.public_key())
    }

    /// Whether there is a channel of that name.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Sends a push, unless its channel rests. A service that does not answer in time counts as one that fails.
    pub async fn send(&self, to: &Address, notice: &Notice, now: Timestamp) -> Sending {
        let name = to.channel();
        let Some(gate) = self.0.iter().find(|gate| gate.channel.name() == name) else {
            return Sending::Failed(SendError::Refused { reason: "the channel is not configured" });
        };
        let breaker = || gate.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed semaphore is never seen: nothing closes it.
        let _permit = gate.permits.acquire().await;
        if let Some(until) = breaker().rest(now) {
            return Sending::Resting(until);
        }
        let late = || SendError::Later { after: None, reason: "took too long" };
        let sent = tokio::time::timeout(PATIENCE, gate.channel.send(to, notice)).await.unwrap_or_else(|_| Err(late()));
        let worked = !matches!(sent, Err(SendError::Later { .. }));
        breaker().note(worked, now);
        let outcome = if sent.is_ok() { "sent" } else { "failed" };
        metrics::counter!("afterglow_pushes_total", "channel" => name, "outcome" => outcome).increment(1);
        match sent {
            Ok(()) => Sending::Sent,
            Err(error) => Sending::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_rests_after_five_failures_and_then_one_push_tries_it() {
        let at = |seconds: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        let mut breaker = Breaker::default();
        for second in 0..4 {
            breaker.note(false, at(second));
            assert_eq!(breaker.rest(at(second)), None);
        }
        breaker.note(false, at(4));
        assert_eq!(breaker.rest(at(5)), Some(at(34)));
        assert_eq!(breaker.rest(at(34)), None, "one tries");
        assert_eq!(breaker.rest(at(34)), Some(at(64)), "the others wait for it");
        breaker.note(true, at(35));
        assert_eq!(breaker.rest(at(35)), None);
        breaker.note(false, at(36));
        assert_eq!(breaker.rest(at(36)), None, "failures are counted anew");
    }
}
