//! The interface by which units that change a fact have the plan made again.

use std::fmt;

use jiff::Timestamp;

use super::FeedsPlan;
use crate::db::Tx;
use crate::kernel::id::{Account, Patient, Session};
use crate::kernel::{Id, Result};
use crate::vault::Keys;

/// A request for a new plan of one patient, at the end of the unit that changed facts of the plan.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// The patient.
    pub patient: Id<Patient>,
    /// Their keys. Without keys the plan is marked stale, and a worker makes it.
    pub keys: Option<Keys>,
    /// The account and session that made the change; `None` for the server.
    pub actor: Option<(Id<Account>, Id<Session>)>,
    /// The start of the unit.
    pub now: Timestamp,
    /// Whether the plan must be made again, or only if its facts have changed.
    pub feeds: FeedsPlan,
}

/// Makes stale plans again. The server has one planner; each unit that writes ends by calling it.
pub trait Planner: fmt::Debug + Send + Sync {
    /// Makes the plan again and stores the difference. The caller holds the patient's head.
    ///
    /// # Errors
    ///
    /// When facts cannot be read or prompts cannot be written.
    fn follow(&self, tx: &mut Tx<'_>, request: &PlanRequest) -> Result<()>;
}
