//! Deleted responses lose their words when they cannot be brought back any more.

use super::actions;
use crate::tasks::{Clearing, Due};

/// Purges deleted responses.
pub const TASK: Clearing =
    Clearing { name: "purge-responses", next_due: &[Due::at("exercise_responses", "purge_at")], clear: actions::purge };
