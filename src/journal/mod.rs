//! What patients write: entries with their sections, revisions, comments and openings.
//!
//! What holds:
//!
//! - An entry has five sealed parts: its header and the sections text, mood, tags and attachments. Each has a revision
//!   of its own, the version of the row that last changed it. A part that is replaced goes to the history as it is,
//!   so every version of an entry can be put together again.
//! - Instants and links stand in the clear for look-ups, and again inside the header, which is what is believed.
//! - `occurred_at` decides the context of an entry, not when it arrived; an odd time is flagged, never refused.
//! - The same request again changes nothing: an entry is created by `PUT`, and its creating body sent again answers
//!   the present state.
//! - A reader's view is made of the granted sections alone: the others are not even opened. Its tag is a keyed hash
//!   of the view, and readers' lists are in the order of ids, so that no edit of what is not granted can be seen.
//! - What is deleted can be brought back for 30 days. Bringing it back, or restoring a revision, ends what was opened.
//!
//! [`hooks`] is where infusions, zones and prompts come in. What must not go in: who may read (see
//! [`crate::care::grants`]), and the planning of prompts.

pub mod actions;
pub mod comments;
pub mod draft;
pub mod filter;
pub mod hooks;
pub mod model;
pub mod purge;
mod routes;
pub mod seal;
pub mod store;
#[cfg(test)]
mod tests;
pub mod view;

pub use routes::configure_patient;
