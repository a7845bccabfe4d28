//! A lock by name, for what is counted and has no row that could be locked.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};

use super::{AnyConnection, Tx};
use crate::kernel::Result;

/// Holds a name until the unit ends. Units that hold the same name run one after the other, and each finds what the one
/// before has stored. SQLite has one writer, and needs no lock.
///
/// # Errors
///
/// When the database fails.
pub fn hold_name(tx: &mut Tx<'_>, of: &str, key: &[u8]) -> Result<()> {
    let AnyConnection::Pg(conn) = tx.conn() else { return Ok(()) };
    // Two names with one hash only wait for each other.
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1 || encode($2, 'hex'), 0))")
        .bind::<Text, _>(of)
        .bind::<Binary, _>(key)
        .execute(conn)?;
    Ok(())
}
