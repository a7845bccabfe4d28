//! Sync: what a phone keeps of its patient, and how it learns what has changed.
//!
//! A phone pulls (`GET …/changes`): first everything, in phases, the newest first; then what has changed since. The
//! server's order is the only order: every change of a patient has a number ([`crate::changes`]), a cursor is a place in
//! that order, and no clock decides anything. An item of a pull is the whole present state of one thing, at one version,
//! or a tombstone. It shows what that version covers and nothing else, so that two phones at one version hold the same:
//! phases, local dates, who opened it, and whether a prompt is due are for the phone to derive.
//!
//! A cursor belongs to an **epoch** ([`epoch`]): a history that was never interrupted. A server that was restored from a
//! backup begins another one. A phone that asks with a cursor of another epoch begins again, and keeps all that it has.
//!
//! Before it begins again it compares versions (`POST …/integrity`): what a restored server has lost is for the phone to
//! send again. `versions` lists what the data have without opening it.
//!
//! Each kind of thing is declared in [`model::Kind`], with its rows in `kinds` and its form in [`item`]: a kind of change
//! that has no answer there does not compile.
//!
//! Sync is another door to the same data: it adds no second way to write anything.

pub mod epoch;
pub mod item;
mod integrity;
mod kinds;
pub mod model;
mod pull;
mod routes;
mod versions;

pub use routes::configure_patient;
