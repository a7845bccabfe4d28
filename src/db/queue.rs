//! The bounded queue in front of the database threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::unit::Job;
use crate::kernel::{Error, Result};

/// The priority of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// A person waits: served first.
    Interactive,
    /// Background work: runs when no interactive unit waits.
    Bulk,
}

/// A unit in the queue.
pub(super) struct Waiting {
    pub job: Box<dyn Job>,
    pub lane: Lane,
    pub read_only: bool,
    pub deadline: Instant,
}

#[derive(Default)]
struct Lines {
    interactive: VecDeque<Waiting>,
    bulk: VecDeque<Waiting>,
    closed: bool,
}

/// Two lines of bounded length and the threads that serve them.
pub(super) struct Queue {
    lines: Mutex<Lines>,
    more: Condvar,
    capacity: usize,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { lines: Mutex::default(), more: Condvar::new(), capacity }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // The lock is only held to move a box: a panic in between leaves the lines whole.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, waiting: Waiting) -> Result<()> {
        let mut lines = self.lines();
        if lines.closed {
            return Err(Error::Unavailable("the server is stopping"));
        }
        let own = match waiting.lane {
            Lane::Interactive => &mut lines.interactive,
            Lane::Bulk => &mut lines.bulk,
        };
        if own.len() >= self.capacity {
            return Err(Error::Unavailable("the database queue is full"));
        }
        own.push_back(waiting);
        drop(lines);
        self.more.notify_one();
        Ok(())
    }

    /// Waits for the next unit; `None` when the queue is closed and empty.
    pub(super) fn next(&self) -> Option<Waiting> {
        let mut lines = self.lines();
        loop {
            if let Some(waiting) = take(&mut lines) {
                return Some(waiting);
            }
            if lines.closed {
                return None;
            }
            lines = self.more.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns the next unit if one waits now.
    pub(super) fn try_next(&self) -> Option<Waiting> {
        take(&mut self.lines())
    }

    pub(super) fn close(&self) {
        self.lines().closed = true;
        self.more.notify_all();
    }
}

fn take(lines: &mut Lines) -> Option<Waiting> {
    lines.interactive.pop_front().or_else(|| lines.bulk.pop_front())
}
