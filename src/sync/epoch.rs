//! The epoch of the data: a history that was never interrupted.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::db::{Db, Tx, values};
use crate::kernel::{Entropy, Error, Result, Resync};

/// The name under which the data keep their epoch.
const NAME: &str = "epoch";

/// The epoch of the data. On the wire it is a text of 22 characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch([u8; 16]);

impl Epoch {
    /// Makes an epoch from its bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
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
    // In the form of a random id, so that nobody takes it for a hash.
    let first = uuid::Builder::from_random_bytes(entropy.bytes()).into_uuid().into_bytes();
    db.write(move |tx| values::insert(tx, NAME, &first)).await
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
