//! What a patient agrees to: the documents of the program, and the record of what was given and withdrawn.
//!
//! - A document ([`documents`]) has a key, a version and its text in each language. What is agreed to is one text: a
//!   consent names version, language and hash, and is refused if they are not those of a text of the program.
//! - The record is only added to. A withdrawal is one more row; the row of what was given stays.
//! - A required document gates what it covers ([`require`]): who has withdrawn it is refused, and on a server that
//!   requires consents also who never gave it. A withdrawal acts at once on what the document covers.
//! - A row that does not open, or does not fit its MAC, may have been a withdrawal: what was given before it has to be
//!   given again.
//!
//! Must not go in: what a document covers besides. The slices that do it ask [`require`] or [`is_given`].

pub mod actions;
pub mod documents;
pub mod model;
mod routes;
mod store;

pub use actions::{is_given, require};
pub use documents::{Covers, Document};
pub use routes::{configure, configure_patient};
