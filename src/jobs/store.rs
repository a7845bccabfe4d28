//! The scans of the worker.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use jiff::Timestamp;

use crate::care::{Access, Write};
use crate::db::schema::{deliveries, entries, patients, prompts, replays};
use crate::db::{AnyConnection, At, Tx};
use crate::delivery::store::Outgoing;
use crate::kernel::id::{Patient, Prompt};
use crate::kernel::{Id, Result};
use crate::locked;
use crate::prompts::model::StoredPrompt;
use crate::prompts::store::{self as prompt_rows, COLUMNS};

/// When the first of each kind of work is due.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Agenda {
    pub prompt: Option<Timestamp>,
    pub delivery: Option<Timestamp>,
    pub lease: Option<Timestamp>,
    pub plan: Option<Timestamp>,
    /// When the oldest used key was used.
    pub replay: Option<Timestamp>,
    /// When the first deleted entry is to lose its words.
    pub purge: Option<Timestamp>,
}

impl Agenda {
    /// When something is due that is not to be swept only.
    pub(super) fn next(&self) -> Option<Timestamp> {
        [self.prompt, self.delivery, self.lease, self.plan].into_iter().flatten().min()
    }
}

/// The six times of an [`Agenda`], as they are read.
type Times = (Option<At>, Option<At>, Option<At>, Option<At>, Option<At>, Option<At>);

/// What is due next: six looks at the low end of an index, in one statement.
pub(super) fn agenda(tx: &mut Tx<'_>) -> Result<Agenda> {
    let prompt = prompts::table
        .filter(prompts::next_action_at.is_not_null())
        .order(prompts::next_action_at)
        .select(prompts::next_action_at)
        .limit(1)
        .single_value();
    let delivery = deliveries::table
        .filter(sql::<Bool>("state = 'waiting'"))
        .order(deliveries::due_at)
        .select(deliveries::due_at)
        .limit(1)
        .single_value();
    let lease = deliveries::table
        .filter(sql::<Bool>("state = 'leased'"))
        .order(deliveries::lease_until)
        .select(deliveries::lease_until)
        .limit(1)
        .single_value();
    let plan = patients::table
        .filter(patients::next_plan_at.is_not_null())
        .order(patients::next_plan_at)
        .select(patients::next_plan_at)
        .limit(1)
        .single_value();
    let replay = replays::table.order(replays::created_at).select(replays::created_at).limit(1).single_value();
    let purge = entries::table
        .filter(entries::purge_at.is_not_null())
        .order(entries::purge_at)
        .select(entries::purge_at)
        .limit(1)
        .single_value();
    let (prompt, delivery, lease, plan, replay, purge): Times =
        diesel::select((prompt, delivery, lease, plan, replay, purge)).get_result(tx.conn())?;
    let at = |at: Option<At>| at.map(|at| at.0);
    Ok(Agenda {
        prompt: at(prompt),
        delivery: at(delivery),
        lease: at(lease),
        plan: at(plan),
        replay: at(replay),
        purge: at(purge),
    })
}

/// Patients with a prompt that waits although its time was before `cutoff`, from the `most` prompts that wait longest;
/// and whether these are all of them.
pub(super) fn list_late(tx: &mut Tx<'_>, cutoff: Timestamp, most: i64) -> Result<(Vec<Id<Patient>>, bool)> {
    // Not DISTINCT: it would have SQLite walk through every prompt in the order of patients.
    let mut patients: Vec<Id<Patient>> = prompts::table
        .filter(prompts::next_action_at.lt(At(cutoff)))
        .order(prompts::next_action_at)
        .limit(most)
        .select(prompts::patient_id)
        .load(tx.conn())?;
    let all = i64::try_from(patients.len()).is_ok_and(|count| count < most);
    patients.sort_unstable();
    patients.dedup();
    Ok((patients, all))
}

/// Takes up to `most` prompts that came due between `cutoff` and `now`, the longest waiting first, but none of the
/// patients in `late`. What another worker is taking is passed over.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    (cutoff, now): (Timestamp, Timestamp),
    late: &[Id<Patient>],
    most: i64,
) -> Result<Vec<Outgoing>> {
    let delivered = deliveries::table
        .filter(deliveries::patient_id.eq(prompts::patient_id))
        .filter(deliveries::prompt_id.eq(prompts::id))
        .count()
        .single_value();
    let due = prompts::table
        .filter(prompts::next_action_at.ge(At(cutoff)))
        .filter(prompts::next_action_at.le(At(now)))
        .filter(prompts::patient_id.ne_all(late))
        .order(prompts::next_action_at)
        .limit(most)
        .select((prompts::patient_id, prompts::id, prompts::expires_at, delivered));
    let rows: Vec<(Id<Patient>, Id<Prompt>, At, Option<i64>)> = match tx.conn() {
        AnyConnection::Pg(conn) => due.for_update().skip_locked().load(conn)?,
        AnyConnection::Sqlite(conn) => due.load(conn)?,
    };
    Ok(rows
        .into_iter()
        .map(|(patient, prompt, expires_at, count)| outgoing(patient, prompt, (now, expires_at), count))
        .collect())
}

fn outgoing(
    patient: Id<Patient>,
    prompt: Id<Prompt>,
    (due_at, expires_at): (Timestamp, At),
    count: Option<i64>,
) -> Outgoing {
    let ordinal = count.and_then(|count| i32::try_from(count).ok()).unwrap_or_default();
    Outgoing { patient, prompt, ordinal, due_at, expires_at: expires_at.0 }
}

/// Everything of one patient that waits and is due, locked. What cannot be opened comes without a document.
pub(super) fn list_waiting(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<Vec<(Outgoing, Result<StoredPrompt>)>> {
    let patient = access.patient();
    let now = At(access.now());
    let rows: Vec<prompt_rows::Row> = locked!(
        tx,
        for_update,
        prompts::table
            .filter(prompts::patient_id.eq(patient))
            .filter(prompts::due_at.le(now))
            .filter(prompts::next_action_at.le(now))
            .order((prompts::due_at, prompts::id))
            .select(COLUMNS)
    )?;
    let mut list = Vec::with_capacity(rows.len());
    for row in rows {
        let count: i64 = deliveries::table
            .filter(deliveries::patient_id.eq(patient))
            .filter(deliveries::prompt_id.eq(row.0))
            .count()
            .get_result(tx.conn())?;
        list.push((outgoing(patient, row.0, (access.now(), row.4), Some(count)), prompt_rows::open(access, row)));
    }
    Ok(list)
}
