//! The head row of a patient and the change rows.

mod closed;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::backend::Backend;
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{Array, BigInt, Bool, HasSqlType, Integer, Nullable};
use jiff::Timestamp;

pub use closed::{delete_closings, delete_revocations, follow_up_owed, list_closings, list_revocations, note_closed};

use super::model::{
    Bytes, Change, Entity, ForReaders, Head, LockedHead, Numbered, Op, Point, ReaderEvent, ReaderView, Recorded,
};
use crate::db::schema::{changes, patient_heads, revocations};
use crate::db::{AnyConnection, At, Both, Prepared, Signal, TimestampTz, Topic, Tx, Uid, rounded};
use crate::kernel::id::{Account, Any, Grant, Patient, Session};
use crate::kernel::{Error, Id, Result};

/// The most things named in one statement.
const AT_ONCE: usize = 200;

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

/// Lists the instants of the changes of a patient that `actor` made since `since`, newest first: all of them, because
/// one day may have thousands.
pub fn list_by(tx: &mut Tx<'_>, patient: Id<Patient>, actor: Id<Account>, since: Timestamp) -> Result<Vec<Timestamp>> {
    let rows: Vec<At> = changes::table
        .filter(changes::patient_id.eq(patient))
        .filter(changes::actor_id.eq(actor))
        .filter(changes::at.ge(At(since)))
        .order(changes::seq.desc())
        .select(changes::at)
        .load(tx.conn())?;
    Ok(rows.into_iter().map(|at| at.0).collect())
}

/// Returns the version that a change made, and its instant.
///
/// # Errors
///
/// When it cannot be read.
pub fn find_version(tx: &mut Tx<'_>, patient: Id<Patient>, seq: i64) -> Result<Option<(i64, Timestamp)>> {
    let own = changes::table.filter(changes::patient_id.eq(patient)).filter(changes::seq.eq(seq));
    let found: Option<(i64, At)> = own.select((changes::version, changes::at)).first(tx.conn()).optional()?;
    Ok(found.map(|(version, at)| (version, at.0)))
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

/// Lists the changes of a patient with numbers in `(after, until]`, by number, at most `limit`.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_numbered(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    (after, until): (i64, i64),
    limit: i64,
) -> Result<Vec<Numbered>> {
    let rows: Vec<(i64, i32, Id<Any>)> = changes::table
        .filter(changes::patient_id.eq(patient))
        .filter(changes::seq.gt(after).and(changes::seq.le(until)))
        .order(changes::seq)
        .limit(limit)
        .select((changes::seq, changes::entity, changes::entity_id))
        .load(tx.conn())?;
    Ok(rows.into_iter().map(|(seq, entity, id)| Numbered { seq, entity: Entity::of(entity), id }).collect())
}

/// Lists the grants to which an `op` was done after number `after`, each with the number of that change, the newest
/// first, at most `limit`. Rests on the index `changes_grants`.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_grants_since(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    op: Op,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, Id<Grant>)>> {
    // Written out, not bound: only then the partial index serves.
    let grant = sql::<Integer>(&Entity::Grant.number().to_string());
    // Each entry that falls under rules asks for them.
    let of = changes::table
        .filter(changes::patient_id.eq(patient))
        .filter(changes::seq.gt(after))
        .filter(changes::entity.eq(grant))
        .filter(changes::op.eq(op.number()))
        .order(changes::seq.desc())
        .limit(limit)
        .select((changes::seq, changes::entity_id));
    let found: Vec<(i64, Id<Any>)> = Both(Prepared(of)).load(tx.conn())?;
    Ok(found.into_iter().map(|(number, id)| (number, id.typed())).collect())
}

/// Whether a thing was deleted, brought back or given an earlier revision after number `after`.
///
/// # Errors
///
/// When it cannot be read.
pub fn was_replaced_since(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    (entity, id): (Entity, Id<Any>),
    after: i64,
) -> Result<bool> {
    let replaced = [Op::Delete, Op::Undelete, Op::Restore].map(Op::number);
    let own = changes::table.filter(changes::patient_id.eq(patient)).filter(changes::entity_id.eq(id));
    let later = own
        .filter(changes::entity.eq(entity.number()))
        .filter(changes::seq.gt(after))
        .filter(changes::op.eq_any(replaced))
        .select(changes::seq)
        .first::<i64>(tx.conn())
        .optional()?;
    Ok(later.is_some())
}

/// Whether a thing was brought back after `version`.
///
/// # Errors
///
/// When it cannot be read.
pub fn was_undeleted_since(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    (entity, id): (Entity, Id<Any>),
    version: i64,
) -> Result<bool> {
    let own = changes::table.filter(changes::patient_id.eq(patient)).filter(changes::entity_id.eq(id));
    let later = own
        .filter(changes::entity.eq(entity.number()))
        .filter(changes::version.gt(version))
        .filter(changes::op.eq(Op::Undelete.number()))
        .select(changes::seq)
        .first::<i64>(tx.conn())
        .optional()?;
    Ok(later.is_some())
}

/// Returns the numbers of the last changes of these things of one kind. One that never changed has none.
///
/// # Errors
///
/// When they cannot be read.
pub fn last_numbers(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    entity: Entity,
    ids: &[Id<Any>],
) -> Result<BTreeMap<Id<Any>, i64>> {
    let rows: Vec<(Id<Any>, Option<i64>)> = changes::table
        .filter(changes::patient_id.eq(patient))
        .filter(changes::entity_id.eq_any(ids.iter().copied()))
        .filter(changes::entity.eq(entity.number()))
        .group_by(changes::entity_id)
        .select((changes::entity_id, diesel::dsl::max(changes::seq)))
        .load(tx.conn())?;
    Ok(rows.into_iter().filter_map(|(id, seq)| Some((id, seq?))).collect())
}

/// Finds the number of the change that brought a thing to `version`.
///
/// # Errors
///
/// When it cannot be read.
pub fn number_of(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    entity: Entity,
    id: Id<Any>,
    version: i64,
) -> Result<Option<i64>> {
    let own = changes::table.filter(changes::patient_id.eq(patient)).filter(changes::entity_id.eq(id));
    let number = own
        .filter(changes::entity.eq(entity.number()))
        .filter(changes::version.eq(version))
        .order(changes::seq)
        .select(changes::seq)
        .first(tx.conn())
        .optional()?;
    Ok(number)
}

/// Returns the numbers of the changes that brought things of one kind to these versions, as [`number_of`] does for one.
///
/// # Errors
///
/// When they cannot be read.
pub fn numbers_of(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    entity: Entity,
    things: &[(Id<Any>, i64)],
) -> Result<BTreeMap<Id<Any>, i64>> {
    let mut numbers = BTreeMap::new();
    for some in things.chunks(AT_ONCE) {
        let ids: Vec<Id<Any>> = some.iter().map(|(id, _)| *id).collect();
        let own = changes::table.filter(changes::patient_id.eq(patient));
        let of = own
            .filter(changes::entity_id.eq_any(rounded(&ids)))
            .filter(changes::entity.eq(entity.number()))
            .order(changes::seq.desc())
            .select((changes::entity_id, changes::version, changes::seq));
        let rows: Vec<(Id<Any>, i64, i64)> = Both(Prepared(of)).load(tx.conn())?;
        // The oldest of several comes last.
        let wanted = rows.into_iter().filter(|(id, version, _)| some.contains(&(*id, *version)));
        numbers.extend(wanted.map(|(id, _, number)| (id, number)));
    }
    Ok(numbers)
}

/// Returns the versions that the last changes of these things of one kind made. One that never changed has none.
///
/// # Errors
///
/// When they cannot be read.
pub fn last_versions(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    entity: Entity,
    ids: &[Id<Any>],
) -> Result<BTreeMap<Id<Any>, i64>> {
    let mut last = BTreeMap::new();
    for some in ids.chunks(AT_ONCE) {
        // A comparison looks up thousands.
        let of = changes::table
            .filter(changes::patient_id.eq(patient))
            .filter(changes::entity_id.eq_any(rounded(some)))
            .filter(changes::entity.eq(entity.number()))
            .group_by(changes::entity_id)
            .select((changes::entity_id, diesel::dsl::max(changes::version)));
        let rows: Vec<(Id<Any>, Option<i64>)> = Both(Prepared(of)).load(tx.conn())?;
        last.extend(rows.into_iter().filter_map(|(id, version)| Some((id, version?))));
    }
    Ok(last)
}

/// Returns those of `asked`, versions of things of one kind, that are in the history: a change made them. A thing that
/// was made without a change, as first settings are, began with version 1.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_made_versions(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    entity: Entity,
    asked: &[(Id<Any>, i64)],
) -> Result<BTreeSet<(Id<Any>, i64)>> {
    let (mut made, mut created) = (BTreeSet::new(), BTreeSet::new());
    for some in asked.chunks(AT_ONCE) {
        let versions: BTreeSet<i64> = some.iter().map(|(_, version)| *version).collect();
        let rows: Vec<(Id<Any>, i64, i32)> = changes::table
            .filter(changes::patient_id.eq(patient))
            .filter(changes::entity_id.eq_any(some.iter().map(|(id, _)| *id)))
            .filter(changes::entity.eq(entity.number()))
            .filter(changes::version.eq_any(versions).or(changes::op.eq(Op::Create.number())))
            .select((changes::entity_id, changes::version, changes::op))
            .load(tx.conn())?;
        for (id, version, op) in rows {
            made.insert((id, version));
            if op == Op::Create.number() {
                created.insert(id);
            }
        }
    }
    let first = |(id, version): &(Id<Any>, i64)| *version == 1 && !created.contains(id);
    Ok(asked.iter().copied().filter(|thing| made.contains(thing) || first(thing)).collect())
}

type ChangeColumns = (i64, i32, Option<Id<Account>>, Option<Id<Session>>, At);

/// Lists the changes of one thing after version `after`, oldest first, at most `limit`.
pub fn list_of(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    entity: Entity,
    id: Id<Any>,
    after: i64,
    limit: i64,
) -> Result<Vec<Recorded>> {
    let rows: Vec<ChangeColumns> = changes::table
        .filter(changes::patient_id.eq(patient))
        .filter(changes::entity_id.eq(id))
        .filter(changes::entity.eq(entity.number()))
        .filter(changes::version.gt(after))
        .order(changes::seq)
        .limit(limit)
        .select((changes::version, changes::op, changes::actor_id, changes::session_id, changes::at))
        .load(tx.conn())?;
    rows.into_iter()
        .map(|(version, op, actor, session, at)| {
            let op = Op::of(op).ok_or_else(|| Error::corrupt("changes", id))?;
            Ok(Recorded { version, op, actor, session, at: at.0 })
        })
        .collect()
}
