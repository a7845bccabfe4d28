//! Audit rows and the heads of their chains.

use diesel::prelude::*;
use jiff::Timestamp;
use uuid::Uuid;

use super::model::{Fault, Record, canonical};
use crate::db::schema::{account_heads, audit_log, patient_heads};
use crate::db::{At, Both, Tx};
use crate::kernel::id::{Account, Any, Patient, Session};
use crate::kernel::{Error, Id, Result};
use crate::locked;
use crate::vault::{Keys, MacLabel, Place, Purpose, Vault};

/// The subject of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A patient: accesses to their content.
    Patient(Id<Patient>),
    /// An account: events of its log-ins.
    Account(Id<Account>),
}

impl Subject {
    /// Returns the id of the subject.
    pub fn uuid(self) -> Uuid {
        match self {
            Self::Patient(id) => id.uuid(),
            Self::Account(id) => id.uuid(),
        }
    }

    fn purpose(self) -> Purpose {
        match self {
            Self::Patient(_) => Purpose::Clinical,
            Self::Account(_) => Purpose::Account,
        }
    }
}

fn place(subject: Uuid, seq: i64) -> Place {
    Place { table: "audit_log", column: "doc", subject, row: subject, revision: seq }
}

/// Appends a row to the chain of `subject`, under the lock on its head.
#[expect(clippy::too_many_arguments, reason = "a row is these values; a struct for one call would hide them")]
pub fn append(
    tx: &mut Tx<'_>,
    vault: &Vault,
    keys: &Keys,
    subject: Subject,
    actor: Option<Id<Account>>,
    session: Option<Id<Session>>,
    now: Timestamp,
    record: &Record,
) -> Result<()> {
    let (last, before) = lock(tx, subject)?.ok_or(Error::NotFound)?;
    let seq = last + 1;
    let doc = keys.seal_json(subject.purpose(), &place(subject.uuid(), seq), record)?;
    let row = canonical(subject.uuid(), seq, now, actor.map(Id::uuid), session.map(Id::uuid), &doc);
    let mac = vault.mac(MacLabel::Audit, &[&before, &row]).to_vec();
    Both(diesel::insert_into(audit_log::table).values((
        audit_log::subject_id.eq(Id::<Any>::from_uuid(subject.uuid())),
        audit_log::seq.eq(seq),
        audit_log::at.eq(At(now)),
        audit_log::actor_id.eq(actor),
        audit_log::session_id.eq(session),
        audit_log::doc.eq(doc),
        audit_log::mac.eq(&mac),
    )))
    .execute(tx.conn())?;
    match subject {
        Subject::Patient(id) => diesel::update(patient_heads::table.filter(patient_heads::patient_id.eq(id)))
            .set((patient_heads::audit_seq.eq(seq), patient_heads::audit_mac.eq(mac)))
            .execute(tx.conn())?,
        Subject::Account(id) => diesel::update(account_heads::table.filter(account_heads::account_id.eq(id)))
            .set((account_heads::audit_seq.eq(seq), account_heads::audit_mac.eq(mac)))
            .execute(tx.conn())?,
    };
    Ok(())
}

fn lock(tx: &mut Tx<'_>, subject: Subject) -> Result<Option<(i64, Vec<u8>)>> {
    let rows: Vec<(i64, Vec<u8>)> = match subject {
        Subject::Patient(id) => locked!(
            tx,
            for_update,
            patient_heads::table
                .filter(patient_heads::patient_id.eq(id))
                .select((patient_heads::audit_seq, patient_heads::audit_mac))
        )?,
        Subject::Account(id) => locked!(
            tx,
            for_update,
            account_heads::table
                .filter(account_heads::account_id.eq(id))
                .select((account_heads::audit_seq, account_heads::audit_mac))
        )?,
    };
    Ok(rows.into_iter().next())
}

/// A row of the log, sealed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = audit_log)]
pub struct Sealed {
    /// Its number in the chain.
    pub seq: i64,
    /// The instant.
    pub at: At,
    /// The account of the actor.
    #[diesel(column_name = actor_id)]
    pub actor: Option<Id<Account>>,
    /// The session.
    #[diesel(column_name = session_id)]
    pub session: Option<Id<Session>>,
    /// The sealed [`Record`].
    pub doc: Vec<u8>,
    /// The keyed hash.
    pub mac: Vec<u8>,
}

impl Sealed {
    /// Opens the record of a row of `subject`.
    pub fn open(&self, keys: &Keys, subject: Subject) -> Result<Record> {
        keys.open_json(&place(subject.uuid(), self.seq), &self.doc)
    }
}

/// Lists the rows of a chain below number `before`, newest first.
pub fn list(tx: &mut Tx<'_>, subject: Subject, before: Option<i64>, limit: i64) -> Result<Vec<Sealed>> {
    Ok(audit_log::table
        .filter(audit_log::subject_id.eq(Id::<Any>::from_uuid(subject.uuid())))
        .filter(audit_log::seq.lt(before.unwrap_or(i64::MAX)))
        .order(audit_log::seq.desc())
        .limit(limit)
        .select(Sealed::as_select())
        .load(tx.conn())?)
}

/// Lists every subject that has a chain, with the number and hash of its head.
pub fn subjects(tx: &mut Tx<'_>) -> Result<Vec<(Subject, i64, Vec<u8>)>> {
    let patients: Vec<(Id<Patient>, i64, Vec<u8>)> = patient_heads::table
        .select((patient_heads::patient_id, patient_heads::audit_seq, patient_heads::audit_mac))
        .load(tx.conn())?;
    let accounts: Vec<(Id<Account>, i64, Vec<u8>)> = account_heads::table
        .select((account_heads::account_id, account_heads::audit_seq, account_heads::audit_mac))
        .load(tx.conn())?;
    let patients = patients.into_iter().map(|(id, seq, mac)| (Subject::Patient(id), seq, mac));
    let accounts = accounts.into_iter().map(|(id, seq, mac)| (Subject::Account(id), seq, mac));
    Ok(patients.chain(accounts).collect())
}

/// Verifies one chain and returns its first fault.
pub fn verify(tx: &mut Tx<'_>, vault: &Vault, subject: Subject, last: i64, head: &[u8]) -> Result<Option<Fault>> {
    let fault = |seq, why| Ok(Some(Fault { subject: subject.uuid(), seq, why }));
    let mut before = Vec::new();
    let mut expected = 1;
    loop {
        let rows: Vec<Sealed> = audit_log::table
            .filter(audit_log::subject_id.eq(Id::<Any>::from_uuid(subject.uuid())))
            .filter(audit_log::seq.ge(expected))
            .order(audit_log::seq)
            .limit(1000)
            .select(Sealed::as_select())
            .load(tx.conn())?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if row.seq != expected {
                return fault(expected, "a row is missing");
            }
            let (actor, session) = (row.actor.map(Id::uuid), row.session.map(Id::uuid));
            let bytes = canonical(subject.uuid(), row.seq, row.at.0, actor, session, &row.doc);
            if vault.mac(MacLabel::Audit, &[&before, &bytes]).as_slice() != row.mac {
                return fault(row.seq, "the row was changed");
            }
            before = row.mac;
            expected += 1;
        }
    }
    if expected - 1 != last || before != head {
        return fault(expected, "the end of the chain does not fit its head");
    }
    Ok(None)
}

/// Whether the log of `patient` has a refusal of `actor` since `since`. Refusals are the rows of an actor without a
/// session.
pub fn refused_since(tx: &mut Tx<'_>, patient: Id<Patient>, actor: Id<Account>, since: Timestamp) -> Result<bool> {
    let found: Option<i64> = audit_log::table
        .filter(audit_log::subject_id.eq(patient.any()))
        .filter(audit_log::actor_id.eq(actor))
        .filter(audit_log::session_id.is_null())
        .filter(audit_log::at.ge(At(since)))
        .select(audit_log::seq)
        .first(tx.conn())
        .optional()?;
    Ok(found.is_some())
}
