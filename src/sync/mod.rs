//! Sync: what a phone keeps of its patient, and how it learns what has changed.
//!
//! A phone pulls (`GET …/changes`): first everything, in phases, the newest first; then what has changed since. The
//! server's order is the only order: every change of a patient has a number ([`crate::changes`]), a cursor is a place in
//! that order, and no clock decides anything. An item of a pull is the whole present state of one thing, at one version,
//! or a tombstone. It shows what that version covers and nothing else, so that two phones at one version hold the same:
//! phases, local dates, and whether a prompt is due are for the phone to derive. The window of an infusion is no kind of
//! its own: it follows from the infusions, the zones in the settings, and the hours and words in the app's bundle. Who got
//! an item and who opened it is: its receipts.
//!
//! A cursor belongs to an **epoch** ([`epoch`]): a history that was never interrupted. A server that was restored from a
//! backup begins another one ([`renewal`]). A phone that asks with a cursor of another epoch begins again, and keeps all that it has.
//!
//! After that it first compares versions (`POST …/integrity`): what the data lack, or went another way
//! with, is for the phone to send again; `versions` lists what there is without opening it.
//!
//! Each kind of thing is declared in [`model::Kind`], with its rows in `kinds` and its form in [`item`]: a kind of change
//! that has no answer there does not compile.
//!
//! A phone pushes (`POST …/mutations`) what was written offline: some mutations in one unit, each in a savepoint, each
//! known again by its id. Merge (`merge`, `words`) makes a content of what was, what the data have and what was
//! written; the use cases of [`crate::items`] and [`crate::prompts`] store it.
//!
//! An app that is connected learns from a stream of events (`live`) that there is something to pull, and nothing else.
//! A therapist's app pulls what its user may see of all patients (`GET /v1/me/feed/changes`): `feed` reads the page,
//! and [`crate::feed`] keeps the rows.
//!
//! What an app needs besides to show prompts and exercises without a network is the `bundle`, the same for everybody.
//!
//! Sync is another door to the same data: it adds no second way to write anything.

mod bundle;
pub mod clearing;
mod comments;
pub mod epoch;
mod grants;
mod feed;
pub mod item;
mod infusions;
mod integrity;
mod kinds;
mod live;
mod merge;
pub mod model;
mod mutation;
mod outcome;
mod pauses;
mod prompts;
mod pull;
mod push;
pub mod renewal;
mod routes;
mod sent;
mod settings;
mod store;
mod words;
mod versions;

pub use live::Streams;
pub use routes::{configure, configure_patient};
