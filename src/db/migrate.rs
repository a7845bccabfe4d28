//! Embedded migrations, one folder for each database, run under a lock.

use std::collections::BTreeSet;

use diesel::backend::Backend as DieselBackend;
use diesel::connection::SimpleConnection as _;
use diesel::migration::{Migration as _, MigrationSource};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::Backend;
use super::postgres;
use super::sqlite::{self, Role};
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
            conn.immediate_transaction(|conn| {
                apply(conn, if matches!(family, Family::Main) { SQLITE } else { KEYRING_SQLITE })
            })
        }
        Backend::Postgres(url) => {
            let mut conn = postgres::connect(url)?;
            // A unit is cut off after seconds. A migration of much data takes its time, and others wait for its end.
            conn.batch_execute("SET lock_timeout = 0; SET statement_timeout = 0")?;
            // The lock belongs to the connection: it ends with `conn`.
            conn.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
            apply(&mut conn, if matches!(family, Family::Main) { POSTGRES } else { KEYRING_POSTGRES })
        }
    }
}

fn apply<DB, C>(conn: &mut C, ours: EmbeddedMigrations) -> Result<Vec<String>>
where
    DB: DieselBackend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known: BTreeSet<String> = MigrationSource::<DB>::migrations(&ours)
        .map_err(Error::Internal)?
        .iter()
        .map(|m| m.name().version().to_string())
        .collect();
    let applied = conn.applied_migrations().map_err(Error::Internal)?;
    if let Some(newer) = applied.iter().map(ToString::to_string).find(|version| !known.contains(version)) {
        return Err(Error::internal(format!(
            "the database has migration {newer}, which this build does not know: use a newer build"
        )));
    }
    let added = conn.run_pending_migrations(ours).map_err(Error::Internal)?;
    Ok(added.iter().map(ToString::to_string).collect())
}
