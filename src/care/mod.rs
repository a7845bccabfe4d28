//! Clinics, their members, care links, the visibility of grants; and the doors to a patient's data.
//!
//! Only [`access`] makes an [`Access`], in the unit that uses it and after the check; [`write_scope`] hands one to work
//! outside a door. Every storage function on patient data takes one, so that no query can be written without it. The
//! [`Door`] in a handler's signature is the policy of the operation. When a caller other than the patient opens it, the
//! audit row is written in the same unit; on SQLite that unit rests on a reading that was made beside the writer, if it
//! still holds (`prepared`).
//!
//! A patient accepts a care link, the therapist confirms it, and either side ends it ([`links`]). An admin changes the
//! capabilities of a clinic's members ([`members`]): `record` opens infusions, of which a task tells the patients; what
//! a patient writes needs a link and grants. The codes that admins make for new passphrases are kept here, since they
//! are void once one of the clinic's admins is an admin no longer.
//!
//! A therapist hands a link over to a colleague if the patient agrees ([`transfers`]), and names one who stands in while
//! they are away ([`covers`]). In an emergency staff reach a patient of their clinic for some hours
//! ([`emergencies`]). An admin closes a clinic ([`closing`]).
//!
//! A therapist's feed reads several patients in one unit: [`reading`].
//!
//! Staff who are shown a patient's name in a list leave a row in that patient's access log: [`roster`], [`links`].
//!
//! Queries here that span patients: the roster, by therapist (index `care_links_therapist`) or by clinic (index
//! `care_links_clinic`).

pub mod access;
mod admission;
pub mod clinics;
pub mod closing;
mod cover_notices;
pub mod covers;
pub mod door;
pub mod emergencies;
pub mod grants;
pub mod links;
pub mod members;
pub mod model;
pub mod people;
mod policy;
mod prepared;
pub mod reading;
pub mod revocations;
pub mod roster;
pub mod routes;
pub mod store;
mod telling;
pub mod transfers;
pub mod verification_words;
pub mod write_scope;

pub use access::{Access, Read, Role, Write};
pub use covers::TellCovered;
pub use door::Door;
pub use routes::{configure, configure_patient};
pub use telling::TellPatients;
