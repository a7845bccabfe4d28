//! The audit log: an append-only chain for each patient and each account.
//!
//! A row is written in the transaction of the access it records, one for each request and subject, with the sealed list
//! of ids whose content was returned. Each row carries a keyed hash over itself and the row before it; anybody who can
//! write the database could compute a plain hash anew. The hash covers the *sealed* text, so the chain still verifies
//! after the subject's keys are destroyed.
//!
//! The end of a chain could still be cut. So its head is anchored in the keyring by a task ([`Anchoring`]), and
//! [`verify`] holds the chain against its anchor.

mod anchoring;
mod model;
mod store;

pub use anchoring::Anchoring;
pub use model::{ChainFault, Record, canonical};
pub use store::{AuditRow, Subject, append, head, list, refused_since, subjects, verify};
