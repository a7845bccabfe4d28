//! The per-patient change sequence.
//!
//! Every write to a patient's data takes the next number of that patient, under the lock on the patient's head row
//! and in its own transaction: commit order is number order, so a reader who has seen number `n` has seen everything
//! up to `n`. The row that is kept with the number (who, from which session, what, when) is the audit of writes.
//!
//! A kind of thing says whether its changes feed the plan of prompts ([`FeedsPlan`]); the plan is made again once, as
//! the last step of the unit that changed something, by the [`Planner`] of the server.
//!
//! Taking the number is the **first** write on a patient's data in a unit: it is what serialises writers.

mod model;
mod planner;
mod store;

pub use model::{Change, Entity, FeedsPlan, Op, Recorded};
pub use planner::{PlanRequest, Planner};
pub use store::{insert, list_of, list_own, take};
