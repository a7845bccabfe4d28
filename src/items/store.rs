//! The tables of items, and the revisions that were replaced.

mod create;
pub mod table;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use self::create::{Create, Insert};
use self::table::{Columns, ItemTable};
use super::model::{ItemKind, ItemRow, Part};
use crate::care::{Access, Write};
use crate::changes::{self, Bytes, Change, FeedsPlan, LockedHead};
use crate::db::schema::revisions;
use crate::db::{AnyConnection, Both, Tx};
use crate::kernel::id::Any;
use crate::kernel::{Id, Result};

/// Takes a change number and, when the id is free, inserts the item and its change row. Returns `false` when the id is
/// taken. It is the most frequent write, so it is one statement on PostgreSQL, where each costs a round trip.
pub(super) fn create<K: ItemKind, T: ItemTable>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (row, columns): (&ItemRow, &Columns),
    change: Change,
) -> Result<bool> {
    let bytes = sealed_bytes(&row.parts);
    access.stores(bytes);
    let created = if let AnyConnection::Pg(conn) = tx.conn() {
        let create = Create::<K, T>::new(access, row, columns, &change);
        let row: (i64, bool, i64, i64, i64, bool, bool) = create.get_result(conn)?;
        let (number, created, text, comments, floor, has_rules, awaits_entry) = row;
        tx.check_floor(floor)?;
        let head = LockedHead { number, stored: Bytes { text, comments }, has_rules, awaits_entry };
        access.locked(head, created);
        changes::announce(tx, access.patient());
        created
    } else {
        access.lock(tx)?;
        let created = Both(Insert::<K, T>::new(access, row, columns)).execute(tx.conn())? == 1;
        if created {
            access.record_feeding(tx, change, FeedsPlan::Never)?;
        }
        created
    };
    if !created {
        access.frees(bytes);
    }
    Ok(created)
}

/// Counts the sealed bytes of parts.
pub(super) fn sealed_bytes<'p>(parts: impl IntoIterator<Item = &'p Part>) -> Bytes {
    Bytes::text(parts.into_iter().filter_map(|part| part.sealed.as_deref()))
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

/// Lists the replaced parts of a section of `item` that came after `version`, newest first, at most 100.
pub(super) fn list_revisions_after<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    (item, section): (Id<Any>, i32),
    version: i64,
) -> Result<Vec<Part>> {
    let rows: Vec<(i64, Option<Vec<u8>>)> = revisions::table
        .filter(revisions::patient_id.eq(access.patient()))
        .filter(revisions::item_id.eq(item))
        .filter(revisions::section.eq(section))
        .filter(revisions::rev.gt(version))
        .order(revisions::rev.desc())
        .limit(100)
        .select((revisions::rev, revisions::sealed))
        .load(tx.conn())?;
    Ok(rows.into_iter().map(|(rev, sealed)| Part { rev, sealed }).collect())
}

/// Deletes the replaced parts of the given `sections` of `item`.
pub(super) fn delete_revisions(tx: &mut Tx<'_>, access: &Access<Write>, item: Id<Any>, sections: &[i32]) -> Result<()> {
    let kept = revisions::table.filter(revisions::patient_id.eq(access.patient())).filter(revisions::item_id.eq(item));
    let kept = kept.filter(revisions::section.eq_any(sections.iter().copied()));
    let length = sql::<BigInt>("CAST(coalesce(sum(length(sealed)), 0) AS bigint)");
    let text: i64 = kept.clone().select(length).get_result(tx.conn())?;
    access.frees(Bytes { text, comments: 0 });
    diesel::delete(kept).execute(tx.conn())?;
    Ok(())
}
