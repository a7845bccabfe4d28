//! The tasks of grants that begin and end by time. What is open is judged by the clock alone; the tasks let the
//! patient's phones and the readers' feeds know.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::store::DueGrant;
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
        work_on_due(round, store::list_all_expired, end).boxed()
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
        work_on_due(round, store::list_all_to_tell, actions::tell_begun).boxed()
    }
}

/// Lists the grants that are due at an instant, behind a given one of them, at most so many.
type ListDue = fn(&mut Tx<'_>, Timestamp, Option<DueGrant>, i64) -> Result<Vec<DueGrant>>;

/// Work on the grants of a patient, which returns their number.
type Work = fn(&mut Tx<'_>, &Access<Write>) -> Result<usize>;

/// Does the work for the patients of the next grants that are due. Where nothing can be done for any of these patients,
/// it goes on behind their grants, so that they do not hold up others. Each patient is tried once.
async fn work_on_due(round: TaskRun<'_>, list_due: ListDue, work: Work) -> Result<TaskProgress> {
    let TaskRun { state, now, .. } = round;
    let (mut after, mut tried) = (None, HashSet::new());
    loop {
        let found = state.db.read(move |tx| list_due(tx, now, after, GRANTS)).await?;
        let Some(last) = found.last() else { return Ok(TaskProgress::rows(0)) };
        after = Some(*last);
        let patients = found.iter().map(|(_, patient, _)| *patient).filter(|patient| tried.insert(*patient)).collect();
        let done = work_for(round, patients, work).await?;
        if done > 0 {
            return Ok(TaskProgress::rows(done));
        }
    }
}

/// Does the work for some patients, each in a unit, and returns the number of grants. It leaves out patients whose keys
/// do not open.
async fn work_for(TaskRun { state, now, .. }: TaskRun<'_>, patients: Vec<Id<Patient>>, work: Work) -> Result<usize> {
    let keys = keys_of(state, patients.clone()).await?;
    let mut done = 0;
    for patient in patients {
        let Some(keys) = keys.get(&patient).cloned() else { continue };
        let planner = Arc::clone(&state.planner);
        let unit = state
            .db
            .write_bulk(move |tx| WriteScope::for_server(patient, keys.clone(), now).run(tx, planner.as_ref(), work));
        done += unit.await?;
    }
    Ok(done)
}

fn end(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<usize> {
    let expired = store::list_expired(tx, access)?;
    store::hold_readers(tx, access, &expired.iter().map(|key| key.id).collect::<Vec<_>>())?;
    actions::end_expired(tx, access)
}
