//! The injected source of randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{digest, rand};
use jiff::Timestamp;
use uuid::Uuid;

use super::Id;

/// Gives random bytes: from the operating system, or repeatable ones for the sandbox and for tests.
#[derive(Clone, Debug)]
pub enum Entropy {
    /// The operating system's generator.
    System,
    /// The same bytes in the same order for the same seed. Never used by `serve`.
    Seeded(u64, Arc<AtomicU64>),
}

impl Entropy {
    /// A repeatable source.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(seed, Arc::new(AtomicU64::new(0)))
    }

    /// `N` random bytes.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give: nothing safe can be done without it.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        match self {
            #[expect(clippy::expect_used, reason = "without randomness no key, token or id is safe")]
            Self::System => rand::fill(&mut out).expect("the operating system gives randomness"),
            Self::Seeded(seed, count) => {
                for chunk in out.chunks_mut(32) {
                    let turn = count.fetch_add(1, Ordering::SeqCst);
                    let block = digest::digest(&digest::SHA256, &[seed.to_be_bytes(), turn.to_be_bytes()].concat());
                    for (to, from) in chunk.iter_mut().zip(block.as_ref()) {
                        *to = *from;
                    }
                }
            }
        }
        out
    }

    /// A new id that sorts by the time it was made.
    pub fn id<K>(&self, now: Timestamp) -> Id<K> {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let random: [u8; 10] = self.bytes();
        Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// A random id that says nothing about the time it was made.
    pub fn opaque(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }
}
