//! The due time of a task, and the result of a round.

use std::ops::AddAssign;

use jiff::{SignedDuration, Timestamp};

/// A column whose earliest instant determines when a task is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The table.
    pub table: &'static str,
    /// The column; an index begins with it.
    pub column: &'static str,
    /// The condition of that index, if it is partial by more than `IS NOT NULL`.
    pub only: Option<&'static str>,
    /// The time from that instant until the task is due.
    pub after: SignedDuration,
}

impl Due {
    /// Makes a task due at the instant in the column.
    pub const fn at(table: &'static str, column: &'static str) -> Self {
        Self { table, column, only: None, after: SignedDuration::ZERO }
    }

    /// Restricts the rows to those of the partial index with `condition`.
    #[must_use]
    pub const fn only(self, condition: &'static str) -> Self {
        Self { only: Some(condition), ..self }
    }

    /// Makes a task due `after` the instant in the column.
    #[must_use]
    pub const fn after(self, after: SignedDuration) -> Self {
        Self { after, ..self }
    }

    /// Returns the due time of the task, if the earliest instant in the column is `earliest`.
    pub fn instant(&self, earliest: Timestamp) -> Timestamp {
        earliest.saturating_add(self.after).unwrap_or(earliest)
    }

    /// Returns the statement that finds the earliest instant, at the low end of the index.
    pub fn look(&self) -> String {
        let Self { table, column, .. } = self;
        let only = self.only.map(|only| format!(" AND {only}")).unwrap_or_default();
        format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL{only} ORDER BY {column} LIMIT 1")
    }
}

/// The result of a round of one task or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskProgress {
    /// Rows that were worked on: if there were any, more may wait.
    pub rows: usize,
    /// The number of prompts that came due.
    pub due: usize,
    /// The number of deliveries that left.
    pub sent: usize,
    /// The number of patients whose plan was extended.
    pub planned: usize,
}

impl TaskProgress {
    /// That many rows were worked on.
    pub const fn rows(rows: usize) -> Self {
        Self { rows, due: 0, sent: 0, planned: 0 }
    }
}

impl AddAssign for TaskProgress {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.due += other.due;
        self.sent += other.sent;
        self.planned += other.planned;
    }
}
