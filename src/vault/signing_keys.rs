//! The generations of the key that signs access tokens.
//!
//! The root key makes each generation from its number; the keyring holds the numbers, each with the instant at which it
//! was added. A new key is published at once and signs some minutes later, when every process and every cache of the
//! public keys knows it. The one before is accepted until no token of it can be good any more. So a rotation refuses
//! nobody. Each row carries a MAC, so that a change of it does not bring back a key that has ended.

use std::iter;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::signing::SigningKey;

/// The time from the publication of a key to its first signature: longer than a process takes to learn of it, and as
/// long as the public keys may be cached.
pub(super) const LEAD: SignedDuration = SignedDuration::from_mins(5);
/// The time from the first signature of the next key to the end of a key: longer than an access token is good for.
pub(super) const TAIL: SignedDuration = SignedDuration::from_mins(15);

/// A generation after the first.
#[derive(Debug)]
pub(super) struct Generation {
    pub key: SigningKey,
    /// The instant of its first signature.
    pub from: Timestamp,
}

/// The keys that sign access tokens, of all generations that this process knows of.
#[derive(Debug)]
pub struct SigningKeys {
    first: Arc<SigningKey>,
    later: Vec<Generation>,
}

/// Returns `at` and `time` together; `at` where time ends.
pub(super) fn after(at: Timestamp, time: SignedDuration) -> Timestamp {
    at.saturating_add(time).unwrap_or(at)
}

impl SigningKeys {
    /// Makes the keys of an installation whose key was never rotated.
    pub(super) fn of_first(first: SigningKey) -> Self {
        Self { first: Arc::new(first), later: Vec::new() }
    }

    /// Returns the generations after the first.
    pub(super) fn later(&self) -> &[Generation] {
        &self.later
    }

    /// Returns these keys with other generations after the first.
    pub(super) fn with_later(&self, later: Vec<Generation>) -> Self {
        Self { first: Arc::clone(&self.first), later }
    }

    /// Returns the key that signs at `now`.
    pub fn signing(&self, now: Timestamp) -> &SigningKey {
        let newest = self.later.iter().rev().find(|generation| generation.from <= now);
        newest.map_or(&*self.first, |generation| &generation.key)
    }

    /// Returns the keys whose tokens are accepted at `now`, the oldest first: also the next one, before it signs.
    pub fn accepted(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        let keys = iter::once(&*self.first).chain(self.later.iter().map(|generation| &generation.key));
        let ends = self.later.iter().map(|generation| Some(after(generation.from, TAIL))).chain([None]);
        keys.zip(ends).filter(move |(_, end)| end.is_none_or(|end| now < end)).map(|(key, _)| key)
    }

    /// Finds the key of this id among those that are accepted at `now`.
    pub fn find(&self, kid: &str, now: Timestamp) -> Option<&SigningKey> {
        self.accepted(now).find(|key| key.kid() == kid)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn a_new_key_is_published_before_it_signs_and_the_old_one_ends_after_its_tokens() {
        let key = |byte: u8| SigningKey::from_seed(&Zeroizing::new([byte; 32])).unwrap();
        let start = Timestamp::UNIX_EPOCH;
        let at = |minutes: i64| start + SignedDuration::from_mins(minutes);
        let later = vec![Generation { key: key(2), from: at(5) }];
        let keys = SigningKeys { first: Arc::new(key(1)), later };
        let (one, two) = (key(1).kid().to_owned(), key(2).kid().to_owned());
        assert_eq!((keys.signing(at(4)).kid(), keys.signing(at(5)).kid()), (&*one, &*two));
        let accepted = |minutes| keys.accepted(at(minutes)).map(SigningKey::kid).collect::<Vec<_>>();
        assert_eq!(accepted(0), [one.as_str(), two.as_str()]);
        assert_eq!(accepted(19), [one.as_str(), two.as_str()]);
        assert_eq!(accepted(20), [two.as_str()]);
        assert!(keys.find(&one, at(20)).is_none() && keys.find(&two, at(1000)).is_some());
    }
}
