//! The deletion of items, what brings them back, and the end of their content.

use jiff::Timestamp;

use super::actions::{Item, columns, open};
use super::model::ItemRow;
use super::seal::{self, Origin};
use super::store;
use super::store::table::ItemTable as _;
use crate::care::{Access, Write, grants};
use crate::changes::{self, Bytes, Change, FeedsPlan, Op};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::kernel::id::{Any, Patient};
use crate::kernel::{Error, Id, Result};

/// Deletes an item, also one that does not open. A second deletion changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`]; [`Error::Stale`] when a precondition does not hold.
pub fn delete<T: Item>(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<T::Id>, when: &Preconditions) -> Result<()> {
    access.lock(tx)?;
    let row = T::Table::find(tx, access, id.any())?.ok_or(Error::NotFound)?;
    if row.deleted_at.is_some() {
        return Ok(());
    }
    when.check(Some(&EntityTag::version(row.version)))?;
    let now = access.now();
    let row = ItemRow { version: tx.version_after(row.version), deleted_at: Some(now), updated_at: now, ..row };
    T::Table::mark_deleted(tx, access, &row)?;
    record_removal::<T>(tx, access, &row, Op::Delete)
}

/// Undeletes an item and takes it out of every grant. An item that is not deleted stays as it is.
///
/// # Errors
///
/// [`Error::NotFound`] for an unknown id, or when it was deleted too long ago.
pub fn undelete<T: Item>(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<T::Id>) -> Result<Outcome<ItemRow>> {
    access.lock(tx)?;
    let row = T::Table::find(tx, access, id.any())?.ok_or(Error::NotFound)?;
    if row.deleted_at.is_none() {
        // It may have been undeleted before: the grants that ended then stand in the revocation ledger first.
        changes::follow_up_owed(tx, access.patient())?;
        return Ok(Outcome::ok(id, row));
    }
    if row.is_gone(access.now()) {
        return Err(Error::NotFound);
    }
    let version = tx.version_after(row.version);
    let row = ItemRow { version, deleted_at: None, updated_at: access.now(), ..row };
    T::Table::mark_deleted(tx, access, &row)?;
    record_removal::<T>(tx, access, &row, Op::Undelete)?;
    grants::drop_item(tx, access, T::grants(), row.id)?;
    T::on_returned(tx, access, id)?;
    Ok(Outcome::ok(id, row))
}

/// Undeletes an item whose old content is gone for good, with a new content, and takes it out of every grant. The task
/// may not have purged it yet: nothing of what was deleted comes back with it.
///
/// # Errors
///
/// The refusals of [`Item::check`] and [`Item::on_changed`].
pub fn revive<T: Item>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    row: &ItemRow,
    content: &T::Content,
) -> Result<ItemRow> {
    let id = row.id.typed();
    T::check(tx, access, id, (None, content))?;
    purge_beside::<T>(tx, access, row.id)?;
    let (version, now) = (tx.version_after(row.version), access.now());
    let (parts, _) =
        seal::seal::<T>(access.keys()?, (access.patient(), row.id), content, Origin::default(), (version, now))?;
    access.stores(store::sealed_bytes(&parts).minus(store::sealed_bytes(&row.parts)));
    let columns = columns::<T>(content);
    let occurred_at = columns.occurred_at;
    let row = ItemRow { version, parts, occurred_at, updated_at: now, deleted_at: None, ..row.clone() };
    T::Table::update(tx, access, &row, &columns)?;
    T::Table::mark_deleted(tx, access, &row)?;
    T::on_stored(tx, access, id, (None, content))?;
    access.record_feeding(tx, Change::new(T::ENTITY, row.id, version, Op::Undelete), FeedsPlan::Never)?;
    access.feed_plan(T::on_changed(tx, access, id, (None, content))?);
    close::<T>(tx, access, row.id)?;
    Ok(row)
}

/// Takes an item that a phone has brought back from a deletion out of every grant. It comes after the consequences of
/// the content, which let a rule of sharing open what is new to it.
///
/// # Errors
///
/// When the database cannot be written.
pub fn close<T: Item>(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Any>) -> Result<()> {
    grants::drop_item(tx, access, T::grants(), id)?;
    // The plan asks whether there is something that nobody else may read.
    access.feed_plan(FeedsPlan::Perhaps);
    Ok(())
}

/// Makes a new version of an item that is there, in which nothing else has changed: it was stated to be there by a phone
/// that knew more of it than a restored server. A deletion from before that is one of what was known before.
///
/// # Errors
///
/// When the database cannot be written.
pub fn restate<T: Item>(tx: &mut Tx<'_>, access: &Access<Write>, row: ItemRow) -> Result<ItemRow> {
    let row = ItemRow { version: tx.version_after(row.version), updated_at: access.now(), ..row };
    T::Table::mark_deleted(tx, access, &row)?;
    access.record_feeding(tx, Change::new(T::ENTITY, row.id, row.version, Op::Undelete), FeedsPlan::Never)?;
    Ok(row)
}

fn record_removal<T: Item>(tx: &mut Tx<'_>, access: &Access<Write>, row: &ItemRow, op: Op) -> Result<()> {
    let feeds = match open::<T, _>(access, row).and_then(|opened| opened.content()) {
        Ok(content) => T::on_removed(&content),
        // What does not open may have fed the plan.
        Err(Error::Damaged(..)) if op == Op::Delete => FeedsPlan::Always,
        Err(error) => return Err(error),
    };
    access.record_feeding(tx, Change::new(T::ENTITY, row.id, row.version, op), feeds)
}

/// Purges those of these items of a patient that were deleted thirty days before `now`: header, sections, revisions,
/// receipts, grants, and the other rows of the kind that belong to them.
///
/// # Errors
///
/// When the database cannot be written.
pub fn purge<T: Item>(
    tx: &mut Tx<'_>,
    planner: &dyn crate::changes::Planner,
    (patient, ids): (Id<Patient>, &[Id<Any>]),
    now: Timestamp,
) -> Result<usize> {
    let old = T::Table::purge(tx, patient, ids, now)?;
    for (id, text) in &old {
        crate::care::write_scope::WriteScope::for_server(patient, None, now).run(tx, planner, |tx, access| {
            access.frees(Bytes { text: *text, comments: 0 });
            purge_beside::<T>(tx, access, *id)?;
            grants::drop_item(tx, access, T::grants(), *id)
        })?;
    }
    Ok(old.len())
}

/// Deletes what belongs to an item beside its own row and its grants: revisions, receipts, and other rows of the kind.
fn purge_beside<T: Item>(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Any>) -> Result<()> {
    let numbers: Vec<i32> =
        std::iter::once(T::HEADER).chain(T::SECTIONS.iter().map(|section| section.number)).collect();
    store::delete_revisions(tx, access, id, &numbers)?;
    grants::receipts::purge(tx, access, (T::ENTITY, id))?;
    T::on_purged(tx, access, id.typed())
}
