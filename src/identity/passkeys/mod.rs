//! Passkeys (WebAuthn): keys on the devices of an account's owner, each good for a log-in of its own and in place of a
//! code.
//!
//! - A device verifies its owner by PIN, finger or face before it signs: a passkey counts as passphrase and code. It
//!   does not switch the second factor on: the passphrase alone goes on opening an account that has no codes.
//! - The challenge of a ceremony is sealed in what the client is given, for five minutes ([`ceremony`]). Nothing is
//!   stored of it until it is answered, so that strangers fill no table; then its keyed hash is, so that none is good
//!   twice.
//! - A passkey is looked up by the keyed hash of its id. What is needed to verify it is sealed and bound to the version
//!   of its row, which each use raises.
//! - A counter that does not go on tells of a copied key: the log-in is refused, and the owner is told.
//!
//! Only [`relying_party`] knows the library that verifies. A build without the feature `passkeys` has another one in
//! its place, which says that there are no passkeys.

pub(super) mod actions;
mod ceremony;
pub(super) mod log_in;
#[cfg_attr(not(feature = "passkeys"), expect(dead_code, reason = "a build without passkeys verifies none"))]
pub(super) mod model;
pub(super) mod proofs;
#[cfg(feature = "passkeys")]
mod relying_party;
#[cfg(not(feature = "passkeys"))]
#[path = "no_relying_party.rs"]
mod relying_party;
pub(super) mod store;
