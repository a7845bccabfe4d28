//! The task that lets the plans of a clinic's patients follow what it has published or chosen.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::store;
use crate::care::store::list_patients_at;
use crate::kernel::id::Clinic;
use crate::kernel::{Id, Result};
use crate::protocols;
use crate::state::State;
use crate::tasks::{Due, Task, TaskProgress, TaskRun};

/// Patients marked for planning in one unit.
const MARKED: usize = 100;

/// Marks the patients of a clinic for planning, once what it has published or chosen is in force.
#[derive(Clone, Copy, Debug)]
pub struct FollowClinics;

impl Task for FollowClinics {
    fn name(&self) -> &'static str {
        "clinic-protocols"
    }

    fn next_due(&self) -> &'static [Due] {
        protocols::store::NEXT_DUE
    }

    fn before<'a>(&'a self, state: &'a State, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        protocols::library::refresh(state, now).boxed()
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        round.in_portions(move |left_out| mark_next(round, left_out).boxed())
    }
}

async fn mark_next(round: TaskRun<'_>, left_out: Vec<Id<Clinic>>) -> Result<usize> {
    let TaskRun { state, now, put_off, .. } = round;
    let next = state.db.read(move |tx| protocols::store::find_to_follow(tx, now, &left_out));
    let Some((clinic, at)) = next.await? else { return Ok(0) };
    Ok(put_off.note(clinic, now, mark(state, clinic, (at, now)).await)?.unwrap_or_default())
}

async fn mark(state: &State, clinic: Id<Clinic>, (at, now): (Timestamp, Timestamp)) -> Result<usize> {
    let patients = state.db.read(move |tx| list_patients_at(tx, clinic)).await?;
    for portion in patients.chunks(MARKED) {
        let portion = portion.to_vec();
        let unit = move |tx: &mut crate::db::Tx<'_>| store::mark_to_plan(tx, &portion, now);
        state.db.write_bulk(unit).await?;
    }
    // What was changed meanwhile has another instant, and is followed then.
    state.db.write_bulk(move |tx| protocols::store::mark_followed(tx, clinic, at)).await?;
    Ok(patients.len() + 1)
}
