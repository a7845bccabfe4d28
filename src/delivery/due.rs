//! The task that marks prompts due.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use jiff::{SignedDuration, Timestamp};

use super::lighter;
use super::model::Outgoing;
use super::outage::{DueDecisions, cutoff};
use super::store as outbox;
use crate::care::access::{Access, Read, Write};
use crate::care::write_scope::WriteScope;
use crate::changes::{self, Bytes};
use crate::db::{Backend, Tx};
use crate::kernel::id::Patient;
use crate::kernel::{Id, Result};
use crate::prompts::store::{self as prompts, Mark};
use crate::state::State;
use crate::tasks::{Due, Task, TaskProgress, TaskRun, keys_of};
use crate::vault::{Keys, Vault};

/// The most prompts marked due in one unit.
const BATCH: usize = 500;
/// The most of those units in one round. Claiming is not fair between clinics and sending is: what one clinic has due
/// at once is claimed sooner than it is sent, so that the prompts of another get to the outbox soon.
const BATCHES: usize = 8;
/// The number of those units at once on PostgreSQL, after a full one: each passes over what another is taking. SQLite
/// runs one unit after the other.
const BATCHES_AT_ONCE: usize = 4;
/// The most prompts whose patients are caught up with in one round.
const LATE: i64 = 500;
/// The number of patients who are caught up with, or whose prompts are marked apart, at once.
const AT_ONCE: usize = 16;

/// Marks prompts due, or lapsed if they are no longer of use, and puts deliveries into the outbox.
#[derive(Clone, Copy, Debug)]
pub struct MarkDue {
    channel: &'static str,
}

impl MarkDue {
    /// The name of the task.
    pub const NAME: &'static str = "due-prompts";

    /// Makes the task that puts deliveries into the outbox for the channel of this name.
    pub fn by(channel: &'static str) -> Self {
        Self { channel }
    }
}

impl Task for MarkDue {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn next_due(&self) -> &'static [Due] {
        prompts::NEXT_DUE
    }

    fn run<'a>(&'a self, round: TaskRun<'a>) -> BoxFuture<'a, Result<TaskProgress>> {
        async move {
            let due = self.mark(round).await?;
            metrics::counter!("afterglow_prompts_due_total").increment(u64::try_from(due).unwrap_or(u64::MAX));
            Ok(TaskProgress { due, ..TaskProgress::rows(due) })
        }
        .boxed()
    }
}

impl MarkDue {
    /// Marks prompts and returns their number.
    async fn mark(&self, run: TaskRun<'_>) -> Result<usize> {
        let TaskRun { state, now, since, put_off, .. } = run;
        let (channel, cutoff) = (self.channel, cutoff(now));
        let any_late = since < cutoff;
        let caught_up = if any_late {
            run.in_portions(move |left_out| self.catch_up(run, left_out, cutoff).boxed()).await
        } else {
            Ok(TaskProgress::default())
        };
        // An outage that is met in catching up may be of one patient: what is due now does not wait for it.
        let several = matches!(state.db.backend(), Backend::Postgres(_));
        let (mut marked, mut left, mut at_once) = (0, BATCHES, 1);
        while left > 0 {
            let left_out = put_off.subjects::<Patient>(now);
            let batch = |_| {
                let (vault, left_out) = (state.vault.clone(), left_out.clone());
                let unit =
                    move |tx: &mut Tx<'_>| on_time(tx, &vault, channel, (any_late, left_out.as_slice()), (cutoff, now));
                state.db.write(unit).boxed()
            };
            let batches: Vec<_> = (0..at_once).map(batch).collect();
            let (mut claimed, mut failed) = (0, None);
            for of_batch in join_all(batches).await {
                match of_batch {
                    Ok(of_batch) => claimed += of_batch,
                    Err(error) => failed = Some(error),
                }
            }
            marked += claimed;
            left -= at_once;
            if let Some(error) = failed {
                // The units of single patients would meet that, too.
                if error.is_outage_for_all() {
                    return Err(error);
                }
                tracing::warn!(%error, "a batch of due prompts cannot be marked; each patient's are marked apart");
                marked += self.mark_apart(run, cutoff).await?;
                break;
            }
            if claimed < at_once * BATCH {
                break;
            }
            at_once = if several { left.min(BATCHES_AT_ONCE) } else { 1 };
        }
        caught_up.map(|caught_up| caught_up.rows + marked)
    }

    /// Marks the prompts of a batch that has failed, those of each patient in a unit of their own, and returns their
    /// number. Patients whose prompts cannot be marked are put off, so that the next batch is without them.
    async fn mark_apart(&self, run: TaskRun<'_>, cutoff: Timestamp) -> Result<usize> {
        let TaskRun { state, now, put_off, .. } = run;
        let (left_out, most) = (put_off.subjects::<Patient>(now), i64::try_from(BATCH).unwrap_or(i64::MAX));
        let until = now.saturating_add(SignedDuration::from_micros(1)).unwrap_or(now);
        let (patients, _) = state.db.read(move |tx| prompts::list_late(tx, until, &left_out, most)).await?;
        let unit = |patient: Id<Patient>| {
            let (vault, planner, channel) = (state.vault.clone(), Arc::clone(&state.planner), self.channel);
            let unit = state.db.write(move |tx| {
                WriteScope::for_server(patient, None, now)
                    .run(tx, planner.as_ref(), |tx, access| on_time_of(tx, &vault, channel, access, cutoff))
            });
            (patient, unit.boxed())
        };
        let units = patients.into_iter().map(unit).collect();
        Ok(put_off.each(now, AT_ONCE, units).await?.into_iter().sum())
    }

    /// Catches up with a portion of the patients after an outage, each in a unit of their own, without those in
    /// `left_out`.
    async fn catch_up(
        &self,
        TaskRun { state, now, put_off, .. }: TaskRun<'_>,
        left_out: Vec<Id<Patient>>,
        cutoff: Timestamp,
    ) -> Result<usize> {
        let (late, _) = state.db.read(move |tx| prompts::list_late(tx, cutoff, &left_out, LATE)).await?;
        let (channel, keys) = (self.channel, keys_of(state, late.clone()).await?);
        let unit = |patient: Id<Patient>| {
            let keys = keys.get(&patient).cloned().flatten();
            (patient, catch_up_one(state, channel, patient, keys, now).boxed())
        };
        let units = late.into_iter().map(unit).collect();
        Ok(put_off.each(now, AT_ONCE, units).await?.into_iter().sum())
    }
}

fn on_time(
    tx: &mut Tx<'_>,
    vault: &Vault,
    channel: &'static str,
    (any_late, left_out): (bool, &[Id<Patient>]),
    (cutoff, now): (Timestamp, Timestamp),
) -> Result<usize> {
    // Patients with a late prompt are left out: they are caught up with as a whole. So are those who are put off.
    let (late, all) = if any_late { prompts::list_late(tx, cutoff, left_out, LATE)? } else { (Vec::new(), true) };
    if !all {
        return Ok(0);
    }
    let late = [late.as_slice(), left_out].concat();
    let claimed = outbox::claim(tx, (cutoff, now), &late, i64::try_from(BATCH).unwrap_or(i64::MAX))?;
    settle(tx, vault, channel, &DueDecisions::on_time(&claimed, now), now)?;
    Ok(claimed.len())
}

/// Does the same as [`on_time`] for the waiting prompts of one patient. One with a late prompt is caught up with as a
/// whole.
fn on_time_of(
    tx: &mut Tx<'_>,
    vault: &Vault,
    channel: &'static str,
    access: &Access<Write>,
    cutoff: Timestamp,
) -> Result<usize> {
    // No number is taken: this locks the head, as what the patient does to them. Another worker may mark them, too.
    changes::take(tx, access.patient(), 0, Bytes::default())?;
    prompts::hold_waiting(tx, access)?;
    let waiting = prompts::list_waiting(tx, access)?;
    if waiting.iter().any(|row| row.due_at.0 < cutoff) {
        return Ok(0);
    }
    let list: Vec<_> = outbox::outgoing(tx, access, waiting)?.into_iter().map(|(one, _)| one).collect();
    settle(tx, vault, channel, &DueDecisions::on_time(&list, access.now()), access.now())?;
    Ok(list.len())
}

/// Stores what becomes of prompts: marks, and a delivery for each that goes out.
fn settle(tx: &mut Tx<'_>, vault: &Vault, channel: &'static str, fates: &DueDecisions, now: Timestamp) -> Result<()> {
    let ids = |list: &[Outgoing]| list.iter().map(|one| (one.patient, one.prompt)).collect::<Vec<_>>();
    prompts::mark(tx, &ids(&fates.due), Mark::Due, now)?;
    prompts::mark(tx, &ids(&fates.lapsed), Mark::Lapsed, now)?;
    outbox::insert(tx, vault, channel, &fates.going, now)
}

/// Reads the waiting prompts, decides outside the database, and stores the fates if the same prompts still wait. What
/// the patient then sees without a push is judged by the newest dials here, as no delivery of it is.
async fn catch_up_one(
    state: &State,
    channel: &'static str,
    patient: Id<Patient>,
    keys: Option<Keys>,
    now: Timestamp,
) -> Result<usize> {
    let rows = state.db.read(move |tx| {
        let access = Access::<Read>::for_server(patient, None, now);
        let rows = prompts::list_waiting(tx, &access)?;
        outbox::outgoing(tx, &access, rows)
    });
    let rows = rows.await?;
    let seen: Vec<_> = rows.iter().map(|(_, row)| (row.id, row.version)).collect();
    let access = Access::<Read>::for_server(patient, keys.clone(), now);
    let list: Vec<_> = rows.into_iter().map(|(one, row)| (one, prompts::open(&access, row).ok())).collect();
    let fates = DueDecisions::after_outage(&list, now);
    let cards = list.iter().filter(|(one, _)| fates.due.contains(one) && !fates.going.contains(one));
    let heavy = lighter::too_much(state, access, cards.filter_map(|(_, prompt)| prompt.as_ref())).await?;
    let (planner, vault, protocols) = (Arc::clone(&state.planner), state.vault.clone(), state.protocols.known());
    let unit = state.db.write_bulk(move |tx| {
        WriteScope::for_server(patient, keys.clone(), now).run(tx, planner.as_ref(), |tx, access| {
            // No number is taken: this locks the head, so that two workers do not choose twice.
            changes::take(tx, patient, 0, Bytes::default())?;
            if prompts::hold_waiting(tx, access)? != seen {
                // Another worker was faster. The next round looks at the prompts that wait now.
                return Ok(0);
            }
            settle(tx, &vault, channel, &fates, now)?;
            for (id, rule) in &heavy {
                lighter::put_in_place(tx, access, &protocols, (*id, rule), false)?;
            }
            Ok(seen.len())
        })
    });
    unit.await
}
