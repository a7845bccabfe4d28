//! The per-patient change sequence.
//!
//! Every write to a patient's data takes the next number of that patient, under the lock on the patient's head row
//! and in its own transaction: commit order is number order, so a reader who has seen number `n` has seen everything
//! up to `n`. The row that is kept with the number (who, from which session, what, when) is the audit of writes.
//!
//! Taking the number is the **first** write on a patient's data in a unit: it is what serialises writers.

mod model;
mod store;

pub use model::{Change, Entity, Op, Recorded};
pub use store::{insert, list_of, list_own, take};
