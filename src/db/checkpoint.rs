//! Checkpoints of SQLite's log, beside the writer.
//!
//! A checkpoint copies the pages of the log into the database's file, so that the log can start over. As a part of a
//! commit it would hold up every unit that waits, so a thread of its own copies while the writer goes on, and then
//! what came meanwhile. Only a log that is copied to its end starts over, and a busy writer is always ahead of the
//! thread: the last few pages are copied by the writer, between two batches.
//!
//! No promise rests on a checkpoint: a commit is on the disk, in the log, before it is answered. Two connections that
//! copy and write at once need SQLite 3.51.3: earlier ones could overwrite a log that was not copied yet.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;

use super::sqlite::{BUSY_TIMEOUT, Role, connect, spawn};
use crate::kernel::Result;

/// The number of uncopied pages at which a checkpoint is due, 0.8 MB. The flush of a commit waits behind the pages that
/// are being copied: in a minute of creates one in a hundred waited 14 ms at 200 pages, 17 at 400, 20 at 1,000, 25 at
/// 2,000 and 31 at 4,000, where a page that changes often is copied once for more changes and the rate was 1.07 times as
/// high.
const DUE: i64 = 200;
/// The number of uncopied pages, 16 MB, at which a checkpoint is due while there is background work alone: nobody waits,
/// and its units write the same pages again and again.
const DUE_IN_BULK: i64 = 4_000;
/// The most uncopied pages, 16 MB, that the writer copies itself.
const REST: i64 = 4_000;
/// The number of pages of the log, 64 MB, beyond which the writer waits a moment for readers that overlap, so that the
/// log can start over. When so many pages come while the thread copies, the writer waits for the thread.
const MOST: i64 = 16_000;
/// The least time between two waits for readers.
const BETWEEN_WAITS: Duration = Duration::from_secs(1);
/// The most times that the thread copies for one checkpoint. Each time there is less to copy.
const PASSES: usize = 4;
/// The least time between two looks at the log.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// The number of pages in the log. For a database in memory, which has no log, both are -1.
#[derive(QueryableByName)]
struct Log {
    #[diesel(column_name = busy, sql_type = BigInt)]
    busy: i64,
    #[diesel(column_name = log, sql_type = BigInt)]
    pages: i64,
    #[diesel(column_name = checkpointed, sql_type = BigInt)]
    copied: i64,
}

impl Log {
    /// Looks at the log.
    fn look(conn: &mut SqliteConnection) -> Result<Self> {
        Ok(diesel::sql_query("PRAGMA wal_checkpoint(NOOP)").get_result(conn)?)
    }

    /// Copies the pages that no reader needs as they are in the file, without waiting.
    fn copy(conn: &mut SqliteConnection) -> Result<Self> {
        Ok(diesel::sql_query("PRAGMA wal_checkpoint(PASSIVE)").get_result(conn)?)
    }

    /// Copies all pages, and waits up to 50 ms for the readers of the log. The next write then starts the log over.
    fn restart(conn: &mut SqliteConnection) -> Result<Self> {
        conn.batch_execute("PRAGMA busy_timeout=50")?;
        let log = diesel::sql_query("PRAGMA wal_checkpoint(RESTART)").get_result(conn);
        conn.batch_execute(BUSY_TIMEOUT)?;
        Ok(log?)
    }

    /// Whether another process copies just now; nothing is known of the log then.
    fn is_copied_elsewhere(&self) -> bool {
        self.busy != 0 && self.pages < 0
    }

    fn uncopied(&self) -> i64 {
        self.pages - self.copied
    }
}

/// The state of the log, as the writer knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No checkpoint is due.
    Idle,
    /// The thread copies.
    Copying,
    /// The writer copies the rest.
    Ending,
}

/// The checkpoints of a writer, and their thread.
pub(super) struct Checkpoints {
    asks: Sender<()>,
    ends: Receiver<Result<()>>,
    thread: JoinHandle<()>,
    stage: Stage,
    looked_at: Instant,
    /// The pages of the log when the thread was asked.
    pages_asked: i64,
    /// The instant of the last wait for readers.
    waited_at: Option<Instant>,
    /// Whether the log grows, and that was logged.
    growing: bool,
}

impl Checkpoints {
    pub(super) fn start(path: PathBuf) -> Result<Self> {
        let (asks, asked) = channel();
        let (ended, ends) = channel();
        let thread = spawn("db-checkpoint".to_owned(), move || serve(&path, &asked, &ended))?;
        let (stage, looked_at) = (Stage::Idle, Instant::now());
        Ok(Self { asks, ends, thread, stage, looked_at, pages_asked: 0, waited_at: None, growing: false })
    }

    /// Keeps the log short. The writer calls it between two batches, with its connection; `bulk` says that the last one
    /// had background work alone.
    pub(super) fn tend(&mut self, conn: &mut SqliteConnection, bulk: bool) {
        if let Err(error) = self.step(conn, if bulk { DUE_IN_BULK } else { DUE }) {
            self.grows(&error.to_string());
        }
    }

    /// Ends the thread. Blocks.
    pub(super) fn stop(self) {
        drop(self.asks);
        // A thread that panicked has left the copying to the writer.
        drop(self.thread.join());
    }

    fn step(&mut self, conn: &mut SqliteConnection, due: i64) -> Result<()> {
        if self.stage == Stage::Idle && self.may_look() {
            let log = Log::look(conn)?;
            if log.uncopied() > due {
                // Without its thread the writer copies everything.
                self.stage = if self.asks.send(()).is_ok() { Stage::Copying } else { Stage::Ending };
                self.pages_asked = log.pages;
            } else if log.pages > MOST {
                self.stage = Stage::Ending;
            }
        }
        if self.stage == Stage::Copying {
            let too_long = self.may_look() && Log::look(conn)?.pages > self.pages_asked + MOST;
            let end = if too_long { self.ends.recv().ok() } else { self.ends.try_recv().ok() };
            if too_long || end.is_some() {
                self.stage = Stage::Ending;
            }
            end.unwrap_or(Ok(()))?;
        }
        if self.stage == Stage::Ending {
            let mut log = Log::copy(conn)?;
            if log.pages > MOST && log.uncopied() <= REST && self.may_wait() {
                // Readers that overlap keep a log that is copied from starting over, and every batch pays for copying.
                log = Log::restart(conn)?;
            }
            if log.is_copied_elsewhere() {
                return Ok(());
            }
            let uncopied = log.uncopied();
            if log.pages > 2 * MOST && log.busy != 0 || uncopied > REST && log.pages > MOST {
                self.grows("something reads since long ago");
            } else if uncopied == 0 {
                self.growing = false;
            }
            // While a reader holds a short rest, the writer tries again after each batch.
            if uncopied == 0 || uncopied > REST {
                self.stage = Stage::Idle;
            }
        }
        Ok(())
    }

    /// Whether enough time has gone by since the last look. A look costs the writer as much as a small statement.
    fn may_look(&mut self) -> bool {
        let due = self.looked_at.elapsed() >= BETWEEN_LOOKS;
        if due {
            self.looked_at = Instant::now();
        }
        due
    }

    /// Whether the writer may wait for readers again.
    fn may_wait(&mut self) -> bool {
        let due = self.waited_at.is_none_or(|at| at.elapsed() >= BETWEEN_WAITS);
        if due {
            self.waited_at = Some(Instant::now());
        }
        due
    }

    /// Logs it once, until the whole log is copied again.
    fn grows(&mut self, why: &str) {
        if !std::mem::replace(&mut self.growing, true) {
            tracing::warn!(why, "the log of the database cannot be copied into its file and grows");
        }
    }
}

/// Copies whenever the writer asks, until it has gone.
fn serve(path: &Path, asked: &Receiver<()>, ended: &Sender<Result<()>>) {
    let mut conn = None;
    for () in asked {
        if ended.send(copy(&mut conn, path)).is_err() {
            return;
        }
    }
}

fn copy(slot: &mut Option<SqliteConnection>, path: &Path) -> Result<()> {
    let mut conn = match slot.take() {
        Some(conn) => conn,
        // A reader's connection cannot change rows, and can copy.
        None => connect(path, Role::Reader)?,
    };
    for _ in 0..PASSES {
        Log::copy(&mut conn)?;
        // SQLite flushes the file when nothing was committed during the copying. What is flushed here, the writer does
        // not wait for.
        if Log::look(&mut conn)?.uncopied() == 0 {
            break;
        }
    }
    *slot = Some(conn);
    Ok(())
}
