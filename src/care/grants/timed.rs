//! The tasks of grants that begin and end by time. What is open is judged by the clock alone; the tasks let the
//! patient's phones and the readers' feeds know.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::{actions, store};
use crate::care::write_scope::WriteScope;
use crate::care::{Access, Write};
use crate::db::Tx;
use crate::kernel::id::Patient;
use crate::kernel::{Id, Result};
use crate::tasks::{Due, Task, TaskProgress, TaskRun, keys_of};

/// The most due grants that are listed at once.
const GRANTS: i64 = 100;

/// Ends expired grants.
#[derive(Clone, Copy, Debug)]
pub struct EndExpired;

/// Tells readers of grants that have waited and that they see by now.
#[derive(Clone, Copy, Debug)]
pub struct TellBegun;

impl Task for EndExpired {
    fn name(&self) -> &'static str {
        "expired-grants"
    }

    fn next_due(&self) -> &'static [Due] {
        const { &[Due::at("grants", "expires_at").only("closed_at IS NULL")] }
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        round.in_portions(move |left_out| work_for(round, left_out, store::list_all_expired, end).boxed())
    }
}

impl Task for TellBegun {
    fn name(&self) -> &'static str {
        "begun-grants"
    }

    fn next_due(&self) -> &'static [Due] {
        const { &[Due::at("grants", "tell_at").only("closed_at IS NULL")] }
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        let tell = actions::tell_begun;
        round.in_portions(move |left_out| work_for(round, left_out, store::list_all_to_tell, tell).boxed())
    }
}

/// Lists the patients of at most so many grants that are due at an instant, without these patients.
type ListDue = fn(&mut Tx<'_>, Timestamp, &[Id<Patient>], i64) -> Result<Vec<Id<Patient>>>;

/// Work on the grants of a patient, which returns their number.
type Work = fn(&mut Tx<'_>, &Access<Write>) -> Result<usize>;

/// Does the work for the patients of the next grants that are due, each in a unit, and returns the number of grants. It
/// leaves out patients whose keys do not open, and those of whom nothing is done.
async fn work_for(
    TaskRun { state, now, put_off, .. }: TaskRun<'_>,
    left_out: Vec<Id<Patient>>,
    list: ListDue,
    work: Work,
) -> Result<usize> {
    let patients = state.db.read(move |tx| list(tx, now, &left_out, GRANTS)).await?;
    let keys = keys_of(state, patients.clone()).await?;
    let mut done = 0;
    for patient in patients {
        let Some(keys) = keys.get(&patient).cloned() else {
            put_off.leave_out(patient, now);
            continue;
        };
        let planner = Arc::clone(&state.planner);
        let unit = state
            .db
            .write_bulk(move |tx| WriteScope::for_server(patient, keys.clone(), now).run(tx, planner.as_ref(), work));
        match put_off.note(patient, now, unit.await)? {
            Some(0) => put_off.leave_out(patient, now),
            ended => done += ended.unwrap_or_default(),
        }
    }
    Ok(done)
}

fn end(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<usize> {
    let expired = store::list_expired(tx, access)?;
    store::hold_readers(tx, access, &expired.iter().map(|key| key.id).collect::<Vec<_>>())?;
    actions::end_expired(tx, access)
}
