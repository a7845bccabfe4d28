//! The injected source of randomness.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::{digest, rand};
use jiff::Timestamp;
use uuid::Uuid;

use super::Id;

/// Gives random bytes: from the operating system, or repeatable ones for the sandbox, the demo and for tests.
#[derive(Clone, Debug)]
pub enum Entropy {
    /// The operating system's generator.
    System,
    /// The same in the same order for the same seed. Never used by `serve`.
    Seeded {
        /// What ids are made of.
        ids: Stream,
        /// What keys, codes, tokens and nonces are made of; the operating system's, if it is absent.
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
    /// A repeatable source, of secrets too: for what is gone when the process is.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded { ids: Stream::new(seed, 0), secrets: Some(Stream::new(seed, 1)) }
    }

    /// A source whose ids are those of [`Self::seeded`], and whose secrets nobody can work out: for what is kept.
    pub fn with_ids_of(seed: u64) -> Self {
        Self::Seeded { ids: Stream::new(seed, 0), secrets: None }
    }

    /// `N` random bytes that may be a secret.
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

    fn id_bytes<const N: usize>(&self) -> [u8; N] {
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

    /// A new id that sorts by the time it was made.
    pub fn id<K>(&self, now: Timestamp) -> Id<K> {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let random: [u8; 10] = self.id_bytes();
        Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// A random id that says nothing about the time it was made.
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
