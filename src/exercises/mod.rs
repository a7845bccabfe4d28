//! Integration exercises: the library, what patients work on, and what therapists ask for.
//!
//! What holds:
//!
//! - The library is data ([`catalogue`], with its [`words`]): versioned, append-only, validated by a published schema. A
//!   response keeps the version that was shown.
//! - Answers are checked step by step ([`answers`]): any subset in any order is kept, and each fault points to its answer.
//! - A response has three sealed parts: its header and the sections answers and distress, each with a revision of its own.
//!   It is private until the patient opens a section to a reader; a draft never is.
//! - Phase fit is advice ([`fit`]). Only cautions, what is for a therapist, and landing withhold, and what somebody has
//!   worked on is kept all the same: words are never refused for their circumstances.
//! - Cautions are never named to the patient.
//!
//! What must not go in: who may read (see [`crate::care::grants`]), and the planning of prompts.

pub mod actions;
pub mod answers;
pub mod assignments;
pub mod catalogue;
pub mod cautions;
pub mod draft;
pub mod fit;
pub mod model;
pub mod moment;
pub mod purge;
mod routes;
pub mod store;
#[cfg(test)]
mod tests;
pub mod view;
pub mod words;

pub use model::Responses;
pub use routes::{configure, configure_patient, configure_public};
