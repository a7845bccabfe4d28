//! Grants: the entry, response or rule that a patient has opened, its sections, its reader and its expiry.
//!
//! Invariants:
//!
//! - Whether a reader may see an item is decided in one place, [`store::visible`]: the link is active, the grant is
//!   neither closed nor expired and has begun, the reader's link is one of its readers, and the item is one of its
//!   items. Lists and single reads use the same predicate.
//! - Nothing is opened by default, drafts never are, and a grant does not change: it is ended, and another one made.
//! - `care_team` means the links that were active when the grant was made. A link that ends takes its grants with it.
//! - A grant by rule is also kept as items: those that matched when it was made, and those that match when they are
//!   written later.
//! - A new grant may begin later than it is made (`sharing` says when). Ended before that, it has left
//!   no trace with its readers.
//! - Ending a grant waits for units of its readers that are under way (they hold their link), so that what starts
//!   after the answer sees nothing.
//!
//! This slice does not read the content of items. Of entries it learns only whether they are done, and their kind. The
//! slice `sharing` makes and ends grants.

pub mod actions;
pub mod model;
pub mod receipts;
pub mod store;
mod timed;

pub use actions::{
    drop_item, end, end_expired, list_read_by, list_revoked_since, make_again, new_row, on_entry, open, open_doc,
};
pub use model::{GrantDoc, Reader, Rule, Sections, Target};
pub use timed::{EndExpired, TellBegun};
