//! The rotation of the key that signs access tokens, and how a process learns of it.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use diesel::prelude::*;
use jiff::Timestamp;

use super::handle::{Inner, Vault};
use super::signing_keys::{Generation, LEAD, SigningKeys, TAIL, after};
use crate::db::schema::signing_keys as t;
use crate::db::{At, Tx};
use crate::kernel::{Error, Result};

/// The time after which a process reads the generations again.
const EVERY: Duration = Duration::from_secs(30);

/// A rotation of the signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The id of the new key.
    pub kid: String,
    /// The instant of its first signature.
    pub from: Timestamp,
    /// The instant from which the key before is not accepted.
    pub until: Timestamp,
}

impl Vault {
    /// Returns the keys that sign access tokens.
    pub fn signing_keys(&self) -> Arc<SigningKeys> {
        Arc::clone(&self.signing().read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a generation of the signing key.
    ///
    /// # Errors
    ///
    /// A sentence for the operator while the last rotation is under way; when the keyring cannot be written.
    pub async fn rotate_signing_key(&self, now: Timestamp) -> Result<Rotation> {
        let number = self.keyring().write(move |tx| insert_next(tx, now)).await?;
        self.reload_signing_keys().await?;
        let (kid, from) = (self.signing_key_of(number)?.kid().to_owned(), after(now, LEAD));
        Ok(Rotation { kid, from, until: after(from, TAIL) })
    }

    /// Reads the generations of the signing key again.
    ///
    /// # Errors
    ///
    /// When the keyring cannot be read; the known keys then go on.
    pub async fn reload_signing_keys(&self) -> Result<()> {
        let rows = self.keyring().read(list).await?;
        let known = self.signing_keys();
        if rows.len() == known.later().len() {
            return Ok(());
        }
        let mut later = Vec::with_capacity(rows.len());
        for (number, created_at) in rows {
            later.push(Generation { key: self.signing_key_of(number)?, from: after(created_at.0, LEAD) });
        }
        let keys = known.with_later(later);
        *self.signing().write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// Reads the generations again and again, as long as the vault is in use: another process may add one.
    pub(super) fn follow_signing_keys(&self) {
        let inner: Weak<Inner> = self.downgrade();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(vault) = Self::upgrade(&inner) else { return };
                if let Err(error) = vault.reload_signing_keys().await {
                    tracing::warn!(%error, "the signing keys could not be read again; the known ones go on");
                }
            }
        });
    }
}

fn list(tx: &mut Tx<'_>) -> Result<Vec<(i32, At)>> {
    Ok(t::table.order(t::number).select((t::number, t::created_at)).load(tx.conn())?)
}

/// Inserts the next generation, and returns its number. Of two processes that do so at once one fails.
fn insert_next(tx: &mut Tx<'_>, now: Timestamp) -> Result<i32> {
    let last = list(tx)?.pop();
    if let Some((_, at)) = last {
        let over = after(at.0, LEAD + TAIL);
        if now < over {
            return Err(Error::internal(format!("the last rotation of the signing key is under way until {over}")));
        }
    }
    let number = last.map_or(0, |(number, _)| number).saturating_add(1);
    diesel::insert_into(t::table).values((t::number.eq(number), t::created_at.eq(At(now)))).execute(tx.conn())?;
    Ok(number)
}
