//! Prompts: what is asked of a patient, and what they do with it.
//!
//! Owns the rows of prompts and what a patient does with one. Which are asked and when is for [`crate::planning`] to say;
//! [`crate::schedule`] has the rows follow. Therapists leave out or move rules for one patient ([`overrides`]), but none
//! that is for safety. No text of a patient belongs here.

pub mod actions;
pub mod infusions;
pub mod model;
pub mod overrides;
pub(crate) mod routes;
pub mod store;

pub use routes::{configure, configure_patient};
