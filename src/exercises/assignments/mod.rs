//! What a therapist asks a patient to do: one exercise, with a note and a day.
//!
//! An assignment belongs to one care link: another therapist never sees it, and with the link it ends for everybody but
//! the patient, who keeps it to read. The therapist learns that it was done and on which day, never what was answered:
//! that takes a grant.

pub mod actions;
pub mod model;
mod routes;
mod store;

pub use routes::configure_patient;
