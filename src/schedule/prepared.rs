//! Plans that are made beside the writer.
//!
//! SQLite has one writer, and to make a plan (to open documents, to seal prompts) takes as long as to write its rows.
//! So the background work makes the plan on a snapshot, and the writer stores it if it still holds: if the one that it
//! would make is the same. Else it makes another.
//!
//! Each change of a fact of a patient takes a change number of the patient. Only the marks of delivery take none: a
//! marked prompt waits no more, and a plan must not bring it back.

use super::facts;
use super::planner::{PlanChanges, PlanSources};
use crate::care::{Access, Read, Write};
use crate::changes::{self, PlanRequest, Point};
use crate::db::Tx;
use crate::kernel::Result;
use crate::planning::Protocols;
use crate::prompts::store as prompts;

/// A plan that was made on a snapshot, with what tells whether it still holds.
#[derive(Clone, Debug)]
pub struct PreparedPlan {
    plan: PlanChanges,
    point: Point,
    /// The number of the prompts to come that wait for their time.
    waiting: i64,
}

impl PreparedPlan {
    /// Makes a plan, unless more than prompts to come is to be changed with it.
    ///
    /// # Errors
    ///
    /// When facts cannot be read.
    pub fn make(tx: &mut Tx<'_>, access: &Access<Read>, protocols: &Protocols) -> Result<Option<Self>> {
        let point = changes::point(tx, access.patient())?;
        let waiting = waiting(tx, access)?;
        let sources = PlanSources::read(tx, access, protocols)?;
        if sources.are_to_be_settled(access.now()) {
            return Ok(None);
        }
        let plan = PlanChanges::make(tx, access, protocols, sources)?;
        if plan.take_back(access.now()) {
            return Ok(None);
        }
        Ok(Some(Self { plan, point, waiting }))
    }

    /// Stores the plan if it still holds, and answers whether it does. The patient's head is held; `number` is that of
    /// their next change.
    ///
    /// # Errors
    ///
    /// When prompts cannot be written.
    pub fn store(&self, tx: &mut Tx<'_>, request: &PlanRequest, number: i64) -> Result<bool> {
        let access = Access::<Write>::for_planner(request);
        let same = self.point == Point::before(number, tx.first_version());
        if !same || self.waiting != waiting(tx, &access)? {
            return Ok(false);
        }
        self.plan.store(tx, &access)?;
        Ok(true)
    }
}

/// Counts the prompts that a plan may move and delivery may mark. While no number is taken they only become fewer, by
/// one with each mark.
fn waiting<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<i64> {
    let (_, until) = facts::stored_range(access.now());
    prompts::count_waiting(tx, access, (access.now(), until))
}
