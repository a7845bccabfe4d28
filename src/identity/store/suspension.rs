//! Accounts that somebody else than their owner disables or enables again: admins those of staff, the operator all.

use std::collections::HashSet;

use diesel::prelude::*;
use jiff::Timestamp;

use super::{AccountRow, Ending, throw_out_all};
use crate::changes::{self, Closed};
use crate::db::authentic::checked;
use crate::db::schema::accounts;
use crate::db::{At, Stored, Tx, columns};
use crate::kernel::id::Account;
use crate::kernel::{Error, Id, Result};
use crate::locked;

/// Disables an account, or enables it again, and returns whether that changed anything. With the account its sessions
/// end for good, and it knows no device any more: who is enabled again logs in again.
///
/// # Errors
///
/// [`Error::NotFound`] when there is no such account.
pub fn set_disabled(tx: &mut Tx<'_>, id: Id<Account>, disabled: bool, now: Timestamp) -> Result<bool> {
    let own = accounts::table.filter(accounts::id.eq(id));
    let held: Vec<Stored<AccountRow>> = locked!(tx, for_update, own.select(columns::<Stored<AccountRow>>()))?;
    let row = checked(tx, held)?.pop().ok_or(Error::NotFound)?;
    if row.disabled_at.is_some() == disabled {
        // A repetition, too, is answered once it stands in the ledger.
        tx.follow_up();
        return Ok(false);
    }
    let row = AccountRow { disabled_at: disabled.then_some(At(now)), ..row };
    diesel::update(own).set(row.signed(tx)?).execute(tx.conn())?;
    if disabled {
        changes::note_closed(tx, Closed::Account(id), now)?;
        throw_out_all(tx, id, None, Ending::Wanted, now)?;
    }
    Ok(true)
}

/// Ends the guard of an account whose passphrase a code from a letter has set: any device logs in again.
pub(in crate::identity) fn end_guard(tx: &mut Tx<'_>, id: Id<Account>) -> Result<()> {
    let own = accounts::table.filter(accounts::id.eq(id));
    let held: Vec<Stored<AccountRow>> = locked!(tx, for_update, own.select(columns::<Stored<AccountRow>>()))?;
    let row = checked(tx, held)?.pop().ok_or(Error::NotFound)?;
    if row.guarded_until.is_some() {
        let row = AccountRow { guarded_until: None, ..row };
        diesel::update(own).set(row.signed(tx)?).execute(tx.conn())?;
    }
    Ok(())
}

/// Returns those of `ids` that nobody can log in to: they are disabled, do not fit their MACs, or do not exist.
pub fn list_disabled(tx: &mut Tx<'_>, ids: &[Id<Account>]) -> Result<HashSet<Id<Account>>> {
    let rows: Vec<Stored<AccountRow>> = accounts::table
        .filter(accounts::id.eq_any(ids.iter().copied()))
        .select(columns::<Stored<AccountRow>>())
        .load(tx.conn())?;
    let rows = checked(tx, rows)?;
    let enabled: HashSet<_> = rows.iter().filter(|row| row.disabled_at.is_none()).map(|row| row.id).collect();
    Ok(ids.iter().copied().filter(|id| !enabled.contains(id)).collect())
}
