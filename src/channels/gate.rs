//! The configured channels, each with a limit of parallel sends and a circuit breaker: a channel that is down is left
//! alone for a while, and holds no other. The services of Web Push are chosen by phones, so each of them has a breaker of
//! its own: nobody can hold the pushes of others by naming one that fails. A process may leave some channels to others.

use std::collections::HashMap;
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
/// The time for which it rests when it is the operator who has to mend something, which takes longer: all that waits is
/// looked at again after each rest.
const UNMENDED: SignedDuration = SignedDuration::from_mins(10);
/// The most failing services of a channel that are kept. Beyond it all are forgotten: phones name them.
const SERVICES: usize = 256;

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
    breakers: Mutex<Breakers>,
}

/// The failures of a service in a row, and the end of its rest.
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

    /// Notes a failure, and returns whether its service rests now, for `rest`.
    fn fail(&mut self, rest: SignedDuration, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.rests_until = Some(now.saturating_add(rest).unwrap_or(now));
        }
        self.rests_until.is_some()
    }
}

/// The breakers of the services of a channel that fail.
#[derive(Debug, Default)]
struct Breakers(HashMap<String, Breaker>);

impl Breakers {
    fn rest(&mut self, service: &str, now: Timestamp) -> Option<Timestamp> {
        self.0.get_mut(service)?.rest(now)
    }

    /// Notes what came of a push: nothing if its service works, else the rest that it is to have after some failures.
    /// Returns whether it rests now.
    fn note(&mut self, service: String, failed: Option<SignedDuration>, now: Timestamp) -> bool {
        let Some(rest) = failed else {
            self.0.remove(&service);
            return false;
        };
        if self.0.len() >= SERVICES && !self.0.contains_key(&service) {
            self.0.clear();
        }
        self.0.entry(service).or_default().fail(rest, now)
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
            |channel| Gate { channel, served: true, permits: Semaphore::new(AT_ONCE), breakers: Mutex::default() };
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
        let service = to.service();
        let breakers = || gate.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        // A closed semaphore is never seen: nothing closes it.
        let _permit = gate.permits.acquire().await;
        if let Some(until) = breakers().rest(&service, now) {
            return Sending::Resting(until);
        }
        let late = || SendError::Later { after: None, reason: "took too long" };
        let sent = tokio::time::timeout(PATIENCE, gate.channel.send(to, notice)).await.unwrap_or_else(|_| Err(late()));
        let outcome = match &sent {
            Ok(()) => "sent",
            Err(SendError::Misconfigured { .. } | SendError::Mismatched { .. }) => "misconfigured",
            Err(_) => "failed",
        };
        let failed = match &sent {
            Err(SendError::Later { .. }) => Some(REST),
            Err(SendError::Misconfigured { .. }) => Some(UNMENDED),
            Ok(()) | Err(SendError::Gone | SendError::Refused { .. } | SendError::Mismatched { .. }) => None,
        };
        let rests = breakers().note(service, failed, now);
        if let Err(SendError::Misconfigured { reason }) = sent
            && rests
        {
            tracing::error!(channel = name, reason, "a channel is held back until its settings are mended");
        }
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
        let mut breakers = Breakers::default();
        for second in 0..4 {
            breakers.note(String::new(), Some(REST), at(second));
            assert_eq!(breakers.rest("", at(second)), None);
        }
        breakers.note(String::new(), Some(REST), at(4));
        assert_eq!(breakers.rest("", at(5)), Some(at(34)));
        assert_eq!(breakers.rest("", at(34)), None, "one tries");
        assert_eq!(breakers.rest("", at(34)), Some(at(64)), "the others wait for it");
        breakers.note(String::new(), None, at(35));
        assert_eq!(breakers.rest("", at(35)), None);
        breakers.note(String::new(), Some(REST), at(36));
        assert_eq!(breakers.rest("", at(36)), None, "failures are counted anew");
        for second in 37..41 {
            breakers.note(String::new(), Some(UNMENDED), at(second));
        }
        assert_eq!(breakers.rest("", at(41)), Some(at(40 + 600)));
    }
}
