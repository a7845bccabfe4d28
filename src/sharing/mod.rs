//! Sharing: a patient makes, lists and ends grants.
//!
//! A grant opens one entry, one exercise response or every entry that falls under a rule. What a grant shows, and the
//! rows that say so, belong to [`care::grants`](crate::care::grants), which decides about visibility and knows nothing
//! of entries and responses. Here it is checked that what is to be opened is there and done.

pub mod actions;
mod routes;

pub use routes::configure_patient;
