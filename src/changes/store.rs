//! The head row of a patient and the change rows.

mod closed;
mod history;

use std::collections::HashMap;

use diesel::backend::Backend;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{Array, BigInt, Bool, HasSqlType, Integer, Nullable};
use jiff::Timestamp;

pub use closed::{delete_closings, delete_revocations, follow_up_owed, list_closings, list_revocations, note_closed};
pub use history::{
    find_version, last_numbers, last_versions, list_by, list_grants_since, list_made_versions, list_numbered, list_of,
    number_of, numbers_of, was_replaced_since, was_undeleted_since,
};

use super::model::{Bytes, Change, ForReaders, Head, LockedHead, Op, Point, ReaderEvent, ReaderView};
use crate::db::schema::{changes, patient_heads, revocations};
use crate::db::{AnyConnection, At, Both, Prepared, Signal, TimestampTz, Topic, Tx, Uid};
use crate::kernel::id::{Account, Any, Patient, Session};
use crate::kernel::{Error, Id, Result};

/// Locks the patient's head, takes `count` numbers and adds `bytes` to the stored ones.
///
/// # Errors
///
/// [`Error::NotFound`] when there is no such patient.
pub fn take(tx: &mut Tx<'_>, patient: Id<Patient>, count: usize, bytes: Bytes) -> Result<LockedHead> {
    let count = i64::try_from(count).map_err(|error| Error::Internal(Box::new(error)))?;
    let add = Add { patient, count, bytes };
    let row: Option<(i64, i64, i64, i64, bool, bool)> = match tx.conn() {
        AnyConnection::Pg(conn) => Take(add).get_result(conn).optional()?,
        // On SQLite every RETURNING makes and drops a table for its rows, as was seen in a profile. The writer is
        // alone: the row needs no lock, and is read as it was written.
        AnyConnection::Sqlite(conn) => {
            if count != 0 || bytes != Bytes::default() {
                add.execute(conn)?;
            }
            let own = patient_heads::table.filter(patient_heads::patient_id.eq(patient));
            own.select((
                patient_heads::change_seq,
                patient_heads::text_bytes,
                patient_heads::comment_bytes,
                patient_heads::version_floor,
                patient_heads::has_rules,
                patient_heads::awaits_entry,
            ))
            .get_result(conn)
            .optional()?
        }
    };
    let (last, text, comments, floor, has_rules, awaits_entry) = row.ok_or(Error::NotFound)?;
    tx.check_floor(floor)?;
    if count > 0 {
        announce(tx, patient);
    }
    Ok(LockedHead { number: last - count + 1, stored: Bytes { text, comments }, has_rules, awaits_entry })
}

/// Notes in the head of a patient, and locks it, that they make a grant by rule.
///
/// # Errors
///
/// When the database cannot be written.
pub fn note_rule(tx: &mut Tx<'_>, patient: Id<Patient>) -> Result<()> {
    let own = patient_heads::table.filter(patient_heads::patient_id.eq(patient));
    diesel::update(own).set(patient_heads::has_rules.eq(true)).execute(tx.conn())?;
    Ok(())
}

/// Tells listeners after the commit that the patient's number of changes has grown. A statement other than [`take`] that
/// takes a number is followed by this.
pub fn announce(tx: &mut Tx<'_>, patient: Id<Patient>) {
    tx.signal(Signal { topic: Topic::Patient, id: patient.uuid() });
}

/// The update that takes numbers, as literal SQL, because diesel prepares an update anew for every run.
#[derive(QueryId)]
struct Add {
    patient: Id<Patient>,
    count: i64,
    bytes: Bytes,
}

impl<DB: Backend> QueryFragment<DB> for Add
where
    DB: HasSqlType<Uid> + HasSqlType<BigInt>,
    Id<Patient>: ToSql<Uid, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("UPDATE patient_heads SET change_seq = change_seq + ");
        out.push_bind_param::<BigInt, _>(&self.count)?;
        out.push_sql(", text_bytes = text_bytes + ");
        out.push_bind_param::<BigInt, _>(&self.bytes.text)?;
        out.push_sql(", comment_bytes = comment_bytes + ");
        out.push_bind_param::<BigInt, _>(&self.bytes.comments)?;
        out.push_sql(" WHERE patient_id = ");
        out.push_bind_param::<Uid, _>(&self.patient)
    }
}
impl<C: Connection> RunQueryDsl<C> for Add {}

/// The update, and the head after it.
#[derive(QueryId)]
struct Take(Add);

impl QueryFragment<Pg> for Take {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(" RETURNING change_seq, text_bytes, comment_bytes, version_floor, has_rules, awaits_entry");
        Ok(())
    }
}
impl Query for Take {
    type SqlType = (BigInt, BigInt, BigInt, BigInt, Bool, Bool);
}
impl<C: Connection> RunQueryDsl<C> for Take {}

/// Inserts `list` under the numbers from `first` on, and notes for the last step of the unit what readers may see of it.
///
/// # Errors
///
/// [`Error::Internal`] for a version that [`Tx::version_after`] has not made.
pub fn insert(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    first: i64,
    actor: Option<(Id<Account>, Id<Session>)>,
    now: Timestamp,
    list: &[Change],
) -> Result<()> {
    if list.iter().any(|change| change.version < tx.first_version()) {
        return Err(Error::internal("a version of an earlier epoch was given again"));
    }
    insert_rows(tx, patient, first, actor, now, list)?;
    for (seq, change) in (first..).zip(list) {
        if change.revokes() {
            Both(diesel::insert_into(revocations::table).values((
                revocations::patient_id.eq(patient),
                revocations::seq.eq(seq),
                revocations::entity.eq(change.entity.number()),
                revocations::thing_id.eq(Id::<Any>::from_uuid(change.id)),
            )))
            .execute(tx.conn())?;
            tx.follow_up();
        }
        // Nobody has seen a new item. If a grant opens it at once, that is noted.
        let unseen = change.entity.reader_view() == ReaderView::Granted && change.op == Op::Create;
        let concerns = change.entity.reader_view() != ReaderView::Never || change.moves_from.is_some();
        if concerns && !unseen {
            tx.note(ForReaders { patient, now, event: ReaderEvent::Changed(*change) });
        }
    }
    Ok(())
}

/// Inserts the rows of `list`: on PostgreSQL many of them in one statement, where each column is one value.
fn insert_rows(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    first: i64,
    actor: Option<(Id<Account>, Id<Session>)>,
    now: Timestamp,
    list: &[Change],
) -> Result<()> {
    let (account, session) = actor.unzip();
    if let (AnyConnection::Pg(conn), [_, _, ..]) = (tx.conn(), list) {
        let rows = diesel::sql_query(
            "INSERT INTO changes (patient_id, actor_id, session_id, at, seq, entity, entity_id, version, op) \
             SELECT $1, $2, $3, $4, these.* FROM unnest($5, $6, $7, $8, $9) AS these",
        )
        .bind::<Uid, _>(patient)
        .bind::<Nullable<Uid>, _>(account)
        .bind::<Nullable<Uid>, _>(session)
        .bind::<TimestampTz, _>(At(now))
        .bind::<Array<BigInt>, _>((first..).zip(list).map(|(seq, _)| seq).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(list.iter().map(|change| change.entity.number()).collect::<Vec<_>>())
        .bind::<Array<Uid>, _>(list.iter().map(|change| Id::<Any>::from_uuid(change.id)).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(list.iter().map(|change| change.version).collect::<Vec<_>>())
        .bind::<Array<Integer>, _>(list.iter().map(|change| change.op.number()).collect::<Vec<_>>());
        Prepared(rows).run_on(conn)?;
        return Ok(());
    }
    for (seq, change) in (first..).zip(list) {
        Both(diesel::insert_into(changes::table).values((
            changes::patient_id.eq(patient),
            changes::seq.eq(seq),
            changes::entity.eq(change.entity.number()),
            changes::entity_id.eq(Id::<Any>::from_uuid(change.id)),
            changes::version.eq(change.version),
            changes::op.eq(change.op.number()),
            changes::actor_id.eq(account),
            changes::session_id.eq(session),
            changes::at.eq(At(now)),
        )))
        .execute(tx.conn())?;
    }
    Ok(())
}

/// Notes for the last step of the unit that other things are open of these items, to whomever.
pub fn note_opened(tx: &mut Tx<'_>, patient: Id<Patient>, now: Timestamp, items: Vec<Id<Any>>) {
    if !items.is_empty() {
        tx.note(ForReaders { patient, now, event: ReaderEvent::Opened(items) });
    }
}

/// Notes for the last step of the unit that readers may see a thing otherwise, without a change of it.
pub fn note_changed(tx: &mut Tx<'_>, patient: Id<Patient>, now: Timestamp, change: Change) {
    tx.note(ForReaders { patient, now, event: ReaderEvent::Changed(change) });
}

/// Reads the ends of the patient's sequence.
///
/// # Errors
///
/// [`Error::NotFound`] when there is no such patient.
pub fn head(tx: &mut Tx<'_>, patient: Id<Patient>) -> Result<Head> {
    let own = patient_heads::table.filter(patient_heads::patient_id.eq(patient));
    let ends = own.select((patient_heads::change_seq, patient_heads::horizon_seq));
    let found: Option<(i64, i64)> = Both(ends).get_result(tx.conn()).optional()?;
    let (seq, horizon) = found.ok_or(Error::NotFound)?;
    Ok(Head { seq, horizon })
}

/// Reads the point that the patient's sequence has reached.
///
/// # Errors
///
/// As [`head`].
pub fn point(tx: &mut Tx<'_>, patient: Id<Patient>) -> Result<Point> {
    Ok(Point::before(head(tx, patient)?.seq + 1, tx.first_version()))
}

/// Reads the numbers of the last changes of some patients.
///
/// Spans patients: for streams, which learn from a number only that it has grown.
///
/// # Errors
///
/// When they cannot be read.
pub fn heads(tx: &mut Tx<'_>, patients: &[Id<Patient>]) -> Result<HashMap<Id<Patient>, i64>> {
    let some = patient_heads::table.filter(patient_heads::patient_id.eq_any(patients.iter().copied()));
    let rows: Vec<(Id<Patient>, i64)> =
        some.select((patient_heads::patient_id, patient_heads::change_seq)).load(tx.conn())?;
    Ok(rows.into_iter().collect())
}
