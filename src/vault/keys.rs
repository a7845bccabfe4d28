//! The data keys of one subject: made, wrapped, unwrapped, used.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::damage::Damage;
use super::seal::{self, NONCE, Opened, Purpose, SealContext};
use crate::kernel::{Entropy, Error, Result};

/// The format of a wrapped data key: format, nonce, AES-256-GCM-SIV of the key. The format names the wrapping key too,
/// so that a rotated root can exist beside the old one.
const WRAP_FORMAT: u8 = 1;
const KEY: usize = 32;

/// The unwrapped data keys of one subject. Cheap to clone; the key schedules are expanded once.
///
/// The key material is wiped when the last clone is dropped (AWS-LC wipes what it frees).
#[derive(Clone)]
pub struct Keys(Arc<Ring>);

struct Ring {
    subject: Uuid,
    /// The data keys in ascending order of their numbers: the last of a purpose seals, all of them open.
    keys: Vec<DataKey>,
    entropy: Entropy,
    damage: Damage,
    /// At most one of each type.
    kept: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

pub(super) struct DataKey {
    number: u32,
    purpose: Purpose,
    key: LessSafeKey,
    /// The same key for keyed hashes, if its purpose is these.
    hashes: Option<HashKey>,
}

/// A key for keyed hashes.
struct HashKey {
    bytes: Zeroizing<[u8; KEY]>,
    /// Prepared once: a reader's list hashes every id.
    hmac: hmac::Key,
}

impl HashKey {
    fn new(bytes: &[u8; KEY]) -> Self {
        Self { bytes: Zeroizing::new(*bytes), hmac: hmac::Key::new(hmac::HMAC_SHA256, bytes) }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

impl Keys {
    pub(super) fn new(subject: Uuid, mut keys: Vec<DataKey>, entropy: Entropy, damage: Damage) -> Self {
        keys.sort_by_key(|key| key.number);
        Self(Arc::new(Ring { subject, keys, entropy, damage, kept: Mutex::default() }))
    }

    /// Returns the subject of the keys.
    pub fn subject(&self) -> Uuid {
        self.0.subject
    }

    /// Whether there is a key for `purpose`; a destroyed key is not there.
    pub fn has(&self, purpose: Purpose) -> bool {
        self.0.keys.iter().any(|key| key.purpose == purpose)
    }

    /// Returns the key from which the subject's ids are derived: the oldest, so that a newer one changes no id.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when the subject has none.
    pub fn id_key(&self) -> Result<&[u8; KEY]> {
        Ok(&self.hash_key()?.bytes)
    }

    fn hash_key(&self) -> Result<&HashKey> {
        let oldest = self.0.keys.iter().find_map(|key| key.hashes.as_ref());
        oldest.ok_or_else(|| Error::internal("no key to derive ids"))
    }

    /// Returns the place of an object in a list whose order must not reveal its time: a keyed hash of its id.
    ///
    /// # Errors
    ///
    /// As [`Keys::id_key`].
    pub fn place(&self, id: Uuid) -> Result<Uuid> {
        let mut hash = hmac::Context::with_key(&self.hash_key()?.hmac);
        // No id is derived from a text of this length.
        hash.update(b"place");
        hash.update(id.as_bytes());
        let mac = hash.sign();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(mac.as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Uuid::from_bytes(bytes))
    }

    /// Returns what [`Keys::keep`] kept of this type. The caller checks that it still holds. Of what was made of
    /// documents, these must be the same to the last byte: what is damaged now must not be taken for what opened before.
    pub fn kept<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find_map(|made| Arc::clone(made).downcast().ok())
    }

    /// Keeps what was made of the patient's rows and opened documents, in the place of what was kept of its type before,
    /// as long as these keys are: what they opened is forgotten with them.
    pub fn keep<T: Any + Send + Sync>(&self, made: Arc<T>) {
        let made: Arc<dyn Any + Send + Sync> = made;
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.iter_mut().find(|other| other.is::<T>()) {
            Some(other) => *other = made,
            None => kept.push(made),
        }
    }

    /// Seals `data` for `place`.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when the subject has no key for `purpose`, or `place` is another subject's: text sealed
    /// under another subject's key would remain readable after the erasure of its owner.
    pub fn seal(&self, purpose: Purpose, place: &SealContext, data: &[u8]) -> Result<Vec<u8>> {
        self.seal_with(purpose, place, data.len(), |out| {
            out.extend_from_slice(data);
            Ok(())
        })
    }

    /// Opens a value that was sealed for `place`.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`] when the value was sealed for another place or under a key that is gone, or was changed.
    pub fn open(&self, place: &SealContext, sealed: &[u8]) -> Result<Vec<u8>> {
        Ok(self.opened(place, sealed.to_vec())?.data().to_vec())
    }

    /// Notes that what stands at `place` does not open, for the log, the metric and the readiness, and makes the error.
    pub fn damaged(&self, place: &SealContext) -> Error {
        self.0.damage.damaged(place)
    }

    /// Seals `value` as JSON.
    ///
    /// # Errors
    ///
    /// As [`Keys::seal`], and when `value` cannot be JSON.
    pub fn seal_json<T: Serialize + ?Sized>(
        &self,
        purpose: Purpose,
        place: &SealContext,
        value: &T,
    ) -> Result<Vec<u8>> {
        self.seal_with(purpose, place, 1024, |out| {
            // The reason is left out: it may quote private text.
            let written = serde_json::to_writer(out, value).ok();
            written.ok_or_else(|| Error::internal(format!("{}.{} is not JSON", place.table, place.column)))
        })
    }

    /// Opens a value that [`Keys::seal_json`] sealed.
    ///
    /// # Errors
    ///
    /// As [`Keys::open`], and when the document does not have the shape of a `T`.
    pub fn open_json<T: DeserializeOwned>(&self, place: &SealContext, sealed: &[u8]) -> Result<T> {
        self.open_json_in_place(place, sealed.to_vec())
    }

    /// Opens a value as [`Keys::open_json`] does, where it lies: a list opens some dozen, which need no copies.
    ///
    /// # Errors
    ///
    /// As [`Keys::open_json`].
    pub fn open_json_in_place<T: DeserializeOwned>(&self, place: &SealContext, sealed: Vec<u8>) -> Result<T> {
        let opened = self.opened(place, sealed)?;
        // The reason is left out: it may quote private text.
        serde_json::from_slice(opened.data()).ok().ok_or_else(|| self.damaged(place))
    }

    fn seal_with(
        &self,
        purpose: Purpose,
        place: &SealContext,
        room: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<Vec<u8>> {
        if place.subject != self.0.subject {
            return Err(Error::internal(format!("{}.{} belongs to another subject", place.table, place.column)));
        }
        let DataKey { number, key, .. } =
            self.0.keys.iter().rfind(|key| key.purpose == purpose).ok_or_else(|| {
                Error::internal(format!("no {purpose:?} key to seal {}.{}", place.table, place.column))
            })?;
        seal::seal(key, *number, self.0.entropy.bytes(), place, room, fill)
    }

    fn opened(&self, place: &SealContext, sealed: Vec<u8>) -> Result<Opened> {
        let key = |number: u32| self.0.keys.iter().find(|key| key.number == number).map(|key| &key.key);
        seal::open(sealed, place, key).ok_or_else(|| self.damaged(place))
    }
}

/// The context to which a wrapped key is bound.
#[derive(Clone, Copy)]
pub(super) struct Tag {
    pub subject: Uuid,
    pub number: u32,
    pub purpose: i32,
}

impl Tag {
    fn bytes(self) -> [u8; 25] {
        let mut bytes = [0; 25];
        let (number, purpose) = (self.number.to_be_bytes(), self.purpose.to_be_bytes());
        let parts = [WRAP_FORMAT].into_iter().chain(*self.subject.as_bytes()).chain(number).chain(purpose);
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = from;
        }
        bytes
    }
}

/// Makes a data key and wraps it for the keyring.
pub(super) fn make(wrapping: &LessSafeKey, tag: Tag, entropy: &Entropy) -> Result<(Zeroizing<[u8; KEY]>, Vec<u8>)> {
    // Ids that repeat with a seed are derived with a key that does.
    let ids = tag.purpose == Purpose::Ids.code();
    let plain = Zeroizing::new(if ids { entropy.id_bytes() } else { entropy.bytes::<KEY>() });
    let nonce: [u8; NONCE] = entropy.bytes();
    let mut sealed = Zeroizing::new(*plain);
    let nonce_used = Nonce::assume_unique_for_key(nonce);
    let mac = wrapping
        .seal_in_place_separate_tag(nonce_used, Aad::from(tag.bytes()), sealed.as_mut_slice())
        .ok()
        .ok_or_else(|| Error::internal("a data key cannot be wrapped"))?;
    let wrapped = [&[WRAP_FORMAT], nonce.as_slice(), sealed.as_slice(), mac.as_ref()].concat();
    Ok((plain, wrapped))
}

/// Unwraps a data key; `None` if it was not wrapped by this root for this tag.
pub(super) fn unwrap(wrapping: &LessSafeKey, tag: Tag, wrapped: &[u8]) -> Option<Zeroizing<[u8; KEY]>> {
    let (&format, rest) = wrapped.split_first()?;
    let (nonce, rest) = rest.split_first_chunk()?;
    if format != WRAP_FORMAT {
        return None;
    }
    let mut body = Zeroizing::new(rest.to_vec());
    let plain = wrapping.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(tag.bytes()), &mut body).ok()?;
    let mut key = Zeroizing::new([0; KEY]);
    if plain.len() != KEY {
        return None;
    }
    key.copy_from_slice(plain);
    Some(key)
}

impl DataKey {
    pub(super) fn new(number: u32, purpose: Purpose, bytes: &[u8; KEY]) -> Result<Self> {
        let hashes = (purpose == Purpose::Ids).then(|| HashKey::new(bytes));
        Ok(Self { number, purpose, key: aead_key(bytes)?, hashes })
    }
}

/// Expands the key schedule of a key.
pub(super) fn aead_key(bytes: &[u8; KEY]) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM_SIV, bytes).ok().ok_or_else(|| Error::internal("not an AES key"))?;
    Ok(LessSafeKey::new(key))
}
