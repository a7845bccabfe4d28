//! The SQLite writer: many units in one durable transaction.
//!
//! The thread opens a transaction, runs each waiting unit in a savepoint, commits, and only then answers all of them.
//! A batch closes at 128 units, when nothing waits, or after a time: 5 ms, or 10 ms while it has background work alone.
//! A unit that arrives meanwhile joins the open batch.
//!
//! On a full disk, an I/O error or an interrupt SQLite may drop the *whole* transaction; a later savepoint would then
//! open, and its release commit, a transaction of its own. A savepoint dies with its transaction, so the writer
//! learns of it when it releases or rolls back the unit's savepoint. The batch is then dead: nothing more runs in it,
//! every unit that ran is answered 503, the connection is opened anew, and the units that wait stay in the queue.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::brackets::{BeginImmediate, Commit, Release, RollbackTo, Savepoint};
use super::checkpoint::Checkpoints;
use super::queue::{Lane, Queue, Waiting};
use super::sqlite::{Role, connect, spawn};
use super::unit::Job;
use super::{AnyConnection, Both};
use crate::kernel::{Error, Result};

/// The most units in one transaction.
const BATCH: usize = 128;
/// The longest time for which a batch takes units.
const BATCH_TIME: Duration = Duration::from_millis(5);
/// The longest time for which a batch of background work alone takes units. Its units write the same pages again and
/// again: with fewer commits they are written less often.
const BULK_TIME: Duration = Duration::from_millis(10);

pub(super) fn start(path: PathBuf, queue: Arc<Queue>) -> Result<JoinHandle<()>> {
    // Opened here, so that the start of the server fails when the file cannot be opened.
    let mut conn = Some(AnyConnection::Sqlite(connect(&path, Role::Writer)?));
    let mut checkpoints = Checkpoints::start(path.clone())?;
    spawn("db-write".to_owned(), move || {
        while let Some(first) = queue.next() {
            let mut ready = match conn.take() {
                Some(ready) => ready,
                None => match connect(&path, Role::Writer) {
                    Ok(fresh) => AnyConnection::Sqlite(fresh),
                    Err(error) => {
                        tracing::error!(%error, "the database cannot be opened");
                        first.job.finish(Err(Error::Unavailable("the database cannot be opened")));
                        continue;
                    }
                },
            };
            let mut batch = Batch { ran: Vec::new(), bulk: true };
            match batch.run(&mut ready, first, &queue) {
                Ok(()) => conn = Some(ready),
                Err(error) => {
                    tracing::error!(%error, units = batch.ran.len(), "a batch was lost; its units answer 503");
                }
            }
            let bulk = batch.bulk;
            batch.answer(conn.is_some());
            if let Some(AnyConnection::Sqlite(conn)) = &mut conn {
                checkpoints.tend(conn, bulk);
            }
        }
        checkpoints.stop();
    })
}

struct Batch {
    /// The units that ran, each with its result.
    ran: Vec<(Box<dyn Job>, Result<()>)>,
    /// Whether it has background work alone.
    bulk: bool,
}

impl Batch {
    /// Runs units until the batch closes, then commits. After an error, nothing of the batch is known to be durable.
    fn run(&mut self, conn: &mut AnyConnection, first: Waiting, queue: &Queue) -> Result<()> {
        let opened = Instant::now();
        if let Err(error) = Both(BeginImmediate).execute(conn) {
            self.ran.push((first.job, Ok(())));
            return Err(error.into());
        }
        let mut next = Some(first);
        while let Some(waiting) = next {
            self.bulk &= waiting.lane == Lane::Bulk;
            if waiting.is_late() {
                waiting.job.finish(Err(Error::Unavailable("the database queue is too slow")));
            } else {
                self.run_one(conn, waiting.job)?;
            }
            let time = if self.bulk { BULK_TIME } else { BATCH_TIME };
            let open = self.ran.len() < BATCH && opened.elapsed() < time;
            next = if open { queue.try_next() } else { None };
        }
        Both(Commit).execute(conn)?;
        Ok(())
    }

    /// Runs one unit in a savepoint. After an error, the outer transaction is gone.
    fn run_one(&mut self, conn: &mut AnyConnection, mut job: Box<dyn Job>) -> Result<()> {
        let mut attempt = || -> Result<Result<()>> {
            Both(Savepoint).execute(conn)?;
            let end = job.run(conn);
            if end.is_err() {
                Both(RollbackTo).execute(conn)?;
            }
            Both(Release).execute(conn)?;
            Ok(end)
        };
        match attempt() {
            Ok(end) => {
                self.ran.push((job, end));
                Ok(())
            }
            Err(error) => {
                self.ran.push((job, Ok(())));
                Err(error)
            }
        }
    }

    fn answer(self, durable: bool) {
        for (job, end) in self.ran {
            job.finish(if durable { end } else { Err(Error::Unavailable("the transaction was lost")) });
        }
    }
}
