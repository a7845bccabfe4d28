//! The common form of the tasks that clear away what has had its time.

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::{Done, Due, Round, Task};
use crate::db::Tx;
use crate::kernel::Result;

/// Rows cleared in one unit.
const MOST: i64 = 100;

/// A task that clears rows whose time is over, about a hundred in a round.
#[derive(Clone, Copy, Debug)]
pub struct Clearing {
    /// Its name.
    pub name: &'static str,
    /// The columns that say when it is due.
    pub next_due: &'static [Due],
    /// Clears up to so many rows whose time is over at that instant, and answers how many.
    pub clear: fn(&mut Tx<'_>, Timestamp, i64) -> Result<usize>,
}

impl Task for Clearing {
    fn name(&self) -> &'static str {
        self.name
    }

    fn next_due(&self) -> &'static [Due] {
        self.next_due
    }

    fn run<'a>(&'a self, Round { state, now, .. }: Round<'a>) -> BoxFuture<'a, Result<Done>> {
        let clear = self.clear;
        Box::pin(async move { state.db.write_bulk(move |tx| clear(tx, now, MOST)).await.map(Done::rows) })
    }
}
