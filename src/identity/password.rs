//! Argon2id, on its own threads, with at most as many runs at once as there are cores.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
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

/// Hashes and checks passphrases.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    cost: (u32, u32, u32),
}

impl Passwords {
    /// Makes a pool for the cores of this machine.
    pub fn new() -> Self {
        Self::with_cost(COST)
    }

    /// Makes a pool with other costs, for tests that are not about passphrases.
    pub fn with_cost(cost: (u32, u32, u32)) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { turns: Arc::new(Semaphore::new(cores)), cost }
    }

    /// Hashes a new passphrase.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the queue is full.
    pub async fn hash(&self, passphrase: Passphrase, entropy: &Entropy) -> Result<Credential> {
        let (cost, salt) = (self.cost, entropy.bytes());
        let hash = self.run(move || derive(&passphrase, cost, &salt)).await?;
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
        let hash = self.run(move || derive(&passphrase, cost, &credential.salt)).await?;
        Ok(bool::from(hash.ct_eq(&credential.hash)) && !nobody)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let gone = |_closed| Error::Unavailable("the server is stopping");
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(gone)?;
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
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

fn derive(passphrase: &Passphrase, (memory, passes, lanes): (u32, u32, u32), salt: &[u8; 16]) -> Result<[u8; 32]> {
    let fault = |error: argon2::Error| Error::internal(format!("argon2: {error}"));
    let params = Params::new(memory, passes, lanes, Some(32)).map_err(fault)?;
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut out)
        .map_err(fault)?;
    Ok(out)
}
