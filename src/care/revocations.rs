//! The revocation ledger: every grant and every care link that was ended, outside the database.
//!
//! A database that is restored from a backup forgets what was revoked since. So the answer to a revocation waits until
//! it stands in the ledger, on the disk. The change row of a revocation leaves a note in its unit
//! ([`changes::list_revocations`]); after the commit, outside the database threads, what is noted is entered, and
//! the notes go. What a crash left between the two is entered at the next start, before a revocation that is repeated is
//! answered, and with any other revocation. An entry may therefore stand twice; number and patient tell.
//!
//! Sessions are not in it: all of them end when a new epoch begins. That a grant left some entries out, or that an
//! entry was deleted, is not in it either.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::access::{Access, Read};
use super::grants::{self, GrantDoc};
use super::store::find_link;
use crate::changes::{self, Entity, Revocation};
use crate::db::{Db, FollowUp, Tx};
use crate::kernel::id::{CareLink, Grant, Patient};
use crate::kernel::{Error, Id, Result};
use crate::vault::{Keys, LedgerFile};

/// The most entries of one round.
const AT_ONCE: i64 = 200;

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The patient.
    pub patient: Uuid,
    /// The number of the change that ended it, among those of the patient.
    pub number: i64,
    /// The instant of the end.
    pub at: Timestamp,
    /// What was ended.
    #[serde(flatten)]
    pub revoked: Revoked,
}

/// What was ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Revoked {
    /// A grant.
    Grant {
        /// The grant.
        grant: Uuid,
        /// Its sealed document, with its target and its reader, in base64. When the patient's keys are destroyed, it opens
        /// no more.
        doc: String,
    },
    /// A care link, and with it all grants that only its therapist read by.
    CareLink {
        /// The care link.
        link: Uuid,
        /// The therapist.
        therapist: Uuid,
    },
}

impl LedgerEntry {
    /// Opens the target and the reader of a grant; `None` for a care link.
    ///
    /// # Errors
    ///
    /// When the document was changed, or sealed with other keys.
    pub fn grant(&self, keys: &Keys) -> Result<Option<GrantDoc>> {
        let Revoked::Grant { grant, doc } = &self.revoked else { return Ok(None) };
        let doc = STANDARD.decode(doc).map_err(|error| Error::Internal(Box::new(error)))?;
        grants::open_doc(keys, Id::from_uuid(self.patient), Id::from_uuid(*grant), &doc).map(Some)
    }
}

/// The ledger of a server.
#[derive(Clone, Debug)]
pub struct Ledger {
    file: LedgerFile,
}

impl Ledger {
    /// Makes the ledger in `file`.
    pub const fn new(file: LedgerFile) -> Self {
        Self { file }
    }

    /// Enters what was revoked and does not stand in the ledger.
    ///
    /// # Errors
    ///
    /// When the file cannot be written: what was revoked stays so, and is entered later.
    pub async fn catch_up(&self, db: &Db) -> Result<()> {
        loop {
            let (noted, entries) = db.read(read).await?;
            if noted.is_empty() {
                return Ok(());
            }
            self.append(entries).await?;
            let count = noted.len();
            db.write(move |tx| changes::delete_revocations(tx, &noted)).await?;
            if i64::try_from(count).is_ok_and(|count| count < AT_ONCE) {
                return Ok(());
            }
        }
    }

    /// Makes sure that the ledger can be written, and enters what a crash left out.
    ///
    /// # Errors
    ///
    /// As [`Ledger::catch_up`].
    pub async fn begin(&self, db: &Db) -> Result<()> {
        self.append(Vec::new()).await?;
        self.catch_up(db).await
    }

    async fn append(&self, entries: Vec<LedgerEntry>) -> Result<()> {
        let lines = entries.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>();
        let (file, lines) = (self.file.clone(), lines.map_err(|error| Error::Internal(Box::new(error)))?);
        let written = tokio::task::spawn_blocking(move || file.append(&lines)).await;
        written.map_err(|error| Error::Internal(Box::new(error)))?
    }
}

impl FollowUp for Ledger {
    fn run<'a>(&'a self, db: &'a Db) -> BoxFuture<'a, Result<()>> {
        let unavailable = |error| {
            tracing::error!(%error, "what was revoked in the database may not stand in the ledger");
            Error::Unavailable("the revocation ledger cannot be written")
        };
        self.catch_up(db).map_err(unavailable).boxed()
    }
}

/// Reads the entries of a ledger; those that do not fit their MACs are counted.
///
/// # Errors
///
/// When the file cannot be read.
pub fn read_ledger(file: &LedgerFile) -> Result<(Vec<LedgerEntry>, usize)> {
    let lines = file.read()?;
    let read = lines.entries.iter().map(|line| serde_json::from_str(line)).collect::<Result<Vec<_>, _>>();
    Ok((read.map_err(|error| Error::Internal(Box::new(error)))?, lines.refused))
}

/// Reads what is noted, with the entries for it. A note of what was not ended makes no entry.
fn read(tx: &mut Tx<'_>) -> Result<(Vec<Revocation>, Vec<LedgerEntry>)> {
    let noted = changes::list_revocations(tx, AT_ONCE)?;
    let mut entries = Vec::with_capacity(noted.len());
    for one in &noted {
        entries.extend(entry(tx, one)?);
    }
    Ok((noted, entries))
}

fn entry(tx: &mut Tx<'_>, one: &Revocation) -> Result<Option<LedgerEntry>> {
    let ended = match one.entity {
        Entity::Grant => grant(tx, one.patient, one.id.typed())?,
        Entity::CareLink => care_link(tx, one.id.typed())?,
        _ => None,
    };
    if ended.is_none() {
        tracing::error!(patient = %one.patient, number = one.seq, "a revocation is noted of what has not ended");
    }
    let whole = |(at, revoked)| LedgerEntry { patient: one.patient.uuid(), number: one.seq, at, revoked };
    Ok(ended.map(whole))
}

fn grant(tx: &mut Tx<'_>, patient: Id<Patient>, id: Id<Grant>) -> Result<Option<(Timestamp, Revoked)>> {
    let access = Access::<Read>::for_server(patient, None, Timestamp::UNIX_EPOCH);
    let Some(row) = grants::store::find(tx, &access, id)? else { return Ok(None) };
    let revoked = Revoked::Grant { grant: id.uuid(), doc: STANDARD.encode(&row.doc) };
    Ok(row.key.closed_at.map(|at| (at.0, revoked)))
}

fn care_link(tx: &mut Tx<'_>, id: Id<CareLink>) -> Result<Option<(Timestamp, Revoked)>> {
    let Some(link) = find_link(tx, id)? else { return Ok(None) };
    let revoked = Revoked::CareLink { link: id.uuid(), therapist: link.therapist.uuid() };
    Ok(link.ended_at.map(|at| (at.0, revoked)))
}
