//! Openings: the first time that a reader opened an item in person. An app's fetch is not one. An item is named by its
//! kind and its id: an entry and a response may share an id.

use diesel::prelude::*;
use jiff::Timestamp;

use crate::care::Access;
use crate::care::access::Write;
use crate::changes::Entity;
use crate::db::schema::openings;
use crate::db::{At, Both, Tx};
use crate::kernel::id::{Account, Any};
use crate::kernel::{Id, Result};

/// Notes that a person opened an item, and returns the instant of the first opening.
pub fn insert_opening(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (kind, item): (Entity, Id<Any>),
    account: Id<Account>,
) -> Result<Timestamp> {
    Both(
        diesel::insert_into(openings::table)
            .values((
                openings::patient_id.eq(access.patient()),
                openings::entity.eq(kind.number()),
                openings::item_id.eq(item),
                openings::account_id.eq(account),
                openings::opened_at.eq(At(access.now())),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn())?;
    let first: At = openings::table
        .filter(openings::patient_id.eq(access.patient()))
        .filter(openings::entity.eq(kind.number()))
        .filter(openings::item_id.eq(item))
        .filter(openings::account_id.eq(account))
        .select(openings::opened_at)
        .first(tx.conn())?;
    Ok(first.0)
}

/// The first time at which each reader opened an item.
pub fn list_openings<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    (kind, item): (Entity, Id<Any>),
) -> Result<Vec<(Id<Account>, Timestamp)>> {
    let rows: Vec<(Id<Account>, At)> = openings::table
        .filter(openings::patient_id.eq(access.patient()))
        .filter(openings::entity.eq(kind.number()))
        .filter(openings::item_id.eq(item))
        .order((openings::opened_at, openings::account_id))
        .select((openings::account_id, openings::opened_at))
        .load(tx.conn())?;
    Ok(rows.into_iter().map(|(account, at)| (account, at.0)).collect())
}

/// Deletes the openings of an item.
pub fn delete_openings(tx: &mut Tx<'_>, access: &Access<Write>, (kind, item): (Entity, Id<Any>)) -> Result<()> {
    let own = openings::table.filter(openings::patient_id.eq(access.patient()));
    let seen = own.filter(openings::entity.eq(kind.number())).filter(openings::item_id.eq(item));
    diesel::delete(seen).execute(tx.conn())?;
    Ok(())
}
