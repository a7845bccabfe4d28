//! The rows of receipts. An item is named by its kind and its id: an entry and a response may share an id.

use diesel::prelude::*;
use jiff::Timestamp;

use crate::care::Access;
use crate::care::access::Write;
use crate::changes::Entity;
use crate::db::schema::receipts;
use crate::db::{At, Both, Tx};
use crate::kernel::id::{Account, Any, Receipt};
use crate::kernel::{Id, Result};

/// What a patient may know of one reader and one item of theirs.
#[derive(Clone, Copy, Debug)]
pub struct ReceiptRow {
    /// Its id.
    pub id: Id<Receipt>,
    /// The item: its kind and its id.
    pub item: (Entity, Id<Any>),
    /// The reader.
    pub account: Id<Account>,
    /// Its version.
    pub version: i64,
    /// The instant at which the item was first sent to the reader's app, to be kept there.
    pub delivered_at: Option<Timestamp>,
    /// The instant at which the reader first opened it in person.
    pub opened_at: Option<Timestamp>,
}

type Columns = (Id<Receipt>, i32, Id<Any>, Id<Account>, i64, Option<At>, Option<At>);

macro_rules! columns {
    () => {
        (
            receipts::id,
            receipts::entity,
            receipts::item_id,
            receipts::account_id,
            receipts::version,
            receipts::delivered_at,
            receipts::opened_at,
        )
    };
}

fn row((id, entity, item, account, version, delivered, opened): Columns) -> ReceiptRow {
    let (delivered_at, opened_at) = (delivered.map(|at| at.0), opened.map(|at| at.0));
    ReceiptRow { id, item: (Entity::of(entity), item), account, version, delivered_at, opened_at }
}

/// Finds the receipts of one reader for items of one kind, in no order.
pub fn find_receipts<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    (kind, items): (Entity, &[Id<Any>]),
    account: Id<Account>,
) -> Result<Vec<ReceiptRow>> {
    let own = receipts::table.filter(receipts::patient_id.eq(access.patient()));
    let own = own.filter(receipts::entity.eq(kind.number())).filter(receipts::account_id.eq(account));
    let found: Vec<Columns> =
        own.filter(receipts::item_id.eq_any(items.to_vec())).select(columns!()).load(tx.conn())?;
    Ok(found.into_iter().map(row).collect())
}

/// Inserts a receipt. The patient's head is held.
pub fn insert_receipt<A>(tx: &mut Tx<'_>, access: &Access<A>, row: &ReceiptRow) -> Result<()> {
    Both(diesel::insert_into(receipts::table).values((
        receipts::patient_id.eq(access.patient()),
        receipts::id.eq(row.id),
        receipts::entity.eq(row.item.0.number()),
        receipts::item_id.eq(row.item.1),
        receipts::account_id.eq(row.account),
        receipts::version.eq(row.version),
        receipts::delivered_at.eq(row.delivered_at.map(At)),
        receipts::opened_at.eq(row.opened_at.map(At)),
    )))
    .execute(tx.conn())?;
    Ok(())
}

/// Updates a receipt. The patient's head is held.
pub fn update_receipt<A>(tx: &mut Tx<'_>, access: &Access<A>, row: &ReceiptRow) -> Result<()> {
    let own = receipts::table.filter(receipts::patient_id.eq(access.patient()));
    diesel::update(own.filter(receipts::id.eq(row.id)))
        .set((
            receipts::version.eq(row.version),
            receipts::delivered_at.eq(row.delivered_at.map(At)),
            receipts::opened_at.eq(row.opened_at.map(At)),
        ))
        .execute(tx.conn())?;
    Ok(())
}

/// Lists the first time at which each reader opened an item in person.
pub fn list_openings<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    (kind, item): (Entity, Id<Any>),
) -> Result<Vec<(Id<Account>, Timestamp)>> {
    let rows: Vec<(Id<Account>, Option<At>)> = receipts::table
        .filter(receipts::patient_id.eq(access.patient()))
        .filter(receipts::entity.eq(kind.number()))
        .filter(receipts::item_id.eq(item))
        .filter(receipts::opened_at.is_not_null())
        .order((receipts::opened_at, receipts::account_id))
        .select((receipts::account_id, receipts::opened_at))
        .load(tx.conn())?;
    Ok(rows.into_iter().filter_map(|(account, at)| Some((account, at?.0))).collect())
}

/// Lists the patient's receipts by id, after `after`, at most `rows`.
pub fn list_receipts<A>(tx: &mut Tx<'_>, access: &Access<A>, after: Id<Receipt>, rows: i64) -> Result<Vec<ReceiptRow>> {
    let own = receipts::table.filter(receipts::patient_id.eq(access.patient())).filter(receipts::id.gt(after));
    let found: Vec<Columns> = own.order(receipts::id).limit(rows).select(columns!()).load(tx.conn())?;
    Ok(found.into_iter().map(row).collect())
}

/// Lists the patient's receipts among `ids`, in no order.
pub fn list_receipts_among<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Receipt>]) -> Result<Vec<ReceiptRow>> {
    let own = receipts::table.filter(receipts::patient_id.eq(access.patient()));
    let found: Vec<Columns> = own.filter(receipts::id.eq_any(ids.to_vec())).select(columns!()).load(tx.conn())?;
    Ok(found.into_iter().map(row).collect())
}

/// Lists the versions of all receipts of the patient.
pub fn list_receipt_versions<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<(Id<Receipt>, i64)>> {
    let own = receipts::table.filter(receipts::patient_id.eq(access.patient()));
    Ok(own.select((receipts::id, receipts::version)).load(tx.conn())?)
}

/// Deletes the receipts of an item, and returns them with their versions.
pub fn delete_receipts(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (kind, item): (Entity, Id<Any>),
) -> Result<Vec<(Id<Receipt>, i64)>> {
    let own = receipts::table.filter(receipts::patient_id.eq(access.patient()));
    let own = own.filter(receipts::entity.eq(kind.number())).filter(receipts::item_id.eq(item));
    let gone = own.select((receipts::id, receipts::version)).order(receipts::id).load(tx.conn())?;
    diesel::delete(own).execute(tx.conn())?;
    Ok(gone)
}
