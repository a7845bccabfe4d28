//! Onboarding: how accounts are made on a server.
//!
//! Where the operator has opened registration, patients join without an invitation and without a clinic ([`opening`]).
//! Everybody then joins, with an invitation or without one, by a code that was sent to their address and proves it.
//!
//! The first-run code makes a clinic and its admin ([`setup`]), the operator any further clinic ([`operator`]);
//! invitations ([`invitations`]) make staff and patients ([`registration`]). A patient's acceptance makes a care link,
//! which belongs to [`care`](crate::care), as do the rows of the codes by which staff get new passphrases ([`resets`]).
//! Codes have 80 bits, are good for one use and are not stored. No act of an admin gives anybody content: a new link
//! needs the patient.
//!
//! A patient begins with their own row, the heads of their chains, and settings, all in the unit that makes the
//! account.
//!
//! Queries here that span patients: invitations, by the hash of their code (index `invitations_code`).

pub mod invitations;
pub mod registration;
pub mod resets;
pub mod model;
pub mod opening;
pub mod operator;
mod routes;
pub mod setup;
mod store;

pub use crate::kernel::JoinCode;
pub use routes::configure;
