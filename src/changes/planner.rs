//! Planning again, as the units that change a fact see it.

use std::fmt;

use jiff::Timestamp;

use super::FeedsPlan;
use crate::db::Tx;
use crate::kernel::id::{Account, Patient, Session};
use crate::kernel::{Id, Result};
use crate::vault::Keys;

/// Asks for another plan of one patient, at the end of the unit that changed what the plan depends on.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// The patient.
    pub patient: Id<Patient>,
    /// Their keys; without them the plan is marked stale, and a worker makes it.
    pub keys: Option<Keys>,
    /// The account and session that changed something; `None` for the server.
    pub actor: Option<(Id<Account>, Id<Session>)>,
    /// The start of the unit.
    pub now: Timestamp,
    /// Whether the plan has to follow, or may have to.
    pub feeds: FeedsPlan,
}

/// Plans again what a change has made stale. The server has one planner; each unit that writes ends by calling it.
pub trait Planner: fmt::Debug + Send + Sync {
    /// Plans again and stores the difference. The head of the patient is held.
    ///
    /// # Errors
    ///
    /// When facts cannot be read or prompts cannot be written.
    fn follow(&self, tx: &mut Tx<'_>, request: &PlanRequest) -> Result<()>;
}
