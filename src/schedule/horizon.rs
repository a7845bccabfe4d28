//! The task that extends plans with time, and when facts change by themselves: a grant expires, or the end of a session
//! is not recorded. The instant is in `patients.next_plan_at`.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::prepared::PreparedPlan;
use super::store;
use crate::care::access::{Access, Read};
use crate::care::write_scope::WriteScope;
use crate::changes::{self, Bytes, FeedsPlan, LockedHead, PlanRequest};
use crate::kernel::id::Patient;
use crate::kernel::{Error, Id, Result, zone_data};
use crate::planning::Protocol;
use crate::state::State;
use crate::tasks::{Due, Task, TaskProgress, TaskRun};
use crate::vault::Keys;

/// The name of the task.
const NAME: &str = "plans";
/// Patients planned for in one round.
const ROUND: i64 = 200;
/// Plans under way at once. On SQLite some wait for their commit while others are made for the next one.
const AT_ONCE: usize = 64;
/// The most plans that are prepared at once. They wait in the queue of the reads, so they are few: no read waits long
/// behind them.
const PREPARED_AT_ONCE: usize = 8;
/// Patients marked in one unit when the protocol has changed.
const MARKED: i64 = 100;
/// A plan that fails for a fault in its data is tried again after this.
const LATER: SignedDuration = SignedDuration::from_hours(1);

/// The task that plans again for patients whose horizon has moved, each in a unit of its own.
///
/// At its start, a server marks all patients for planning if its protocol is newer than that of their plans, or its
/// time zones are of another edition.
#[derive(Clone, Copy, Debug)]
pub struct Horizon;

impl Task for Horizon {
    fn name(&self) -> &'static str {
        NAME
    }

    fn next_due(&self) -> &'static [Due] {
        store::NEXT_DUE
    }

    fn begin<'a>(&'a self, state: &'a State, now: Timestamp) -> BoxFuture<'a, Result<()>> {
        async move {
            follow_protocol(state, state.protocols.known().current(), now).await?;
            follow_zones(state, now).await
        }
        .boxed()
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        async move {
            let done = round.in_portions(move |left_out| extend(round, left_out).boxed()).await?;
            Ok(TaskProgress { planned: done.rows, ..done })
        }
        .boxed()
    }
}

/// Plans for the patients who are due, without those in `left_out`, and answers their number.
async fn extend(round: TaskRun<'_>, left_out: Vec<Id<Patient>>) -> Result<usize> {
    let TaskRun { state, now, put_off, .. } = round;
    let patients = state.db.read(move |tx| store::list_to_plan(tx, now, &left_out, ROUND)).await?;
    let turns = Semaphore::new(PREPARED_AT_ONCE);
    let plan = |patient: Id<Patient>| (patient, extend_one(state, patient, &turns, now).boxed());
    let plans = patients.into_iter().map(plan).collect();
    let planned = put_off.each(now, AT_ONCE, plans).await?;
    Ok(planned.into_iter().filter(|planned| *planned).count())
}

/// Marks all patients for planning if the protocol is newer than that of their plans. They are planned for at once, not
/// when their day begins. An older server that starts beside a newer one changes nothing.
///
/// # Errors
///
/// When the database cannot be reached. The remaining patients are marked the next time.
pub async fn follow_protocol(state: &State, protocol: &Protocol, now: Timestamp) -> Result<()> {
    let (key, version) = (protocol.key.clone(), protocol.version);
    let known = state.db.read(move |tx| store::planned_version(tx, &key)).await?;
    if known.is_some_and(|known| known >= version) {
        return Ok(());
    }
    if known.is_some() {
        mark_all(state, now).await?;
    }
    let key = protocol.key.clone();
    state.db.write_bulk(move |tx| store::note_version(tx, &key, version)).await?;
    tracing::info!(protocol = %protocol.key, version, "plans follow this version of the protocol");
    Ok(())
}

/// Marks all patients for planning if the time zones are of another edition than those of their plans.
async fn follow_zones(state: &State, now: Timestamp) -> Result<()> {
    let (known, edition) = (state.db.read(store::planned_zones).await?, zone_data::edition());
    if known.as_deref() == Some(edition.as_bytes()) {
        return Ok(());
    }
    if known.is_some() {
        mark_all(state, now).await?;
    }
    state.db.write_bulk(move |tx| store::note_zones(tx, edition)).await?;
    tracing::info!(edition, "plans follow this edition of the time zones");
    Ok(())
}

/// Marks all patients for planning at `now`.
async fn mark_all(state: &State, now: Timestamp) -> Result<()> {
    let mut after = None;
    loop {
        let last = state.db.write_bulk(move |tx| store::mark_all_to_plan(tx, after, now, MARKED)).await?;
        if last.is_none() {
            return Ok(());
        }
        after = last;
    }
}

async fn extend_one(state: &State, patient: Id<Patient>, turns: &Semaphore, now: Timestamp) -> Result<bool> {
    // While the keys of one are read, others are planned for. Keys that do not open are tried again.
    let Some(keys) = Error::skip_damaged(state.vault.keys(patient.uuid()).await)? else {
        return try_later(state, patient, now).await;
    };
    let Some(keys) = keys else {
        // The keys are gone for good: there is nothing left to plan from.
        state.db.write_bulk(move |tx| store::postpone_plan(tx, patient, now, None)).await?;
        return Ok(true);
    };
    let planner = std::sync::Arc::clone(&state.planner);
    let prepared = prepare(state, (patient, keys.clone()), turns, now).await;
    let request = PlanRequest { patient, keys: Some(keys), actor: None, now, feeds: FeedsPlan::Always };
    let unit = state.db.write_bulk(move |tx| {
        WriteScope::for_server(patient, request.keys.clone(), now).run(tx, planner.as_ref(), |tx, access| {
            // No number is taken: this locks the head before anything is read.
            let LockedHead { number, .. } = changes::take(tx, patient, 0, Bytes::default())?;
            if !store::is_to_plan(tx, access)? {
                return Ok(false);
            }
            let stored = prepared.as_ref().map(|plan| plan.store(tx, &request, number)).transpose()?;
            if stored != Some(true) {
                access.feed_plan(request.feeds);
            }
            Ok(true)
        })
    });
    match unit.await {
        Err(error) if !error.is_outage() => {
            metrics::counter!("afterglow_task_failures_total", "task" => NAME).increment(1);
            tracing::error!(%patient, %error, "a plan could not be extended and is tried again in an hour");
            try_later(state, patient, now).await
        }
        other => other,
    }
}

/// Makes the plan beside the one writer of an SQLite file. After a fault there is none: the unit, which then makes the
/// plan, meets the same.
async fn prepare(
    state: &State,
    (patient, keys): (Id<Patient>, Keys),
    turns: &Semaphore,
    now: Timestamp,
) -> Option<PreparedPlan> {
    if !state.db.backend().reads_beside_writer() {
        return None;
    }
    let _turn = turns.acquire().await.ok()?;
    let protocols = state.protocols.known();
    let made = state.db.read(move |tx| {
        let access = Access::<Read>::for_server(patient, Some(keys.clone()), now);
        PreparedPlan::make(tx, &access, &protocols)
    });
    made.await.ok().flatten()
}

async fn try_later(state: &State, patient: Id<Patient>, now: Timestamp) -> Result<bool> {
    let later = now.saturating_add(LATER).unwrap_or(now);
    state.db.write_bulk(move |tx| store::postpone_plan(tx, patient, now, Some(later))).await?;
    Ok(false)
}
