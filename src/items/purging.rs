//! The task that purges the deleted items of a kind that cannot be undeleted any more.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::actions::Item;
use super::deletion::purge;
use super::store::table::ItemTable;
use crate::db::Tx;
use crate::kernel::id::{Any, Patient};
use crate::kernel::{Id, Result};
use crate::tasks::{Due, Task, TaskProgress, TaskRun};

/// The most items of one round.
const MOST: i64 = 100;

/// Purges deleted items of the kind `T`, those of each patient in a unit.
#[derive(Debug)]
pub struct Purging<T> {
    name: &'static str,
    next_due: &'static [Due],
    kind: PhantomData<fn() -> T>,
}

impl<T: Item> Purging<T> {
    /// Makes the task of this name.
    pub fn of(name: &'static str, next_due: &'static [Due]) -> Self {
        Self { name, next_due, kind: PhantomData }
    }
}

async fn purge_due<T: Item + 'static>(round: TaskRun<'_>, left_out: Vec<Id<Patient>>) -> Result<usize> {
    let TaskRun { state, now, put_off, .. } = round;
    let list = move |tx: &mut Tx<'_>| <T::Table as ItemTable>::list_to_purge(tx, now, &left_out, MOST);
    let mut of_patients: BTreeMap<Id<Patient>, Vec<Id<Any>>> = BTreeMap::new();
    for (patient, id) in state.db.read(list).await? {
        of_patients.entry(patient).or_default().push(id);
    }
    let mut purged = 0;
    for (patient, ids) in of_patients {
        let planner = Arc::clone(&state.planner);
        let unit = state.db.write_bulk(move |tx| purge::<T>(tx, planner.as_ref(), (patient, ids.as_slice()), now));
        purged += put_off.note(patient, now, unit.await)?.unwrap_or_default();
    }
    Ok(purged)
}

impl<T: Item + 'static> Task for Purging<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn next_due(&self) -> &'static [Due] {
        self.next_due
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        round.in_portions(move |left_out| purge_due::<T>(round, left_out).boxed())
    }
}
