//! The pauses of work that fails.
//!
//! A task takes what is due in portions, and what fails is due again. A portion of pieces that always fail would keep
//! every other piece waiting, so a task leaves out the subjects of what has failed, for a pause that grows. Pauses are
//! in the memory of a process: another one, or the same after a restart, tries once more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::kernel::{Id, Result};

/// The pause after the first failure. Each further failure doubles it.
const FIRST: SignedDuration = SignedDuration::from_secs(1);
/// The longest pause.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);
/// The most subjects that are put off at once. Statements name each of them.
const MOST: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Pause {
    length: SignedDuration,
    until: Timestamp,
}

/// The subjects of a task (patients, accounts, clinics) whose work has failed, each until it is tried again.
#[derive(Debug)]
pub struct PutOff {
    task: &'static str,
    pauses: Mutex<HashMap<Uuid, Pause>>,
}

impl PutOff {
    /// Begins with none, for the task of this name.
    pub fn of(task: &'static str) -> Self {
        Self { task, pauses: Mutex::default() }
    }

    /// Returns the name of the task.
    pub fn task(&self) -> &'static str {
        self.task
    }

    fn pauses(&self) -> MutexGuard<'_, HashMap<Uuid, Pause>> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the subjects that are left out at `now`.
    pub fn subjects<K>(&self, now: Timestamp) -> Vec<Id<K>> {
        let pauses = self.pauses();
        pauses.iter().filter(|(_, pause)| pause.until > now).map(|(subject, _)| Id::from_uuid(*subject)).collect()
    }

    /// Whether a subject is left out at `now`.
    pub fn holds<K>(&self, subject: Id<K>, now: Timestamp) -> bool {
        self.pauses().get(&subject.uuid()).is_some_and(|pause| pause.until > now)
    }

    /// Notes how work on a subject has ended, and returns its result; `None` after a fault of its own, which is logged.
    ///
    /// # Errors
    ///
    /// After a fault that other subjects would meet, too: the round ends.
    pub fn note<K, T>(&self, subject: Id<K>, now: Timestamp, done: Result<T>) -> Result<Option<T>> {
        let error = match done {
            Ok(done) => {
                self.pauses().remove(&subject.uuid());
                return Ok(Some(done));
            }
            Err(error) => error,
        };
        if error.is_outage() {
            // If it is always this one that meets it, the next round does the others. Its pause does not grow: once the
            // outage is over, nobody waits any longer.
            self.pause(subject, now, false);
            return Err(error);
        }
        self.leave_out(subject, now);
        metrics::counter!("afterglow_task_failures_total", "task" => self.task).increment(1);
        tracing::error!(task = self.task, %subject, %error, "background work fails for one subject; the others go on");
        Ok(None)
    }

    /// Leaves out a subject for a while, of which nothing could be done.
    pub fn leave_out<K>(&self, subject: Id<K>, now: Timestamp) {
        self.pause(subject, now, true);
    }

    fn pause<K>(&self, subject: Id<K>, now: Timestamp, grows: bool) {
        let subject = subject.uuid();
        let mut pauses = self.pauses();
        // What has not failed again for long is over, or gone.
        pauses.retain(|_, pause| now.duration_since(pause.until) < LONGEST);
        let last = pauses.get(&subject).map(|pause| pause.length);
        let length = last.filter(|_| grows).map_or(FIRST, |last| last.saturating_add(last).min(LONGEST));
        if last.is_some() || pauses.len() < MOST {
            pauses.insert(subject, Pause { length, until: now.saturating_add(length).unwrap_or(now) });
        }
    }

    /// Does a round of work. `work` does a portion of what is due, without the subjects that it is given, and returns
    /// how much it has done. While it does nothing but put off further subjects, it is called again: what waits behind
    /// them is reached in the same round.
    ///
    /// # Errors
    ///
    /// Those of `work`.
    pub async fn round<'a, K>(
        &self,
        now: Timestamp,
        mut work: impl FnMut(Vec<Id<K>>) -> BoxFuture<'a, Result<usize>> + Send,
    ) -> Result<usize> {
        loop {
            let left_out = self.subjects(now);
            let count = left_out.len();
            let done = work(left_out).await?;
            if done > 0 || self.subjects::<K>(now).len() <= count {
                return Ok(done);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Error;
    use crate::kernel::id::Patient;

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn fails(put_off: &PutOff, patient: Id<Patient>, now: Timestamp) {
        let noted = put_off.note::<_, ()>(patient, now, Err(Error::internal("a row of one patient")));
        assert!(matches!(noted, Ok(None)));
    }

    #[test]
    fn a_patient_whose_work_fails_again_is_left_out_for_longer_until_it_succeeds() {
        let (put_off, ann) = (PutOff::of("a task"), Id::<Patient>::from_uuid(Uuid::from_u128(1)));
        fails(&put_off, ann, after(0));
        assert_eq!(put_off.subjects(after(0)), [ann]);
        assert!(!put_off.holds(ann, after(1)));
        fails(&put_off, ann, after(1));
        assert!(put_off.holds(ann, after(2)) && !put_off.holds(ann, after(3)));
        let mut now = 3;
        for _ in 0..20 {
            fails(&put_off, ann, after(now));
            now += 600;
            assert!(!put_off.holds(ann, after(now)), "ten minutes at most");
        }
        assert!(put_off.holds(ann, after(now - 1)));
        assert!(matches!(put_off.note(ann, after(now), Ok(7)), Ok(Some(7))));
        fails(&put_off, ann, after(now));
        assert!(!put_off.holds(ann, after(now + 1)), "it begins anew");
    }

    #[test]
    fn an_outage_ends_the_round_and_the_next_one_begins_with_other_patients() {
        let (put_off, ann) = (PutOff::of("a task"), Id::<Patient>::from_uuid(Uuid::from_u128(1)));
        let noted = put_off.note::<_, ()>(ann, after(0), Err(Error::Unavailable("the database is away")));
        assert!(matches!(noted, Err(Error::Unavailable(_))));
        assert!(put_off.holds(ann, after(0)));
    }

    #[test]
    fn a_patient_waits_no_longer_after_an_outage_however_long_it_was() {
        let (put_off, ann) = (PutOff::of("a task"), Id::<Patient>::from_uuid(Uuid::from_u128(1)));
        for seconds in 0..3600 {
            assert!(!put_off.holds(ann, after(seconds)), "{seconds}");
            let noted = put_off.note::<_, ()>(ann, after(seconds), Err(Error::StorageFull));
            assert!(matches!(noted, Err(Error::StorageFull)));
        }
    }
}
