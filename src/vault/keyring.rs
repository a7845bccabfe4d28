//! The store of wrapped data keys: a database of its own, not in the backups of the main one.
//!
//! Destroying keys must leave no copy behind. On SQLite the freed pages are overwritten and the write-ahead log is
//! emptied, once nobody else reads the keyring; on PostgreSQL the rows go with the next vacuum and the archived log
//! with its retention.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use jiff::Timestamp;
use uuid::Uuid;

use super::installation::{Identity, KeyringMark};
use super::seal::Purpose;
use crate::db::schema::{installation as i, wrapped_keys as t};
use crate::db::{AnyConnection, At, Backend, Both, Db, Tx, peek};
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
    /// Whether destroyed keys may still be in the log. At the start too: the process before may have been killed.
    log_is_due: AtomicBool,
}

/// The answer of SQLite to a checkpoint.
#[derive(QueryableByName)]
struct Checkpoint {
    /// Whether another connection was in the way: then the log is not emptied, which is no error.
    #[diesel(sql_type = BigInt)]
    busy: i64,
}

impl Keyring {
    pub(super) fn new(db: Db) -> Self {
        Self { db, log_is_due: AtomicBool::new(true) }
    }

    /// Returns what the keyring says of the installation; it says `ours` if it is new. A generation below `used` is
    /// raised, and what lies between is missing.
    pub(super) async fn identify(&self, ours: Identity, used: u64) -> Result<KeyringMark> {
        self.db
            .write(move |tx| {
                let id: Id<Any> = Id::from_uuid(ours.id);
                let row = (i::one.eq(1), i::id.eq(id), i::mac.eq(ours.mac.as_slice()));
                let row = (row, i::generation.eq(0_i64), i::missing.eq(0_i64));
                Both(diesel::insert_into(i::table).values(row).on_conflict_do_nothing()).execute(tx.conn())?;
                let used = in_row(used)?;
                diesel::update(i::table.filter(i::generation.lt(used)))
                    .set((i::missing.eq(i::missing + used - i::generation), i::generation.eq(used)))
                    .execute(tx.conn())?;
                find_mark(tx)?.ok_or_else(|| Error::corrupt("installation", ours.id))
            })
            .await
    }

    /// Stores all keys of a new subject, and answers the generation of the change.
    ///
    /// # Errors
    ///
    /// [`Code::AlreadyExists`] when the subject has any of these numbers.
    pub(super) async fn insert(&self, subject: Uuid, rows: Vec<Wrapped>, now: Timestamp) -> Result<u64> {
        self.db
            .write(move |tx| {
                for row in &rows {
                    if !insert_one(tx, subject, row, now)? {
                        return Err(Error::Conflict(Code::AlreadyExists, Some(subject)));
                    }
                }
                next_generation(tx)
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

    /// Deletes keys, and answers the generation of the change.
    pub(super) async fn delete(&self, subject: Uuid, purposes: &[Purpose]) -> Result<u64> {
        let codes: Vec<i32> = purposes.iter().map(|purpose| purpose.code()).collect();
        let deleted = self
            .db
            .write(move |tx| {
                if let AnyConnection::Sqlite(conn) = tx.conn() {
                    conn.batch_execute("PRAGMA secure_delete=ON")?;
                }
                let id: Id<Any> = Id::from_uuid(subject);
                for code in &codes {
                    diesel::delete(t::table.filter(t::subject_id.eq(id)).filter(t::purpose.eq(*code)))
                        .execute(tx.conn())?;
                }
                next_generation(tx)
            })
            .await;
        // After an error too: the outcome of a COMMIT may be unknown.
        self.log_is_due.store(true, Ordering::Release);
        let deleted = deleted?;
        self.empty_log().await;
        Ok(deleted)
    }

    /// Empties the log on SQLite, if destroyed keys may still be in it. They are gone for every reader; a copy stays in
    /// the log while somebody reads the keyring, such as a backup. It is then emptied at the next call.
    pub(super) async fn empty_log(&self) {
        let Backend::Sqlite(path) = self.db.backend().clone() else { return };
        if self.db.backend().in_memory() || !self.log_is_due.swap(false, Ordering::AcqRel) {
            return;
        }
        let emptied = tokio::task::spawn_blocking(move || checkpoint(&path)).await;
        match emptied.map_err(|error| Error::Internal(Box::new(error))).flatten() {
            Ok(true) => return,
            Ok(false) => tracing::warn!("the keyring's log may hold destroyed keys: another connection is in the way"),
            Err(error) => tracing::warn!(%error, "the keyring's log may hold destroyed keys: it cannot be emptied"),
        }
        self.log_is_due.store(true, Ordering::Release);
    }

    pub(super) fn close(&self) {
        self.db.close();
    }
}

/// Copies the log of an SQLite file into it and empties it. Returns whether that was done. Blocks.
fn checkpoint(path: &Path) -> Result<bool> {
    let mut conn = SqliteConnection::establish(&path.to_string_lossy())?;
    // Writers wait meanwhile. What does not end within a second is left to the next call.
    conn.batch_execute("PRAGMA busy_timeout=1000")?;
    let end: Checkpoint = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(&mut conn)?;
    Ok(end.busy == 0)
}

/// Reads what a keyring that may not be there says of the installation. Blocks.
pub(super) fn peek_mark(keyring: &Backend) -> Result<Option<KeyringMark>> {
    Ok(peek(keyring, "installation", find_mark)?.flatten())
}

fn find_mark(tx: &mut Tx<'_>) -> Result<Option<KeyringMark>> {
    let row: Option<(Id<Any>, Vec<u8>, i64, i64)> =
        i::table.select((i::id, i::mac, i::generation, i::missing)).first(tx.conn()).optional()?;
    let Some((id, mac, generation, missing)) = row else { return Ok(None) };
    let read = || {
        let identity = Identity { id: id.uuid(), mac: mac.try_into().ok()? };
        Some(KeyringMark { identity, generation: generation.try_into().ok()?, missing: missing.try_into().ok()? })
    };
    read().map(Some).ok_or_else(|| Error::corrupt("installation", id.uuid()))
}

fn next_generation(tx: &mut Tx<'_>) -> Result<u64> {
    diesel::update(i::table).set(i::generation.eq(i::generation + 1)).execute(tx.conn())?;
    Ok(find_mark(tx)?.map_or(0, |mark| mark.generation))
}

fn in_row(generation: u64) -> Result<i64> {
    i64::try_from(generation).map_err(|error| Error::Internal(Box::new(error)))
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

/// Begins to read a keyring, for a test. The reading ends with the connection.
#[cfg(test)]
pub(super) fn begin_reading(path: &Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute("BEGIN; SELECT count(*) FROM wrapped_keys").unwrap();
    conn
}
