//! Prompts: what is asked of a patient, and what they do with it.
//!
//! Owns the rows of prompts; when they are asked is for [`crate::planning`] to say. A session whose end nobody told is
//! taken to have gone as planned when the plan is made an hour later ([`actions::replan`]). No text of a patient belongs
//! here: placeholders are filled when the owner reads.

pub mod actions;
mod gather;
pub mod horizon;
mod library;
pub mod model;
mod planner;
mod routes;
pub mod store;
mod unsaid;
pub mod words;

pub use planner::Plans;
pub use routes::{configure, configure_patient};
