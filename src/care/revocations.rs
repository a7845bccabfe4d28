//! The revocation ledger: whatever closed access, outside the database.
//!
//! A database that is restored from a backup forgets what was revoked since. So the answer to a revocation waits until
//! it stands in the ledger, on the disk. A revocation leaves a note in its unit: with its change row
//! ([`changes::list_revocations`]), or by itself ([`changes::note_closed`]). After the commit, outside the database
//! threads, what is noted is entered, and the notes go. What a crash left between the two is entered at the next start,
//! before a revocation that is repeated is answered, and with any other revocation. A repetition that changes nothing,
//! or is refused, asks for it as well ([`Tx::follow_up`]). An entry may therefore stand twice; its number and patient
//! tell, or its instant and what it names. Of a row that does not fit its MAC the note is believed: an entry too many
//! closes something, one too few would leave it open.
//!
//! Sessions and the addresses of calendars are not in it: all of them end when a new epoch begins. That a grant left
//! some entries out, or that an entry was deleted, is not in it either. `tests/it/revocations.rs` lists the operations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::access::{Access, Read};
use super::grants::{self, GrantDoc};
use super::store::{find_consent_doc, find_link, find_linked_therapist, find_member};
use crate::changes::{self, Closed, Closing, Entity, Revocation};
use crate::db::{Db, FollowUp, Tx};
use crate::identity::has_factor;
use crate::kernel::{Error, Id, Result};
use crate::vault::{Keys, LedgerFile};

/// The most entries of one round.
const AT_ONCE: i64 = 200;

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The patient, if it is about the data of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<Uuid>,
    /// The number of the change that ended it, among those of the patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
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
    /// A consent of the patient.
    Consent {
        /// The version of the withdrawal.
        version: i64,
        /// Its sealed document, in base64, which names what was consented to.
        doc: String,
    },
    /// What the patient showed of their activity.
    Activity,
    /// A phone or browser of the patient: nothing is sent there.
    Device {
        /// The device.
        device: Uuid,
    },
    /// A cover, before its time.
    Cover {
        /// The cover.
        cover: Uuid,
    },
    /// What somebody may do at a clinic.
    Member {
        /// The clinic.
        clinic: Uuid,
        /// The account.
        account: Uuid,
        /// The bits of the capabilities that were left when it was entered; none for who no longer works there.
        capabilities: i32,
    },
    /// An account was disabled. It may have been enabled again since.
    Account {
        /// The account.
        account: Uuid,
    },
    /// The passphrase that an account had.
    Passphrase {
        /// The account.
        account: Uuid,
    },
    /// The address that an account had.
    Address {
        /// The account.
        account: Uuid,
    },
    /// An invitation.
    Invitation {
        /// The invitation.
        invitation: Uuid,
    },
    /// A passkey.
    Passkey {
        /// The passkey.
        passkey: Uuid,
    },
    /// The state that the second factor of an account had: none, or its secret and recovery codes.
    ///
    /// A restored database holds that state. Its secret and codes are then void, and those that took their place stand
    /// nowhere. If `has_factor`, the account asks for a code all the same, because the passphrase alone must not open
    /// it: its owner logs in with a passkey, or proves in person who they are. If not, it asks for none.
    Factor {
        /// The account.
        account: Uuid,
        /// Whether it had a second factor when this was entered.
        has_factor: bool,
    },
}

impl LedgerEntry {
    /// Opens the target and the reader of a grant; `None` for anything else.
    ///
    /// # Errors
    ///
    /// When the document was changed, or sealed with other keys.
    pub fn grant(&self, keys: &Keys) -> Result<Option<GrantDoc>> {
        let (Revoked::Grant { grant, doc }, Some(patient)) = (&self.revoked, self.patient) else { return Ok(None) };
        let doc = STANDARD.decode(doc).map_err(|error| Error::Internal(Box::new(error)))?;
        grants::open_doc(keys, Id::from_uuid(patient), Id::from_uuid(*grant), &doc).map(Some)
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
            let most = noted.revocations.len().max(noted.closings.len());
            if most == 0 {
                return Ok(());
            }
            self.append(entries).await?;
            let forget = move |tx: &mut Tx<'_>| {
                changes::delete_revocations(tx, &noted.revocations)?;
                changes::delete_closings(tx, &noted.closings)
            };
            db.write(forget).await?;
            if i64::try_from(most).is_ok_and(|most| most < AT_ONCE) {
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

/// What may not stand in the ledger yet.
struct Noted {
    revocations: Vec<Revocation>,
    closings: Vec<Closing>,
}

/// Reads what is noted, with the entries for it. A note of what was not ended makes no entry.
fn read(tx: &mut Tx<'_>) -> Result<(Noted, Vec<LedgerEntry>)> {
    let (revocations, closings) = (changes::list_revocations(tx, AT_ONCE)?, changes::list_closings(tx, AT_ONCE)?);
    let mut entries = Vec::with_capacity(revocations.len() + closings.len());
    for one in &revocations {
        entries.extend(entry(tx, one)?);
    }
    for one in &closings {
        entries.push(LedgerEntry { patient: None, number: None, at: one.at, revoked: closed(tx, one.closed)? });
    }
    Ok((Noted { revocations, closings }, entries))
}

fn entry(tx: &mut Tx<'_>, one: &Revocation) -> Result<Option<LedgerEntry>> {
    let ended = match one.entity {
        Entity::Grant => grant(tx, one)?,
        Entity::CareLink => care_link(tx, one)?,
        Entity::Consent => consent(tx, one)?,
        Entity::Settings => made_at(tx, one)?.map(|at| (at, Revoked::Activity)),
        Entity::Device => made_at(tx, one)?.map(|at| (at, Revoked::Device { device: one.id.uuid() })),
        _ => None,
    };
    if ended.is_none() {
        tracing::error!(patient = %one.patient, number = one.seq, "a revocation is noted of what has not ended");
    }
    let (patient, number) = (Some(one.patient.uuid()), Some(one.seq));
    Ok(ended.map(|(at, revoked)| LedgerEntry { patient, number, at, revoked }))
}

fn made_at(tx: &mut Tx<'_>, one: &Revocation) -> Result<Option<Timestamp>> {
    Ok(changes::find_version(tx, one.patient, one.seq)?.map(|(_, at)| at))
}

fn grant(tx: &mut Tx<'_>, one: &Revocation) -> Result<Option<(Timestamp, Revoked)>> {
    let (access, id) = (Access::<Read>::for_server(one.patient, None, Timestamp::UNIX_EPOCH), one.id.typed());
    let ended = match grants::store::find(tx, &access, id)? {
        Some(row) => row.key.closed_at.map(|at| (at.0, row.doc)),
        None => made_at(tx, one)?.zip(grants::store::find_doc(tx, &access, id)?),
    };
    Ok(ended.map(|(at, doc)| (at, Revoked::Grant { grant: id.uuid(), doc: STANDARD.encode(&doc) })))
}

fn care_link(tx: &mut Tx<'_>, one: &Revocation) -> Result<Option<(Timestamp, Revoked)>> {
    let id = one.id.typed();
    let ended = match find_link(tx, id)? {
        Some(link) => link.ended_at.map(|at| (at.0, link.therapist)),
        None => made_at(tx, one)?.zip(find_linked_therapist(tx, id)?),
    };
    Ok(ended.map(|(at, who)| (at, Revoked::CareLink { link: id.uuid(), therapist: who.uuid() })))
}

fn consent(tx: &mut Tx<'_>, one: &Revocation) -> Result<Option<(Timestamp, Revoked)>> {
    let Some((version, at)) = changes::find_version(tx, one.patient, one.seq)? else { return Ok(None) };
    let doc = find_consent_doc(tx, one.patient, version)?;
    Ok(doc.map(|doc| (at, Revoked::Consent { version, doc: STANDARD.encode(doc) })))
}

fn closed(tx: &mut Tx<'_>, closed: Closed) -> Result<Revoked> {
    Ok(match closed {
        Closed::Cover(id) => Revoked::Cover { cover: id.uuid() },
        Closed::Member(clinic, account) => {
            let member = find_member(tx, clinic, account)?.filter(|member| member.ended_at.is_none());
            let capabilities = member.map_or(0, |member| member.capabilities);
            Revoked::Member { clinic: clinic.uuid(), account: account.uuid(), capabilities }
        }
        Closed::Account(id) => Revoked::Account { account: id.uuid() },
        Closed::Passphrase(id) => Revoked::Passphrase { account: id.uuid() },
        Closed::Address(id) => Revoked::Address { account: id.uuid() },
        Closed::Invitation(id) => Revoked::Invitation { invitation: id.uuid() },
        Closed::Passkey(id) => Revoked::Passkey { passkey: id.uuid() },
        Closed::Factor(id) => Revoked::Factor { account: id.uuid(), has_factor: has_factor(tx, id)? },
    })
}
