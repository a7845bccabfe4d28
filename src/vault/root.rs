//! The root key and the keys derived from it.

use std::fmt;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

use super::folder::Folder;
use super::keys::aead_key;
use super::seal::{NONCE, TAG};
use crate::db::RowKey;
use crate::kernel::{Entropy, Error, Result};

pub(super) const FILE: &str = "root.key";
const SALT: &[u8] = b"afterglow root 1";

/// The root key.
pub(super) type RootKey = Zeroizing<[u8; 32]>;

/// Reads the root key from the folder, if it is there. Blocks.
pub(super) fn find(folder: &Folder) -> Result<Option<RootKey>> {
    let Some(bytes) = folder.read(FILE)? else { return Ok(None) };
    let damaged = || Error::internal(format!("{FILE} in the key folder has {} bytes, not 32: restore it", bytes.len()));
    checked(&bytes).map(Some).ok_or_else(damaged)
}

/// Makes a root key and writes it to the folder. Blocks.
pub(super) fn make(folder: &Folder, entropy: &Entropy) -> Result<RootKey> {
    let made = Zeroizing::new(entropy.bytes());
    folder.create(FILE, made.as_slice())?;
    Ok(made)
}

/// Takes the root key that the operator gave.
pub(super) fn given(bytes: &[u8]) -> Result<RootKey> {
    checked(bytes).ok_or_else(|| Error::internal(format!("the root key has {} bytes, not 32", bytes.len())))
}

fn checked(bytes: &[u8]) -> Option<RootKey> {
    let bytes: &[u8; 32] = bytes.try_into().ok()?;
    Some(Zeroizing::new(*bytes))
}

macro_rules! labels {
    ($($(#[$doc:meta])* $variant:ident $field:ident $name:literal),* $(,)?) => {
        /// The purpose of a keyed hash. Each label has a key of its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum MacLabel { $($(#[$doc])* $variant,)* }

        struct MacKeys { $($field: hmac::Key,)* }

        impl MacKeys {
            fn derive(root: &hkdf::Prk) -> Result<Self> {
                Ok(Self { $($field: mac_key(root, concat!("mac ", $name))?,)* })
            }

            fn get(&self, label: MacLabel) -> &hmac::Key {
                match label { $(MacLabel::$variant => &self.$field,)* }
            }
        }
    };
}

labels! {
    /// The look-up of an account by its address.
    Email email "email",
    /// The successor of a refresh token.
    Refresh refresh "refresh",
    /// The look-up of a refresh token.
    RefreshHash refresh_hash "refresh hash",
    /// The look-up of an invitation code.
    Code code "code",
    /// The chain of the audit log.
    Audit audit "audit",
    /// The look-up of an idempotency key, and the fingerprint of its request.
    Idempotency idempotency "idempotency",
    /// The two words that both sides of an invitation see.
    Words words "words",
    /// The tags of events and of the plan of a device, the ids of a feed, and the nonce of a cursor.
    ReaderTag reader_tag "reader tag",
    /// The head of an audit chain in the keyring.
    Anchor anchor "anchor",
    /// The id of a delivery.
    Delivery delivery "delivery",
    /// The identity that data, keyring and root key share.
    Installation installation "installation",
    /// The fingerprint of a mutation that a phone sent, and the id of the copy that it makes.
    Sync sync "sync",
    /// The `id:` of an event of a stream.
    Stream stream "stream",
    /// An entry of the revocation ledger.
    Ledger ledger "ledger",
    /// The look-up of a device by its push address.
    Reach reach "reach",
    /// The secret address of a calendar feed, its look-up, and the ids of what the feed shows.
    Calendar calendar "calendar",
    /// The token by which an account knows a device.
    Device device "device",
    /// The counters of failed log-ins.
    Attempts attempts "attempts",
    /// The row of a generation of the signing key.
    SigningKey signing_key "signing key",
    /// The look-up of a passkey and of a challenge that was answered, and the handle under which a device keeps its
    /// keys.
    Passkey passkey "passkey",
}

/// The keys of the server itself.
pub(super) struct Root {
    /// The key that wraps data keys.
    pub wrapping: LessSafeKey,
    /// The key that seals cursors.
    pub cursor: LessSafeKey,
    /// The key of the tags of views and pages.
    tags: LessSafeKey,
    /// The key of the rows that decide who gets in.
    pub rows: RowKey,
    /// The key that makes the seeds of later generations of the signing key.
    signing: hmac::Key,
    macs: Box<MacKeys>,
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root(***)")
    }
}

impl Root {
    pub(super) fn derive(key: &RootKey) -> Result<Self> {
        let root = extract(key);
        Ok(Self {
            wrapping: aead_key(&*expand(&root, "wrap")?)?,
            cursor: aead_key(&*expand(&root, "cursor")?)?,
            tags: aead_key(&*expand(&root, "tags")?)?,
            rows: RowKey::new(&*expand(&root, "rows")?),
            signing: mac_key(&root, "signing generations")?,
            macs: Box::new(MacKeys::derive(&root)?),
        })
    }

    /// Makes the seed of a generation of the signing key after the first ([`signing_seed`]).
    pub(super) fn later_signing_seed(&self, number: i32) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        seed.copy_from_slice(hmac::sign(&self.signing, &number.to_be_bytes()).as_ref());
        seed
    }

    /// Computes HMAC-SHA-256 over the parts, each with its length before it.
    pub(super) fn mac(&self, label: MacLabel, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = hmac::Context::with_key(self.macs.get(label));
        for part in parts {
            hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let mut out = [0; 32];
        out.copy_from_slice(hash.sign().as_ref());
        out
    }

    /// Computes a keyed hash of `shown` and its `scope`: the tag with which AES-GCM-SIV seals the scope beside it. This
    /// cipher may use one nonce for many texts, and its tag is then still a keyed hash of all that it covers (RFC 8452);
    /// those of other ciphers are not. `None` only for a text of many gigabytes.
    ///
    /// An HMAC over a page was a tenth of the work of a list.
    pub(super) fn tag(&self, scope: &[u8], shown: &[u8]) -> Option<[u8; TAG]> {
        let (nonce, mut scope) = (Nonce::assume_unique_for_key([0; NONCE]), scope.to_vec());
        let tag = self.tags.seal_in_place_separate_tag(nonce, Aad::from(shown), &mut scope).ok()?;
        tag.as_ref().try_into().ok()
    }
}

/// Derives the seed of the first signing key: every server with the same root signs alike.
pub(super) fn signing_seed(key: &RootKey) -> Result<Zeroizing<[u8; 32]>> {
    expand(&extract(key), "signing")
}

fn extract(key: &RootKey) -> hkdf::Prk {
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(key.as_slice())
}

fn expand(root: &hkdf::Prk, label: &str) -> Result<Zeroizing<[u8; 32]>> {
    let mut out = Zeroizing::new([0; 32]);
    let info = [label.as_bytes()];
    let filled = root.expand(&info, hkdf::HKDF_SHA256).and_then(|okm| okm.fill(out.as_mut_slice()));
    filled.ok().ok_or_else(|| Error::internal(format!("the key \"{label}\" cannot be derived")))?;
    Ok(out)
}

fn mac_key(root: &hkdf::Prk, label: &str) -> Result<hmac::Key> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, expand(root, label)?.as_slice()))
}
