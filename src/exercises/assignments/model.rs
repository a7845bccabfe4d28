//! What an assignment says.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::exercises::catalogue;
use crate::kernel::patch::Change;
use crate::kernel::{Fields, Result, Text};

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
    /// What it said when it was made: sent again, it changes nothing.
    pub first: Option<Box<AssignmentDoc>>,
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

    /// Where an assignment stands, of which it is known whether it was done and whether its link is active.
    pub const fn of(doc: &AssignmentDoc, done: bool, live: bool) -> Self {
        match (done, &doc.withdrawn_at, live) {
            (true, _, _) => Self::Done,
            (false, Some(_), _) => Self::Withdrawn,
            (false, None, false) => Self::Ended,
            (false, None, true) => Self::Assigned,
        }
    }
}

/// A whole assignment, not yet checked: `(exercise, note, due day, request to share)`.
pub type Draft = (String, Option<String>, Option<String>, Option<bool>);

/// A change of an assignment, not yet checked.
#[derive(Clone, Debug, Default)]
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
    pub fn parse((exercise_key, text, due_on, request_share): Draft, today: Date) -> Result<Self> {
        let mut fields = Fields::new();
        let known = catalogue::find(&exercise_key, None).is_some();
        fields.check(known, "/exercise_key", "is not an exercise of the library");
        let note = text.and_then(|text| fields.take("/note", note(text))).flatten();
        let due_on = due_on.and_then(|text| fields.take("/due_on", due(&text, today)));
        let request_share = request_share.unwrap_or(false);
        fields.finish(Some(Self { exercise_key, note, due_on, request_share, withdrawn_at: None, first: None }))
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
}
