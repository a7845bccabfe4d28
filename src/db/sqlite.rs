//! SQLite connections and the reader threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use diesel::connection::{Connection, SimpleConnection};
use diesel::sqlite::SqliteConnection;

use super::brackets::{Begin, Commit, Rollback};
use super::queue::{Queue, Waiting};
use super::{AnyConnection, Both};
use crate::kernel::{Error, Result};

/// How long a connection waits for another one.
pub(super) const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout=5000;";

/// The role of a connection, which decides its pragmas.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Writer,
    Reader,
}

/// Opens a connection with the pragmas of its role.
pub(super) fn connect(path: &Path, role: Role) -> Result<SqliteConnection> {
    let path = path.to_str().ok_or_else(|| Error::internal("the path of the database is not UTF-8"))?;
    let mut conn = SqliteConnection::establish(path)?;
    let pragmas = match role {
        // FULL: a commit is on the disk before it is answered. In WAL mode, NORMAL would lose it on a power cut.
        // No checkpoint in a commit: see `checkpoint`.
        // A cache of 16 MiB, no more: in a profile a COMMIT walked the whole table of the cache, which grows with it.
        Role::Writer => {
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=0;"
        }
        // The pages of a file of up to 2 GB (the most that SQLite maps) are read where they lie, without a system call:
        // a list takes 0.9 times as long. The writer does not map the file: it has its pages in its cache, would only
        // follow each growth of the file, and a create would take 1.05 times as long.
        Role::Reader => "PRAGMA query_only=ON; PRAGMA cache_size=-16384; PRAGMA mmap_size=2147418112;",
    };
    conn.batch_execute(BUSY_TIMEOUT)?;
    // MEMORY: the pages that a savepoint would restore are not written to a file of their own.
    conn.batch_execute("PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;")?;
    conn.batch_execute(pragmas)?;
    Ok(conn)
}

pub(super) fn start_reader(turn: usize, path: PathBuf, queue: Arc<Queue>) -> Result<JoinHandle<()>> {
    spawn(format!("db-read-{turn}"), move || {
        let mut conn = None;
        while let Some(first) = queue.next() {
            let mut ready = match conn.take() {
                Some(ready) => ready,
                None => match connect(&path, Role::Reader) {
                    Ok(fresh) => AnyConnection::Sqlite(fresh),
                    Err(error) => {
                        first.job.finish(Err(error));
                        continue;
                    }
                },
            };
            conn = share_snapshot(&mut ready, first, &queue).then_some(ready);
        }
    })
}

/// Runs a unit on a snapshot, and on the same one those of the next units that were asked for before it was opened: it
/// has all that was acknowledged to their callers. A new snapshot costs a connection all pages that it knows, as soon as
/// anything was written. Answers whether the connection is still good.
fn share_snapshot(conn: &mut AnyConnection, first: Waiting, queue: &Queue) -> bool {
    let opened = Instant::now();
    if let Err(error) = Both(Begin).execute(conn) {
        first.job.finish(Err(error.into()));
        return false;
    }
    let mut waiting = first;
    loop {
        let end = if waiting.is_late() {
            Err(Error::Unavailable("the database queue is too slow"))
        } else {
            waiting.job.run(conn)
        };
        let next = if end.is_ok() { queue.try_next_asked_before(opened) } else { None };
        let Some(next) = next else {
            let closed = if end.is_ok() { Both(Commit).execute(conn) } else { Both(Rollback).execute(conn) };
            let healthy = closed.is_ok();
            waiting.job.finish(end.and_then(|()| Ok(closed.map(|_rows| ())?)));
            return healthy;
        };
        std::mem::replace(&mut waiting, next).job.finish(end);
    }
}

pub(super) fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(run).map_err(|error| Error::Internal(Box::new(error)))
}
