//! Prompts: the questions to a patient, and the patient's acts on them.
//!
//! Owns the rows of prompts and the acts of a patient on them. [`crate::planning`] decides which prompts come at which
//! time; [`crate::schedule`] brings the rows in line with it. No text of a patient belongs here.

pub mod actions;
pub mod model;
mod routes;
pub mod store;

pub use routes::configure_patient;
