//! The task that ends grants that have expired. From that instant on nobody reads by them; the task lets the patient's
//! phones and the readers' feeds know.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{actions, store};
use crate::care::write_scope::WriteScope;
use crate::kernel::Result;
use crate::tasks::{Due, Task, TaskProgress, TaskRun, keys_of};

/// The most patients of one round.
const PATIENTS: i64 = 100;

/// Ends expired grants.
#[derive(Clone, Copy, Debug)]
pub struct EndExpired;

impl Task for EndExpired {
    fn name(&self) -> &'static str {
        "expired-grants"
    }

    fn next_due(&self) -> &'static [Due] {
        const { &[Due::at("grants", "expires_at").only("closed_at IS NULL")] }
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        async move { Ok(TaskProgress::rows(end(round).await?)) }.boxed()
    }
}

/// Ends the expired grants of some patients, each in a unit, and returns their number.
async fn end(TaskRun { state, now, .. }: TaskRun<'_>) -> Result<usize> {
    let patients = state.db.read(move |tx| store::list_patients_with_expired(tx, now, PATIENTS)).await?;
    let keys = keys_of(state, patients.clone()).await?;
    let mut ended = 0;
    for patient in patients {
        let Some(keys) = keys.get(&patient).cloned() else { continue };
        let planner = std::sync::Arc::clone(&state.planner);
        let unit = state.db.write_bulk(move |tx| {
            let scope = WriteScope::for_server(patient, keys.clone(), now);
            scope.run(tx, planner.as_ref(), |tx, access| {
                let expired = store::list_expired(tx, access)?;
                store::hold_readers(tx, access, &expired.iter().map(|key| key.id).collect::<Vec<_>>())?;
                actions::end_expired(tx, access)
            })
        });
        ended += unit.await?;
    }
    Ok(ended)
}
