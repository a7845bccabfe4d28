//! The content of an assignment.

use std::fmt;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::exercises::catalogue;
use crate::kernel::id::Response;
use crate::kernel::{Creation, Error, Fields, Id, Result, Text};

/// The days from today to the latest due day.
const AHEAD_DAYS: i32 = 366;

/// The sealed document of an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentDoc {
    /// The exercise.
    pub exercise_key: String,
    /// The therapist's note to the patient.
    pub note: Option<Text<1000>>,
    /// The due day, where the patient is.
    pub due_on: Option<Date>,
    /// The earliest due day of the versions before. It may be set again, although it has passed.
    #[serde(default)]
    pub earlier_due_on: Option<Date>,
    /// Whether the therapist asks to see the response.
    pub request_share: bool,
    /// The instant at which the therapist withdrew it.
    pub withdrawn_at: Option<Timestamp>,
    /// The first response that did it, and its day. It stays done even if the response is deleted, because the
    /// therapist must not learn of changes to a response that is not open to them.
    #[serde(default)]
    pub done: Option<DoneBy>,
    /// The digest of the body that created it; the same body, sent again, changes nothing.
    #[serde(default)]
    pub created_by: Option<Creation>,
}

/// The day and the response by which an assignment was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneBy {
    /// The day, where the patient was.
    pub on: Date,
    /// The response.
    pub response: Id<Response>,
}

/// The state of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignmentState {
    /// The patient may do it.
    Assigned,
    /// It was done.
    Done,
    /// The therapist withdrew it.
    Withdrawn,
    /// The care link has ended.
    Ended,
}

impl AssignmentState {
    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Done => "done",
            Self::Withdrawn => "withdrawn",
            Self::Ended => "ended",
        }
    }

    /// Returns the state of an assignment; `live` is whether its link is active.
    pub const fn of(doc: &AssignmentDoc, live: bool) -> Self {
        match (&doc.done, &doc.withdrawn_at, live) {
            (Some(_), _, _) => Self::Done,
            (None, Some(_), _) => Self::Withdrawn,
            (None, None, false) => Self::Ended,
            (None, None, true) => Self::Assigned,
        }
    }
}

/// An assignment to create or replace.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAssignment {
    /// The exercise. It does not change afterwards.
    #[schema(example = "values-sort")]
    pub exercise_key: String,
    /// A note to the patient, at most 1000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 1000, example = "Take your time with the cards.")]
    pub note: Option<String>,
    /// The day by which it may be done, where the patient is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = Date, example = "2026-11-09")]
    pub due_on: Option<String>,
    /// Whether you ask to see the response. The patient decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, default = false, example = true)]
    pub request_share: Option<bool>,
    /// `withdrawn`, or `assigned` to ask again. Without it the state stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "assigned")]
    pub status: Option<String>,
}

// The note must not be printed.
impl fmt::Debug for PutAssignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PutAssignment(***)")
    }
}

impl PutAssignment {
    /// Returns the body that would make `doc`.
    pub fn of(doc: &AssignmentDoc) -> Self {
        Self {
            exercise_key: doc.exercise_key.clone(),
            note: doc.note.as_ref().map(|note| note.as_str().to_owned()),
            due_on: doc.due_on.map(|date| date.to_string()),
            request_share: Some(doc.request_share),
            status: None,
        }
    }

    /// Returns the digest of the body, the same for bodies that make the same assignment.
    ///
    /// # Errors
    ///
    /// As [`Creation::of`].
    pub fn creation(&self) -> Result<Creation> {
        let note = self.note.clone().filter(|note| !note.trim().is_empty());
        let request_share = self.request_share.filter(|asks| *asks);
        let status = self.status.clone().filter(|status| status != "assigned");
        Creation::of(&Self { note, request_share, status, ..self.clone() })
    }

    /// Parses the body at `now`, on the patient's `today`: as a new assignment, or as another version of `old`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every fault; [`Error::State`] when what is done is to be withdrawn.
    pub fn parse(&self, old: Option<&AssignmentDoc>, today: Date, now: Timestamp) -> Result<AssignmentDoc> {
        let mut fields = Fields::new();
        if let Some(old) = old {
            fields.check(self.exercise_key == old.exercise_key, "/exercise_key", "does not change");
        } else {
            let known = catalogue::find(&self.exercise_key, None).is_some();
            fields.check(known, "/exercise_key", "is not an exercise of the library");
        }
        let note = self.note.as_deref().and_then(|text| fields.take("/note", Text::optional(text))).flatten();
        let due_on = self.due_on.as_deref().and_then(|text| fields.take("/due_on", due(text, old, today)));
        let before = old.and_then(|old| old.withdrawn_at);
        let withdrawn_at = match self.status.as_deref() {
            None => before,
            Some("assigned") => None,
            Some("withdrawn") if before.is_none() && old.is_some_and(|old| old.done.is_some()) => {
                return Err(Error::state(AssignmentState::Done.name(), ["patch_assignment"]));
            }
            Some("withdrawn") => before.or(Some(now)),
            Some(_) => {
                fields.fault("/status", "must be `assigned` or `withdrawn`");
                None
            }
        };
        let earlier_due_on = match old {
            Some(old) if old.due_on == due_on => old.earlier_due_on,
            old => earliest(old),
        };
        fields.finish(Some(AssignmentDoc {
            exercise_key: self.exercise_key.clone(),
            note,
            due_on,
            earlier_due_on,
            request_share: self.request_share.unwrap_or(false),
            withdrawn_at,
            done: old.and_then(|old| old.done),
            created_by: old.and_then(|old| old.created_by.clone()),
        }))
    }
}

/// Returns the earliest due day that an assignment has had.
fn earliest(old: Option<&AssignmentDoc>) -> Option<Date> {
    old.and_then(|old| old.due_on.into_iter().chain(old.earlier_due_on).min())
}

/// Parses a due day: at most a year ahead, and not past (whatever the zone) unless a version before had it.
fn due(text: &str, old: Option<&AssignmentDoc>, today: Date) -> Result<Date, &'static str> {
    let date: Date = text.parse().ok().filter(|_| text.len() == 10).ok_or("must be a date such as 2026-11-02")?;
    let first = earliest(old).map_or(today, |said| said.min(today)).saturating_sub(1.days());
    let last = today.saturating_add(AHEAD_DAYS.days());
    let unchanged = old.is_some_and(|old| old.due_on == Some(date));
    if unchanged || (first..=last).contains(&date) {
        Ok(date)
    } else {
        Err("must not be past, and at most a year ahead")
    }
}
