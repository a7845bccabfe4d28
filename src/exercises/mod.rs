//! Integration exercises: the library, the responses of patients, and the assignments of therapists.
//!
//! Rules:
//!
//! - The library is data ([`catalogue`], with its [`translations`]): versioned, append-only, validated by a published
//!   schema. A response keeps the version that was shown.
//! - Answers are checked step by step ([`answers`]): any subset in any order is kept, and each fault points to its
//!   answer.
//! - A response has three sealed parts: its header and the sections answers and distress, each with a revision of its
//!   own. It is private until the patient opens a section to a reader; a draft cannot be opened.
//! - Phase fit is advice ([`fit`]). Only cautions, the need for a therapist and the acute phase withhold an exercise. A
//!   response with content is kept all the same: words are never refused for their circumstances.
//! - Cautions are never named to the patient.
//!
//! Must not go in: the decision on who may read (see [`crate::care::grants`]), and the planning of prompts.

pub mod actions;
pub mod answers;
pub mod assignments;
pub mod catalogue;
pub mod cautions;
pub mod draft;
pub mod fit;
pub mod model;
pub mod purge;
mod quotes;
mod routes;
pub mod store;
pub mod suggestions;
#[cfg(test)]
mod tests;
pub mod translations;
pub mod view;

pub use model::Responses;
pub use quotes::{DatedResponses, QUOTED, RETURNED, dated_responses, newest_quote, quote_of};
pub use routes::{ExerciseView, Language, configure, configure_patient, configure_public};
