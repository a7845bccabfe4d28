//! The rows whose sealed values did not open since the start: counted, and named in the log without their content.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::seal::SealContext;
use crate::kernel::Error;

/// The most rows that are told apart. A whole table that does not open has more, and is no longer counted exactly.
const MOST: usize = 10_000;

/// The damaged rows that the keys of one vault have met. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Damage(Arc<Mutex<HashSet<(&'static str, Uuid)>>>);

impl Damage {
    /// Notes a value that does not open, and makes the error.
    pub(super) fn damaged(&self, place: &SealContext) -> Error {
        tracing::error!(table = place.table, column = place.column, row = %place.row, "a sealed value does not open");
        metrics::counter!("afterglow_unreadable_rows_total", "table" => place.table).increment(1);
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() < MOST {
            rows.insert((place.table, place.row));
        }
        Error::Damaged(place.table, place.row)
    }

    /// Counts the rows.
    pub(super) fn rows(&self) -> u64 {
        u64::try_from(self.0.lock().unwrap_or_else(PoisonError::into_inner).len()).unwrap_or(u64::MAX)
    }
}
