//! Has plans follow what units change.

use super::actions::replan;
use super::store;
use crate::care::access::{Access, Write};
use crate::changes::{FeedsPlan, PlanRequest, Planner};
use crate::course;
use crate::db::Tx;
use crate::kernel::Result;

/// The planner of the server.
#[derive(Clone, Copy, Debug)]
pub struct Plans;

impl Planner for Plans {
    fn follow(&self, tx: &mut Tx<'_>, request: &PlanRequest) -> Result<()> {
        let access = Access::<Write>::for_planner(request);
        if request.keys.is_none() {
            // The unit changed the plans of many patients, without their keys: the workers make them at once.
            return store::postpone_plan(tx, request.patient, Some(request.now));
        }
        if request.feeds == FeedsPlan::Perhaps && !course::may_hold_otherwise(tx, &access)? {
            return Ok(());
        }
        replan(tx, &access).map(|_| ())
    }
}
