//! The handle on the vault for the rest of the crate.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::cache::Cache;
use super::cursor;
use super::folder::{Folder, private_file};
use super::keyring::{Keyring, Wrapped};
use super::keys::{self, DataKey, Keys, Tag};
use super::root::{self, MacLabel, Root, RootKey};
use super::seal::Purpose;
use super::signing::SigningKey;
use crate::db::migrate::{self, Family};
use crate::db::{Backend, Db, RowKey};
use crate::kernel::{Entropy, Error, Result};

/// The places of the keys.
#[derive(Clone)]
pub struct VaultConfig {
    /// The key folder: a sibling of the data folder, never below it.
    pub key_dir: PathBuf,
    /// The root key (32 bytes), if the operator keeps it elsewhere; else it is `root.key` in the folder.
    pub root_key: Option<Vec<u8>>,
    /// The keyring, on PostgreSQL a database of its own; by default `keyring.sqlite` in the folder.
    pub keyring: Option<Backend>,
}

impl VaultConfig {
    /// Puts all keys in one folder.
    pub fn in_folder(key_dir: impl Into<PathBuf>) -> Self {
        Self { key_dir: key_dir.into(), root_key: None, keyring: None }
    }
}

impl fmt::Debug for VaultConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Both the root key and the keyring's URL are secrets.
        f.debug_struct("VaultConfig").field("key_dir", &self.key_dir).finish_non_exhaustive()
    }
}

/// The keys of the server and of its subjects. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    root: Root,
    signing: SigningKey,
    keyring: Keyring,
    cache: Cache,
    entropy: Entropy,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

/// The keyring's own row: an unused key, wrapped by the root to which the keyring belongs.
const WITNESS: Tag = Tag { subject: Uuid::nil(), number: 0, purpose: 0 };

impl Vault {
    /// Opens the key folder and the keyring, and makes those that are missing.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: others may read the keys, a key file is damaged, the root key is not the one of
    /// this keyring, or the keyring cannot be reached.
    pub async fn open(config: VaultConfig, entropy: Entropy) -> Result<Self> {
        let source = entropy.clone();
        let opened = tokio::task::spawn_blocking(move || open(config, &source)).await;
        let (root, signing, db) = opened.map_err(|error| Error::Internal(Box::new(error)))??;
        let vault = Self(Arc::new(Inner { root, signing, keyring: Keyring::new(db), cache: Cache::new(), entropy }));
        if let Err(error) = vault.check_witness().await {
            vault.close();
            return Err(error);
        }
        Ok(vault)
    }

    /// Makes the keys of a new subject. They are durable when this returns, and not yet cached.
    ///
    /// Call it before the unit of work that inserts the subject, and [`Vault::remember`] after its commit.
    ///
    /// # Errors
    ///
    /// [`Code::AlreadyExists`](crate::kernel::Code::AlreadyExists) when the subject has keys.
    pub async fn create(&self, subject: Uuid, purposes: &[Purpose], now: Timestamp) -> Result<Keys> {
        if subject.is_nil() || purposes.is_empty() {
            return Err(Error::internal("keys are made for a subject and a purpose"));
        }
        let (mut made, mut rows) = (Vec::new(), Vec::new());
        for (number, &purpose) in (1..).zip(purposes) {
            let tag = Tag { subject, number, purpose: purpose.code() };
            let (plain, key) = keys::make(&self.0.root.wrapping, tag, &self.0.entropy)?;
            made.push(DataKey::new(number, purpose, &plain)?);
            rows.push(Wrapped { number, purpose: tag.purpose, key });
        }
        self.0.keyring.insert(subject, rows, now).await?;
        Ok(Keys::new(subject, made, self.0.entropy.clone()))
    }

    /// Returns the keys of a subject; `None` when it has none (any more).
    ///
    /// # Errors
    ///
    /// When the keyring cannot be read, or one of its rows is corrupt.
    pub async fn keys(&self, subject: Uuid) -> Result<Option<Keys>> {
        let turn = match self.0.cache.find(subject) {
            Ok(keys) => return Ok(Some(keys)),
            Err(turn) => turn,
        };
        let rows = self.0.keyring.list(subject).await?;
        if rows.is_empty() || subject.is_nil() {
            return Ok(None);
        }
        let corrupt = || Error::corrupt("wrapped_keys", subject);
        let mut found = Vec::with_capacity(rows.len());
        for Wrapped { number, purpose, key } in rows {
            let tag = Tag { subject, number, purpose };
            let plain = keys::unwrap(&self.0.root.wrapping, tag, &key).ok_or_else(corrupt)?;
            found.push(DataKey::new(number, Purpose::from_code(purpose).ok_or_else(corrupt)?, &plain)?);
        }
        let keys = Keys::new(subject, found, self.0.entropy.clone());
        self.0.cache.put(keys.clone(), Some(turn));
        Ok(Some(keys))
    }

    /// Destroys the keys of these purposes for good: values sealed under them are unreadable from now on. Doing it
    /// again is no error. Another process that shares the keyring forgets them within ten minutes.
    ///
    /// # Errors
    ///
    /// When the keyring cannot be written; the keys may then still be there.
    pub async fn destroy(&self, subject: Uuid, purposes: &[Purpose]) -> Result<()> {
        let deleted = self.0.keyring.delete(subject, purposes).await;
        // This is done after an error too: the outcome of a COMMIT may be unknown.
        self.0.cache.forget(subject);
        deleted
    }

    /// Caches the keys of a subject whose row is committed.
    pub fn remember(&self, keys: &Keys) {
        self.0.cache.put(keys.clone(), None);
    }

    /// Computes HMAC-SHA-256 under the key of `label`, over `parts`, each with its length before it.
    pub fn mac(&self, label: MacLabel, parts: &[&[u8]]) -> [u8; 32] {
        self.0.root.mac(label, parts)
    }

    /// Seals a cursor for the caller and the filter in `bound`.
    ///
    /// # Panics
    ///
    /// When `plain` has many gigabytes.
    #[expect(clippy::expect_used, reason = "the cipher takes 64 GiB; a cursor has some dozen bytes")]
    pub fn seal_cursor(&self, bound: &[u8], plain: &[u8]) -> String {
        cursor::seal(&self.0.root.cursor, self.0.entropy.bytes(), bound, plain).expect("a cursor is short")
    }

    /// Opens a cursor; `None` if it was not sealed by this root for the same `bound`.
    pub fn open_cursor(&self, bound: &[u8], text: &str) -> Option<Vec<u8>> {
        cursor::open(&self.0.root.cursor, bound, text)
    }

    /// Returns the key of the rows that decide who gets in, for [`Db::with_row_key`].
    pub fn row_key(&self) -> RowKey {
        self.0.root.rows.clone()
    }

    /// Returns the key that signs access tokens.
    pub fn signing_key(&self) -> &SigningKey {
        &self.0.signing
    }

    /// Ends the keyring's threads once the waiting units are done. Blocks.
    pub fn close(&self) {
        self.0.keyring.close();
    }

    /// Refuses the root key of another keyring, before it wraps keys that the right one could not unwrap.
    async fn check_witness(&self) -> Result<()> {
        let (_, key) = keys::make(&self.0.root.wrapping, WITNESS, &self.0.entropy)?;
        let ours = Wrapped { number: WITNESS.number, purpose: WITNESS.purpose, key };
        let found = self.0.keyring.first(WITNESS.subject, ours, Timestamp::UNIX_EPOCH).await?;
        match found.and_then(|row| keys::unwrap(&self.0.root.wrapping, WITNESS, &row.key)) {
            Some(_) => Ok(()),
            None => Err(Error::internal(
                "the root key does not belong to this keyring: restore the right root key, or point to the right keyring",
            )),
        }
    }
}

fn open(config: VaultConfig, entropy: &Entropy) -> Result<(Root, SigningKey, Db)> {
    // The folder is locked until the keyring is there.
    let (key, signing, _folder) = server_keys(&config, entropy)?;
    let keyring = config.keyring.unwrap_or_else(|| Backend::Sqlite(config.key_dir.join("keyring.sqlite")));
    if let Backend::Sqlite(path) = &keyring
        && !keyring.in_memory()
    {
        // SQLite gives its other files the mode of this one.
        drop(private_file(path)?);
    }
    migrate::run(&keyring, Family::Keyring)?;
    Ok((Root::derive(&key)?, signing, Db::open(keyring)?))
}

/// Returns the root key, the signing key, and the folder that holds the keys that were not given.
fn server_keys(config: &VaultConfig, entropy: &Entropy) -> Result<(RootKey, SigningKey, Option<Folder>)> {
    let given = config.root_key.clone().map(Zeroizing::new);
    if let Some(bytes) = &given
        && config.keyring.as_ref().is_some_and(Backend::in_memory)
    {
        // There is nothing to keep in a folder, so none is made.
        let key = root::given(bytes)?;
        let signing = SigningKey::from_seed(&root::signing_seed(&key)?)?;
        return Ok((key, signing, None));
    }
    let folder = Folder::open(&config.key_dir)?;
    let (key, seed) = match &given {
        Some(bytes) => {
            let key = root::given(bytes)?;
            let seed = root::signing_seed(&key)?;
            (key, Some(seed))
        }
        None => (root::load(&folder, entropy)?, None),
    };
    let signing = SigningKey::load(&folder, seed.as_ref(), entropy)?;
    Ok((key, signing, Some(folder)))
}
