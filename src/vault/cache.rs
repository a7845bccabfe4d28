//! Unwrapped keys of recent subjects, bounded in number and in age.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::keys::Keys;

/// The most subjects in the cache. An entry is about 1 KB for each data key, and about 150 bytes for each infusion, or
/// 1 KB where there are so many that they stay open.
const SUBJECTS: usize = 50_000;
const SHARDS: usize = 16;
/// The age up to which an entry is used. Another process that shares the keyring may destroy keys.
pub(super) const FRESH: Duration = Duration::from_secs(600);

pub(super) struct Cache {
    shards: [RwLock<Shard>; SHARDS],
    hasher: RandomState,
    room: usize,
}

#[derive(Default)]
struct Shard {
    keys: HashMap<Uuid, (Keys, Instant)>,
    /// The number of destructions, so that keys read before one are not cached after it.
    turn: u64,
}

/// The state of a shard before the keyring is read.
#[derive(Clone, Copy)]
pub(super) struct Turn(u64);

impl Cache {
    pub(super) fn new() -> Self {
        Self::with_room(SUBJECTS)
    }

    /// Makes a cache for `subjects`, rounded up to the number of shards.
    pub(super) fn with_room(subjects: usize) -> Self {
        Self { shards: Default::default(), hasher: RandomState::new(), room: subjects.div_ceil(SHARDS) }
    }

    pub(super) fn find(&self, subject: Uuid) -> Result<Keys, Turn> {
        let shard = self.read(subject);
        match shard.keys.get(&subject) {
            Some((keys, at)) if at.elapsed() < FRESH => Ok(keys.clone()),
            _ => Err(Turn(shard.turn)),
        }
    }

    /// Keeps `keys` as of `turn`, or of now.
    pub(super) fn put(&self, keys: Keys, turn: Option<Turn>) {
        let mut shard = self.write(keys.subject());
        if turn.is_some_and(|Turn(turn)| turn != shard.turn) {
            return;
        }
        if shard.keys.len() >= self.room && !shard.keys.contains_key(&keys.subject()) {
            // Any one will do: it costs one read of the keyring.
            let one = shard.keys.keys().next().copied();
            one.and_then(|one| shard.keys.remove(&one));
        }
        shard.keys.insert(keys.subject(), (keys, Instant::now()));
    }

    pub(super) fn forget(&self, subject: Uuid) {
        let mut shard = self.write(subject);
        shard.turn = shard.turn.wrapping_add(1);
        shard.keys.remove(&subject);
    }

    /// Forgets the entries of this age and more. One shard is locked at a time.
    pub(super) fn forget_older_than(&self, age: Duration) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            shard.keys.retain(|_, (_, at)| at.elapsed() < age);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap().keys.len()).sum()
    }

    fn shard(&self, subject: Uuid) -> &RwLock<Shard> {
        let [first, ..] = &self.shards;
        let turn = usize::try_from(self.hasher.hash_one(subject) % 16).unwrap_or_default();
        self.shards.get(turn).unwrap_or(first)
    }

    // Nothing panics while a lock is held, so the data of a poisoned lock is good.
    fn read(&self, subject: Uuid) -> RwLockReadGuard<'_, Shard> {
        self.shard(subject).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, subject: Uuid) -> RwLockWriteGuard<'_, Shard> {
        self.shard(subject).write().unwrap_or_else(PoisonError::into_inner)
    }
}
