//! Clinics, invitations, care links and grants; and the doors to a patient's data.
//!
//! [`access`] is the only maker of an [`Access`], in the unit that uses it and after the check. Every storage function
//! on patient data takes one, so that no query can be written without it. A [`Door`] in a handler's signature says
//! which lock guards the operation; opening it as somebody else writes the audit row in the same unit.
//!
//! Joining: the first-run code makes a clinic and its admin ([`setup`]); invitations ([`inviting`]) make staff and
//! patients ([`joining`]); a patient's acceptance makes a care link, which the therapist confirms and either side ends
//! ([`links`]). Codes have 80 bits, are good once and are not stored. No act of an admin gives anybody content: a new
//! link needs the patient.
//!
//! Whoever sees a patient's name in a list has left a row in that patient's access log: [`roster`], [`links`].
//!
//! Queries here that span patients: the roster (by therapist, index `care_links_therapist`, or by clinic, index
//! `care_links_clinic`) and invitations (by the hash of their code, index `invitations_code`).

pub mod access;
pub mod clinics;
mod code;
pub mod door;
mod follow;
pub mod grants;
pub mod inviting;
pub mod joining;
pub mod links;
pub mod model;
pub mod people;
pub mod roster;
mod routes;
pub mod setup;
mod store;
pub mod words;

pub use access::{Access, Read, Role, Write};
pub use code::JoinCode;
pub use door::Door;
pub use routes::{configure, configure_patient};
