//! The purge of deleted entries that cannot be undeleted any more.

use super::actions;
use crate::tasks::{Clearing, Due};

/// Purges deleted entries.
pub const TASK: Clearing =
    Clearing { name: "purge-entries", next_due: &[Due::at("entries", "purge_at")], clear: actions::purge };
