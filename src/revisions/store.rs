//! Parts that were replaced.

use diesel::prelude::*;

use super::Part;
use crate::care::{Access, Write};
use crate::db::Tx;
use crate::db::schema::revisions;
use crate::kernel::id::Any;
use crate::kernel::{Id, Result};

/// Keeps a part of `item` that is being replaced by version `replaced_at`.
///
/// # Errors
///
/// When the database cannot be written.
pub fn insert(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    item: Id<Any>,
    (section, part): (i32, &Part),
    replaced_at: i64,
) -> Result<()> {
    diesel::insert_into(revisions::table)
        .values((
            revisions::patient_id.eq(access.patient()),
            revisions::item_id.eq(item),
            revisions::section.eq(section),
            revisions::rev.eq(part.rev),
            revisions::sealed.eq(&part.sealed),
            revisions::replaced_at_version.eq(replaced_at),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// The replaced parts of `item` that were in force in `version`, by the numbers of their sections.
///
/// # Errors
///
/// When the database cannot be read.
pub fn list<A>(tx: &mut Tx<'_>, access: &Access<A>, item: Id<Any>, version: i64) -> Result<Vec<(i32, Part)>> {
    let rows: Vec<(i32, i64, Option<Vec<u8>>)> = revisions::table
        .filter(revisions::patient_id.eq(access.patient()))
        .filter(revisions::item_id.eq(item))
        .filter(revisions::rev.le(version))
        .filter(revisions::replaced_at_version.gt(version))
        .select((revisions::section, revisions::rev, revisions::sealed))
        .load(tx.conn())?;
    Ok(rows.into_iter().map(|(section, rev, sealed)| (section, Part { rev, sealed })).collect())
}

/// Takes out all that was kept of the given `sections` of `item`.
///
/// # Errors
///
/// When the database cannot be written.
pub fn delete(tx: &mut Tx<'_>, access: &Access<Write>, item: Id<Any>, sections: &[i32]) -> Result<()> {
    let kept = revisions::table.filter(revisions::patient_id.eq(access.patient())).filter(revisions::item_id.eq(item));
    diesel::delete(kept.filter(revisions::section.eq_any(sections.iter().copied()))).execute(tx.conn())?;
    Ok(())
}
