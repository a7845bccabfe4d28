//! A look at a database that may not be there.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::sqlite::{self, Role};
use super::unit::Parts;
use super::{AnyConnection, Backend, Tx, postgres};
use crate::kernel::{Error, Result};

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Reads from a database if it is there and has `table`. Makes nothing. Blocks.
///
/// # Errors
///
/// When the database is there and cannot be read; the message names it.
pub fn peek<T>(backend: &Backend, table: &str, read: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<Option<T>> {
    let named = |error: Error| match error {
        Error::Internal(source) | Error::Transient(source) => {
            Error::internal(format!("{} cannot be read: {source}", backend.place()))
        }
        other => other,
    };
    let look = || {
        let (mut conn, query) = match backend {
            Backend::Sqlite(path) => {
                // SQLite would make a missing file, and an empty one is no database yet.
                let there = || std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0);
                if !backend.in_memory() && !there() {
                    return Ok(None);
                }
                let conn = AnyConnection::Sqlite(sqlite::connect(path, Role::Reader)?);
                (conn, "SELECT count(*) > 0 AS found FROM sqlite_master WHERE type = 'table' AND name = ")
            }
            Backend::Postgres(url) => {
                let conn = AnyConnection::Pg(postgres::connect(url)?);
                (
                    conn,
                    "SELECT count(*) > 0 AS found FROM pg_tables WHERE schemaname = current_schema() AND tablename = ",
                )
            }
        };
        let found: Found = diesel::sql_query(query).sql("'").sql(table).sql("'").get_result(&mut conn)?;
        if !found.found {
            return Ok(None);
        }
        read(&mut Tx::new(&mut conn, Parts::default())).map(Some)
    };
    look().map_err(named)
}
