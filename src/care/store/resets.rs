//! Codes by which members of staff get new passphrases, looked up by the hash of the code.

use diesel::prelude::*;
use jiff::Timestamp;

use crate::authentic;
use crate::db::schema::{staff_members, staff_resets};
use crate::db::{At, Stored, Tx, columns};
use crate::kernel::id::{Account, Clinic, StaffReset};
use crate::kernel::{Error, Id, Result};

authentic! {
    /// A code by which a member of staff gets a new passphrase.
    pub struct ResetRow of staff_resets {
        /// Its id.
        id: Id<StaffReset>,
        /// The keyed hash of the code.
        code_hash: Vec<u8>,
        /// The account.
        account_id: Id<Account>,
        /// The instant of its creation.
        created_at: At,
        /// The instant at which it expires.
        expires_at: At,
    }
}

/// Inserts a reset.
pub fn insert_reset(tx: &mut Tx<'_>, row: &ResetRow) -> Result<()> {
    diesel::insert_into(staff_resets::table).values(row.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Finds the reset of a code that has not expired.
pub fn find_reset(tx: &mut Tx<'_>, code_hash: &[u8], now: Timestamp) -> Result<Option<ResetRow>> {
    let found: Option<Stored<ResetRow>> = staff_resets::table
        .filter(staff_resets::code_hash.eq(code_hash))
        .filter(staff_resets::expires_at.gt(At(now)))
        .select(columns::<Stored<ResetRow>>())
        .first(tx.conn())
        .optional()?;
    found.map_or(Ok(None), |row| row.checked(tx))
}

/// Reads a reset by its id.
///
/// # Errors
///
/// [`Error::NotFound`] when it was used, or another one has taken its place.
pub fn get_reset(tx: &mut Tx<'_>, id: Id<StaffReset>) -> Result<ResetRow> {
    let own = staff_resets::table.filter(staff_resets::id.eq(id)).select(columns::<Stored<ResetRow>>());
    let found: Option<Stored<ResetRow>> = own.first(tx.conn()).optional()?;
    found.map_or(Ok(None), |row| row.checked(tx))?.ok_or(Error::NotFound)
}

/// Deletes the reset of a code. Only one of concurrent units gets `true`, and none once another has taken its place.
pub fn delete_reset(tx: &mut Tx<'_>, code_hash: &[u8]) -> Result<bool> {
    let of_code = staff_resets::table.filter(staff_resets::code_hash.eq(code_hash));
    Ok(diesel::delete(of_code).execute(tx.conn())? == 1)
}

/// Deletes the resets of these accounts.
pub fn delete_resets(tx: &mut Tx<'_>, accounts: &[Id<Account>]) -> Result<()> {
    let own = staff_resets::table.filter(staff_resets::account_id.eq_any(accounts.to_vec()));
    diesel::delete(own).execute(tx.conn())?;
    Ok(())
}

/// Deletes the resets of a clinic's members when one of its admins is an admin no longer and may have kept a code. Who
/// has made a code is not stored: the other admins make theirs again. A member whose row does not fit its MAC is not left
/// out: the code would work again once the row is mended.
pub fn delete_resets_at(tx: &mut Tx<'_>, clinic: Id<Clinic>) -> Result<()> {
    let present = staff_members::clinic_id.eq(clinic).and(staff_members::ended_at.is_null());
    let members = staff_members::table.filter(present).select(staff_members::account_id);
    let theirs = staff_resets::table.filter(staff_resets::account_id.eq_any(members));
    diesel::delete(theirs).execute(tx.conn())?;
    Ok(())
}
