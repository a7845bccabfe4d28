//! Comments: a therapist's texts below an entry, and the patient's replies.
//!
//! A thread belongs to one entry and one care link, and another therapist never sees it. It takes new comments while
//! the entry is open to that link; after that only the patient can read it. A comment does not change. One that a
//! phone brings after the thread was closed is held: it is the patient's alone, also if the thread opens again.

pub mod actions;
mod routes;
pub mod store;

pub use routes::configure_patient;
pub(super) use store::delete_all;
