//! Idempotency keys: a retry never makes a duplicate.
//!
//! The first write of a unit claims (account, key). A unit with the same key waits for it and then replays. A status
//! and a reference are kept, never a body: the answer is rendered again for what the caller may see *now*. A refused
//! request rolls back with its claim, so sending it again tries again.

pub mod actions;
pub mod clearing;
pub mod model;
mod store;

pub use actions::{is_new, run};
pub use model::{IdempotentRequest, Outcome, RecordedOutcome};
