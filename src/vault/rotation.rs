//! The rotation of the key that signs access tokens, and how a process learns of it.

use std::sync::{Arc, PoisonError};

use diesel::prelude::*;
use jiff::Timestamp;
use subtle::ConstantTimeEq as _;

use super::handle::Vault;
use super::root::MacLabel;
use super::signing_keys::{Generation, LEAD, SigningKeys, TAIL, after};
use crate::db::schema::signing_keys as t;
use crate::db::{At, Tx};
use crate::kernel::{Error, Result};

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
        let vault = self.clone();
        let number = self.keyring().write(move |tx| vault.insert_next(tx, now)).await?;
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
        // Nobody takes one back: a row that is gone was taken away from outside.
        if rows.len() <= known.later().len() {
            return Ok(());
        }
        let mut later = Vec::with_capacity(rows.len());
        for row in rows {
            let from = self.published_at(&row).map_or(Timestamp::UNIX_EPOCH, |at| after(at, LEAD));
            later.push(Generation { key: self.signing_key_of(row.0)?, from });
        }
        let keys = known.with_later(later);
        *self.signing().write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// Inserts the next generation, and returns its number. Of two processes that do so at once one fails.
    fn insert_next(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<i32> {
        let last = list(tx)?.pop();
        if let Some(at) = last.as_ref().and_then(|row| self.published_at(row)) {
            let over = after(at, LEAD + TAIL);
            if now < over {
                return Err(Error::internal(format!("the last rotation of the signing key is under way until {over}")));
            }
        }
        let number = last.map_or(0, |(number, ..)| number).saturating_add(1);
        let row = (t::number.eq(number), t::created_at.eq(At(now)), t::mac.eq(self.row_mac(number, now).to_vec()));
        diesel::insert_into(t::table).values(row).execute(tx.conn())?;
        Ok(number)
    }

    /// Returns the instant at which a generation was added; `None` when its row does not fit its MAC. Such a one signs
    /// at once, and the key before has ended: whoever changes the row keeps no old key in use, and who has a token of
    /// it refreshes.
    fn published_at(&self, (number, created_at, mac): &Row) -> Option<Timestamp> {
        let ours = self.row_mac(*number, created_at.0);
        let fits = mac.as_ref().is_some_and(|mac| bool::from(ours.as_slice().ct_eq(mac)));
        fits.then_some(created_at.0)
    }

    fn row_mac(&self, number: i32, created_at: Timestamp) -> [u8; 32] {
        let (number, at) = (number.to_be_bytes(), created_at.as_microsecond().to_be_bytes());
        self.mac(MacLabel::SigningKey, &[number.as_slice(), at.as_slice()])
    }
}

/// The number of a generation, the instant at which it was added, and the MAC over both.
type Row = (i32, At, Option<Vec<u8>>);

fn list(tx: &mut Tx<'_>) -> Result<Vec<Row>> {
    Ok(t::table.order(t::number).select((t::number, t::created_at, t::mac)).load(tx.conn())?)
}
