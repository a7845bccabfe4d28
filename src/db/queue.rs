//! The bounded queue in front of the database threads.
//!
//! Callers take turns: between two units of one caller comes one of each other caller that waits. So the others wait for
//! one unit of a caller who sends many, or for two with the one that runs. One caller has a quarter of the places at
//! most. The units of one caller keep their order.
//!
//! Of the threads that wait, the one that began to wait last serves next: its connection has its statements and pages at
//! hand, and few more connections are open than have been needed at once.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::unit::Job;
use crate::kernel::{Error, Result};

/// The time for which a unit may wait in the queue and run before it is answered 503.
const PATIENCE: Duration = Duration::from_secs(10);
/// The part of the places that one caller may have is one in so many.
const SHARE: usize = 4;

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
    /// The account that asks for it. A unit without one takes a turn of its own.
    pub caller: Option<Uuid>,
    pub lane: Lane,
    pub read_only: bool,
    pub asked_at: Instant,
}

impl Waiting {
    /// Whether it has waited for too long and is answered 503.
    pub(super) fn is_late(&self) -> bool {
        self.asked_at.elapsed() > PATIENCE
    }
}

/// A line in which callers take turns.
#[derive(Default)]
struct Line {
    /// The units in the order of their turns, at most one of each caller.
    turns: VecDeque<Waiting>,
    /// The further units of each caller who has one among the turns.
    further: HashMap<Uuid, VecDeque<Waiting>>,
    count: usize,
}

impl Line {
    /// Counts the units of a caller. Those without one are not counted together.
    fn count_of(&self, caller: Option<Uuid>) -> usize {
        caller.and_then(|caller| self.further.get(&caller)).map_or(0, |further| 1 + further.len())
    }

    fn push(&mut self, waiting: Waiting) {
        self.count += 1;
        if let Some(caller) = waiting.caller {
            match self.further.entry(caller) {
                Entry::Occupied(mut further) => return further.get_mut().push_back(waiting),
                Entry::Vacant(place) => {
                    place.insert(VecDeque::new());
                }
            }
        }
        self.turns.push_back(waiting);
    }

    fn pop(&mut self) -> Option<Waiting> {
        let taken = self.turns.pop_front()?;
        self.count -= 1;
        if let Some(caller) = taken.caller
            && let Entry::Occupied(mut further) = self.further.entry(caller)
        {
            match further.get_mut().pop_front() {
                Some(next) => self.turns.push_back(next),
                None => drop(further.remove()),
            }
        }
        Some(taken)
    }
}

#[derive(Default)]
struct Lines {
    interactive: Line,
    bulk: Line,
    /// The threads that wait for a unit, in the order in which they began to.
    idle: Vec<Thread>,
    closed: bool,
}

/// Two lines of bounded length and the threads that serve them.
pub(super) struct Queue {
    lines: Mutex<Lines>,
    capacity: usize,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self { lines: Mutex::default(), capacity }
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
        if own.count >= self.capacity || own.count_of(waiting.caller) >= self.capacity.div_ceil(SHARE) {
            return Err(Error::Unavailable("the database queue is full"));
        }
        own.push(waiting);
        let idle = lines.idle.pop();
        drop(lines);
        if let Some(thread) = idle {
            thread.unpark();
        }
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
            let own = thread::current();
            let id = own.id();
            lines.idle.push(own);
            drop(lines);
            thread::park();
            lines = self.lines();
            // It may have awoken without having been called.
            lines.idle.retain(|thread| thread.id() != id);
        }
    }

    /// Returns the next unit if one waits now.
    pub(super) fn try_next(&self) -> Option<Waiting> {
        take(&mut self.lines())
    }

    /// Returns the next unit if it was asked for before `at`.
    pub(super) fn try_next_asked_before(&self, at: Instant) -> Option<Waiting> {
        let mut lines = self.lines();
        let Lines { interactive, bulk, .. } = &*lines;
        let next = interactive.turns.front().or_else(|| bulk.turns.front())?;
        if next.asked_at < at { take(&mut lines) } else { None }
    }

    pub(super) fn close(&self) {
        let mut lines = self.lines();
        lines.closed = true;
        lines.idle.drain(..).for_each(|thread| thread.unpark());
    }
}

fn take(lines: &mut Lines) -> Option<Waiting> {
    lines.interactive.pop().or_else(|| lines.bulk.pop())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;
    use crate::db::AnyConnection;

    /// A unit that is only looked at.
    struct Idle;

    impl Job for Idle {
        fn run(&mut self, _: &mut AnyConnection) -> Result<()> {
            Ok(())
        }

        fn finish(self: Box<Self>, _: Result<()>) {}
    }

    const ANN: Option<Uuid> = Some(Uuid::from_u128(1));
    const BEA: Option<Uuid> = Some(Uuid::from_u128(2));
    const CLEO: Option<Uuid> = Some(Uuid::from_u128(3));
    const SERVER: Option<Uuid> = None;

    fn sends(queue: &Queue, lane: Lane, callers: &[Option<Uuid>]) {
        for caller in callers.iter().copied() {
            let (job, asked_at) = (Box::new(Idle), Instant::now());
            queue.push(Waiting { job, caller, lane, read_only: false, asked_at }).unwrap();
        }
    }

    fn order(queue: &Queue) -> Vec<Option<Uuid>> {
        std::iter::from_fn(|| queue.try_next()).map(|waiting| waiting.caller).collect()
    }

    #[test]
    fn a_patient_with_many_waiting_requests_gives_way_to_the_others_after_each() {
        let queue = Queue::new(100);
        sends(&queue, Lane::Interactive, &[ANN, ANN, ANN, ANN, BEA, CLEO, BEA]);
        assert_eq!(order(&queue), [ANN, BEA, CLEO, ANN, BEA, ANN, ANN]);
        // Who comes while one of hers runs waits for one more at most.
        sends(&queue, Lane::Interactive, &[ANN, ANN, ANN]);
        assert_eq!(queue.try_next().unwrap().caller, ANN);
        sends(&queue, Lane::Interactive, &[BEA]);
        assert_eq!(order(&queue), [ANN, BEA, ANN]);
        assert!(queue.lines().interactive.further.is_empty(), "nobody is remembered who waits for nothing");
    }

    #[test]
    fn the_requests_of_one_patient_keep_their_order() {
        let queue = Queue::new(100);
        let begin = Instant::now();
        let nth = |n: u64| begin + std::time::Duration::from_secs(n);
        for n in 0..5 {
            let (job, lane) = (Box::new(Idle), Lane::Interactive);
            queue.push(Waiting { job, caller: ANN, lane, read_only: false, asked_at: nth(n) }).unwrap();
            sends(&queue, lane, &[BEA]);
        }
        let all = std::iter::from_fn(|| queue.try_next()).filter(|waiting| waiting.caller == ANN);
        assert_eq!(all.map(|waiting| waiting.asked_at).collect::<Vec<_>>(), (0..5).map(nth).collect::<Vec<_>>());
    }

    #[test]
    fn the_work_of_the_server_takes_turns_of_its_own_and_background_work_comes_last() {
        let queue = Queue::new(100);
        sends(&queue, Lane::Bulk, &[CLEO]);
        sends(&queue, Lane::Interactive, &[ANN, ANN, SERVER, SERVER]);
        assert_eq!(order(&queue), [ANN, SERVER, SERVER, ANN, CLEO]);
    }

    #[test]
    fn what_was_asked_for_later_is_not_among_what_shares_a_snapshot() {
        let queue = Queue::new(100);
        sends(&queue, Lane::Interactive, &[ANN, BEA]);
        std::thread::sleep(Duration::from_millis(1));
        let opened = Instant::now();
        std::thread::sleep(Duration::from_millis(1));
        sends(&queue, Lane::Interactive, &[CLEO]);
        let shared = std::iter::from_fn(|| queue.try_next_asked_before(opened)).map(|waiting| waiting.caller);
        assert_eq!(shared.collect::<Vec<_>>(), [ANN, BEA]);
        assert_eq!(order(&queue), [CLEO]);
    }

    #[test]
    fn the_thread_that_worked_last_serves_next() {
        let queue = Arc::new(Queue::new(8));
        let (names, by) = mpsc::channel();
        let threads = ["first", "second"].map(|name| {
            let (queue, names) = (Arc::clone(&queue), names.clone());
            thread::spawn(move || {
                while queue.next().is_some() {
                    names.send(name).unwrap();
                }
            })
        });
        let idle = || {
            while queue.lines().idle.len() < threads.len() {
                thread::yield_now();
            }
        };
        let serves = || {
            idle();
            sends(&queue, Lane::Interactive, &[ANN]);
            by.recv().unwrap()
        };
        let first = serves();
        assert_eq!([serves(), serves(), serves()], [first; 3]);
        queue.close();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(queue.lines().idle.is_empty());
    }

    #[test]
    fn a_patient_who_sends_without_end_leaves_places_for_the_others() {
        let queue = Queue::new(8);
        let refuses = |caller| {
            let (job, asked_at) = (Box::new(Idle), Instant::now());
            let more = Waiting { job, caller, lane: Lane::Interactive, read_only: false, asked_at };
            matches!(queue.push(more), Err(Error::Unavailable(_)))
        };
        sends(&queue, Lane::Interactive, &[ANN, ANN]);
        assert!(refuses(ANN), "she has a quarter of the places");
        sends(&queue, Lane::Interactive, &[BEA, BEA, CLEO, CLEO, SERVER, SERVER]);
        assert!(refuses(SERVER), "the further requests of a patient count");
        queue.try_next().unwrap();
        sends(&queue, Lane::Interactive, &[ANN]);
        assert_eq!(order(&queue), [BEA, CLEO, SERVER, SERVER, ANN, BEA, CLEO, ANN]);
    }
}
