//! What came of the mutations that phones sent.

use std::collections::HashMap;

use diesel::prelude::*;
use jiff::Timestamp;

use super::mutation::{Came, Kept, Remembered};
use crate::care::{Access, Write};
use crate::db::schema::mutations;
use crate::db::{AnyConnection, At, Both, Tx};
use crate::kernel::id::Any;
use crate::kernel::{Code, Error, Id, Result};

type Row = (Id<Any>, Vec<u8>, i32, Id<Any>, i64, Option<Id<Any>>);

/// Finds what is remembered of these mutations.
pub(super) fn list(tx: &mut Tx<'_>, access: &Access<Write>, ids: &[Id<Any>]) -> Result<HashMap<Id<Any>, Remembered>> {
    let rows: Vec<Row> = mutations::table
        .filter(mutations::patient_id.eq(access.patient()))
        .filter(mutations::mutation_id.eq_any(ids.iter().copied()))
        .select((
            mutations::mutation_id,
            mutations::fingerprint,
            mutations::status,
            mutations::thing_id,
            mutations::version,
            mutations::sibling_id,
        ))
        .load(tx.conn())?;
    let remembered = |(id, fingerprint, status, item, version, sibling): Row| {
        let stored = Came::Stored(Kept { merged: status == MERGED, item, version, sibling });
        let conflict = CONFLICTS.iter().find(|(number, _)| *number == status).map(|(_, code)| Came::Conflict(*code));
        let refused = REFUSALS.iter().find(|(number, _)| *number == status).map(|(_, code)| Came::Refused(*code));
        (id, Remembered { fingerprint, came: conflict.or(refused).unwrap_or(stored) })
    };
    Ok(rows.into_iter().map(remembered).collect())
}

const APPLIED: i32 = 1;
const MERGED: i32 = 2;
const CONFLICTS: [(i32, Option<&str>); 4] =
    [(3, None), (4, Some("section_changed")), (5, Some("revoked_since")), (6, Some("not_shareable"))];

/// The refusals that depend on how things stood, so that the same mutation might be done later.
const REFUSALS: [(i32, Code); 7] = [
    (7, Code::NotFound),
    (8, Code::Invalid),
    (9, Code::StateConflict),
    (10, Code::AlreadyExists),
    (11, Code::InfusionOverlaps),
    (12, Code::LimitReached),
    (13, Code::Deleted),
];

/// Whether a result has a number under which it is remembered: a refusal for another reason is found anew, or may be
/// tried again.
pub(super) fn is_remembered(came: &Came) -> bool {
    !matches!(came, Came::Refused(code) if REFUSALS.iter().all(|(_, known)| known != code))
}

/// A mutation, the kind of its thing, and the thing.
pub(super) type MutationKey = (Id<Any>, i32, Id<Any>);

/// Remembers what came of mutations.
pub(super) fn insert(tx: &mut Tx<'_>, access: &Access<Write>, list: &[(MutationKey, Remembered)]) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let row = |((mutation, entity, thing), Remembered { fingerprint, came }): &(MutationKey, Remembered)| {
        let nothing = Kept { merged: false, item: *thing, version: 0, sibling: None };
        let (status, kept) = match came {
            Came::Stored(kept) => (if kept.merged { MERGED } else { APPLIED }, *kept),
            Came::Conflict(code) => {
                let status = CONFLICTS.iter().find(|(_, known)| known == code).map(|(status, _)| *status);
                (status.ok_or_else(|| Error::internal("a conflict without a number"))?, nothing)
            }
            Came::Refused(code) => {
                let status = REFUSALS.iter().find(|(_, known)| known == code).map(|(status, _)| *status);
                (status.ok_or_else(|| Error::internal("a refusal without a number"))?, nothing)
            }
        };
        Ok((
            mutations::patient_id.eq(access.patient()),
            mutations::mutation_id.eq(*mutation),
            mutations::fingerprint.eq(fingerprint.clone()),
            mutations::status.eq(status),
            mutations::entity.eq(*entity),
            mutations::thing_id.eq(kept.item),
            mutations::version.eq(kept.version),
            mutations::sibling_id.eq(kept.sibling),
            mutations::at.eq(At(access.now())),
        ))
    };
    let rows = list.iter().map(row).collect::<Result<Vec<_>>>()?;
    // A statement for many rows is prepared anew, which on PostgreSQL is less than a round trip for each row. A phone that
    // is online sends one: the statement for one row stays prepared.
    if rows.len() > 1 && matches!(tx.conn(), AnyConnection::Pg(_)) {
        Both(diesel::insert_into(mutations::table).values(rows)).execute(tx.conn())?;
        return Ok(());
    }
    for row in rows {
        Both(diesel::insert_into(mutations::table).values(row)).execute(tx.conn())?;
    }
    Ok(())
}

/// Forgets up to `most` mutations from before `until`.
///
/// Spans patients: a task deletes them by their age.
pub(super) fn delete_old(tx: &mut Tx<'_>, until: Timestamp, most: i64) -> Result<usize> {
    let old: Vec<(Id<Any>, Id<Any>)> = mutations::table
        .filter(mutations::at.le(At(until)))
        .order(mutations::at)
        .limit(most)
        .select((mutations::patient_id, mutations::mutation_id))
        .load(tx.conn())?;
    for (patient, mutation) in &old {
        let own = mutations::table.filter(mutations::patient_id.eq(patient));
        diesel::delete(own.filter(mutations::mutation_id.eq(mutation))).execute(tx.conn())?;
    }
    Ok(old.len())
}
