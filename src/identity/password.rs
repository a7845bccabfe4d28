//! Argon2id, on threads of its own, two at once at most, in as much memory as these need and no more, however many log
//! in. It is kept while people log in, and given back afterwards.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::model::Passphrase;
use crate::kernel::{Entropy, Error, Result};

/// The default cost of a passphrase.
const COST: (u32, u32, u32) = crate::config::PASSPHRASE_COST;

/// A hashed passphrase with all that a check needs. Stored sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credential {
    cost: (u32, u32, u32),
    salt: [u8; 16],
    hash: [u8; 32],
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(***)")
    }
}

impl Credential {
    /// Makes a credential that no passphrase fits, for accounts that do not exist. To check it costs as much as a real
    /// one.
    pub fn nobody() -> Self {
        Self { cost: COST, salt: [0; 16], hash: [0; 32] }
    }
}

/// The most turns at once. Each takes 19 MB.
const TURNS: usize = 2;
/// How long the memory of the last turn is kept for another. To get it anew can take as long as the turn itself.
const KEPT: Duration = Duration::from_secs(10);
/// How many may wait for their turn. With 16 ms each, the last of them waits about four seconds on two cores.
const WAITING: usize = 256;

/// Hashes and checks passphrases.
#[derive(Clone)]
pub struct Passwords {
    /// Turns, and places to wait for one.
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    pool: Arc<Mutex<Pool>>,
    kept: Duration,
    cost: (u32, u32, u32),
}

/// The memory of turns that are over, and how many are.
#[derive(Default)]
struct Pool {
    free: Vec<Vec<Block>>,
    turns: u64,
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Passwords({} turns)", self.turns.available_permits())
    }
}

impl Passwords {
    /// Makes a pool for the cores of this machine.
    pub fn new() -> Self {
        Self::with_cost(COST)
    }

    /// Makes a pool with other costs, for tests that are not about passphrases.
    pub fn with_cost(cost: (u32, u32, u32)) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        // Half of the cores are left to others, whoever floods the log-in.
        let turns = (cores / 2).clamp(1, TURNS);
        let (turns, places) = (Semaphore::new(turns), Semaphore::new(turns + WAITING));
        Self { turns: Arc::new(turns), places: Arc::new(places), pool: Arc::default(), kept: KEPT, cost }
    }

    /// Whether a credential was made at another cost than new ones are.
    pub fn is_outdated(&self, credential: &Credential) -> bool {
        self.cost != credential.cost
    }

    /// Hashes a new passphrase.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the queue is full.
    pub async fn hash(&self, passphrase: Passphrase, entropy: &Entropy) -> Result<Credential> {
        let (cost, salt) = (self.cost, entropy.bytes());
        let hash = self.run(move |memory| derive(&passphrase, cost, &salt, memory)).await?;
        Ok(Credential { cost, salt, hash })
    }

    /// Whether `passphrase` fits `credential`.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the queue is full.
    pub async fn fits(&self, passphrase: Passphrase, credential: Credential) -> Result<bool> {
        let nobody = bool::from(credential.hash.ct_eq(&[0; 32]));
        // The check of an unknown account costs as much as that of a real one.
        let cost = if nobody { self.cost } else { credential.cost };
        let hash = self.run(move |memory| derive(&passphrase, cost, &credential.salt, memory)).await?;
        Ok(bool::from(hash.ct_eq(&credential.hash)) && !nobody)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let full = |_full| Error::Unavailable("too many people are logging in");
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(full)?;
        let gone = |_closed| Error::Unavailable("the server is stopping");
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(gone)?;
        let (pool, kept) = (Arc::clone(&self.pool), self.kept);
        tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            let mut memory = pool.lock().ok().and_then(|mut pool| pool.free.pop()).unwrap_or_default();
            let done = work(&mut memory);
            keep(memory, &pool, kept);
            done
        })
        .await
        .map_err(|error| Error::Internal(Box::new(error)))?
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

/// Puts the memory of a turn into the pool, and empties it after a time without another turn.
fn keep(memory: Vec<Block>, pool: &Arc<Mutex<Pool>>, time: Duration) {
    let Ok(mut kept) = pool.lock() else { return };
    kept.free.push(memory);
    kept.turns += 1;
    let (turns, pool) = (kept.turns, Arc::clone(pool));
    tokio::spawn(async move {
        tokio::time::sleep(time).await;
        if let Ok(mut kept) = pool.lock()
            && kept.turns == turns
        {
            kept.free = Vec::new();
        }
    });
}

/// The hash of a passphrase, worked out in `memory`, which grows as far as it must.
fn derive(
    passphrase: &Passphrase,
    (memory_kib, passes, lanes): (u32, u32, u32),
    salt: &[u8; 16],
    memory: &mut Vec<Block>,
) -> Result<[u8; 32]> {
    let fault = |error: argon2::Error| Error::internal(format!("argon2: {error}"));
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(fault)?;
    let blocks = params.block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    let room = memory.get_mut(..blocks).ok_or_else(|| Error::internal("argon2 has no memory"))?;
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase.as_bytes(), salt, &mut out, room)
        .map_err(fault)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn however_many_log_in_they_share_the_memory_of_a_few() {
        let passwords = Passwords::with_cost((64, 1, 1));
        let passphrase = || Passphrase::typed("a long passphrase".to_owned());
        let credential = passwords.hash(passphrase(), &Entropy::System).await.unwrap();
        let attempts = (0..1000).map(|_| passwords.fits(passphrase(), credential.clone()));
        let outcomes = join_all(attempts).await;
        let right = outcomes.iter().filter(|outcome| matches!(outcome, Ok(true))).count();
        let waited = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Unavailable(_)))).count();
        assert_eq!((right + waited, right >= WAITING, waited > 0), (1000, true, true), "{right} {waited}");
        assert!((1..=TURNS).contains(&passwords.pool.lock().unwrap().free.len()));
        // Nobody stays out for good.
        assert!(passwords.fits(passphrase(), credential).await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_memory_of_log_ins_is_given_back_when_nobody_follows() {
        let passwords = Passwords { kept: Duration::from_millis(1), ..Passwords::with_cost((64, 1, 1)) };
        let passphrase = Passphrase::typed("a long passphrase".to_owned());
        passwords.hash(passphrase, &Entropy::System).await.unwrap();
        let given_back = async {
            while !passwords.pool.lock().unwrap().free.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), given_back).await.unwrap();
    }
}
