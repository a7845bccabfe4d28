//! The protocols that clinics write.
//!
//! Owns their versions (drafts, published, retired), the protocol that a clinic has chosen for its patients, and the
//! knowledge that every process has of what was published. A draft is changed until it is published; then it never
//! changes again. Plans are made by a published version a minute later ([`model::IN_FORCE_AFTER`]): by then every process
//! has read it, because none answers a request or does a round with what it read more than five seconds ago
//! ([`library`]).
//!
//! Which protocol a patient follows, and what their therapist changes in it, belongs to [`crate::schedule`].

pub mod actions;
pub mod library;
pub mod model;
mod routes;
pub mod store;

pub use routes::{before_request, configure, configure_public};
