//! What a therapist writes below an entry, and the patient's replies.
//!
//! A thread belongs to one entry and one care link: another therapist never sees it. It takes new comments while the
//! entry is open to that link; after that it stays with the patient, to read. A comment does not change.

pub mod actions;
mod routes;
mod store;

pub use routes::configure_patient;
pub(super) use store::delete_all;
