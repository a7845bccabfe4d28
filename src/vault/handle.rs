//! The handle on the vault for the rest of the crate.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use super::cache::Cache;
use super::cursor;
use super::damage::Damage;
use super::folder::{Folder, private_file};
use super::installation::{self, DataMark, Found, Holder, Identity, Places};
use super::keyring::{Keyring, Wrapped, peek_mark};
use super::keys::{self, DataKey, Keys, Tag};
use super::root::{self, MacLabel, Root, RootKey};
use super::seal::{NONCE, Purpose, SealContext};
use super::signing::SigningKey;
use super::signing_keys::SigningKeys;
use crate::db::migrate::{self, Family};
use crate::db::{Backend, Db, RowKey, Tx};
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

    /// Returns the place of the keyring.
    pub fn keyring(&self) -> Backend {
        self.keyring.clone().unwrap_or_else(|| Backend::Sqlite(self.key_dir.join("keyring.sqlite")))
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

/// The subject and the purposes of keys that no unit has used.
type Unused = (Uuid, &'static [Purpose]);

pub(super) struct Inner {
    /// The id of the installation.
    id: Uuid,
    /// The number of the last change of keys that this process knows of.
    generation: AtomicU64,
    /// The number of changes that the keyring lacks.
    missing: u64,
    root: Root,
    signing: RwLock<Arc<SigningKeys>>,
    keyring: Keyring,
    cache: Cache,
    entropy: Entropy,
    damage: Damage,
    unused: Mutex<Vec<Unused>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

impl Vault {
    /// Looks at data, keyring and root key as [`Vault::open`] does, and makes nothing. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Vault::open`], for what is there and cannot be read.
    pub fn check(config: &VaultConfig, data: &Backend) -> Result<Checked> {
        look(config, Some(data))
    }

    /// Opens the key folder and the keyring of `data`, and makes those of a new installation. Without `data` the keys
    /// stand alone.
    ///
    /// # Errors
    ///
    /// A sentence for the operator: others may read the keys, a key file is damaged, data, keyring and root key do not
    /// belong together, one of them is missing while another is in use, or the keyring cannot be reached.
    pub async fn open(config: VaultConfig, data: Option<Backend>, entropy: Entropy) -> Result<Self> {
        let (source, places) = (entropy.clone(), places(&config, data.as_ref()));
        let opened = tokio::task::spawn_blocking(move || {
            let opened = open(&config, data.as_ref(), &source)?;
            Ok::<_, Error>((Db::open(opened.keyring.clone())?, opened))
        });
        let (db, opened) = opened.await.map_err(|error| Error::Internal(Box::new(error)))??;
        let keyring = Keyring::new(db);
        let mark = match keyring.identify(opened.ours, opened.used).await {
            Ok(mark) => mark,
            Err(error) => {
                keyring.close();
                return Err(error);
            }
        };
        let Opened { root, signing, .. } = opened;
        // Another process may have made the keyring in the meantime.
        if !mark.identity.is_of(&root, Holder::Keyring) {
            keyring.close();
            return Err(Error::internal("the keyring was given to another installation meanwhile: name another one"));
        }
        let vault = Self(Arc::new(Inner {
            id: mark.identity.id,
            generation: AtomicU64::new(mark.generation),
            missing: mark.missing,
            root,
            signing: RwLock::new(Arc::new(SigningKeys::of_first(signing))),
            keyring,
            cache: Cache::new(),
            entropy,
            damage: Damage::default(),
            unused: Mutex::default(),
        }));
        metrics::gauge!("keyring_changes_missing").set(f64::from(u32::try_from(mark.missing).unwrap_or(u32::MAX)));
        if mark.missing > 0 {
            tracing::error!("{}", installation::older(mark.missing, &places.keyring));
        }
        if let Err(error) = vault.reload_signing_keys().await {
            vault.close();
            return Err(error);
        }
        vault.begin_upkeep();
        Ok(vault)
    }

    /// Gives the data the identity of the installation, unless they have it.
    ///
    /// # Errors
    ///
    /// When another process has given them another one, or the database fails.
    pub async fn bind(&self, data: &Db) -> Result<()> {
        let ours = Identity::new(&self.0.root, Holder::Data, self.0.id);
        let generation = self.generation();
        let found = data.write(move |tx| {
            DataMark::insert(tx, &ours)?;
            DataMark::raise(tx, generation)?;
            DataMark::find(tx)
        });
        match found.await? {
            Some(found) if found.identity == ours => Ok(()),
            _ => Err(Error::internal("the database was given to another installation meanwhile: name another one")),
        }
    }

    /// Returns the number of changes of keys that the keyring lacks, since it was restored from a backup older than
    /// the data.
    pub fn missing_changes(&self) -> u64 {
        self.0.missing
    }

    /// Returns the number of rows of which a sealed value did not open since the start.
    pub fn unreadable_rows(&self) -> u64 {
        self.0.damage.rows()
    }

    /// Returns the number of the last change of keys that this process knows of.
    fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Makes the keys of a new subject. They are durable when this returns, and not yet cached.
    ///
    /// Call it before the unit of work that inserts the subject, and [`Vault::keep`] in it. [`Vault::guard`] has them
    /// destroyed if that unit does not come to use them.
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
        let generation = self.0.keyring.insert(subject, rows, now).await?;
        self.0.generation.fetch_max(generation, Ordering::AcqRel);
        Ok(Keys::new(subject, made, self.0.entropy.clone(), self.0.damage.clone()))
    }

    /// Returns the keys of a subject; `None` when it has none (any more).
    ///
    /// # Errors
    ///
    /// When the keyring cannot be read; [`Error::Damaged`] when one of its rows does not open.
    pub async fn keys(&self, subject: Uuid) -> Result<Option<Keys>> {
        let turn = match self.0.cache.find(subject) {
            Ok(keys) => return Ok(Some(keys)),
            Err(turn) => turn,
        };
        let keys = self.keys_from_keyring(subject).await?;
        if let Some(keys) = &keys {
            self.0.cache.put(keys.clone(), Some(turn));
        }
        Ok(keys)
    }

    /// Returns the keys of a subject as [`Vault::keys`] does, past the cache: in the same time for a subject that has
    /// keys in the cache, one that has not, and one that is not there.
    ///
    /// # Errors
    ///
    /// As [`Vault::keys`].
    pub async fn keys_from_keyring(&self, subject: Uuid) -> Result<Option<Keys>> {
        let rows = self.0.keyring.list(subject).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let place = SealContext { table: "wrapped_keys", column: "wrapped", subject, row: subject, revision: 0 };
        let corrupt = || self.0.damage.damaged(&place);
        let mut found = Vec::with_capacity(rows.len());
        for Wrapped { number, purpose, key } in rows {
            let tag = Tag { subject, number, purpose };
            let plain = keys::unwrap(&self.0.root.wrapping, tag, &key).ok_or_else(corrupt)?;
            found.push(DataKey::new(number, Purpose::from_code(purpose).ok_or_else(corrupt)?, &plain)?);
        }
        Ok(Some(Keys::new(subject, found, self.0.entropy.clone(), self.0.damage.clone())))
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
        self.0.generation.fetch_max(deleted?, Ordering::AcqRel);
        Ok(())
    }

    /// Notes in the unit that inserts a subject that the data use its keys, which are cached once that is durable.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn keep(&self, tx: &mut Tx<'_>, keys: &Keys) -> Result<()> {
        DataMark::raise(tx, self.generation())?;
        let (vault, keys) = (self.clone(), keys.clone());
        tx.after_commit(move || vault.remember(&keys));
        Ok(())
    }

    /// Caches the keys of a subject whose row is committed.
    pub(super) fn remember(&self, keys: &Keys) {
        self.0.cache.put(keys.clone(), None);
    }

    /// Computes HMAC-SHA-256 under the key of `label`, over `parts`, each with its length before it.
    pub fn mac(&self, label: MacLabel, parts: &[&[u8]]) -> [u8; 32] {
        self.0.root.mac(label, parts)
    }

    /// Returns the tag of what is shown, for a header `ETag`: a keyed hash of `shown` and its `scope`.
    ///
    /// # Panics
    ///
    /// When `shown` has many gigabytes.
    #[expect(clippy::expect_used, reason = "the cipher takes gigabytes; a page has a few megabytes at most")]
    pub fn tag(&self, scope: &[u8], shown: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.0.root.tag(scope, shown).expect("a page is short"))
    }

    /// Returns the keys in memory.
    pub(super) fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// Returns the keys that are to be destroyed because no unit has used them.
    pub(super) fn unused(&self) -> &Mutex<Vec<Unused>> {
        &self.0.unused
    }

    /// Returns the store of wrapped keys.
    pub(super) fn wrapped_keys(&self) -> &Keyring {
        &self.0.keyring
    }

    /// Returns the database of the keyring.
    pub(super) fn keyring(&self) -> &Db {
        self.0.keyring.db()
    }

    /// Seals a cursor for the caller and the filter in `bound`. The same place gives the same cursor, so that a page
    /// that has not changed has the same tag.
    ///
    /// # Panics
    ///
    /// When `plain` has many gigabytes.
    #[expect(clippy::expect_used, reason = "the cipher takes 64 GiB; a cursor has some dozen bytes")]
    pub fn seal_cursor(&self, bound: &[u8], plain: &[u8]) -> String {
        let mac = self.mac(MacLabel::ReaderTag, &[b"cursor", bound, plain]);
        let mut nonce = [0; NONCE];
        nonce.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        cursor::seal(&self.0.root.cursor, nonce, bound, plain).expect("a cursor is short")
    }

    /// Opens a cursor; `None` if it was not sealed by this root for the same `bound`.
    pub fn open_cursor(&self, bound: &[u8], text: &str) -> Option<Vec<u8>> {
        cursor::open(&self.0.root.cursor, bound, text)
    }

    /// Returns the key of the rows that decide who gets in, for [`Db::with_row_key`].
    pub fn row_key(&self) -> RowKey {
        self.0.root.rows.clone()
    }

    /// Returns the place of the signing keys.
    pub(super) fn signing(&self) -> &RwLock<Arc<SigningKeys>> {
        &self.0.signing
    }

    /// Makes a generation of the signing key after the first.
    pub(super) fn signing_key_of(&self, number: i32) -> Result<SigningKey> {
        SigningKey::from_seed(&self.0.root.later_signing_seed(number))
    }

    /// Returns a reference that does not keep the vault in use.
    pub(super) fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }

    /// Returns the vault of a reference, if it is still in use.
    pub(super) fn upgrade(inner: &Weak<Inner>) -> Option<Self> {
        inner.upgrade().map(Self)
    }

    /// Ends the keyring's threads once the waiting units are done. Blocks.
    pub fn close(&self) {
        self.0.keyring.close();
    }
}

/// The parts of the vault that are read or made in its folder and by its root key.
struct Opened {
    root: Root,
    signing: SigningKey,
    keyring: Backend,
    /// The identity that a new keyring takes.
    ours: Identity,
    /// The generation of the keyring that the data know of.
    used: u64,
    /// The lock on the folder, which is held until the keyring is there.
    _folder: Option<Folder>,
}

/// What a look at data, keyring and root key has shown.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Why they are refused, in words for the operator.
    pub faults: Vec<String>,
    /// What is not refused and the operator should know: that the keyring is older than the data.
    pub warning: Option<String>,
    /// Whether the data are of no installation yet.
    pub is_new: bool,
}

impl Checked {
    /// Refuses what has faults.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] with the faults.
    pub fn refuse(self) -> Result<Self> {
        if self.faults.is_empty() { Ok(self) } else { Err(Error::internal(self.faults.join("\n"))) }
    }
}

fn look(config: &VaultConfig, data: Option<&Backend>) -> Result<Checked> {
    let folder = Folder::look(&config.key_dir)?;
    let root = find_root(config, folder.as_ref())?.map(|key| Root::derive(&key)).transpose()?;
    // The data first: a generation that they know of was in the keyring before.
    let data_mark = data.map(DataMark::peek).transpose()?.flatten();
    let keyring = peek_mark(&config.keyring())?;
    let found = Found { root: root.as_ref(), keyring, data: data_mark };
    let missing = found.missing();
    let warning = (missing > 0).then(|| installation::older(missing, &config.keyring().place()));
    Ok(Checked { faults: found.faults(&places(config, data)), warning, is_new: data_mark.is_none() })
}

fn places(config: &VaultConfig, data: Option<&Backend>) -> Places {
    let root = match config.root_key {
        Some(_) => "the one that was given".to_owned(),
        None => config.key_dir.join(root::FILE).display().to_string(),
    };
    Places { data: data.map(Backend::place), keyring: config.keyring().place(), root }
}

fn find_root(config: &VaultConfig, folder: Option<&Folder>) -> Result<Option<RootKey>> {
    match &config.root_key {
        Some(bytes) => root::given(bytes).map(Some),
        None => folder.map_or(Ok(None), root::find),
    }
}

fn open(config: &VaultConfig, data: Option<&Backend>, entropy: &Entropy) -> Result<Opened> {
    let keyring = config.keyring();
    look(config, data)?.refuse()?;
    // With a given root key and a keyring in memory there is nothing to keep in a folder, so none is made.
    let kept = config.root_key.is_none() || !keyring.in_memory();
    let folder = kept.then(|| Folder::open(&config.key_dir)).transpose()?;
    // Another process may have been faster: now that the folder is locked, this is true.
    look(config, data)?.refuse()?;
    let key = match (find_root(config, folder.as_ref())?, &folder) {
        (Some(key), _) => key,
        (None, Some(folder)) => root::make(folder, entropy)?,
        (None, None) => return Err(Error::internal("there is no root key")),
    };
    if let Backend::Sqlite(path) = &keyring
        && !keyring.in_memory()
    {
        // SQLite gives its other files the mode of this one.
        drop(private_file(path)?);
    }
    migrate::run(&keyring, Family::Keyring)?;
    let root = Root::derive(&key)?;
    let signing = SigningKey::from_seed(&root::signing_seed(&key)?)?;
    let ours = Identity::draw(&root, entropy);
    let used = data.map(DataMark::peek).transpose()?.flatten().map_or(0, |mark| mark.generation);
    Ok(Opened { root, signing, keyring, ours, used, _folder: folder })
}
