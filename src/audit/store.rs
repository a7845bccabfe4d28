//! Audit rows and the heads of their chains.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::model::{ChainFault, Record, canonical};
use crate::db::schema::{account_heads, audit_log, patient_heads};
use crate::db::{AnyConnection, At, Both, Prepared, TimestampTz, Tx, Uid};
use crate::kernel::id::{Account, Any, Patient, Session};
use crate::kernel::{Error, Id, Result};
use crate::locked;
use crate::vault::{Anchor, Keys, MacLabel, Purpose, SealContext, Tampered, Vault};

/// The time within which a chain that has grown is anchored.
const ANCHORED_WITHIN: SignedDuration = SignedDuration::from_secs(30);

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

fn place(subject: Uuid, seq: i64) -> SealContext {
    SealContext { table: "audit_log", column: "doc", subject, row: subject, revision: seq }
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
    let (last, before, anchor_due) = lock(tx, subject)?.ok_or(Error::NotFound)?;
    let anchor_due = anchor_due.unwrap_or(At(now.saturating_add(ANCHORED_WITHIN).unwrap_or(now)));
    let seq = last + 1;
    let doc = keys.seal_json(subject.purpose(), &place(subject.uuid(), seq), record)?;
    let row = canonical(subject.uuid(), seq, now, actor.map(Id::uuid), session.map(Id::uuid), &doc);
    let mac = vault.mac(MacLabel::Audit, &[&before, &row]).to_vec();
    // Every access of staff ends with this: it is one statement on PostgreSQL, where each costs a round trip.
    if let AnyConnection::Pg(conn) = tx.conn() {
        let (heads, id) = match subject {
            Subject::Patient(_) => ("patient_heads", "patient_id"),
            Subject::Account(_) => ("account_heads", "account_id"),
        };
        let sql = format!(
            "WITH head AS (UPDATE {heads} SET audit_seq = $2, audit_mac = $7, anchor_due_at = $8 WHERE {id} = $1) \
             INSERT INTO audit_log (subject_id, seq, at, actor_id, session_id, doc, mac) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)"
        );
        let query = diesel::sql_query(sql)
            .bind::<Uid, _>(Id::<Any>::from_uuid(subject.uuid()))
            .bind::<BigInt, _>(seq)
            .bind::<TimestampTz, _>(At(now))
            .bind::<Nullable<Uid>, _>(actor)
            .bind::<Nullable<Uid>, _>(session)
            .bind::<Binary, _>(doc)
            .bind::<Binary, _>(mac)
            .bind::<TimestampTz, _>(anchor_due);
        Prepared(query).run_on(conn)?;
        return Ok(());
    }
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
        Subject::Patient(id) => {
            Prepared(diesel::update(patient_heads::table.filter(patient_heads::patient_id.eq(id))).set((
                patient_heads::audit_seq.eq(seq),
                patient_heads::audit_mac.eq(mac),
                patient_heads::anchor_due_at.eq(anchor_due),
            )))
            .run(tx.conn())?;
        }
        Subject::Account(id) => {
            Prepared(diesel::update(account_heads::table.filter(account_heads::account_id.eq(id))).set((
                account_heads::audit_seq.eq(seq),
                account_heads::audit_mac.eq(mac),
                account_heads::anchor_due_at.eq(anchor_due),
            )))
            .run(tx.conn())?;
        }
    }
    Ok(())
}

fn lock(tx: &mut Tx<'_>, subject: Subject) -> Result<Option<(i64, Vec<u8>, Option<At>)>> {
    let rows: Vec<(i64, Vec<u8>, Option<At>)> = match subject {
        Subject::Patient(id) => locked!(
            tx,
            for_update,
            patient_heads::table.filter(patient_heads::patient_id.eq(id)).select((
                patient_heads::audit_seq,
                patient_heads::audit_mac,
                patient_heads::anchor_due_at
            ))
        )?,
        Subject::Account(id) => locked!(
            tx,
            for_update,
            account_heads::table.filter(account_heads::account_id.eq(id)).select((
                account_heads::audit_seq,
                account_heads::audit_mac,
                account_heads::anchor_due_at
            ))
        )?,
    };
    Ok(rows.into_iter().next())
}

/// A row of the log, sealed.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = audit_log)]
pub struct AuditRow {
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

impl AuditRow {
    /// Opens the record of a row of `subject`.
    pub fn open(&self, keys: &Keys, subject: Subject) -> Result<Record> {
        keys.open_json(&place(subject.uuid(), self.seq), &self.doc)
    }
}

/// Lists the rows of a chain below number `before`, newest first.
pub fn list(tx: &mut Tx<'_>, subject: Subject, before: Option<i64>, limit: i64) -> Result<Vec<AuditRow>> {
    Ok(audit_log::table
        .filter(audit_log::subject_id.eq(Id::<Any>::from_uuid(subject.uuid())))
        .filter(audit_log::seq.lt(before.unwrap_or(i64::MAX)))
        .order(audit_log::seq.desc())
        .limit(limit)
        .select(AuditRow::as_select())
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

/// Returns the number and hash of a chain's head.
pub fn head(tx: &mut Tx<'_>, subject: Subject) -> Result<(i64, Vec<u8>)> {
    Ok(match subject {
        Subject::Patient(id) => patient_heads::table
            .filter(patient_heads::patient_id.eq(id))
            .select((patient_heads::audit_seq, patient_heads::audit_mac))
            .first(tx.conn())?,
        Subject::Account(id) => account_heads::table
            .filter(account_heads::account_id.eq(id))
            .select((account_heads::audit_seq, account_heads::audit_mac))
            .first(tx.conn())?,
    })
}

/// Verifies one chain against its head and its anchor, and returns its first fault. The anchor is read before the
/// head, because both grow; it may have been changed.
pub fn verify(
    tx: &mut Tx<'_>,
    vault: &Vault,
    subject: Subject,
    last: i64,
    head: &[u8],
    anchor: Option<&Result<Anchor, Tampered>>,
) -> Result<Option<ChainFault>> {
    walk(tx, vault, subject, 0, (last, head), i64::MAX, anchor)
}

/// Verifies the rows of a chain from its anchor to its head, and returns the first fault.
pub(super) fn verify_since(
    tx: &mut Tx<'_>,
    vault: &Vault,
    subject: Subject,
    (last, head): (i64, &[u8]),
    anchor: Option<&Result<Anchor, Tampered>>,
) -> Result<Option<ChainFault>> {
    let from = anchor.and_then(|anchor| anchor.as_ref().ok()).map_or(0, |anchor| anchor.seq);
    walk(tx, vault, subject, from, (last, head), last, anchor)
}

/// Walks the rows `from..=until`; the one at `from` is only held against the anchor.
fn walk(
    tx: &mut Tx<'_>,
    vault: &Vault,
    subject: Subject,
    from: i64,
    (last, head): (i64, &[u8]),
    until: i64,
    anchor: Option<&Result<Anchor, Tampered>>,
) -> Result<Option<ChainFault>> {
    let fault = |seq, why| Ok(Some(ChainFault { subject: subject.uuid(), seq, why }));
    if anchor.is_some_and(Result::is_err) {
        return fault(last, "the anchor of the chain was changed");
    }
    let anchor = anchor.and_then(|anchor| anchor.as_ref().ok());
    let mut before = Vec::new();
    let mut expected = from.max(1);
    loop {
        let rows: Vec<AuditRow> = audit_log::table
            .filter(audit_log::subject_id.eq(Id::<Any>::from_uuid(subject.uuid())))
            .filter(audit_log::seq.ge(expected))
            .filter(audit_log::seq.le(until))
            .order(audit_log::seq)
            .limit(1000)
            .select(AuditRow::as_select())
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
            if row.seq != from && vault.mac(MacLabel::Audit, &[&before, &bytes]).as_slice() != row.mac {
                return fault(row.seq, "the row was changed");
            }
            if anchor.is_some_and(|anchor| anchor.seq == row.seq && anchor.head != row.mac) {
                return fault(row.seq, "the row is not the one that was anchored");
            }
            before = row.mac;
            expected += 1;
        }
    }
    if anchor.is_some_and(|anchor| anchor.seq >= expected) {
        return fault(expected, "rows that were anchored are missing at the end");
    }
    if expected - 1 != last || before != head {
        return fault(expected, "the end of the chain does not fit its head");
    }
    Ok(None)
}

/// The chains of all patients, or of all accounts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chains {
    Patients,
    Accounts,
}

impl Chains {
    pub(super) const ALL: [Self; 2] = [Self::Patients, Self::Accounts];
}

/// The head of a chain.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) subject: Subject,
    pub(super) seq: i64,
    pub(super) mac: Vec<u8>,
}

impl Head {
    fn of_patient((id, seq, mac): (Id<Patient>, i64, Vec<u8>)) -> Self {
        Self { subject: Subject::Patient(id), seq, mac }
    }

    fn of_account((id, seq, mac): (Id<Account>, i64, Vec<u8>)) -> Self {
        Self { subject: Subject::Account(id), seq, mac }
    }
}

/// Lists the heads of chains that have rows, by subject, after `after`.
pub(super) fn heads(tx: &mut Tx<'_>, chains: Chains, after: Uuid, limit: i64) -> Result<Vec<Head>> {
    Ok(match chains {
        Chains::Patients => patient_heads::table
            .filter(patient_heads::patient_id.gt(Id::<Patient>::from_uuid(after)))
            .filter(patient_heads::audit_seq.gt(0))
            .order(patient_heads::patient_id)
            .limit(limit)
            .select((patient_heads::patient_id, patient_heads::audit_seq, patient_heads::audit_mac))
            .load(tx.conn())?
            .into_iter()
            .map(Head::of_patient)
            .collect(),
        Chains::Accounts => account_heads::table
            .filter(account_heads::account_id.gt(Id::<Account>::from_uuid(after)))
            .filter(account_heads::audit_seq.gt(0))
            .order(account_heads::account_id)
            .limit(limit)
            .select((account_heads::account_id, account_heads::audit_seq, account_heads::audit_mac))
            .load(tx.conn())?
            .into_iter()
            .map(Head::of_account)
            .collect(),
    })
}

/// Lists the heads that are to be anchored at `now`, the longest waiting first.
///
/// Spans subjects: rests on the partial indexes `patient_heads_anchor_due` and `account_heads_anchor_due`.
pub(super) fn heads_due(tx: &mut Tx<'_>, chains: Chains, now: Timestamp, limit: i64) -> Result<Vec<Head>> {
    Ok(match chains {
        Chains::Patients => patient_heads::table
            .filter(patient_heads::anchor_due_at.is_not_null())
            .filter(patient_heads::anchor_due_at.le(At(now)))
            .order(patient_heads::anchor_due_at)
            .limit(limit)
            .select((patient_heads::patient_id, patient_heads::audit_seq, patient_heads::audit_mac))
            .load(tx.conn())?
            .into_iter()
            .map(Head::of_patient)
            .collect(),
        Chains::Accounts => account_heads::table
            .filter(account_heads::anchor_due_at.is_not_null())
            .filter(account_heads::anchor_due_at.le(At(now)))
            .order(account_heads::anchor_due_at)
            .limit(limit)
            .select((account_heads::account_id, account_heads::audit_seq, account_heads::audit_mac))
            .load(tx.conn())?
            .into_iter()
            .map(Head::of_account)
            .collect(),
    })
}

/// Notes that the heads in `seen` were anchored, each at its number. One that has grown since stays due.
pub(super) fn mark_anchored(tx: &mut Tx<'_>, chains: Chains, seen: &[(Uuid, i64)]) -> Result<()> {
    for (subject, seq) in seen {
        match chains {
            Chains::Patients => {
                let head = patient_heads::table
                    .filter(patient_heads::patient_id.eq(Id::<Patient>::from_uuid(*subject)))
                    .filter(patient_heads::audit_seq.eq(seq));
                diesel::update(head).set(patient_heads::anchor_due_at.eq(None::<At>)).execute(tx.conn())?
            }
            Chains::Accounts => {
                let head = account_heads::table
                    .filter(account_heads::account_id.eq(Id::<Account>::from_uuid(*subject)))
                    .filter(account_heads::audit_seq.eq(seq));
                diesel::update(head).set(account_heads::anchor_due_at.eq(None::<At>)).execute(tx.conn())?
            }
        };
    }
    Ok(())
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
