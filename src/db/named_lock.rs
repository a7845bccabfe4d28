//! A lock by name, for what has no row that could be locked.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};

use super::{AnyConnection, Tx};
use crate::kernel::Result;

/// Holds a name until the unit ends: `kind` says what it is of, `key` which one. Units that hold the same name run one
/// after the other, and each finds what the one before has stored. SQLite has one writer, and needs no lock.
///
/// # Errors
///
/// When the database fails.
pub fn hold_name(tx: &mut Tx<'_>, kind: &str, key: &[u8]) -> Result<()> {
    let AnyConnection::Pg(conn) = tx.conn() else { return Ok(()) };
    // Units that hold different names of one hash wait for each other as well, which does no harm.
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1 || encode($2, 'hex'), 0))")
        .bind::<Text, _>(kind)
        .bind::<Binary, _>(key)
        .execute(conn)?;
    Ok(())
}
