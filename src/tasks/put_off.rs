//! The pauses of work that fails.
//!
//! A task takes what is due in portions, and what fails is due again. A portion of pieces that always fail would keep
//! every other piece waiting, so a task leaves out the subjects of what has failed, for a pause that grows. Pauses are
//! in the memory of a process: another one, or the same after a restart, tries once more.
//!
//! An outage ends a round. The subject that met it is left out for the shortest pause, so that the next round begins
//! with others. A unit that may run again ([`Error::Transient`]) and always fails for the same subject, while other
//! work succeeds, is a fault of that subject.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::kernel::{Error, Id, Result};

/// The pause after the first failure. Each further failure doubles it.
const FIRST: SignedDuration = SignedDuration::from_secs(1);
/// The longest pause.
const LONGEST: SignedDuration = SignedDuration::from_mins(10);
/// The longest pause while no work of the task succeeds: what fails may then be none of the subjects' own, and nobody
/// waits for long once it is over.
const ALONE: SignedDuration = SignedDuration::from_mins(1);
/// The most subjects that are put off at once. Statements name each of them.
const MOST: usize = 10_000;
/// The outages that a subject may meet, while other work succeeds between them, before they are its own fault.
const OUTAGES: u32 = 3;

#[derive(Clone, Copy, Debug)]
struct Pause {
    length: SignedDuration,
    until: Timestamp,
    /// The outages met in a row after which other work has succeeded.
    outages: u32,
    /// The number of successes when it began.
    successes: u64,
    /// The number of subjects whose work had succeeded when it began.
    done: u64,
}

impl Pause {
    /// Whether it lasts at `now`. It does not if the clock was put back to before it began.
    fn lasts(&self, now: Timestamp) -> bool {
        self.until > now && self.until.duration_since(now) <= self.length
    }
}

#[derive(Debug, Default)]
struct Notes {
    pauses: HashMap<Uuid, Pause>,
    /// The number of times that the work on a subject, or a portion, has succeeded.
    successes: u64,
    /// The number of times that the work on a subject has succeeded.
    done: u64,
}

impl Notes {
    /// Counts the outages that a subject has met while other work succeeded.
    fn outages_of(&self, subject: Uuid) -> u32 {
        let pause = self.pauses.get(&subject);
        pause.map_or(0, |pause| pause.outages + u32::from(self.successes > pause.successes))
    }
}

/// The subjects of a task (patients, accounts, covers, clinics) whose work has failed, each until it is tried again.
#[derive(Debug)]
pub struct PutOff {
    task: &'static str,
    notes: Mutex<Notes>,
}

impl PutOff {
    /// Begins with none, for the task of this name.
    pub fn of(task: &'static str) -> Self {
        Self { task, notes: Mutex::default() }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the subjects that are left out at `now`.
    pub fn subjects<K>(&self, now: Timestamp) -> Vec<Id<K>> {
        let notes = self.notes();
        notes.pauses.iter().filter(|(_, pause)| pause.lasts(now)).map(|(subject, _)| Id::from_uuid(*subject)).collect()
    }

    /// Whether a subject is left out at `now`.
    pub fn holds<K>(&self, subject: Id<K>, now: Timestamp) -> bool {
        self.notes().pauses.get(&subject.uuid()).is_some_and(|pause| pause.lasts(now))
    }

    /// Notes how work on a subject has ended, and returns its result; `None` after a fault of its own, which is logged.
    ///
    /// # Errors
    ///
    /// After a fault that other subjects would meet, too: the round ends.
    pub fn note<K, T>(&self, subject: Id<K>, now: Timestamp, done: Result<T>) -> Result<Option<T>> {
        let error = match done {
            Ok(done) => {
                let mut notes = self.notes();
                notes.pauses.remove(&subject.uuid());
                notes.successes += 1;
                notes.done += 1;
                return Ok(Some(done));
            }
            Err(error) => error,
        };
        let is_own = matches!(error, Error::Transient(_)) && self.notes().outages_of(subject.uuid()) >= OUTAGES;
        if error.is_outage() && !is_own {
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

    /// Notes that a portion of the work has succeeded.
    pub(super) fn note_portion(&self) {
        self.notes().successes += 1;
    }

    /// Leaves out a subject for a while, for which nothing could be done.
    pub fn leave_out<K>(&self, subject: Id<K>, now: Timestamp) {
        self.pause(subject, now, true);
    }

    fn pause<K>(&self, subject: Id<K>, now: Timestamp, grows: bool) {
        let subject = subject.uuid();
        let mut notes = self.notes();
        // What has not failed again for long is over, or gone.
        notes.pauses.retain(|_, pause| now.duration_since(pause.until) < LONGEST);
        let (outages, successes, done) = (notes.outages_of(subject), notes.successes, notes.done);
        let last = notes.pauses.get(&subject).copied();
        let length = last.filter(|_| grows).map_or(FIRST, |last| {
            let longest = if done > last.done { LONGEST } else { ALONE };
            last.length.saturating_add(last.length).min(longest)
        });
        if last.is_some() || notes.pauses.len() < MOST {
            let until = now.saturating_add(length).unwrap_or(now);
            notes.pauses.insert(subject, Pause { length, until, outages, successes, done });
        }
    }

    /// Does the work on several subjects, `at_once` of them at a time, and notes how each ends. Returns the results of
    /// what has succeeded. After an outage no more is begun, and what is under way comes to its end.
    ///
    /// # Errors
    ///
    /// Those of [`PutOff::note`].
    pub async fn each<'a, K: 'static, T: Send + 'a>(
        &'a self,
        now: Timestamp,
        at_once: usize,
        work: Vec<(Id<K>, BoxFuture<'a, Result<T>>)>,
    ) -> Result<Vec<T>> {
        let over = AtomicBool::new(false);
        let units: Vec<_> = work.into_iter().map(|(subject, work)| unless(&over, subject, work).boxed()).collect();
        let mut units = futures_util::stream::iter(units).buffer_unordered(at_once);
        let (mut all, mut outage) = (Vec::new(), None);
        while let Some((subject, done)) = units.next().await {
            let Some(done) = done else { continue };
            match self.note(subject, now, done) {
                Ok(done) => all.extend(done),
                Err(error) => {
                    over.store(true, Ordering::Relaxed);
                    outage = Some(error);
                }
            }
        }
        outage.map_or(Ok(all), Err)
    }
}

/// Does the work on a subject, unless the round is over.
async fn unless<K, T>(over: &AtomicBool, subject: Id<K>, work: BoxFuture<'_, Result<T>>) -> (Id<K>, Option<Result<T>>) {
    let done = if over.load(Ordering::Relaxed) { None } else { Some(work.await) };
    (subject, done)
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let put_off = PutOff::of("a task");
        let [ann, ben] = [1, 2].map(|id| Id::<Patient>::from_uuid(Uuid::from_u128(id)));
        fails(&put_off, ann, after(0));
        assert_eq!(put_off.subjects(after(0)), [ann]);
        assert!(!put_off.holds(ann, after(1)));
        fails(&put_off, ann, after(1));
        assert!(put_off.holds(ann, after(2)) && !put_off.holds(ann, after(3)));
        let mut now = 3;
        for _ in 0..20 {
            assert!(matches!(put_off.note(ben, after(now), Ok(7)), Ok(Some(7))));
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
    fn patients_whose_work_fails_while_nobody_elses_succeeds_wait_for_a_minute_at_most() {
        let put_off = PutOff::of("a task");
        let both = [1, 2].map(|id| Id::<Patient>::from_uuid(Uuid::from_u128(id)));
        for minute in 0..60 {
            for patient in both {
                assert!(!put_off.holds(patient, after(60 * minute)), "{minute}");
                fails(&put_off, patient, after(60 * minute));
            }
        }
    }

    #[test]
    fn an_outage_ends_the_round_and_the_next_one_begins_with_other_patients() {
        let (put_off, ann) = (PutOff::of("a task"), Id::<Patient>::from_uuid(Uuid::from_u128(1)));
        let noted = put_off.note::<_, ()>(ann, after(0), Err(Error::Unavailable("the database is away")));
        assert!(matches!(noted, Err(Error::Unavailable(_))));
        assert!(put_off.holds(ann, after(0)));
    }

    #[test]
    fn an_outage_that_one_patient_meets_while_others_do_not_is_put_off_for_longer_each_time() {
        let put_off = PutOff::of("a task");
        let [ann, ben] = [1, 2].map(|id| Id::<Patient>::from_uuid(Uuid::from_u128(id)));
        let meets = |seconds| put_off.note::<_, ()>(ann, after(seconds), Err(Error::Transient("a deadlock".into())));
        for seconds in 0..3 {
            assert!(meets(seconds).is_err(), "it may be one of the server");
            assert!(matches!(put_off.note(ben, after(seconds), Ok(7)), Ok(Some(7))));
        }
        assert!(matches!(meets(3), Ok(None)), "the round goes on");
        assert!(put_off.holds(ann, after(4)) && !put_off.holds(ann, after(5)));
        assert!(matches!(meets(5), Ok(None)));
        assert!(put_off.holds(ann, after(8)) && !put_off.holds(ann, after(9)));
        assert!(matches!(put_off.note(ann, after(9), Ok(7)), Ok(Some(7))));
        assert!(meets(10).is_err(), "it begins anew");
    }

    #[test]
    fn a_patient_does_not_wait_for_a_clock_that_was_put_back() {
        let (put_off, ann) = (PutOff::of("a task"), Id::<Patient>::from_uuid(Uuid::from_u128(1)));
        fails(&put_off, ann, after(24 * 3600));
        assert!(!put_off.holds(ann, after(0)) && put_off.subjects::<Patient>(after(0)).is_empty());
        fails(&put_off, ann, after(0));
        assert!(put_off.holds(ann, after(1)) && !put_off.holds(ann, after(2)));
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
