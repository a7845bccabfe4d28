//! What sealed things with several parts have in common: each part has a revision of its own, and what a change
//! replaces is kept.
//!
//! A part's revision is the version of the row that last changed it; its [`Place`](crate::vault::Place) names it. A part
//! that is replaced is kept as it is, so every version of a thing can be put together again from the present parts and
//! the kept ones. What is done to such things is the same for all of them
//! ([`Kept`]); which parts there are, and what they say, belongs to the slices.

pub mod actions;
pub mod model;
pub mod routes;
pub mod store;

pub use actions::{Kept, Row, UNDO};
pub use model::{Part, Parts, Section, Stamped};
