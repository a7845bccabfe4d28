//! The items of grants: adding them, moving them in the order of lists, taking them out.

use diesel::prelude::*;
use jiff::Timestamp;

use super::AT_ONCE;
use super::rows::ItemRow;
use crate::care::Access;
use crate::care::access::Write;
use crate::care::grants::model::Sections;
use crate::changes;
use crate::db::authentic::checked;
use crate::db::schema::{grant_items, grants};
use crate::db::{AnyConnection, At, Both, Stored, Tx, columns};
use crate::kernel::id::{Any, Grant};
use crate::kernel::{Id, Result};

/// An item of a patient with the instant at which it happened.
pub type Item = (Id<Any>, Timestamp);

/// Selects the ids of the grants of a kind with sections `$of`: an entry and a response may share an id.
macro_rules! grants_of_kind {
    ($patient:expr, $of:expr) => {
        grants::table
            .filter(grants::patient_id.eq($patient))
            .filter(grants::sections.ge($of.range().0))
            .filter(grants::sections.lt($of.range().1))
            .select(grants::id)
    };
}

fn item_row(access: &Access<Write>, grant_id: Id<Grant>, (item_id, at): Item) -> ItemRow {
    ItemRow { patient_id: access.patient(), item_id, grant_id, occurred_at: At(at) }
}

/// Gives an item of a kind with sections `of` another instant, in every grant.
pub fn move_item(tx: &mut Tx<'_>, access: &Access<Write>, of: Sections, (id, at): Item) -> Result<()> {
    let own = grant_items::table.filter(grant_items::patient_id.eq(access.patient()));
    let found: Vec<Stored<ItemRow>> = own
        .filter(grant_items::item_id.eq(id))
        .filter(grant_items::grant_id.eq_any(grants_of_kind!(access.patient(), of)))
        .select(columns::<Stored<ItemRow>>())
        .load(tx.conn())?;
    // A row that does not fit its MAC stays as it is: to sign it would make it true.
    for row in found {
        let Some(row) = row.checked(tx)? else { continue };
        let moved = ItemRow { occurred_at: At(at), ..row }.signed(tx)?;
        let this = own.filter(grant_items::item_id.eq(id)).filter(grant_items::grant_id.eq(row.grant_id));
        diesel::update(this).set(moved).execute(tx.conn())?;
    }
    Ok(())
}

/// Adds an item to those of `grants` of which it is not an item yet.
pub fn insert_item(tx: &mut Tx<'_>, access: &Access<Write>, grants: &[Id<Grant>], item: Item) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    let rows = grants.iter().map(|grant| item_row(access, *grant, item).signed(tx)).collect::<Result<Vec<_>>>()?;
    let inserted = match tx.conn() {
        AnyConnection::Pg(conn) => {
            diesel::insert_into(grant_items::table).values(rows).on_conflict_do_nothing().execute(conn)?
        }
        AnyConnection::Sqlite(conn) => {
            let mut inserted = 0;
            for row in rows {
                // Not `on_conflict_do_nothing`: diesel would write the text of the statement anew for each row.
                inserted += diesel::insert_or_ignore_into(grant_items::table).values(row).execute(conn)?;
            }
            inserted
        }
    };
    if inserted > 0 {
        changes::note_opened(tx, access.patient(), access.now(), vec![item.0]);
    }
    Ok(())
}

/// Inserts the items of a new grant.
pub fn insert_items(tx: &mut Tx<'_>, access: &Access<Write>, grant: Id<Grant>, items: &[Item]) -> Result<()> {
    for some in items.chunks(AT_ONCE) {
        let rows = some.iter().map(|item| item_row(access, grant, *item).signed(tx)).collect::<Result<Vec<_>>>()?;
        Both(diesel::insert_into(grant_items::table).values(rows)).execute(tx.conn())?;
    }
    changes::note_opened(tx, access.patient(), access.now(), items.iter().map(|(id, _)| *id).collect());
    Ok(())
}

/// Lists the items of a grant, in no order.
pub fn list_items(tx: &mut Tx<'_>, access: &Access<Write>, grant: Id<Grant>) -> Result<Vec<Item>> {
    let found: Vec<Stored<ItemRow>> = grant_items::table
        .filter(grant_items::patient_id.eq(access.patient()))
        .filter(grant_items::grant_id.eq(grant))
        .select(columns::<Stored<ItemRow>>())
        .load(tx.conn())?;
    Ok(checked(tx, found)?.iter().map(|row| (row.item_id, row.occurred_at.0)).collect())
}

/// Takes an item out of `grants`. If the unit records no change of them or of the item, it skips a number
/// ([`Access::skip_number`]).
pub fn delete_item(tx: &mut Tx<'_>, access: &Access<Write>, grants: &[Id<Grant>], item: Id<Any>) -> Result<()> {
    if grants.is_empty() {
        return Ok(());
    }
    let deleted = diesel::delete(
        grant_items::table
            .filter(grant_items::patient_id.eq(access.patient()))
            .filter(grant_items::item_id.eq(item))
            .filter(grant_items::grant_id.eq_any(grants.iter().copied())),
    );
    if deleted.execute(tx.conn())? > 0 {
        changes::note_opened(tx, access.patient(), access.now(), vec![item]);
    }
    Ok(())
}

/// Takes an item of a kind with sections `of` out of every grant, as [`delete_item`] does.
pub fn delete_item_everywhere(tx: &mut Tx<'_>, access: &Access<Write>, of: Sections, item: Id<Any>) -> Result<()> {
    let deleted = diesel::delete(
        grant_items::table
            .filter(grant_items::patient_id.eq(access.patient()))
            .filter(grant_items::item_id.eq(item))
            .filter(grant_items::grant_id.eq_any(grants_of_kind!(access.patient(), of))),
    );
    if deleted.execute(tx.conn())? > 0 {
        changes::note_opened(tx, access.patient(), access.now(), vec![item]);
    }
    Ok(())
}
