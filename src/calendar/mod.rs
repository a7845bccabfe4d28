//! The calendar feed of a patient: their own plan, in the calendar that they look at anyway.
//!
//! A calendar app subscribes to a secret address and reads it without a log-in. Whoever has the address sees what the
//! feed shows, and others see the calendar on a screen: so the patient ticks what it shows, titles are neutral, times are
//! rounded, and ids are derived with a key and are those of nothing else. The address follows, with a key, from an id in the row; only a keyed hash
//! of it is stored, by which the row is found. It is shown once, in the answer to the request that made it. It ends
//! when it is replaced or the calendar is removed, when the account is disabled, when the patient's keys are destroyed, and, as
//! sessions do, with the epoch of the data: a backup that comes back brings no revoked address back.
//!
//! Statements that span patients: the row of an address, by the partial index `calendars_address`; the note that a feed
//! was read.

pub mod actions;
mod ics;
pub mod model;
mod routes;
pub mod store;

pub use routes::{configure, configure_patient};
