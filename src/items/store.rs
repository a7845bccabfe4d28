//! The tables of items, and the revisions that were replaced.

mod create;
pub mod table;

use diesel::prelude::*;

use self::create::Create;
use self::table::{Columns, ItemTable};
use super::model::{Kind, Part, Row};
use crate::care::{Access, Write};
use crate::changes::{Change, FeedsPlan};
use crate::db::schema::revisions;
use crate::db::{AnyConnection, Both, Tx};
use crate::kernel::id::Any;
use crate::kernel::{Id, Result};

/// Takes a change number and, when the id is free, inserts the item and its change row. Returns `false` when the id is
/// taken. It is the most frequent write, so it is one statement on PostgreSQL, where each costs a round trip.
pub(super) fn create<K: Kind, T: ItemTable>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (row, columns): (&Row, &Columns),
    change: Change,
) -> Result<bool> {
    if let AnyConnection::Pg(conn) = tx.conn() {
        let create = Create::<K, T>::new(access, row, columns, &change);
        let (number, created): (i64, bool) = create.get_result(conn)?;
        access.locked(number, created);
        return Ok(created);
    }
    access.lock(tx)?;
    let created = T::insert(tx, access, row, columns)?;
    if created {
        access.record_feeding(tx, change, FeedsPlan::Never)?;
    }
    Ok(created)
}

/// Keeps a part of `item` that is being replaced by version `replaced_at`.
pub(super) fn insert_revision(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    item: Id<Any>,
    (section, part): (i32, &Part),
    replaced_at: i64,
) -> Result<()> {
    Both(diesel::insert_into(revisions::table).values((
        revisions::patient_id.eq(access.patient()),
        revisions::item_id.eq(item),
        revisions::section.eq(section),
        revisions::rev.eq(part.rev),
        revisions::sealed.eq(&part.sealed),
        revisions::replaced_at_version.eq(replaced_at),
    )))
    .execute(tx.conn())?;
    Ok(())
}

/// Lists the replaced parts of `item` that were in force in `version`, by the numbers of their sections.
pub(super) fn list_revisions<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    item: Id<Any>,
    version: i64,
) -> Result<Vec<(i32, Part)>> {
    let rows: Vec<(i32, i64, Option<Vec<u8>>)> = revisions::table
        .filter(revisions::patient_id.eq(access.patient()))
        .filter(revisions::item_id.eq(item))
        .filter(revisions::rev.le(version))
        .filter(revisions::replaced_at_version.gt(version))
        .select((revisions::section, revisions::rev, revisions::sealed))
        .load(tx.conn())?;
    Ok(rows.into_iter().map(|(section, rev, sealed)| (section, Part { rev, sealed })).collect())
}

/// Deletes the replaced parts of the given `sections` of `item`.
pub(super) fn delete_revisions(tx: &mut Tx<'_>, access: &Access<Write>, item: Id<Any>, sections: &[i32]) -> Result<()> {
    let kept = revisions::table.filter(revisions::patient_id.eq(access.patient())).filter(revisions::item_id.eq(item));
    diesel::delete(kept.filter(revisions::section.eq_any(sections.iter().copied()))).execute(tx.conn())?;
    Ok(())
}
