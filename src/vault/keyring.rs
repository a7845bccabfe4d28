//! The store of wrapped data keys: a database of its own, not in the backups of the main one.
//!
//! Destroying keys must leave no copy behind. On SQLite the freed pages are overwritten and the write-ahead log is
//! emptied; on PostgreSQL the rows go with the next vacuum and the archived log with its retention.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use jiff::Timestamp;
use uuid::Uuid;

use super::seal::Purpose;
use crate::db::schema::wrapped_keys as t;
use crate::db::{AnyConnection, At, Backend, Both, Db, Tx};
use crate::kernel::id::Any;
use crate::kernel::{Code, Error, Id, Result};

/// A data key as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Wrapped {
    pub number: u32,
    pub purpose: i32,
    /// The key, wrapped by the root.
    pub key: Vec<u8>,
}

pub(super) struct Keyring {
    db: Db,
}

impl Keyring {
    pub(super) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Stores all keys of a new subject.
    ///
    /// # Errors
    ///
    /// [`Code::AlreadyExists`] when the subject has any of these numbers.
    pub(super) async fn insert(&self, subject: Uuid, rows: Vec<Wrapped>, now: Timestamp) -> Result<()> {
        self.db
            .write(move |tx| {
                for row in &rows {
                    if !insert_one(tx, subject, row, now)? {
                        return Err(Error::Conflict(Code::AlreadyExists, Some(subject)));
                    }
                }
                Ok(())
            })
            .await
    }

    /// Stores `row` unless there is one of its number, and answers the stored one.
    pub(super) async fn first(&self, subject: Uuid, row: Wrapped, now: Timestamp) -> Result<Option<Wrapped>> {
        self.db
            .write(move |tx| {
                insert_one(tx, subject, &row, now)?;
                Ok(select(tx, subject)?.into_iter().find(|found| found.number == row.number))
            })
            .await
    }

    /// Returns the database of the keyring.
    pub(super) fn db(&self) -> &Db {
        &self.db
    }

    pub(super) async fn list(&self, subject: Uuid) -> Result<Vec<Wrapped>> {
        self.db.read(move |tx| select(tx, subject)).await
    }

    pub(super) async fn delete(&self, subject: Uuid, purposes: &[Purpose]) -> Result<()> {
        let codes: Vec<i32> = purposes.iter().map(|purpose| purpose.code()).collect();
        self.db
            .write(move |tx| {
                if let AnyConnection::Sqlite(conn) = tx.conn() {
                    conn.batch_execute("PRAGMA secure_delete=ON")?;
                }
                let id: Id<Any> = Id::from_uuid(subject);
                for code in &codes {
                    diesel::delete(t::table.filter(t::subject_id.eq(id)).filter(t::purpose.eq(*code)))
                        .execute(tx.conn())?;
                }
                Ok(())
            })
            .await?;
        let Backend::Sqlite(path) = self.db.backend().clone() else { return Ok(()) };
        let emptied = tokio::task::spawn_blocking(move || -> Result<()> {
            let mut conn = SqliteConnection::establish(&path.to_string_lossy())?;
            Ok(conn.batch_execute("PRAGMA busy_timeout=5000; PRAGMA wal_checkpoint(TRUNCATE)")?)
        })
        .await;
        // The keys are gone for every reader; a copy stays in the log until it is next emptied.
        if let Ok(Err(error)) = emptied {
            tracing::warn!(%error, "the keyring's log could not be emptied after keys were destroyed");
        }
        Ok(())
    }

    pub(super) fn close(&self) {
        self.db.close();
    }
}

fn insert_one(tx: &mut Tx<'_>, subject: Uuid, row: &Wrapped, now: Timestamp) -> Result<bool> {
    let values = (
        t::subject_id.eq(Id::<Any>::from_uuid(subject)),
        t::number.eq(number_in_row(row.number)?),
        t::purpose.eq(row.purpose),
        t::wrapped.eq(&row.key),
        t::created_at.eq(At(now)),
    );
    let inserted = Both(diesel::insert_into(t::table).values(values).on_conflict_do_nothing()).execute(tx.conn())?;
    Ok(inserted == 1)
}

fn select(tx: &mut Tx<'_>, subject: Uuid) -> Result<Vec<Wrapped>> {
    let rows: Vec<(i32, i32, Vec<u8>)> = t::table
        .filter(t::subject_id.eq(Id::<Any>::from_uuid(subject)))
        .order(t::number)
        .select((t::number, t::purpose, t::wrapped))
        .load(tx.conn())?;
    rows.into_iter()
        .map(|(number, purpose, key)| {
            let number = u32::try_from(number).ok().ok_or_else(|| Error::corrupt("wrapped_keys", subject))?;
            Ok(Wrapped { number, purpose, key })
        })
        .collect()
}

fn number_in_row(number: u32) -> Result<i32> {
    i32::try_from(number).map_err(|error| Error::Internal(Box::new(error)))
}

/// Makes an empty database for a test.
#[cfg(test)]
pub(super) fn make_database(server: &str, name: &str) {
    PgConnection::establish(server).unwrap().batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
}
