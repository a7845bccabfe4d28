//! The meaning of database errors.

use diesel::result::{ConnectionError, DatabaseErrorKind, Error as Diesel};

use crate::kernel::Error;

/// Sorts the errors of diesel. A missing row is a fault of the server and never a 404: a query whose row may be missing
/// uses `optional()`.
impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        let words = match &error {
            Diesel::DatabaseError(DatabaseErrorKind::SerializationFailure | DatabaseErrorKind::ClosedConnection, _) => {
                return Self::Transient(Box::new(error));
            }
            Diesel::DatabaseError(_, info) => info.message(),
            _ => return Self::Internal(Box::new(error)),
        };
        // diesel keeps no error number; these are the English texts of SQLite and libpq.
        let says = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
        if says(&["database or disk is full", "No space left on device"]) {
            Self::StorageFull
        } else if says(&[
            "deadlock detected",
            "database is locked",
            "database table is locked",
            "interrupted",
            "canceling statement due to",
            // The server is the standby of another one, for now.
            "in a read-only transaction",
            "server closed the connection",
            "connection to server",
            "terminating connection",
            "the database system is",
            "no connection to the server",
            "could not receive data from server",
            "could not send data to server",
            "SSL SYSCALL error",
            // Two units made the same row at once: the later one, run again, finds it. SQLite has one writer and other
            // words: there it is a fault.
            "duplicate key value violates unique constraint",
        ]) {
            Self::Transient(Box::new(error))
        } else {
            Self::Internal(Box::new(error))
        }
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        Self::Transient(Box::new(error))
    }
}
