//! The schedule: plans that follow what patients and clinics record.
//!
//! Gathers the facts of a patient from the slices that keep them, plans again ([`crate::planning`]), and applies the
//! difference to the stored prompts ([`crate::prompts`]): once, as the last step of a unit that changed a fact
//! ([`Plans`]). Takes a planned end for the end of a session when nobody has recorded one for an hour. Renders prompts
//! for their owner: placeholders are filled when the owner reads, and nothing of that is stored.
//!
//! A plan is made of opened documents, in the unit: the one exception to the rule that content is opened afterwards. On
//! SQLite the background work makes it before its unit, beside the one writer ([`PreparedPlan`]).
//! What must not go in: what a patient does with a prompt (see [`crate::prompts::actions`]), and delivery.

pub mod actions;
mod adherence;
mod facts;
mod followed;
mod following;
pub mod horizon;
mod library;
mod planner;
mod prepared;
mod provisional;
pub mod rendering;
mod routes;
pub mod store;
mod unreadable;

pub use facts::TAKEAWAY_DAYS;
pub use followed::Following;
pub use following::FollowClinics;
pub use planner::{Plans, replan};
pub use prepared::PreparedPlan;
pub use routes::{configure, configure_patient};
