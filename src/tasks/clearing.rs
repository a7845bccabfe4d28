//! The common form of the tasks that delete expired rows.

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::{Due, Task, TaskProgress, TaskRun};
use crate::db::Tx;
use crate::kernel::Result;

/// The most rows cleared in one unit.
const MOST: i64 = 100;

/// A task that deletes expired rows, about a hundred in a round.
#[derive(Clone, Copy, Debug)]
pub struct Clearing {
    /// Its name.
    pub name: &'static str,
    /// The columns that determine when it is due.
    pub next_due: &'static [Due],
    /// Deletes up to so many rows that have expired at the instant, and returns their number.
    pub clear: fn(&mut Tx<'_>, Timestamp, i64) -> Result<usize>,
}

impl Task for Clearing {
    fn name(&self) -> &'static str {
        self.name
    }

    fn next_due(&self) -> &'static [Due] {
        self.next_due
    }

    fn run<'a>(&'a self, TaskRun { state, now, .. }: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        let clear = self.clear;
        let unit = state.db.write_bulk(move |tx| clear(tx, now, MOST));
        Box::pin(async move { unit.await.map(TaskProgress::rows) })
    }
}
