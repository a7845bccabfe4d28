//! Keys, and the sealing and opening of documents.
//!
//! ```text
//! key folder (0700, a sibling of the data folder)      keyring (a database of its own)
//!   revocations.ledger        what was revoked, outside the database
//!   root.key     32 bytes ── HKDF ──┬─ wrapping key ──▶  wrapped data keys: subject, number, purpose
//!                                   ├─ one HMAC key for each MacLabel ──▶ the identity of the installation
//!                                   ├─ HMAC key of the rows that decide who gets in
//!                                   ├─ cursor key, key of the tags of views and pages
//!                                   └─ signing keys, Ed25519, of access tokens: the keyring has their numbers
//! ```
//!
//! With a given root key and a keyring in memory there is nothing to keep, and no folder is made.
//!
//! Each subject (a patient, an account, a clinic) has data keys of its own, one for each [`Purpose`]. A document is
//! sealed under the data key of its purpose and bound to its [`SealContext`]: moved to another row, column, subject or
//! revision it does not open. Destroying a data key makes everything sealed under it unreadable, in backups too, once
//! the backups of the keyring have expired.
//!
//! # Promises
//!
//! - Keys are made and durable *before* the unit of work that inserts their subject ([`Vault::create`]), and enter the
//!   cache only *after* it ([`Vault::keep`]): a key cached from a rolled-back unit would seal text that nobody can
//!   open. No unit of work fetches keys; it takes [`Keys`] fetched before.
//! - Guarded keys ([`Vault::guard`]) that no unit began to use are destroyed, if the process is not killed before. Once
//!   a unit has begun to use them they stay, also if it is then refused.
//! - Unwrapped keys leave the cache within a minute after they are ten minutes old ([`Vault::tend`]).
//! - Opening never panics and never gives wrong text, whatever the bytes are.
//! - Neither keys nor plaintext appear in errors, logs or `Debug`.
//! - What was made of opened documents is kept in one place only, beside the keys that opened them ([`Keys::keep`]). It
//!   is found by what identifies the sealed documents: it is never older than they are, and goes when the keys go.
//! - Data, keyring and root key that do not belong together are refused when the server starts, not when somebody
//!   opens their journal, and what is missing beside what is in use is never made anew (`installation`).
//!
//! Encryption is AES-256-GCM-SIV (RFC 8452): a repeated nonce would show that two plaintexts are equal and nothing
//! more, so random nonces are safe for any number of documents that a person can write.

mod anchors;
mod apart;
mod cache;
mod cursor;
mod damage;
mod folder;
mod handle;
mod installation;
mod keyring;
mod keys;
mod ledger;
mod open_sets;
mod root;
mod rotation;
mod seal;
mod signing;
mod signing_keys;
mod upkeep;
#[cfg(test)]
mod tests;

pub use anchors::{Anchor, Anchors, DataAnchor, Tampered};
pub use apart::apart;
pub use handle::{Checked, Vault, VaultConfig};
pub use keys::Keys;
pub use ledger::{LedgerFile, LedgerLines};
pub use open_sets::stamp;
pub use root::MacLabel;
pub use rotation::Rotation;
pub use seal::{Purpose, SealContext};
pub use signing::SigningKey;
pub use signing_keys::SigningKeys;
pub use upkeep::KeyGuard;
