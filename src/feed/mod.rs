//! The feed of a therapist: what has changed of all that they may see, of all their patients.
//!
//! The feed of an account has a sequence of its own. It moves only when something changes that the account may see, or
//! could see until then: an edit of what is open to nobody changes no row here, and no number. `feed` has one row for
//! each account and thing. A row says that something has changed; what is sent is decided when it is read, by the one
//! predicate of [`crate::care::grants`]. The row keeps what was open, so that a removal can be told, and none of what
//! was never open.
//!
//! The rows are moved by the last step of every unit that changed something ([`Step`]). It is not called by the use
//! cases: every change row and every change of what is open is noted where it is stored ([`crate::changes`]), and the
//! kind of thing says how readers see it ([`crate::changes::ReaderView`]). The step reads what is noted, finds the
//! accounts that see a difference, and gives all their rows one number. Heads are locked last, in ascending order.
//!
//! A unit that opens or closes a whole history follows only the newest things itself. The others are stored in portions
//! ([`backlog`]), which a task follows one by one, so that other writers do not wait for all of them. A reader may read
//! what is open, and nothing else, from the end of the unit on: a page is never made from these rows alone.
//!
//! A page is read in [`crate::sync`].

pub mod backlog;
pub mod clearing;
mod model;
mod step;
pub mod store;
pub mod visible;

pub use model::{FeedRow, Place};
pub use step::Step;
