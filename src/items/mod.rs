//! Items: versioned, sealed things with sections, such as journal entries and exercise responses.
//!
//! A slice *declares* its kind of item ([`ItemKind`]: header, sections, their numbers and grant bits), its table
//! ([`item_table!`](crate::item_table)) and its rules ([`Item`]: checks, and the consequences of a change). It gets
//! from here: sealing and opening, creating, replacing, patching, deleting, undeleting, restoring, revisions, sharing,
//! lists for owner and reader, rendering, purging.
//!
//! Every item keeps these rules:
//!
//! - It is a sealed header and sealed sections. Each has a revision of its own, the version of the row that last
//!   changed it; its [`SealContext`](crate::vault::SealContext) names it. Replaced parts are kept, so every version can
//!   be put together again.
//! - Instants and links stand in the clear for look-ups, and again inside the header. The header is authoritative.
//! - A repeated request changes nothing: neither the body that created it nor the present state, sent by PUT.
//! - Only the owner sees a draft. A deleted item can be undeleted for 30 days; then its content is purged. An item that
//!   was undeleted or restored is open to nobody.
//! - A reader's view is made of the granted sections alone: the others are not even opened. Its tag is a keyed hash of
//!   the view, so that no edit of another section can be seen.
//! - Readers' lists are by local date, and within a date in a keyed order: a reader does not learn the hours, nor what
//!   was written first.
//!
//! `tests/it/support/dreams.rs` declares the smallest kind.
//!
//! Must not go in: the content of sections, and the decision on who may read (see [`crate::care::grants`]).

pub mod actions;
pub mod deletion;
pub mod model;
mod newest;
pub mod pages;
mod purging;
pub mod readers;
pub mod routes;
pub mod seal;
pub mod store;
pub mod view;

pub use actions::{Item, New};
pub use model::{
    Circumstances, CircumstancesFields, Header, ItemKind, ItemRow, Part, Section, UNDO, read, section, stays_done,
};
pub use newest::sort_newest_first;
pub use purging::Purging;
pub use seal::{OpenedItem, open, open_header};
pub use store::table::{Columns, ItemState, ItemTable, Scan};
