//! Passkeys, and the challenges that were answered.

use diesel::prelude::*;
use jiff::Timestamp;

use crate::db::authentic::checked;
use crate::db::schema::{passkey_ceremonies, passkeys};
use crate::db::{At, Both, Stored, Tx, columns};
use crate::kernel::id::{Account, Passkey};
use crate::kernel::{Id, Result, limits};
use crate::{authentic, locked};

authentic! {
    /// A passkey. Its sealed document is bound to the version.
    pub(in crate::identity) struct PasskeyRow of passkeys {
        /// Its id.
        id: Id<Passkey>,
        /// The account.
        account_id: Id<Account>,
        /// The keyed hash of the id under which its device knows it.
        credential_key: Vec<u8>,
        /// Its version, which each use raises.
        version: i64,
        /// The instant at which it was added.
        created_at: At,
        /// The instant of its last use.
        last_used_at: Option<At>,
    }
}

/// A passkey with its sealed document.
#[derive(Clone, Debug)]
pub(in crate::identity) struct PasskeyFound {
    /// The row.
    pub row: PasskeyRow,
    /// The sealed document.
    pub doc: Vec<u8>,
}

fn found(tx: &Tx<'_>, (row, doc): (Stored<PasskeyRow>, Vec<u8>)) -> Result<Option<PasskeyFound>> {
    Ok(row.checked(tx)?.map(|row| PasskeyFound { row, doc }))
}

/// Lists the passkeys of an account, the oldest first.
pub(in crate::identity) fn list_passkeys(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Vec<PasskeyFound>> {
    let rows: Vec<(Stored<PasskeyRow>, Vec<u8>)> = passkeys::table
        .filter(passkeys::account_id.eq(account))
        .order((passkeys::created_at, passkeys::id))
        .limit(limits::PASSKEYS.rows())
        .select((columns::<Stored<PasskeyRow>>(), passkeys::doc))
        .load(tx.conn())?;
    rows.into_iter().filter_map(|row| found(tx, row).transpose()).collect()
}

/// Counts the passkeys of an account.
pub(in crate::identity) fn count(tx: &mut Tx<'_>, account: Id<Account>) -> Result<i64> {
    Ok(passkeys::table.filter(passkeys::account_id.eq(account)).count().get_result(tx.conn())?)
}

/// Finds a passkey by the keyed hash of the id under which its device knows it.
pub(super) fn find_by_credential(tx: &mut Tx<'_>, credential_key: &[u8]) -> Result<Option<PasskeyFound>> {
    let row: Option<(Stored<PasskeyRow>, Vec<u8>)> = passkeys::table
        .filter(passkeys::credential_key.eq(credential_key))
        .select((columns::<Stored<PasskeyRow>>(), passkeys::doc))
        .first(tx.conn())
        .optional()?;
    row.map_or(Ok(None), |row| found(tx, row))
}

/// Finds a passkey of an account.
pub(super) fn find_passkey(tx: &mut Tx<'_>, account: Id<Account>, id: Id<Passkey>) -> Result<Option<PasskeyFound>> {
    let row: Option<(Stored<PasskeyRow>, Vec<u8>)> = passkeys::table
        .filter(passkeys::id.eq(id))
        .filter(passkeys::account_id.eq(account))
        .select((columns::<Stored<PasskeyRow>>(), passkeys::doc))
        .first(tx.conn())
        .optional()?;
    row.map_or(Ok(None), |row| found(tx, row))
}

/// Finds a passkey, and locks it until the unit ends.
pub(super) fn hold_passkey(tx: &mut Tx<'_>, id: Id<Passkey>) -> Result<Option<PasskeyRow>> {
    let query = passkeys::table.filter(passkeys::id.eq(id)).select(columns::<Stored<PasskeyRow>>());
    let rows: Vec<Stored<PasskeyRow>> = locked!(tx, for_update, query)?;
    Ok(checked(tx, rows)?.pop())
}

/// Inserts a passkey with its sealed document. Returns `false` when a passkey with this id of its device is there.
pub(super) fn insert_passkey(tx: &mut Tx<'_>, row: &PasskeyRow, doc: &[u8]) -> Result<bool> {
    let values = (row.signed(tx)?, passkeys::doc.eq(doc));
    let inserted = Both(diesel::insert_into(passkeys::table).values(values).on_conflict_do_nothing());
    Ok(inserted.execute(tx.conn())? == 1)
}

/// Stores a changed passkey, which is held, with its document.
pub(super) fn update_passkey(tx: &mut Tx<'_>, row: &PasskeyRow, doc: &[u8]) -> Result<()> {
    let values = (row.signed(tx)?, passkeys::doc.eq(doc));
    diesel::update(passkeys::table.filter(passkeys::id.eq(row.id))).set(values).execute(tx.conn())?;
    Ok(())
}

/// Deletes a passkey of an account, whatever its row says. Returns `false` when there is none.
pub(super) fn delete_passkey(tx: &mut Tx<'_>, account: Id<Account>, id: Id<Passkey>) -> Result<bool> {
    let own = passkeys::table.filter(passkeys::id.eq(id)).filter(passkeys::account_id.eq(account));
    Ok(diesel::delete(own).execute(tx.conn())? == 1)
}

/// Deletes the passkeys of an account, whatever their rows say, and returns which they were.
pub(super) fn delete_passkeys(tx: &mut Tx<'_>, account: Id<Account>) -> Result<Vec<Id<Passkey>>> {
    let own = passkeys::table.filter(passkeys::account_id.eq(account));
    let ids = own.select(passkeys::id).load(tx.conn())?;
    diesel::delete(own).execute(tx.conn())?;
    Ok(ids)
}

/// Notes that a challenge was answered. Returns `false` when it was before.
pub(super) fn insert_ceremony(tx: &mut Tx<'_>, key: &[u8], expires_at: Timestamp) -> Result<bool> {
    let values = (passkey_ceremonies::ceremony_key.eq(key), passkey_ceremonies::expires_at.eq(At(expires_at)));
    let inserted = Both(diesel::insert_into(passkey_ceremonies::table).values(values).on_conflict_do_nothing());
    Ok(inserted.execute(tx.conn())? == 1)
}

/// Forgets up to `most` challenges that were over at `until`. Returns their number.
///
/// Spans accounts: rests on the index `passkey_ceremonies_expires`.
pub(in crate::identity) fn delete_over(tx: &mut Tx<'_>, until: Timestamp, most: i64) -> Result<usize> {
    let keys: Vec<Vec<u8>> = passkey_ceremonies::table
        .filter(passkey_ceremonies::expires_at.le(At(until)))
        .order(passkey_ceremonies::expires_at)
        .limit(most)
        .select(passkey_ceremonies::ceremony_key)
        .load(tx.conn())?;
    let over = passkey_ceremonies::table.filter(passkey_ceremonies::ceremony_key.eq_any(&keys));
    Ok(diesel::delete(over).execute(tx.conn())?)
}
