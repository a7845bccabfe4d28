//! The purge of deleted responses that cannot be undeleted any more.

use super::actions;
use crate::tasks::{Clearing, Due};

/// Purges deleted responses.
pub const TASK: Clearing =
    Clearing { name: "purge-responses", next_due: &[Due::at("exercise_responses", "purge_at")], clear: actions::purge };
