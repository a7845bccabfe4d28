//! The epoch of the data: a history that was never interrupted.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::db::{Db, Tx, values};
use crate::kernel::{Entropy, Error, Result, Resync};

/// The name under which the data keep their epoch.
const NAME: &str = "epoch";
/// The name under which they keep the floor of versions.
const FLOOR: &str = "version_floor";
/// The name under which it is noted that a phone knows more than the data.
const AHEAD: &str = "cursor_ahead";

/// The epoch of the data. On the wire it is a text of 22 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch([u8; 16]);

impl Epoch {
    /// Makes an epoch from its bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Draws an epoch, in the form of a random id, so that nobody takes it for a hash.
    pub(super) fn draw(entropy: &Entropy) -> Self {
        Self(uuid::Builder::from_random_bytes(entropy.bytes()).into_uuid().into_bytes())
    }

    /// Returns its bytes.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Makes the error for a client that cannot go on in this epoch, for a `reason` of [`Resync`].
    pub fn resync(self, reason: &'static str) -> Error {
        Error::Resync(Resync { reason, epoch: self.to_string() })
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// Gives new data their first epoch.
///
/// # Errors
///
/// When the database fails.
pub async fn begin(db: &Db, entropy: &Entropy) -> Result<()> {
    let first = Epoch::draw(entropy).0;
    let unit = db.write(move |tx| {
        values::insert(tx, NAME, &first)?;
        floor(tx)
    });
    db.raise_version_floor(unit.await?);
    Ok(())
}

/// Reads the number above which the present epoch gives versions.
///
/// # Errors
///
/// When it cannot be read.
pub fn floor(tx: &mut Tx<'_>) -> Result<i64> {
    values::number(tx, FLOOR)
}

/// Puts another epoch in the place of the present one. Nobody has been ahead of it.
pub(super) fn replace(tx: &mut Tx<'_>, epoch: Epoch, floor: i64) -> Result<()> {
    values::replace(tx, NAME, &epoch.0)?;
    values::replace_number(tx, FLOOR, floor)?;
    values::delete(tx, AHEAD, &[1])?;
    Ok(())
}

/// Notes that a phone knows a change that the data of this epoch do not have. The server is not ready until a new epoch
/// is begun.
///
/// # Errors
///
/// When the database fails.
pub(super) async fn note_ahead(db: &Db, epoch: String) -> Result<()> {
    let unit = move |tx: &mut Tx<'_>| {
        // The next epoch may be beginning, and nobody is ahead of that.
        values::hold(tx, NAME)?;
        if current(tx)?.to_string() == epoch { values::insert(tx, AHEAD, &[1]) } else { Ok(()) }
    };
    db.write(unit).await
}

/// Whether a phone knows a change that the data do not have.
///
/// # Errors
///
/// When it cannot be read.
pub fn is_behind(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(values::find(tx, AHEAD)?.is_some())
}

/// Reads the present epoch, in the unit that relies on it.
///
/// # Errors
///
/// When it cannot be read.
pub fn current(tx: &mut Tx<'_>) -> Result<Epoch> {
    let stored = values::find(tx, NAME)?.and_then(|bytes| bytes.try_into().ok());
    stored.map(Epoch).ok_or_else(|| Error::internal("the data have no epoch"))
}
