//! The server's own values, by name: the state of its setup, the versions it works with.

use diesel::prelude::*;

use super::schema::settings;
use super::{AnyConnection, Both, Tx};
use crate::kernel::{Error, Result};

/// Finds the value of that name.
///
/// # Errors
///
/// When the database fails.
pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<Vec<u8>>> {
    Ok(settings::table.filter(settings::name.eq(name)).select(settings::value).first(tx.conn()).optional()?)
}

/// Holds a value, if there is one, until the unit ends, before it is read and changed by what was read. SQLite has one
/// writer, and needs no lock.
///
/// # Errors
///
/// When the database fails.
pub fn hold(tx: &mut Tx<'_>, name: &str) -> Result<()> {
    let AnyConnection::Pg(conn) = tx.conn() else { return Ok(()) };
    let own = settings::table.filter(settings::name.eq(name)).select(settings::name);
    let _held: Vec<String> = own.for_update().load(conn)?;
    Ok(())
}

/// Stores a value unless there is one.
///
/// # Errors
///
/// When the database fails.
pub fn insert(tx: &mut Tx<'_>, name: &str, value: &[u8]) -> Result<()> {
    let row = diesel::insert_into(settings::table).values((settings::name.eq(name), settings::value.eq(value)));
    Both(row.on_conflict_do_nothing()).execute(tx.conn())?;
    Ok(())
}

/// Stores a value in the place of the one before. Of servers that store the first one at the same time, one wins.
///
/// # Errors
///
/// When the database fails.
pub fn replace(tx: &mut Tx<'_>, name: &str, value: &[u8]) -> Result<()> {
    let set = diesel::update(settings::table.filter(settings::name.eq(name))).set(settings::value.eq(value));
    if set.execute(tx.conn())? == 0 { insert(tx, name, value) } else { Ok(()) }
}

/// Finds a stored number, of eight bytes, big-endian; 0 if there is none.
///
/// # Errors
///
/// When the database fails, or the value is no number.
pub fn number(tx: &mut Tx<'_>, name: &str) -> Result<i64> {
    let Some(stored) = find(tx, name)? else { return Ok(0) };
    let bytes = stored.try_into().ok().ok_or_else(|| Error::corrupt("settings", name))?;
    Ok(i64::from_be_bytes(bytes))
}

/// Stores a number.
///
/// # Errors
///
/// When the database fails.
pub fn replace_number(tx: &mut Tx<'_>, name: &str, number: i64) -> Result<()> {
    replace(tx, name, &number.to_be_bytes())
}

/// Deletes a value if it still is `value`. Of several units, one is answered `true`.
///
/// # Errors
///
/// When the database fails.
pub fn delete(tx: &mut Tx<'_>, name: &str, value: &[u8]) -> Result<bool> {
    let row = settings::table.filter(settings::name.eq(name)).filter(settings::value.eq(value));
    Ok(diesel::delete(row).execute(tx.conn())? == 1)
}

/// Raises a stored number, of eight bytes, big-endian, to `to`. It never falls.
///
/// # Errors
///
/// When the database fails.
pub fn raise(tx: &mut Tx<'_>, name: &str, to: u64) -> Result<()> {
    let to = to.to_be_bytes();
    // Bytes of one length are compared like the numbers.
    let lower = settings::table.filter(settings::name.eq(name)).filter(settings::value.lt(to.as_slice()));
    diesel::update(lower).set(settings::value.eq(to.as_slice())).execute(tx.conn())?;
    Ok(())
}
