//! SQLite databases in memory, for a server that leaves nothing on disk.
//!
//! The connections of this process share one by its name (SQLite's `memdb`); no other process sees it. Units of work
//! have the isolation that they have on a file. There are differences: there is no write-ahead log, so a reader waits
//! for the writer and the writer for readers, which is short since nothing waits for a disk; it holds a gigabyte at
//! most; and it is durable as long as the process lives.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use diesel::sqlite::SqliteConnection;

use super::backend::{Backend, MEMORY};
use super::sqlite::{Role, connect};
use crate::kernel::Result;

/// A database in memory. It lasts as long as this value, also without another connection.
pub struct Memory {
    backend: Backend,
    _held: Mutex<SqliteConnection>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}

impl Memory {
    /// Makes a database without tables.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`](crate::kernel::Error::Internal) when SQLite has no memory for it.
    pub fn new() -> Result<Self> {
        // Each has a name of its own: databases of one name are one database.
        static MADE: AtomicU64 = AtomicU64::new(0);
        let address = PathBuf::from(format!("{MEMORY}{}?vfs=memdb", MADE.fetch_add(1, Ordering::Relaxed)));
        let held = connect(&address, Role::Reader)?;
        Ok(Self { backend: Backend::Sqlite(address), _held: Mutex::new(held) })
    }

    /// Returns the backend that opens this database.
    pub fn backend(&self) -> Backend {
        self.backend.clone()
    }
}
