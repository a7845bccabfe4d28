//! Clinics, invitations, care links and grants; and the doors to a patient's data.
//!
//! [`access`] is the only maker of an [`Access`], in the unit that uses it and after the check. Every storage function
//! on patient data takes one, so that no query can be written without it. A [`Door`] in a handler's signature says
//! which lock guards the operation; opening it as somebody else writes the audit row in the same unit.
//!
//! Queries here that span patients: the roster (by therapist) and invitations (by the hash of their code).

pub mod access;
pub mod door;
pub mod grants;
pub mod model;
mod store;

pub use access::{Access, Read, Role, Write};
pub use door::Door;
