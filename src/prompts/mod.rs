//! What is asked of a patient, and when.
//!
//! Owns the protocol (a versioned data file of prompt rules) and the plan: a pure function of the protocol, the
//! [`Facts`] of one patient and the time. Promises that planning twice gives the same prompts under the same ids, that
//! a plan holds every cap, spacing and quiet hour, and that applying one ([`diff()`]) touches only what lies in the
//! future and has not gone out, but for what a correction of an infusion takes back. A session whose end nobody told is
//! taken to have gone as planned when the plan is made an hour later ([`actions::replan`]). [`preview()`](preview::preview)
//! plans for made-up facts. What asks for effort waits until the patient is ready for it. Therapists leave out or move
//! rules for one patient ([`overrides`]), but none that is for safety. No text of a patient belongs here: placeholders are
//! filled when the owner reads.

pub mod actions;
pub mod diff;
pub mod facts;
pub mod horizon;
pub mod infusions;
mod library;
pub mod model;
pub mod overrides;
pub mod plan;
mod planner;
pub mod preview;
pub mod protocol;
mod routes;
pub mod store;
mod unsaid;
pub mod words;
#[cfg(test)]
mod tests;
mod validate;

pub use diff::{Existing, Hold, MoveReason, Step, diff};
pub use facts::{Condition, Facts, InfusionFact, Settled};
pub use plan::{DropReason, Dropped, Plan, Planned, Why, plan, put_off};
pub use planner::Plans;
pub use protocol::{Capability, Kind, Prerequisite, Protocol, Rule};
pub use routes::{configure, configure_patient};
