//! The purge of deleted entries that cannot be undeleted any more.

use super::model::Entries;
use crate::items::Purging;
use crate::tasks::Due;

/// Makes the task that purges deleted entries.
pub fn task() -> Purging<Entries> {
    Purging::of("purge-entries", const { &[Due::at("entries", "purge_at")] })
}
