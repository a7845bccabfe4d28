//! Prompts: what is asked of a patient, and what they do with it.
//!
//! Owns the rows of prompts and what a patient does with one. Which are asked and when is for [`crate::planning`] to say;
//! [`crate::schedule`] has the rows follow. No text of a patient belongs here.

pub mod actions;
pub mod model;
mod routes;
pub mod store;

pub use routes::configure_patient;
