//! The journal: entries that patients write, with comments.
//!
//! An entry is an item (see [`crate::items`]) with the sections text, mood, tags and attachments. `occurred_at` decides
//! its context, not the time of arrival; an odd time is flagged, never refused. A done entry completes the prompt that
//! it answers, in the unit that writes it, and falls under the patient's rules of sharing.
//!
//! Must not go in: the decision on who may read (see [`crate::care::grants`]), and the planning of prompts.

mod actions;
pub mod comments;
pub mod draft;
pub mod filter;
pub mod model;
pub mod purge;
mod routes;
pub mod store;
mod takeaway;
#[cfg(test)]
mod tests;
mod view;

pub use model::Entries;
pub use routes::configure_patient;
pub use takeaway::{QUOTED as TAKEAWAY_QUOTED, takeaway};
