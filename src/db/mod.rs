//! The database: units of work on SQLite or PostgreSQL.
//!
//! [`Db::write`] and [`Db::read`] are the only ways in. A unit commits on `Ok` and rolls back on `Err`; a refusal that
//! must leave a trace is therefore a *value*, not an error. A unit may run more than once and so has no effect outside
//! the database; effects after the commit are handed to [`Tx::after_commit`].
//!
//! Connections live on threads of their own, never on the HTTP workers. Units wait for them in a queue, in which
//! callers take turns (`queue`). On SQLite one writer thread commits many units in one transaction (`writer`), each in
//! a savepoint, and another thread copies its log into the file (`checkpoint`); on PostgreSQL each thread runs one unit
//! at a time (`postgres`). Nothing outside `store.rs` files and this folder imports diesel.

pub mod authentic;
mod backend;
mod brackets;
pub mod catalog;
mod checkpoint;
mod connection;
mod error;
mod memory;
mod named_lock;
mod peek;
pub mod migrate;
mod postgres;
mod postgres_url;
mod queue;
mod row_key;
pub mod schema;
mod signal_exchange;
mod signals;
mod sqlite;
mod types;
mod versions;
mod unit;
pub mod values;
mod writer;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use uuid::Uuid;

pub use authentic::Stored;
pub use backend::Backend;
pub use connection::{AnyConnection, Both, MultiBackend, Prepared, columns, rounded};
pub use memory::Memory;
pub use named_lock::hold_name;
pub use peek::peek;
pub use postgres_url::PostgresUrl;
pub use row_key::RowKey;
pub use signals::{Listener, Signal, Signals, Topic};
pub use types::{At, TimestampTz, Uid};
pub use unit::{Effects, LastStep, Note, Tx};

use crate::kernel::{Error, Result};
use queue::{Lane, Queue};
use unit::{Parts, Unit};
use versions::Versions;

/// A handle on the database. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    writes: Arc<Queue>,
    reads: Arc<Queue>,
    threads: Arc<std::sync::Mutex<Vec<JoinHandle<()>>>>,
    backend: Arc<Backend>,
    row_key: Option<Arc<RowKey>>,
    signals: Arc<Signals>,
    last: Option<Arc<dyn LastStep>>,
    follow_up: Option<Arc<dyn FollowUp>>,
    versions: Arc<Versions>,
    /// The account that asks for the units of this handle.
    caller: Option<Uuid>,
}

/// What follows each unit that asked for it ([`Tx::follow_up`]), once it is durable or has refused, and before its
/// caller has the answer, outside the database threads. A server has one.
pub trait FollowUp: std::fmt::Debug + Send + Sync {
    /// Does it.
    ///
    /// # Errors
    ///
    /// The caller gets them in place of the answer; a unit that was durable stays so.
    fn run<'a>(&'a self, db: &'a Db) -> BoxFuture<'a, Result<()>>;
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Db({})", self.backend.name())
    }
}

impl Db {
    /// Opens the database (not its tables: see [`migrate`]) and starts its threads.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when an SQLite file cannot be opened. A PostgreSQL server may be away: its units answer 503
    /// until it is back.
    pub fn open(backend: Backend) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let writes = Arc::new(Queue::new(1024));
        let mut threads = Vec::new();
        let reads = match &backend {
            Backend::Sqlite(path) => {
                let reads = Arc::new(Queue::new(1024));
                threads.push(writer::start(path.clone(), Arc::clone(&writes))?);
                for turn in 0..cores.clamp(2, 16) {
                    threads.push(sqlite::start_reader(turn, path.clone(), Arc::clone(&reads))?);
                }
                reads
            }
            Backend::Postgres(url) => {
                for turn in 0..(2 * cores + 2).max(8) {
                    threads.push(postgres::start(turn, url.clone(), Arc::clone(&writes))?);
                }
                Arc::clone(&writes)
            }
        };
        let threads = Arc::new(std::sync::Mutex::new(threads));
        Ok(Self {
            writes,
            reads,
            threads,
            backend: Arc::new(backend),
            row_key: None,
            last: None,
            follow_up: None,
            signals: Arc::default(),
            versions: Arc::default(),
            caller: None,
        })
    }

    /// Gives the units of this handle the key of the rows that decide who gets in. Without it they can neither be read
    /// nor written.
    #[must_use]
    pub fn with_row_key(self, key: RowKey) -> Self {
        Self { row_key: Some(Arc::new(key)), ..self }
    }

    /// Exchanges signals with the other processes on the database; on SQLite there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when a thread cannot be started.
    pub fn share_signals(&self) -> Result<()> {
        if let Backend::Postgres(url) = self.backend() {
            let thread = signal_exchange::start(Arc::clone(&self.signals), url.clone())?;
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(())
    }

    /// Raises the floor above which this process gives versions. It never falls.
    pub fn raise_version_floor(&self, floor: i64) {
        self.versions.raise(floor);
    }

    /// Returns the signals of this process.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Gives the units of this handle their last step. Without it a unit that notes something for it fails.
    #[must_use]
    pub fn with_last_step(self, last: Arc<dyn LastStep>) -> Self {
        Self { last: Some(last), ..self }
    }

    /// Has `follow_up` done after each unit of this handle that asks for it.
    #[must_use]
    pub fn with_follow_up(self, follow_up: Option<Arc<dyn FollowUp>>) -> Self {
        Self { follow_up, ..self }
    }

    /// Returns a handle for the units that an account asks for: callers take turns in the queue.
    #[must_use]
    pub fn for_caller(&self, account: Uuid) -> Self {
        Self { caller: Some(account), ..self.clone() }
    }

    /// Returns the database that this handle is for.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Runs `f` in one transaction, and answers once it is durable.
    ///
    /// `f` may run more than once (deadlock, connection lost before COMMIT), so it borrows its input and has no
    /// outside effect.
    ///
    /// # Errors
    ///
    /// The errors of `f` (nothing is then changed); [`Error::Unavailable`] when the queue is full, the database is
    /// away, or the outcome of COMMIT is unknown.
    pub async fn write<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.submit(&self.writes, Lane::Interactive, false, f).await
    }

    /// Runs `f` like [`Db::write`], for background work: when no interactive unit waits. A unit changes at most 100
    /// rows.
    ///
    /// # Errors
    ///
    /// As [`Db::write`].
    pub async fn write_bulk<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.submit(&self.writes, Lane::Bulk, false, f).await
    }

    /// Runs `f` on one snapshot, where it cannot write.
    ///
    /// # Errors
    ///
    /// As [`Db::write`].
    pub async fn read<T, F>(&self, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        self.submit(&self.reads, Lane::Interactive, true, f).await
    }

    async fn submit<T, F>(&self, queue: &Queue, lane: Lane, read_only: bool, f: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let followed = Arc::<AtomicBool>::default();
        let unit = Unit::new(
            f,
            reply,
            Parts {
                row_key: self.row_key.clone(),
                last: self.last.clone(),
                signals: Arc::clone(&self.signals),
                versions: Arc::clone(&self.versions),
                followed: Arc::clone(&followed),
            },
        );
        let (job, caller, asked_at) = (Box::new(unit), self.caller, Instant::now());
        queue.push(queue::Waiting { job, caller, lane, read_only, asked_at })?;
        let answer = answer.await.unwrap_or(Err(Error::Unavailable("the database thread has stopped")));
        // A refusal waits as well: it may be the answer to a request that was done before and is sent again.
        if followed.load(Ordering::Acquire)
            && !answer.as_ref().is_err_and(Error::is_fault)
            && let Some(follow_up) = &self.follow_up
        {
            // It is the server's own work: it does not wait behind what else the caller has sent.
            follow_up.run(&Self { caller: None, ..self.clone() }).await?;
        }
        answer
    }

    /// Stops taking units, finishes those that wait, and ends the threads. Blocks.
    pub fn close(&self) {
        self.writes.close();
        self.reads.close();
        self.signals.close();
        let threads = self.threads.lock().map(|mut list| std::mem::take(&mut *list)).unwrap_or_default();
        let served = !threads.is_empty();
        for thread in threads {
            // A thread that panicked has already answered its unit.
            drop(thread.join());
        }
        if let Backend::Sqlite(path) = self.backend()
            && served
            && path.exists()
        {
            // Connections that close at the same moment leave the log beside the file: a copy of the file is then old.
            // This one is the last. What does not get into the file now does at the next start.
            drop(sqlite::connect(path, sqlite::Role::Writer));
        }
    }
}
