//! The second factors of accounts.

use diesel::prelude::*;

use crate::db::authentic::checked;
use crate::db::schema::second_factors;
use crate::db::{At, Both, Stored, Tx, columns};
use crate::kernel::id::Account;
use crate::kernel::{Id, Result};
use crate::{authentic, locked};

authentic! {
    /// The second factor of an account. Its sealed secrets are bound to the version.
    #[derive(Copy)]
    pub(in crate::identity) struct FactorRow of second_factors {
        /// The account.
        account_id: Id<Account>,
        /// The step of the last code that was used: no code of it, or of one before, counts again.
        last_step: i64,
        /// The recovery codes that were used, a bit each.
        recovery_used: i32,
        /// The instant from which it counts.
        confirmed_at: Option<At>,
        /// The version of its secrets.
        version: i64,
        /// The instant at which the secret was made.
        created_at: At,
    }
}

/// A second factor with its sealed secrets.
#[derive(Clone, Debug)]
pub(in crate::identity) struct FactorFound {
    /// The row.
    pub row: FactorRow,
    /// The sealed secrets.
    pub doc: Vec<u8>,
}

fn found(tx: &Tx<'_>, rows: Vec<(Stored<FactorRow>, Vec<u8>)>) -> Result<Option<FactorFound>> {
    let (rows, docs): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    // The account is the key: there is one row at most.
    Ok(checked(tx, rows)?.pop().zip(docs.into_iter().next()).map(|(row, doc)| FactorFound { row, doc }))
}

/// Finds the second factor of an account.
pub(in crate::identity) fn find_factor(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Option<FactorFound>> {
    let rows: Vec<(Stored<FactorRow>, Vec<u8>)> = second_factors::table
        .filter(second_factors::account_id.eq(account))
        .select((columns::<Stored<FactorRow>>(), second_factors::doc))
        .load(tx.conn())?;
    found(tx, rows)
}

/// Finds the second factor of an account, and locks it until the unit ends.
pub(in crate::identity) fn hold_factor(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Option<FactorFound>> {
    let query = second_factors::table
        .filter(second_factors::account_id.eq(account))
        .select((columns::<Stored<FactorRow>>(), second_factors::doc));
    let rows: Vec<(Stored<FactorRow>, Vec<u8>)> = locked!(tx, for_update, query)?;
    found(tx, rows)
}

/// Inserts a second factor with its sealed secrets. Returns `false` when a concurrent unit has inserted one.
pub(in crate::identity) fn insert_factor(tx: &mut Tx<'_>, row: &FactorRow, doc: &[u8]) -> Result<bool> {
    let values = (row.signed(tx)?, second_factors::doc.eq(doc));
    let inserted = Both(diesel::insert_into(second_factors::table).values(values).on_conflict_do_nothing());
    Ok(inserted.execute(tx.conn())? == 1)
}

/// Stores a changed second factor, which is held.
pub(in crate::identity) fn update_factor(tx: &mut Tx<'_>, row: &FactorRow) -> Result<()> {
    let own = second_factors::table.filter(second_factors::account_id.eq(row.account_id));
    diesel::update(own).set(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Stores a changed second factor, which is held, with new secrets.
pub(in crate::identity) fn update_factor_doc(tx: &mut Tx<'_>, row: &FactorRow, doc: &[u8]) -> Result<()> {
    let own = second_factors::table.filter(second_factors::account_id.eq(row.account_id));
    let values = (row.signed(tx)?, second_factors::doc.eq(doc));
    diesel::update(own).set(values).execute(tx.conn())?;
    Ok(())
}

/// Deletes the second factor of an account.
pub(in crate::identity) fn delete_factor(tx: &mut Tx<'_>, account: Id<Account>) -> Result<()> {
    diesel::delete(second_factors::table.filter(second_factors::account_id.eq(account))).execute(tx.conn())?;
    Ok(())
}
