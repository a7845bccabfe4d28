//! Prompts that wait although their time has come.

use diesel::prelude::*;
use jiff::Timestamp;

use super::PromptRow;
use crate::care::{Access, Write};
use crate::db::schema::prompts;
use crate::db::{At, Tx};
use crate::kernel::id::{Patient, Prompt};
use crate::kernel::{Id, Result};
use crate::locked;
use crate::tasks::Due;

/// The column that holds the time at which the first of them is to be marked.
pub const NEXT_DUE: &[Due] = &[Due::at("prompts", "next_action_at")];

/// Lists patients with a prompt that waits although its time was before `cutoff`, from the `most` prompts that wait
/// longest but for those of the patients in `left_out`. Returns also whether these are all of them.
///
/// Spans patients: rests on the partial index `prompts_next_action`.
pub fn list_late(
    tx: &mut Tx<'_>,
    cutoff: Timestamp,
    left_out: &[Id<Patient>],
    most: i64,
) -> Result<(Vec<Id<Patient>>, bool)> {
    // Not DISTINCT: it would have SQLite walk through every prompt in the order of patients.
    let mut patients: Vec<Id<Patient>> = prompts::table
        .filter(prompts::next_action_at.lt(At(cutoff)))
        .filter(prompts::patient_id.ne_all(left_out.to_vec()))
        .order(prompts::next_action_at)
        .limit(most)
        .select(prompts::patient_id)
        .load(tx.conn())?;
    let all = i64::try_from(patients.len()).is_ok_and(|count| count < most);
    patients.sort_unstable();
    patients.dedup();
    Ok((patients, all))
}

/// Selects the prompts of one patient that wait and are due, by time.
macro_rules! waiting {
    ($access:expr) => {
        prompts::table
            .filter(prompts::patient_id.eq($access.patient()))
            .filter(prompts::due_at.le(At($access.now())))
            .filter(prompts::next_action_at.le(At($access.now())))
            .order((prompts::due_at, prompts::id))
    };
}

/// Lists the prompts of one patient that wait and are due, by time.
pub fn list_waiting<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<PromptRow>> {
    Ok(waiting!(access).select(PromptRow::as_select()).load(tx.conn())?)
}

/// Locks the same prompts until the unit ends, and returns their ids and versions.
pub fn hold_waiting(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<Vec<(Id<Prompt>, i64)>> {
    Ok(locked!(tx, for_update, waiting!(access).select((prompts::id, prompts::version)))?)
}
