//! The identity of an installation, which data, keyring and root key share.
//!
//! Keyring and data hold the same random id with a MAC of the root key. The root key is made first, then the row of the
//! keyring, then that of the data, each durable before the next: where a later one is, an earlier one that is missing
//! was lost, and is not made anew.
//!
//! Each change of keys has a number, the keyring's generation. A unit that uses new keys notes it in the data
//! ([`Vault::keep`](super::Vault::keep)), so that a keyring that was restored from an older backup than the data is
//! known: its generation is behind. It then goes on above that of the data and keeps how many changes it lacks, also
//! when it is opened again.

use uuid::Uuid;

use super::root::{MacLabel, Root};
use crate::db::{Backend, Tx, peek, values};
use crate::kernel::{Entropy, Error, Result};

/// The name of the identity among the values of the data.
const INSTALLATION: &str = "installation";
/// The name of the highest generation of the keyring whose keys the data use.
const GENERATION: &str = "keyring_generation";

/// The identity as it is stored: an id, and the MAC that binds it to the root key and to the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub id: Uuid,
    pub mac: [u8; 32],
}

/// The place of an identity, which its MAC covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Data,
    Keyring,
}

impl Identity {
    pub(super) fn new(root: &Root, holder: Holder, id: Uuid) -> Self {
        let holder: &[u8] = match holder {
            Holder::Data => b"data",
            Holder::Keyring => b"keyring",
        };
        Self { id, mac: root.mac(MacLabel::Installation, &[holder, id.as_bytes()]) }
    }

    pub(super) fn draw(root: &Root, entropy: &Entropy) -> Self {
        // The id is of no use to anybody, but must differ also where the ids of a demo repeat.
        Self::new(root, Holder::Keyring, Uuid::from_bytes(entropy.bytes()))
    }

    pub(super) fn is_of(&self, root: &Root, holder: Holder) -> bool {
        *self == Self::new(root, holder, self.id)
    }
}

/// What the data say of the installation.
#[derive(Clone, Copy, Debug)]
pub(super) struct DataMark {
    pub identity: Identity,
    pub generation: u64,
}

impl DataMark {
    /// Reads it from a database that may not be there. Blocks.
    pub(super) fn peek(data: &Backend) -> Result<Option<Self>> {
        Ok(peek(data, "settings", Self::find)?.flatten())
    }

    pub(super) fn find(tx: &mut Tx<'_>) -> Result<Option<Self>> {
        let Some(stored) = values::find(tx, INSTALLATION)? else { return Ok(None) };
        let corrupt = || Error::corrupt("settings", INSTALLATION);
        let (id, mac) = stored.split_first_chunk().ok_or_else(corrupt)?;
        let identity = Identity { id: Uuid::from_bytes(*id), mac: mac.try_into().ok().ok_or_else(corrupt)? };
        let generation = values::find(tx, GENERATION)?.unwrap_or_else(|| vec![0; 8]);
        let generation = generation.try_into().map(u64::from_be_bytes);
        Ok(Some(Self { identity, generation: generation.ok().ok_or_else(corrupt)? }))
    }

    /// Stores the identity, unless the data have one.
    pub(super) fn insert(tx: &mut Tx<'_>, identity: &Identity) -> Result<()> {
        values::insert(tx, GENERATION, &[0; 8])?;
        values::insert(tx, INSTALLATION, &[identity.id.as_bytes().as_slice(), &identity.mac].concat())
    }

    /// Notes that the data use keys of this generation.
    pub(super) fn raise(tx: &mut Tx<'_>, generation: u64) -> Result<()> {
        values::raise(tx, GENERATION, generation)
    }
}

/// What the keyring says of the installation.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyringMark {
    pub identity: Identity,
    /// The number of changes of keys.
    pub generation: u64,
    /// The number of changes that it lacks, since it was restored from a backup older than the data.
    pub missing: u64,
}

/// The places of the parts, in words for the operator.
pub(super) struct Places {
    /// `None` for keys that stand alone.
    pub data: Option<String>,
    pub keyring: String,
    pub root: String,
}

/// What was found of an installation.
pub(super) struct Found<'a> {
    pub root: Option<&'a Root>,
    pub keyring: Option<KeyringMark>,
    pub data: Option<DataMark>,
}

impl Found<'_> {
    /// Returns what does not belong together or is missing beside what is used, with what to do.
    pub(super) fn faults(&self, places: &Places) -> Vec<String> {
        let Places { data: place_of_data, keyring, root } = places;
        let data = place_of_data.as_deref().unwrap_or_default();
        let mut faults = Vec::new();
        if self.root.is_none()
            && let Some(used) = self.keyring.map(|_| keyring.as_str()).or(self.data.map(|_| data))
        {
            faults.push(format!(
                "the root key is missing ({root}), and {used} is in use, which no other root key opens: restore it"
            ));
        }
        if self.keyring.is_none() && self.data.is_some() {
            faults.push(format!(
                "the keyring is missing ({keyring}), and {data} is in use, which no new keyring opens: restore the \
                 keyring from its newest backup, or name the right one (--key-dir or --keyring-url)"
            ));
        }
        let used = self.keyring.is_some_and(|found| found.generation > 0);
        if place_of_data.is_some() && self.data.is_none() && used {
            faults.push(format!(
                "the database is missing ({data}), and the keyring {keyring} is in use: restore the database, or name \
                 the right one (--data-dir or --database-url); a new installation has a new key folder and keyring"
            ));
        }
        let both = self.data.map(|data| data.identity).zip(self.keyring.map(|keyring| keyring.identity));
        if both.is_some_and(|(data, keyring)| data.id != keyring.id) {
            faults.push(format!(
                "the database {data} and the keyring {keyring} are of different installations: name two that belong \
                 together"
            ));
        }
        let Some(root_key) = self.root else { return faults };
        for (identity, holder, words) in [
            (self.keyring.map(|found| found.identity), Holder::Keyring, format!("this keyring: {keyring}")),
            (self.data.map(|found| found.identity), Holder::Data, format!("this database: {data}")),
        ] {
            if identity.is_some_and(|identity| !identity.is_of(root_key, holder)) {
                faults.push(format!(
                    "the root key does not belong to {words} (the root key is {root}): restore the right root key, or \
                     name the right place"
                ));
            }
        }
        faults
    }

    /// Returns the number of changes of keys that the data know of and the keyring does not.
    pub(super) fn missing(&self) -> u64 {
        let (Some(data), Some(keyring)) = (self.data, self.keyring) else { return 0 };
        keyring.missing.saturating_add(data.generation.saturating_sub(keyring.generation))
    }
}

/// Returns the sentence for the operator of a keyring that lacks changes of keys.
pub(super) fn older(missing: u64, keyring: &str) -> String {
    format!(
        "the keyring is older than the data: {keyring} lacks the last {missing} changes of keys. What is sealed under \
         the missing keys does not open, and keys that were destroyed since are there again: restore the newest backup \
         of the keyring"
    )
}
