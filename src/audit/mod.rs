//! The audit log: an append-only chain for each patient and each account.
//!
//! A row is written in the transaction of the access it records, one for each request and subject, with the sealed
//! list of ids whose content was returned. Each row carries a keyed hash over the row before it and itself; a plain hash could be
//! computed anew by whoever can write the database. The hash is over the *sealed* text, so the chain still verifies
//! after the subject's keys are destroyed.

mod model;
mod store;

pub use model::{Fault, Record, canonical};
pub use store::{Sealed, Subject, append, list, refused_since, subjects, verify};
