//! Which database a server uses, and how an operator writes it.

use std::path::{Path, PathBuf};

use crate::kernel::Result;

/// Which database a [`Db`](super::Db) speaks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file of our own, or a [`Memory`](super::Memory).
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
            Ok(Self::Postgres(url.to_owned()))
        } else if let Some(path) =
            url.strip_prefix("sqlite:").filter(|path| !path.is_empty() && !path.starts_with("file:"))
        {
            Ok(Self::Sqlite(Path::new(path).to_owned()))
        } else {
            Err("a database URL starts with postgres://, postgresql:// or sqlite:".to_owned())
        }
    }

    /// Whether it is a [`Memory`](super::Memory): there is no file, and no other process can reach it.
    pub fn in_memory(&self) -> bool {
        matches!(self, Self::Sqlite(path) if path.to_str().is_some_and(|path| path.starts_with(MEMORY)))
    }

    /// The name of the kind of database.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }
}

/// How the address of a database in memory begins: SQLite shares those whose name begins with a slash.
pub(super) const MEMORY: &str = "file:/afterglow-";
