//! Upkeep of the keys, every half minute as long as the vault is in use: old ones leave the memory, unused ones are
//! destroyed.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, Weak};
use std::time::Duration;

use uuid::Uuid;

use super::cache::FRESH;
use super::handle::{Inner, Vault};
use super::seal::Purpose;
use crate::kernel::Result;

/// The time between two rounds of the upkeep.
const EVERY: Duration = Duration::from_secs(30);

/// Has keys destroyed within a minute if it is dropped before a unit has begun to use them: the unit was refused before
/// it came to that, or never ran. It is held beside what is sealed under them. Only this process knows of such keys: if
/// it is killed, they stay.
pub struct KeyGuard {
    vault: Vault,
    subject: Uuid,
    purposes: &'static [Purpose],
    is_used: AtomicBool,
}

impl fmt::Debug for KeyGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyGuard({})", self.subject)
    }
}

impl KeyGuard {
    /// Notes, in a unit that stores what is sealed under the keys, that they stay: whether it becomes durable may never
    /// be known.
    pub fn begin_use(&self) {
        self.is_used.store(true, Ordering::Release);
    }

    /// Takes [`KeyGuard::begin_use`] back, in a unit that runs again and does not store what is sealed under the keys.
    pub fn end_use(&self) {
        self.is_used.store(false, Ordering::Release);
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        if !self.is_used.load(Ordering::Acquire) {
            self.vault.destroy_later(self.subject, self.purposes);
        }
    }
}

impl Vault {
    /// Begins the upkeep, which ends with the vault.
    pub(super) fn begin_upkeep(&self) {
        let inner: Weak<Inner> = self.downgrade();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(vault) = Self::upgrade(&inner) else { return };
                vault.tend().await;
            }
        });
    }

    /// Guards keys that were made for a unit ([`Vault::create`]).
    pub fn guard(&self, subject: Uuid, purposes: &'static [Purpose]) -> KeyGuard {
        KeyGuard { vault: self.clone(), subject, purposes, is_used: AtomicBool::new(false) }
    }

    fn destroy_later(&self, subject: Uuid, purposes: &'static [Purpose]) {
        self.unused().lock().unwrap_or_else(PoisonError::into_inner).push((subject, purposes));
    }

    async fn destroy_unused(&self) -> Result<()> {
        let unused = std::mem::take(&mut *self.unused().lock().unwrap_or_else(PoisonError::into_inner));
        let mut failed = Ok(());
        for (subject, purposes) in unused {
            if failed.is_ok() {
                failed = self.destroy(subject, purposes).await;
            }
            if failed.is_err() {
                self.destroy_later(subject, purposes);
            }
        }
        failed
    }

    /// Forgets the keys that are too old to be used, so that they are wiped; destroys those that no unit has used;
    /// empties the keyring's log, if destroyed keys may still be in it; and reads the generations of the signing key
    /// again: another process may have added one.
    pub async fn tend(&self) {
        self.cache().forget_older_than(FRESH);
        if let Err(error) = self.destroy_unused().await {
            tracing::warn!(%error, "keys that no unit has used could not be destroyed; they are tried again");
        }
        self.wrapped_keys().empty_log().await;
        if let Err(error) = self.reload_signing_keys().await {
            tracing::warn!(%error, "the signing keys could not be read again; the known ones go on");
        }
    }
}
