//! Ceremonies: a challenge, and what the server has to know when it is answered, sealed in what the client is given.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::store;
use crate::db::Tx;
use crate::kernel::id::{Account, Session};
use crate::kernel::{Error, Id, Result};
use crate::vault::{MacLabel, Vault};

/// The time within which a challenge is answered.
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// What a ceremony is for: one of another kind does not open.
pub(super) struct CeremonyKind(Vec<u8>);

impl CeremonyKind {
    /// A log-in, or a proof within a session: of whom, the answer says.
    pub(super) fn log_in() -> Self {
        Self(b"passkey log-in".to_vec())
    }

    /// A new passkey, made within this session.
    pub(super) fn registration(account: Id<Account>, session: Id<Session>) -> Self {
        Self(format!("passkey registration|{account}|{session}").into_bytes())
    }
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct CeremonyDoc {
    expires_at: Timestamp,
    state: String,
}

/// A ceremony that is answered in time.
#[derive(Clone)]
pub(super) struct Ceremony {
    key: Vec<u8>,
    expires_at: Timestamp,
    state: String,
}

/// Seals a ceremony that begins.
pub(super) fn seal(vault: &Vault, kind: &CeremonyKind, state: String, now: Timestamp) -> Result<String> {
    let expires_at = now.checked_add(LIFETIME).map_err(|error| Error::Internal(Box::new(error)))?;
    let doc = serde_json::to_vec(&CeremonyDoc { expires_at, state });
    Ok(vault.seal_cursor(&kind.0, &doc.map_err(|error| Error::Internal(Box::new(error)))?))
}

impl Ceremony {
    /// Opens a ceremony; `None` when it is of another kind, is over, or was not sealed here.
    pub(super) fn open(vault: &Vault, kind: &CeremonyKind, sealed: &str, now: Timestamp) -> Option<Self> {
        let plain = vault.open_cursor(&kind.0, sealed)?;
        let CeremonyDoc { expires_at, state } = serde_json::from_slice(&plain).ok()?;
        let key = vault.mac(MacLabel::Passkey, &[b"ceremony", &plain]).to_vec();
        (now < expires_at).then_some(Self { key, expires_at, state })
    }

    /// Returns what the server has to know of it.
    pub(super) fn state(&self) -> &str {
        &self.state
    }

    /// Uses it up. Returns `false` when it was answered before.
    pub(super) fn spend(&self, tx: &mut Tx<'_>) -> Result<bool> {
        store::insert_ceremony(tx, &self.key, self.expires_at)
    }
}
