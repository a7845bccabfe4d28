//! What a patient agrees to: the documents of the program, and the record of what was given and withdrawn.
//!
//! - A document ([`documents`]) has a key, a version and its text in each language. What is agreed to is one text: a
//!   consent names version, language and hash, and is refused if they are not those of a text of the program.
//! - The record is only added to. A withdrawal is one more row; the row of what was given stays.
//! - A document gates what it covers ([`require`]): who has withdrawn it is refused until they give it again. A
//!   required one is also needed before, on a server that requires consents. Of another one, who was never asked goes
//!   on: the account may be older than the document, and the patient has chosen what it covers by doing it.
//! - A withdrawal acts at once, in its unit, on what the document covers:
//!
//!   | covers | at the withdrawal | refused afterwards |
//!   |---|---|---|
//!   | `sharing` (required) | every grant ends | a new grant, also one that was decided offline |
//!   | `automated_messages` | the mailboxes are removed: what waits for them lapses | a mailbox |
//!   | `safety_answers`, `quality_work`, `proxy_access`, `research` | nothing: the program does none of it yet | |
//!   | information | nothing: it is to be read | |
//!
//!   Pushes to phones are no e-mails: the settings switch them off. Letters about the account go on.
//! - A row that does not open, or does not fit its MAC, may have been a withdrawal: what was given before it has to be
//!   given again.
//!
//! Must not go in: what a document covers besides. The slices that do it ask [`require`].

pub mod actions;
pub mod documents;
pub mod model;
mod routes;
mod store;

pub use actions::require;
pub use documents::{Covers, Document};
pub use routes::{configure, configure_patient};
