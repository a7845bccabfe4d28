//! Look-ups among the change rows of a patient: what was changed, to which version, and when.

use std::collections::{BTreeMap, BTreeSet};

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use jiff::Timestamp;

use crate::changes::model::{Entity, Numbered, Op, Recorded};
use crate::db::schema::changes;
use crate::db::{At, Both, Prepared, Tx, rounded};
use crate::kernel::id::{Account, Any, Grant, Patient, Session};
use crate::kernel::{Error, Id, Result};

/// The most things named in one statement.
const AT_ONCE: usize = 200;

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
