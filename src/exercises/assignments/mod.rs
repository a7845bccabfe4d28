//! Assignments: a therapist asks a patient to do one exercise, with a note and a day.
//!
//! An assignment belongs to one care link, and another therapist never sees it. When the link ends, only the patient
//! can still read it. The therapist learns that it was done and on which day; the answers need a grant.

pub mod actions;
pub mod model;
mod routes;
pub mod store;

pub use routes::{AssignmentView, configure_patient};
pub use store::{AssignmentRow, list_live};
