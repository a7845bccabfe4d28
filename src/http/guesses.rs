//! The attempts of each network where a secret may be guessed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::clock::{Clock, DefaultClock, Reference as _};
use governor::nanos::Nanos;

/// The nanoseconds of a minute.
const MINUTE: u64 = 60_000_000_000;
/// The nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;
/// The number of networks from which on those with a whole allowance are forgotten, each time that it has doubled.
const SWEEP: usize = 8192;

/// A limit on the attempts of each network: so many a minute, and as many at once. An attempt that succeeds is given
/// back, so that the many people of one clinic may log in at the same time: only failures are used up.
#[derive(Debug)]
pub(super) struct Guesses<C: Clock = DefaultClock> {
    per_minute: NonZeroU32,
    clock: C,
    networks: Mutex<Networks<C::Instant>>,
}

#[derive(Debug)]
struct Networks<I> {
    /// For each network, the instant at which its whole allowance is there again.
    whole_at: HashMap<IpAddr, I>,
    /// The number of networks at which the next sweep is due.
    sweep: usize,
}

/// What is left to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// The attempts that it may make at once.
    pub attempts: u32,
    /// The seconds until its whole allowance is there again; for a refusal, until the next attempt is taken.
    pub wait: u32,
    /// Whether this attempt was refused.
    pub refused: bool,
}

impl Guesses {
    /// Makes a limit that has counted nothing yet.
    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        Self::with_clock(per_minute, DefaultClock::default())
    }
}

impl<C: Clock> Guesses<C> {
    fn with_clock(per_minute: NonZeroU32, clock: C) -> Self {
        let networks = Networks { whole_at: HashMap::new(), sweep: SWEEP };
        Self { per_minute, clock, networks: Mutex::new(networks) }
    }

    /// Returns the attempts a minute.
    pub(super) fn per_minute(&self) -> u32 {
        self.per_minute.get()
    }

    /// The nanoseconds after which one more attempt is there.
    fn interval(&self) -> u64 {
        (MINUTE / u64::from(self.per_minute.get())).max(1)
    }

    /// Takes an attempt, if one is left.
    pub(super) fn take(&self, network: IpAddr) -> Left {
        let now = self.clock.now();
        let mut networks = self.lock();
        networks.forget(&now);
        let whole_at = networks.whole_at.get(&network).copied().map_or(now, |at| at.max(now));
        let next = whole_at + Nanos::from(self.interval());
        let used = next.duration_since(now).as_u64();
        if used > MINUTE {
            return Left { attempts: 0, wait: seconds(used - MINUTE), refused: true };
        }
        networks.whole_at.insert(network, next);
        self.left(used)
    }

    /// Gives back an attempt that was taken and has succeeded.
    pub(super) fn give_back(&self, network: IpAddr) -> Left {
        let now = self.clock.now();
        let mut networks = self.lock();
        let Some(whole_at) = networks.whole_at.get_mut(&network) else { return self.left(0) };
        *whole_at = whole_at.saturating_sub(Nanos::from(self.interval()));
        self.left(whole_at.duration_since(now).as_u64())
    }

    fn left(&self, used: u64) -> Left {
        let attempts = MINUTE.saturating_sub(used) / self.interval();
        Left { attempts: u32::try_from(attempts).unwrap_or(u32::MAX), wait: seconds(used), refused: false }
    }

    fn lock(&self) -> MutexGuard<'_, Networks<C::Instant>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Ord> Networks<I> {
    /// Forgets the networks whose allowance is whole, when there are many.
    fn forget(&mut self, now: &I) {
        if self.whole_at.len() >= self.sweep {
            self.whole_at.retain(|_, whole_at| *whole_at > *now);
            self.sweep = self.whole_at.len().saturating_mul(2).max(SWEEP);
        }
    }
}

/// Returns whole seconds, rounded up.
fn seconds(nanoseconds: u64) -> u32 {
    u32::try_from(nanoseconds.div_ceil(SECOND)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn failures_are_used_up_and_successes_are_given_back() {
        let clock = FakeRelativeClock::default();
        let guesses = Guesses::with_clock(NonZeroU32::new(10).unwrap(), clock.clone());
        let network: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..100 {
            assert!(!guesses.take(network).refused);
            assert_eq!(guesses.give_back(network), Left { attempts: 10, wait: 0, refused: false });
        }
        for left in (0..10).rev() {
            assert_eq!(guesses.take(network).attempts, left);
        }
        assert_eq!(guesses.take(network), Left { attempts: 0, wait: 6, refused: true });
        assert!(!guesses.take("192.0.2.2".parse().unwrap()).refused);
        clock.advance(Duration::from_secs(6));
        assert!(!guesses.take(network).refused);
        assert!(guesses.take(network).refused);
        clock.advance(Duration::from_secs(60));
        assert_eq!(guesses.take(network).attempts, 9);
    }

    #[test]
    fn networks_whose_allowance_is_whole_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let guesses = Guesses::with_clock(NonZeroU32::new(10).unwrap(), clock.clone());
        let network = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        for n in 0..SWEEP {
            guesses.take(network(n));
        }
        clock.advance(Duration::from_secs(60));
        guesses.take(network(SWEEP));
        assert_eq!(guesses.lock().whole_at.len(), 1);
    }
}
