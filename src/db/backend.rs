//! The database of a server, and its URL.

use std::path::{Path, PathBuf};

use super::PostgresUrl;
use crate::kernel::Result;

/// The database that a [`Db`](super::Db) is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// An SQLite file, or a [`Memory`](super::Memory).
    Sqlite(PathBuf),
    /// A PostgreSQL server, by URL.
    Postgres(String),
}

impl Backend {
    /// Reads a database URL: `postgres://…`, `postgresql://…` or `sqlite:<path>`.
    ///
    /// # Errors
    ///
    /// A sentence for the operator. A URL without a known scheme is refused: SQLite would take any string as a path.
    pub fn parse(url: &str) -> Result<Self, String> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            PostgresUrl::parse(url)?;
            Ok(Self::Postgres(url.to_owned()))
        } else if let Some(path) =
            url.strip_prefix("sqlite:").filter(|path| !path.is_empty() && !path.starts_with("file:"))
        {
            Ok(Self::Sqlite(Path::new(path).to_owned()))
        } else {
            Err("a database URL starts with postgres://, postgresql:// or sqlite:".to_owned())
        }
    }

    /// Whether it is a [`Memory`](super::Memory), which has no file and which no other process can reach.
    pub fn in_memory(&self) -> bool {
        matches!(self, Self::Sqlite(path) if path.to_str().is_some_and(|path| path.starts_with(MEMORY)))
    }

    /// Whether it has one writer: while a unit writes, all others that write wait.
    pub fn has_one_writer(&self) -> bool {
        matches!(self, Self::Sqlite(_))
    }

    /// Whether it has one writer, and readers that do not wait for it: what takes long is then better made beside the
    /// writer. PostgreSQL has many writers; in memory readers and writer wait for each other.
    pub fn reads_beside_writer(&self) -> bool {
        self.has_one_writer() && !self.in_memory()
    }

    /// Returns the name for the operator: the file, or database and host, without user and password.
    pub fn place(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(url) => {
                PostgresUrl::parse(url).map_or_else(|_unreadable| "PostgreSQL".to_owned(), |url| url.name())
            }
        }
    }

    /// Returns the name of the kind of database.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }
}

/// The beginning of the address of a database in memory. SQLite shares those whose name begins with a slash.
pub(super) const MEMORY: &str = "file:/afterglow-";
