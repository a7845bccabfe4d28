//! Embedded migrations, one folder for each database, run under a lock.

use std::collections::BTreeSet;

use diesel::backend::Backend as DieselBackend;
use diesel::connection::SimpleConnection as _;
use diesel::migration::{Migration as _, MigrationSource};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::postgres;
use super::sqlite::{self, Role};
use super::{Backend, Tx, peek};
use crate::kernel::{Error, Result};

/// A family of tables that lives in one database.
#[derive(Clone, Copy, Debug)]
pub enum Family {
    /// All tables but that of the keys.
    Main,
    /// The table of the wrapped data keys.
    Keyring,
}

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const KEYRING_SQLITE: EmbeddedMigrations = embed_migrations!("migrations/keyring-sqlite");
const KEYRING_POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/keyring-postgres");

/// The number of the lock: any, as long as every server process takes the same.
const LOCK: i64 = 0x0061_6674_6572_676c;

/// Brings the tables to this build's version and answers the versions it added. Blocks.
///
/// # Errors
///
/// When the database was written by a newer build (an older one would misread it), or cannot be reached.
pub fn run(backend: &Backend, family: Family) -> Result<Vec<String>> {
    match backend {
        Backend::Sqlite(path) => {
            let mut conn = sqlite::connect(path, Role::Writer)?;
            // One transaction for all, which only one process can begin: the second process finds it done.
            conn.immediate_transaction(|conn| apply(conn, ours(backend, family)))
        }
        Backend::Postgres(url) => {
            let mut conn = postgres::connect(url)?;
            // A unit is cut off after seconds. A migration of much data takes its time, and others wait for its end.
            conn.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0")?;
            // The lock belongs to the connection: it ends with `conn`.
            conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
            // For a table it waits for seconds only, because the units of other processes queue behind it; a backup may
            // read that table for an hour.
            conn.batch_execute("SET lock_timeout = '5s'")?;
            apply(&mut conn, ours(backend, family))
        }
    }
}

#[derive(QueryableByName)]
struct Applied {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Refuses a database of a newer build, as [`run`] does, and makes nothing. Blocks.
///
/// # Errors
///
/// As [`run`].
pub fn check(backend: &Backend, family: Family) -> Result<()> {
    let find = |tx: &mut Tx<'_>| -> Result<Vec<Applied>> {
        Ok(diesel::sql_query("SELECT version FROM __diesel_schema_migrations").load(tx.conn())?)
    };
    let applied = peek(backend, "__diesel_schema_migrations", find)?.unwrap_or_default();
    // The versions are the same on both databases.
    refuse_newer::<Sqlite>(&ours(backend, family), applied.into_iter().map(|one| one.version))
}

const fn ours(backend: &Backend, family: Family) -> EmbeddedMigrations {
    match (backend, family) {
        (Backend::Sqlite(_), Family::Main) => SQLITE,
        (Backend::Sqlite(_), Family::Keyring) => KEYRING_SQLITE,
        (Backend::Postgres(_), Family::Main) => POSTGRES,
        (Backend::Postgres(_), Family::Keyring) => KEYRING_POSTGRES,
    }
}

fn apply<DB, C>(conn: &mut C, ours: EmbeddedMigrations) -> Result<Vec<String>>
where
    DB: DieselBackend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let applied = conn.applied_migrations().map_err(Error::Internal)?;
    refuse_newer::<DB>(&ours, applied.iter().map(ToString::to_string))?;
    let added = conn.run_pending_migrations(ours).map_err(Error::Internal)?;
    Ok(added.iter().map(ToString::to_string).collect())
}

fn refuse_newer<DB>(ours: &EmbeddedMigrations, mut applied: impl Iterator<Item = String>) -> Result<()>
where
    DB: DieselBackend,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known: BTreeSet<String> = MigrationSource::<DB>::migrations(ours)
        .map_err(Error::Internal)?
        .iter()
        .map(|m| m.name().version().to_string())
        .collect();
    match applied.find(|version| !known.contains(version)) {
        None => Ok(()),
        Some(newer) => Err(Error::internal(format!(
            "the database has migration {newer}, which this build does not know: use a newer build"
        ))),
    }
}
