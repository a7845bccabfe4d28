//! A unit of work, type-erased for the queue.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::SimpleConnection as _;
use tokio::sync::oneshot;

use super::AnyConnection;
use super::row_key::RowKey;
use super::signals::{Signal, Signals};
use super::versions::Versions;
use crate::kernel::{Error, Result};

type Hook = Box<dyn FnOnce() + Send>;

/// What a unit has done once it is durable.
pub struct Effects(Vec<Hook>);

impl fmt::Debug for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Effects({})", self.0.len())
    }
}

impl Effects {
    /// Has it done.
    pub fn run(self) {
        self.0.into_iter().for_each(run_hook);
    }
}

/// Runs a hook of a unit that is durable. A panic is a fault of the hook alone: the unit is answered, and the database
/// thread goes on.
fn run_hook(hook: Hook) {
    if catch_unwind(AssertUnwindSafe(hook)).is_err() {
        tracing::error!("what a unit wanted done after its commit panicked; the unit is durable");
    }
}

/// A note of a unit for its last step.
pub type Note = Box<dyn Any + Send>;

/// The last step of every unit that has noted something: it runs once, before the commit. A server has one.
pub trait LastStep: fmt::Debug + Send + Sync {
    /// Does the step. `notes` are those of the whole unit, in order, without those of attempts that were undone.
    ///
    /// # Errors
    ///
    /// Faults with which the unit ends: nothing of it is then changed.
    fn run(&self, tx: &mut Tx<'_>, notes: Vec<Note>) -> Result<()>;
}

/// An open transaction. Only `store.rs` files touch its connection.
pub struct Tx<'c> {
    conn: &'c mut AnyConnection,
    hooks: Vec<Hook>,
    notes: Vec<Note>,
    parts: Parts,
}

/// What the units of a database are given.
#[derive(Clone, Default)]
pub(super) struct Parts {
    pub row_key: Option<Arc<RowKey>>,
    pub last: Option<Arc<dyn LastStep>>,
    pub signals: Arc<Signals>,
    pub versions: Arc<Versions>,
    /// Whether the unit has asked for what follows it.
    pub followed: Arc<AtomicBool>,
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

impl<'c> Tx<'c> {
    pub(super) fn new(conn: &'c mut AnyConnection, parts: Parts) -> Self {
        Self { conn, hooks: Vec::new(), notes: Vec::new(), parts }
    }

    pub(super) fn row_key(&self) -> Option<&RowKey> {
        self.parts.row_key.as_deref()
    }

    /// Returns the connection, for SQL.
    pub fn conn(&mut self) -> &mut AnyConnection {
        self.conn
    }

    /// Runs `f`. When it refuses, its changes are undone and the unit goes on.
    ///
    /// # Errors
    ///
    /// Faults of the server, with which the unit must end.
    pub fn attempt<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<Result<T>> {
        let (hooks, notes) = (self.hooks.len(), self.notes.len());
        self.conn.batch_execute("SAVEPOINT attempt")?;
        let result = f(self);
        match result {
            Ok(value) => {
                self.conn.batch_execute("RELEASE SAVEPOINT attempt")?;
                Ok(Ok(value))
            }
            Err(error) if error.is_fault() => Err(error),
            Err(refusal) => {
                self.conn.batch_execute("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")?;
                self.hooks.truncate(hooks);
                self.notes.truncate(notes);
                Ok(Err(refusal))
            }
        }
    }

    /// Runs `hook` once the unit is durable, and never if it is not. This is the only way to touch a cache, wake a
    /// worker or notify a stream.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.push(Box::new(hook));
    }

    /// Takes out what was to be done once this unit is durable. It is for a unit that only prepares another one: what it
    /// wants done is done once the other one is durable.
    pub fn take_effects(&mut self) -> Effects {
        Effects(std::mem::take(&mut self.hooks))
    }

    /// Returns the version that follows `present` in a row. Every version of every row is made by this or by
    /// [`Tx::first_version`]: it is above the floor of the epoch, so that no version of an earlier epoch comes again.
    pub fn version_after(&self, present: i64) -> i64 {
        present.max(self.parts.versions.floor()) + 1
    }

    /// Returns the version of a new row.
    pub fn first_version(&self) -> i64 {
        self.version_after(0)
    }

    /// Checks that the floor that this process knows is the one of the data, which the unit has locked.
    ///
    /// # Errors
    ///
    /// [`Error::Transient`] when another process has begun a new epoch. The next run of the unit knows its floor.
    pub fn check_floor(&self, found: i64) -> Result<()> {
        if found <= self.parts.versions.floor() {
            return Ok(());
        }
        self.parts.versions.raise(found);
        Err(Error::Transient("a new epoch has begun".into()))
    }

    /// Tells the listeners, of this process and of others, once the unit is durable.
    pub fn signal(&mut self, signal: Signal) {
        let signals = Arc::clone(&self.parts.signals);
        self.after_commit(move || signals.tell(signal));
    }

    /// Asks for what follows the unit, outside the database threads, also when it then refuses. Where it was asked for
    /// without need, it does nothing.
    pub fn follow_up(&mut self) {
        self.parts.followed.store(true, Ordering::Release);
    }

    /// Notes something for the last step of the unit.
    pub fn note(&mut self, note: impl Any + Send) {
        self.notes.push(Box::new(note));
    }

    /// Does the last step, if there is something to do.
    fn end(&mut self, last: Option<&dyn LastStep>) -> Result<()> {
        let notes = std::mem::take(&mut self.notes);
        if notes.is_empty() {
            return Ok(());
        }
        last.ok_or_else(|| Error::internal("a unit has notes, and the database no last step"))?.run(self, notes)
    }
}

/// A unit as the database threads run it.
pub(super) trait Job: Send {
    /// Runs the unit and keeps its result. A panic is an [`Error::Internal`].
    fn run(&mut self, conn: &mut AnyConnection) -> Result<()>;
    /// Runs the hooks if the transaction is durable, and answers the caller.
    fn finish(self: Box<Self>, end: Result<()>);
}

pub(super) struct Unit<T, F> {
    f: F,
    kept: Option<(T, Vec<Hook>)>,
    reply: oneshot::Sender<Result<T>>,
    parts: Parts,
}

impl<T, F> Unit<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
{
    pub(super) fn new(f: F, reply: oneshot::Sender<Result<T>>, parts: Parts) -> Self {
        Self { f, kept: None, reply, parts }
    }
}

impl<T, F> Job for Unit<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
{
    fn run(&mut self, conn: &mut AnyConnection) -> Result<()> {
        self.kept = None;
        let (f, last) = (&mut self.f, self.parts.last.clone());
        let mut tx = Tx::new(conn, self.parts.clone());
        let last = last.as_deref();
        let value = catch_unwind(AssertUnwindSafe(|| f(&mut tx).and_then(|value| tx.end(last).map(|()| value))))
            .unwrap_or_else(|_payload| Err(Error::internal("a unit of work panicked")))?;
        self.kept = Some((value, tx.hooks));
        Ok(())
    }

    fn finish(self: Box<Self>, end: Result<()>) {
        let Self { f, kept, reply, .. } = *self;
        let answer = end.and_then(|()| {
            let (value, hooks) = kept.ok_or_else(|| Error::internal("a unit ended without a result"))?;
            hooks.into_iter().for_each(run_hook);
            Ok(value)
        });
        // What the unit has held is gone before its caller goes on.
        drop(f);
        // The caller may have gone away; the unit stays durable.
        drop(reply.send(answer));
    }
}
