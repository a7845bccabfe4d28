//! What an assignment says.

use std::fmt;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::exercises::catalogue;
use crate::kernel::id::Response;
use crate::kernel::patch::Change;
use crate::kernel::{Fields, Id, Result, Text};

/// The latest due day, from today.
const AHEAD_DAYS: i32 = 366;

/// The sealed document of an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentDoc {
    /// The exercise.
    pub exercise_key: String,
    /// A word to the patient.
    pub note: Option<Text<1000>>,
    /// The day by which it may be done, where the patient is.
    pub due_on: Option<Date>,
    /// Whether the therapist asks to see what comes of it.
    pub request_share: bool,
    /// When the therapist took it back.
    pub withdrawn_at: Option<Timestamp>,
    /// When it was first done, and by which response. It stays done, whatever becomes of the response: nothing that the
    /// patient does to what they have not opened is to be seen here.
    #[serde(default)]
    pub done: Option<DoneBy>,
    /// What it said when it was made: sent again, it changes nothing.
    pub first: Option<Box<AssignmentDoc>>,
}

/// How an assignment was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneBy {
    /// The day, where the patient was.
    pub on: Date,
    /// The response.
    pub response: Id<Response>,
}

/// Where an assignment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be done, if the patient wants to.
    Assigned,
    /// Done.
    Done,
    /// Taken back by the therapist.
    Withdrawn,
    /// The care link has ended.
    Ended,
}

impl State {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Done => "done",
            Self::Withdrawn => "withdrawn",
            Self::Ended => "ended",
        }
    }

    /// Where an assignment stands, of which it is known whether its link is active.
    pub const fn of(doc: &AssignmentDoc, live: bool) -> Self {
        match (&doc.done, &doc.withdrawn_at, live) {
            (Some(_), _, _) => Self::Done,
            (None, Some(_), _) => Self::Withdrawn,
            (None, None, false) => Self::Ended,
            (None, None, true) => Self::Assigned,
        }
    }
}

/// A whole assignment, not yet checked.
#[derive(Clone, Default)]
pub struct Draft {
    /// The exercise.
    pub exercise_key: String,
    /// The note.
    pub note: Option<String>,
    /// The due day.
    pub due_on: Option<String>,
    /// The request to share.
    pub request_share: bool,
}

/// A change of an assignment, not yet checked.
#[derive(Clone, Default)]
pub struct Patch {
    /// The note.
    pub note: Change<String>,
    /// The due day.
    pub due_on: Change<String>,
    /// The request to share.
    pub request_share: Option<bool>,
    /// `withdrawn`, or `assigned` again.
    pub status: Option<String>,
}

// They hold somebody's words.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draft(***)")
    }
}
impl fmt::Debug for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Patch(***)")
    }
}

/// A due day: not past (whatever the zone), at most a year ahead.
fn due(text: &str, today: Date) -> Result<Date, &'static str> {
    let date: Date = text.parse().ok().filter(|_| text.len() == 10).ok_or("must be a date such as 2026-11-02")?;
    let first = today.saturating_sub(1.days());
    let last = today.saturating_add(AHEAD_DAYS.days());
    if (first..=last).contains(&date) { Ok(date) } else { Err("must not be past, and at most a year ahead") }
}

fn note(text: String) -> Result<Option<Text<1000>>, String> {
    if text.trim().is_empty() { Ok(None) } else { Text::parse(text).map(Some) }
}

impl AssignmentDoc {
    /// The assignment, if every field is right.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`] with every fault.
    pub fn parse(draft: Draft, today: Date) -> Result<Self> {
        let Draft { exercise_key, note: text, due_on, request_share } = draft;
        let mut fields = Fields::new();
        let known = catalogue::find(&exercise_key, None).is_some();
        fields.check(known, "/exercise_key", "is not an exercise of the library");
        let note = text.and_then(|text| fields.take("/note", note(text))).flatten();
        let due_on = due_on.and_then(|text| fields.take("/due_on", due(&text, today)));
        fields.finish(Some(Self {
            exercise_key,
            note,
            due_on,
            request_share,
            withdrawn_at: None,
            done: None,
            first: None,
        }))
    }

    /// This, changed.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`] with every fault.
    pub fn patched(&self, patch: Patch, now: Timestamp, today: Date) -> Result<Self> {
        let mut fields = Fields::new();
        let mut doc = self.clone();
        match patch.note.parse("/note", &mut fields, note) {
            Change::Keep => {}
            Change::Clear => doc.note = None,
            Change::Set(note) => doc.note = note,
        }
        doc.due_on = patch.due_on.parse("/due_on", &mut fields, |text| due(&text, today)).over(doc.due_on);
        doc.request_share = patch.request_share.unwrap_or(doc.request_share);
        match patch.status.as_deref() {
            None => {}
            Some("assigned") => doc.withdrawn_at = None,
            Some("withdrawn") => doc.withdrawn_at = doc.withdrawn_at.or(Some(now)),
            Some(_) => fields.fault("/status", "must be `assigned` or `withdrawn`"),
        }
        fields.finish(Some(doc))
    }

    /// What it says, without what it said first.
    #[must_use]
    pub fn without_first(&self) -> Self {
        Self { first: None, ..self.clone() }
    }

    /// The day from which a due day of this assignment is not past: what was said before may be said again, also when
    /// its day has gone by.
    #[must_use]
    pub fn not_past(&self, today: Date) -> Date {
        let said = self.first.iter().filter_map(|first| first.due_on).chain(self.due_on);
        said.fold(today, Date::min)
    }
}
