//! The due time of a task, and the result of a round.

use std::ops::AddAssign;

use jiff::{SignedDuration, Timestamp};

/// A column whose earliest instant says when a task is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The table.
    pub table: &'static str,
    /// The column; an index begins with it.
    pub column: &'static str,
    /// The condition of that index, where it is a partial one and not only on what is there.
    pub only: Option<&'static str>,
    /// How long after that instant the task is due.
    pub after: SignedDuration,
}

impl Due {
    /// Due at the instant in the column, where there is one.
    pub const fn at(table: &'static str, column: &'static str) -> Self {
        Self { table, column, only: None, after: SignedDuration::ZERO }
    }

    /// Of the rows only those of which `condition` holds: that of the partial index.
    #[must_use]
    pub const fn only(self, condition: &'static str) -> Self {
        Self { only: Some(condition), ..self }
    }

    /// Due `after` the instant in the column.
    #[must_use]
    pub const fn after(self, after: SignedDuration) -> Self {
        Self { after, ..self }
    }

    /// Returns the due time of the task, if the earliest instant in the column is `earliest`.
    pub fn instant(&self, earliest: Timestamp) -> Timestamp {
        earliest.saturating_add(self.after).unwrap_or(earliest)
    }

    /// The statement that finds the earliest instant, at the low end of the index.
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
    /// Prompts that came due.
    pub due: usize,
    /// Deliveries that left.
    pub sent: usize,
    /// Patients whose plan was extended.
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
