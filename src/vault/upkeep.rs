//! What is done for the keys again and again, as long as the vault is in use.

use std::sync::Weak;
use std::time::Duration;

use super::cache::FRESH;
use super::handle::{Inner, Vault};

/// The time after which it is done again.
const EVERY: Duration = Duration::from_secs(30);

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

    /// Forgets the keys that are too old to be used, so that they are wiped; empties the keyring's log, if destroyed
    /// keys may still be in it; and reads the generations of the signing key again: another process may have added one.
    pub async fn tend(&self) {
        self.cache().forget_older_than(FRESH);
        self.wrapped_keys().empty_log().await;
        if let Err(error) = self.reload_signing_keys().await {
            tracing::warn!(%error, "the signing keys could not be read again; the known ones go on");
        }
    }
}
