//! Background work, as the slices define it.
//!
//! A [`Task`] does one kind of background work: it marks prompts due, delivers, plans again, purges. Each lies in a
//! file beside the slice whose rows it works on, and names the columns that determine when it is due ([`Due`]). `app`
//! holds the list of tasks, and `jobs` repeats it. A test reads the columns of the database: a column whose name
//! suggests work for a task must be named by one, or stand with a reason on the list of those that need none.
//!
//! What fails for one patient, account, cover or clinic does not end the round of a task, and does not come first in
//! the next ones: it is [put off](PutOff). The list keeps that beside each task, from round to round ([`ListedTask`]).
//! A round ends early only after an outage, or when the worker is to stop.
//!
//! One statement reads when the tasks are due, however many there are: for each column it looks at the low end of an
//! index. A task whose column has no index that begins with it makes every idle round slow.

mod clearing;
mod keys;
mod model;
mod put_off;
mod store;

pub use clearing::Clearing;
pub use keys::{KeyRing, keys_of};
pub use model::{Due, TaskProgress};
pub use put_off::PutOff;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::kernel::{Id, Result};
use crate::state::State;

/// The context of one round of a task.
#[derive(Clone, Copy, Debug)]
pub struct TaskRun<'a> {
    /// The server's parts.
    pub state: &'a State,
    /// The start of the round.
    pub now: Timestamp,
    /// The instant since which work is due.
    pub since: Timestamp,
    /// Becomes true when the worker is to stop; `None` for a round that nothing stops.
    pub stop: Option<&'a watch::Receiver<bool>>,
    /// The subjects of the task that are put off.
    pub put_off: &'a PutOff,
}

impl<'a> TaskRun<'a> {
    /// Whether no further portion of the work is to begin.
    pub fn is_to_stop(&self) -> bool {
        self.stop.is_some_and(|stop| *stop.borrow())
    }

    /// Does a round of work. `work` does a portion of what is due, without the subjects that it is given, and returns
    /// how much it has done. While it does nothing but put off further subjects, it is called again: what waits behind
    /// them is reached in the same round, unless the worker is to stop.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub fn in_portions<K: 'static>(
        self,
        mut work: impl FnMut(Vec<Id<K>>) -> BoxFuture<'a, Result<usize>> + Send + 'a,
    ) -> BoxFuture<'a, Result<TaskProgress>> {
        Box::pin(async move {
            loop {
                let left_out = self.put_off.subjects(self.now);
                let count = left_out.len();
                let done = work(left_out).await?;
                self.put_off.note_portion();
                if done > 0 || self.put_off.subjects::<K>(self.now).len() <= count || self.is_to_stop() {
                    return Ok(TaskProgress::rows(done));
                }
            }
        })
    }
}

/// A kind of background work.
pub trait Task: Send + Sync {
    /// Returns its name in logs, metrics and tests.
    fn name(&self) -> &'static str;

    /// Returns the columns whose earliest instants determine when it is due.
    fn next_due(&self) -> &'static [Due];

    /// Returns the task whose work makes this one due in the same round. It stands before this one in the list.
    fn follows(&self) -> Option<&'static str> {
        None
    }

    /// Prepares the work of a server once, before or between its first rounds. It is tried again until it succeeds.
    ///
    /// # Errors
    ///
    /// When database or keyring cannot be reached.
    fn begin<'a>(&'a self, _state: &'a State, _now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Ends the work of a server that stops, after its last round.
    ///
    /// # Errors
    ///
    /// When database or keyring cannot be reached.
    fn end<'a>(&'a self, _state: &'a State) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Reads what the rounds of every task rest on, before each of them.
    ///
    /// # Errors
    ///
    /// When database or keyring cannot be reached.
    fn before<'a>(&'a self, _state: &'a State, _now: Timestamp) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Does a bounded part of what is due, so that a worker that is asked to stop stops soon.
    ///
    /// # Errors
    ///
    /// When database or keyring cannot be reached: what was not done is due again in the next round.
    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>>;
}

/// A task on the list of a server, with what is put off from round to round.
pub struct ListedTask<'c> {
    /// The task.
    pub task: Box<dyn Task + 'c>,
    /// Its subjects that are put off.
    pub put_off: PutOff,
}

impl<'c> ListedTask<'c> {
    /// Lists a task, of which nothing is put off yet.
    pub fn of(task: impl Task + 'c) -> Self {
        Self { put_off: PutOff::of(task.name()), task: Box::new(task) }
    }
}

/// Every task of a server, in the order in which a round does them.
pub type Tasks<'c> = Vec<ListedTask<'c>>;

/// Returns the due time of each of `tasks`, in their order; `None` for one that has nothing to do.
///
/// # Errors
///
/// When the database cannot be reached.
pub async fn next_due(state: &State, tasks: &Tasks<'_>) -> Result<Vec<Option<Timestamp>>> {
    let columns: Vec<(usize, Due)> = tasks
        .iter()
        .enumerate()
        .flat_map(|(place, listed)| listed.task.next_due().iter().map(move |due| (place, *due)))
        .collect();
    let looked: Vec<Due> = columns.iter().map(|(_, due)| *due).collect();
    let found = state.db.read(move |tx| store::earliest(tx, &looked)).await?;
    let mut times = vec![None; tasks.len()];
    for ((place, due), at) in columns.into_iter().zip(found) {
        if let (Some(time), Some(at)) = (times.get_mut(place), at) {
            let at = due.instant(at);
            *time = Some(time.map_or(at, |other: Timestamp| other.min(at)));
        }
    }
    Ok(times)
}
