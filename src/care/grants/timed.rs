//! The tasks of grants that begin and end by time. What is open is judged by the clock alone; the tasks let the
//! patient's phones and the readers' feeds know.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{actions, store};
use crate::care::write_scope::WriteScope;
use crate::care::{Access, Write};
use crate::db::Tx;
use crate::kernel::id::Patient;
use crate::kernel::{Id, Result};
use crate::tasks::{Due, Task, TaskProgress, TaskRun, keys_of};

/// The most patients of one round.
const PATIENTS: i64 = 100;

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
        let TaskRun { state, now, .. } = round;
        async move {
            let found = state.db.read(move |tx| store::list_patients_with_expired(tx, now, PATIENTS)).await?;
            Ok(TaskProgress::rows(each(round, found, end).await?))
        }
        .boxed()
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
        let TaskRun { state, now, .. } = round;
        async move {
            let found = state.db.read(move |tx| store::list_patients_to_tell(tx, now, PATIENTS)).await?;
            Ok(TaskProgress::rows(each(round, found, actions::tell_begun).await?))
        }
        .boxed()
    }
}

/// Work on the grants of a patient, which returns their number.
type Work = fn(&mut Tx<'_>, &Access<Write>) -> Result<usize>;

/// Does the work for some patients, each in a unit, and returns the number of grants.
async fn each(TaskRun { state, now, .. }: TaskRun<'_>, patients: Vec<Id<Patient>>, work: Work) -> Result<usize> {
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
