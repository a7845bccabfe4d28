//! Items: versioned, sealed things with sections, such as journal entries and exercise responses.
//!
//! A slice *declares* its kind of thing ([`Kind`]: header, sections, their numbers and grant bits), its table
//! ([`item_table!`](crate::item_table)) and its rules ([`Item`]: what is checked, what follows from a change), and has from here: sealing and
//! opening, creating, replacing, patching, deleting, undeleting, restoring, revisions, sharing, lists for owner and
//! reader, rendering, purging.
//!
//! What holds for every item:
//!
//! - It is a sealed header and sealed sections. Each has a revision of its own, the version of the row that last changed
//!   it; its [`Place`](crate::vault::Place) names it. What a change replaces is kept, so every version can be put together again.
//! - Instants and links stand in the clear for look-ups, and again inside the header, which is what is believed.
//! - The same request again changes nothing: neither the body that created it nor the present state, sent by PUT, does.
//! - A draft is its owner's alone. What is deleted can be undeleted for 30 days; then its words are purged. What was
//!   undeleted or restored is open to nobody.
//! - A reader's view is made of the granted sections alone: the others are not even opened. Its tag is a keyed hash of the
//!   view, and readers' lists are in the order of ids, so that no edit of what is not granted can be seen.
//!
//! `tests/it/support/dreams.rs` declares the smallest kind.
//!
//! What must not go in: what a section says, and who may read (see [`crate::care::grants`]).

pub mod actions;
pub mod model;
pub mod pages;
pub mod routes;
pub mod seal;
pub mod store;
pub mod view;

pub use actions::{Item, New};
pub use model::{Circumstances, Header, Kind, Part, Row, Section, Told, UNDO, read, section, stays_done};
pub use seal::{Opened, open, open_header};
pub use store::table::{Columns, ItemTable, Scan};
