//! The purge of deleted responses that cannot be undeleted any more.

use super::model::Responses;
use crate::items::Purging;
use crate::tasks::Due;

/// Makes the task that purges deleted responses.
pub fn task() -> Purging<Responses> {
    Purging::of("purge-responses", const { &[Due::at("exercise_responses", "purge_at")] })
}
