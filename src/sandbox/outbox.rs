//! The outbox of a sandbox: the pushes that phones would have received.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::delivery::{Channel, ChannelError, Push};
use crate::kernel::Clock;

/// The most pushes that are kept; the oldest are dropped first.
pub const KEPT: usize = 10_000;

/// A push and the time at which it was sent.
#[derive(Clone, Debug)]
pub struct SentPush {
    /// Its place among all that were sent, from 1.
    pub number: u64,
    /// The push.
    pub push: Push,
    /// The instant at which it was sent.
    pub at: Timestamp,
}

/// A page of sent pushes.
#[derive(Clone, Debug)]
pub struct OutboxPage {
    /// The pushes in the order in which they were sent.
    pub sent: Vec<SentPush>,
    /// Whether there are more.
    pub more: bool,
    /// The number of pushes between the last that was read and the first here that are no longer kept.
    pub forgotten: u64,
}

/// A channel that keeps pushes instead of sending them.
#[derive(Debug)]
pub struct Outbox {
    clock: Clock,
    kept: Mutex<StoredPushes>,
}

#[derive(Debug, Default)]
struct StoredPushes {
    sent: VecDeque<SentPush>,
    /// The number of the newest.
    last: u64,
}

impl Outbox {
    /// Makes an empty outbox.
    pub fn new(clock: Clock) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, StoredPushes> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns up to `limit` pushes with numbers greater than `after`.
    pub fn read(&self, after: u64, limit: usize) -> OutboxPage {
        let kept = self.kept();
        let newer = || kept.sent.iter().filter(|sent| sent.number > after);
        let sent: Vec<SentPush> = newer().take(limit).cloned().collect();
        let oldest = newer().next().map_or(kept.last + 1, |sent| sent.number);
        OutboxPage {
            more: newer().nth(limit).is_some(),
            forgotten: oldest.saturating_sub(after.saturating_add(1)),
            sent,
        }
    }

    /// Drops the pushes; their numbers go on.
    pub fn clear(&self) {
        self.kept().sent.clear();
    }
}

impl Channel for Outbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn send<'a>(&'a self, push: &'a Push) -> BoxFuture<'a, Result<(), ChannelError>> {
        let mut kept = self.kept();
        kept.last += 1;
        let number = kept.last;
        kept.sent.push_back(SentPush { number, push: push.clone(), at: self.clock.now() });
        if kept.sent.len() > KEPT {
            kept.sent.pop_front();
        }
        drop(kept);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::TEXT;
    use crate::kernel::Entropy;

    async fn sent(count: usize) -> Outbox {
        let outbox = Outbox::new(Clock::manual(Timestamp::UNIX_EPOCH));
        for _ in 0..count {
            let entropy = Entropy::seeded(1);
            let at = Timestamp::UNIX_EPOCH;
            let (delivery, patient, prompt) = (entropy.id(at), entropy.id(at), entropy.id(at));
            outbox.send(&Push { delivery, patient, prompt, expires_at: at, text: TEXT }).await.unwrap();
        }
        outbox
    }

    fn numbers(part: &OutboxPage) -> Vec<u64> {
        part.sent.iter().map(|sent| sent.number).collect()
    }

    #[tokio::test]
    async fn it_is_read_in_parts_in_the_order_of_sending() {
        let outbox = sent(5).await;
        let first = outbox.read(0, 2);
        assert_eq!((numbers(&first), first.more, first.forgotten), (vec![1, 2], true, 0));
        let rest = outbox.read(2, 3);
        assert_eq!((numbers(&rest), rest.more, rest.forgotten), (vec![3, 4, 5], false, 0));
        let nothing = outbox.read(5, 3);
        assert_eq!((numbers(&nothing), nothing.more, nothing.forgotten), (vec![], false, 0));
        assert_eq!(outbox.read(u64::MAX, 3).sent.len(), 0);
    }

    #[tokio::test]
    async fn the_oldest_make_room_and_the_reader_is_told() {
        let outbox = sent(KEPT + 3).await;
        let part = outbox.read(1, 1);
        assert_eq!((numbers(&part), part.forgotten), (vec![4], 2));
        outbox.clear();
        let part = outbox.read(0, 1);
        assert_eq!(part.forgotten, u64::try_from(KEPT + 3).unwrap());
    }
}
