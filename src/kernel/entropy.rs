//! The injected source of randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{digest, rand};
use jiff::Timestamp;
use uuid::Uuid;

use super::Id;

/// A source of random bytes: the operating system, or a repeatable one for the sandbox, the demo and tests.
#[derive(Clone, Debug)]
pub enum Entropy {
    /// The operating system's generator.
    System,
    /// A repeatable source: the same seed gives the same bytes in the same order. `serve` never uses it.
    Seeded {
        /// The source of ids.
        ids: Stream,
        /// The source of keys, codes, tokens and nonces; the operating system, if it is absent.
        secrets: Option<Stream>,
    },
}

/// Bytes that follow from a seed.
#[derive(Clone, Debug)]
pub struct Stream(u64, u8, Arc<AtomicU64>);

impl Stream {
    fn new(seed: u64, label: u8) -> Self {
        Self(seed, label, Arc::new(AtomicU64::new(0)))
    }

    fn fill(&self, out: &mut [u8]) {
        let Self(seed, label, count) = self;
        for chunk in out.chunks_mut(32) {
            let turn = count.fetch_add(1, Ordering::SeqCst);
            let text = [&seed.to_be_bytes()[..], &[*label], &turn.to_be_bytes()].concat();
            let block = digest::digest(&digest::SHA256, &text);
            for (to, from) in chunk.iter_mut().zip(block.as_ref()) {
                *to = *from;
            }
        }
    }
}

impl Entropy {
    /// Makes a repeatable source, of secrets too, for data that ends with the process.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded { ids: Stream::new(seed, 0), secrets: Some(Stream::new(seed, 1)) }
    }

    /// Makes a source with the ids of [`Self::seeded`] and secrets from the operating system, for data that is kept.
    pub fn with_ids_of(seed: u64) -> Self {
        Self::Seeded { ids: Stream::new(seed, 0), secrets: None }
    }

    /// Returns `N` random bytes that may be a secret.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give: nothing safe can be done without it.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let secrets = match self {
            Self::System => None,
            Self::Seeded { secrets, .. } => secrets.as_ref(),
        };
        Self::draw(secrets)
    }

    /// Returns `N` random bytes that repeat with the seed of the ids, as ids do.
    ///
    /// # Panics
    ///
    /// As [`Entropy::bytes`].
    pub fn id_bytes<const N: usize>(&self) -> [u8; N] {
        let ids = match self {
            Self::System => None,
            Self::Seeded { ids, .. } => Some(ids),
        };
        Self::draw(ids)
    }

    fn draw<const N: usize>(from: Option<&Stream>) -> [u8; N] {
        let mut out = [0; N];
        match from {
            #[expect(clippy::expect_used, reason = "without randomness no key, token or id is safe")]
            None => rand::fill(&mut out).expect("the operating system gives randomness"),
            Some(stream) => stream.fill(&mut out),
        }
        out
    }

    /// Makes an id that sorts by its time.
    pub fn id<K>(&self, now: Timestamp) -> Id<K> {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let random: [u8; 10] = self.id_bytes();
        Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Makes a random id that does not show its time.
    pub fn opaque(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.id_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_again_and_another_seed_something_else() {
        let drawn = |seed| {
            let entropy = Entropy::seeded(seed);
            (entropy.opaque(), entropy.bytes::<32>(), entropy.opaque())
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert_ne!(drawn(7).0, drawn(7).2);
    }

    #[test]
    fn ids_repeat_without_their_secrets() {
        let (kept, gone) = (Entropy::with_ids_of(7), Entropy::seeded(7));
        let _secret = kept.bytes::<32>();
        assert_eq!(kept.opaque(), gone.opaque(), "however many secrets were drawn");
        assert_ne!(kept.bytes::<32>(), gone.bytes::<32>());
        assert_ne!(kept.bytes::<32>(), Entropy::with_ids_of(7).bytes::<32>());
    }
}
