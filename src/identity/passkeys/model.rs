//! What passkeys are made of, without the library that verifies them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::kernel::Text;

/// The most bytes of the body that adds a passkey: the id of a key has up to 4 kB, and is in it twice.
pub const PASSKEY_BYTES: usize = 32 * 1024;

/// The name that its owner gives a passkey.
pub type PasskeyName = Text<80>;

/// The sealed document of a passkey.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::identity) struct PasskeyDoc {
    /// Its name.
    pub name: PasskeyName,
    /// The id under which its device knows it.
    pub credential_id: Vec<u8>,
    /// The public key with its counter, as the library writes it.
    pub key: String,
}

/// The owner of a new passkey, as the device shows them.
pub(in crate::identity) struct KeyOwner<'p> {
    /// The handle of the account.
    pub handle: Uuid,
    /// The address.
    pub email: &'p str,
    /// The person's name.
    pub name: &'p str,
}

/// A ceremony that begins.
pub(in crate::identity) struct Beginning {
    /// The options for the device, in the JSON form of WebAuthn.
    pub options: Value,
    /// What the server has to know of it at its end.
    pub state: String,
}

/// A key that a device has made.
#[derive(Clone)]
pub(in crate::identity) struct NewKey {
    /// The id under which the device knows it.
    pub credential_id: Vec<u8>,
    /// The key as the library writes it.
    pub key: String,
}

/// What the answer of a device names.
pub(in crate::identity) struct NamedKey {
    /// The id of the key.
    pub credential_id: Vec<u8>,
    /// The handle of the account, if it is named.
    pub handle: Option<Vec<u8>>,
}

/// The result of a verification.
pub(in crate::identity) enum Verdict {
    /// The key has signed; this is how it stands now.
    Right(String),
    /// The key has signed, and its counter did not go on: there may be a copy.
    Copied,
    /// It has not signed this challenge, for this server.
    Wrong,
}

/// The answer of a device to a challenge.
#[derive(Clone)]
pub struct Assertion {
    /// The sealed challenge.
    pub ceremony: String,
    /// What the device has signed, in the JSON form of WebAuthn.
    pub credential: Value,
}

impl std::fmt::Debug for Assertion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Assertion(***)")
    }
}
