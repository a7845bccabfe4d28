//! One administration: its document, and the rules for commands.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::draft::InfusionDraft;
use super::status::{CourseKind, InfusionStatus, Source};
use crate::kernel::id::{Account, Clinic, Infusion};
use crate::kernel::{Creation, Error, FieldHistory, Fields, Id, Result, Text};
use crate::planning::window::{Dose, DoseStatus, Route};
use crate::planning::{PausePeriod, USUAL_MINUTES, session_span};

/// The furthest that an end may lie ahead of the server's clock, because the clocks of devices differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The longest administration.
const LONGEST: SignedDuration = SignedDuration::from_hours(12);
/// Two administrations closer than this count as two reports of one.
const APART: SignedDuration = SignedDuration::from_hours(6);
/// The time after the planned end at which an infusion is taken to have gone as planned.
const UNSAID: SignedDuration = SignedDuration::from_mins(60);
/// The furthest that a session may be planned ahead, which also catches mistyped years.
const AHEAD: SignedDuration = SignedDuration::from_hours(2 * 366 * 24);

/// The patient's report of an infusion, kept beside the clinic's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The start.
    pub started_at: Option<Timestamp>,
    /// The end.
    pub ended_at: Option<Timestamp>,
}

/// The sealed document of one infusion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InfusionFacts {
    /// The status.
    pub status: InfusionStatus,
    /// The route of administration.
    pub route: Route,
    /// The planned start.
    pub planned_start: Option<Timestamp>,
    /// The planned duration in minutes.
    pub planned_minutes: Option<u32>,
    /// The start; set while it is still `planned`, the infusion is under way.
    pub started_at: Option<Timestamp>,
    /// The end: pump stop, injection, last spray, spit or swallow (by route).
    pub ended_at: Option<Timestamp>,
    /// Dose in milligrams.
    pub dose_mg: Option<f64>,
    /// Body weight in kilograms.
    pub weight_kg: Option<f64>,
    /// The setting, in words.
    pub setting: Option<Text<200>>,
    /// Whether staff were there; `false` for use at home.
    pub supervised: bool,
    /// A remark.
    pub note: Option<Text<2000>>,
    /// The account that recorded it last.
    pub recorded_by: Id<Account>,
    /// The source of the record.
    pub source: Source,
    /// Whether the clinic has recorded any of it. A patient may then only end it.
    #[serde(default)]
    pub of_clinic: bool,
    /// The clinic whose record it is. Recording staff of others do not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clinic: Option<Id<Clinic>>,
    /// Infusions within six hours that are other administrations.
    pub distinct_from: Vec<Id<Infusion>>,
    /// The kind of the course, if one was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<CourseKind>,
    /// The reason of the cancellation.
    pub cancel_reason: Option<Text<500>>,
    /// The patient's report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Reported>,
    /// The clinic's record of the same administration, which counts in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<Id<Infusion>>,
    /// Its creation, by which the same body sent again is known as a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation: Option<Creation>,
    /// The last changes of its fields.
    #[serde(default, skip_serializing_if = "FieldHistory::is_empty")]
    pub history: FieldHistory,
}

/// The name of the patient's report among the fields of an infusion.
pub const REPORTED: &str = "reported";

impl InfusionFacts {
    /// Makes a new infusion, planned or completed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every fault.
    pub fn create(draft: InfusionDraft, by: Id<Account>, source: Source, now: Timestamp) -> Result<Self> {
        let mut fields = Fields::new();
        fields.check(draft.status.is_live(), "/status", "a new infusion is `planned` or `completed`");
        let past = draft.planned_start.is_some_and(|start| start < shift(now, -LONGEST));
        let planned = draft.status == InfusionStatus::Planned;
        fields.check(!(planned && past), "/planned_start", "is more than 12 hours ago: record it as completed");
        let creation = Some(Creation::of(&draft)?);
        Ok(Self { creation, ..Self::checked(fields, draft, by, source, now)? })
    }

    /// Returns the infusion after a change to `draft`.
    ///
    /// # Errors
    ///
    /// [`Error::State`] for a step that its status does not allow; [`Error::Invalid`] with every fault.
    pub fn change(&self, draft: InfusionDraft, by: Id<Account>, source: Source, now: Timestamp) -> Result<Self> {
        let may = self.status.may_become(draft.status, self.source);
        if !may && draft.status != self.status {
            return Err(self.refusal(source));
        }
        let Self { clinic, reported, same_as, creation, history, .. } = self.clone();
        let of_clinic = self.of_clinic || source == Source::Clinic;
        let checked = Self::checked(Fields::new(), draft, by, source, now)?;
        let next = Self { of_clinic, clinic, reported, same_as, creation, history, ..checked };
        // A cancelled infusion stays as it is. Cancelling it again changes nothing.
        if !may && (Self { recorded_by: self.recorded_by, ..next.clone() }) != *self {
            return Err(self.refusal(source));
        }
        Ok(next)
    }

    /// Makes the error for a step that its status does not allow to a caller of the side `by`. A patient can only start
    /// and end what the clinic has recorded.
    pub fn refusal(&self, by: Source) -> Error {
        let mut steps = match self.status {
            InfusionStatus::Completed if self.source != Source::Provisional => vec!["end_infusion"],
            InfusionStatus::Planned | InfusionStatus::Completed => vec!["start_infusion", "end_infusion"],
            InfusionStatus::Cancelled | InfusionStatus::NoShow => Vec::new(),
        };
        if self.status.is_live() && !(self.of_clinic && by == Source::Patient) {
            steps.extend(["put_infusion", "patch_infusion"]);
        }
        Error::state(self.status.name(), steps)
    }

    /// Returns the command that records the present state.
    pub fn draft(&self) -> InfusionDraft {
        let Self { status, route, planned_start, started_at, ended_at, dose_mg, weight_kg, course, .. } = *self;
        InfusionDraft {
            status,
            route,
            planned_start,
            planned_minutes: self.planned_minutes.map(i64::from),
            started_at,
            ended_at,
            dose_mg,
            weight_kg,
            setting: self.setting.as_ref().map(|text| text.as_str().to_owned()),
            supervised: Some(self.supervised),
            note: self.note.as_ref().map(|text| text.as_str().to_owned()),
            distinct_from: self.distinct_from.clone(),
            same_as: None,
            course,
            cancel_reason: self.cancel_reason.as_ref().map(|text| text.as_str().to_owned()),
        }
    }

    /// Returns the fields of that command by name, and the patient's report, to compare and to keep them.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when they are not representable as JSON.
    pub fn fields(&self) -> Result<Map<String, Value>> {
        let mut fields = self.draft().fields()?;
        let reported = serde_json::to_value(self.reported).map_err(|error| Error::Internal(Box::new(error)))?;
        fields.insert(REPORTED.to_owned(), reported);
        Ok(fields)
    }

    /// Returns `next`, which follows as `version`, with what its history then tells of this state. That a planned end
    /// was taken for the end is no change of a field: nobody has said so.
    ///
    /// # Errors
    ///
    /// As [`Self::fields`].
    pub fn followed_by(&self, next: &Self, version: i64) -> Result<Self> {
        let before = self.fields()?;
        let after = if next.source == Source::Provisional { before.clone() } else { next.fields()? };
        Ok(Self { history: self.history.noted(version, &before, &after), ..next.clone() })
    }

    /// Applies `patch` to the command that records the present state.
    ///
    /// Times taken from the plan count only while the infusion stays completed.
    ///
    /// # Errors
    ///
    /// The errors of `patch`.
    pub fn patched(&self, patch: impl Fn(InfusionDraft) -> Result<InfusionDraft>) -> Result<InfusionDraft> {
        let draft = patch(self.draft())?;
        if self.source != Source::Provisional || draft.status == InfusionStatus::Completed {
            return Ok(draft);
        }
        patch(InfusionDraft { started_at: None, ended_at: None, ..self.draft() })
    }

    fn checked(mut f: Fields, draft: InfusionDraft, by: Id<Account>, source: Source, now: Timestamp) -> Result<Self> {
        check_times(&mut f, &draft, now);
        if let Some(dose) = draft.dose_mg {
            f.check(dose > 0.0 && dose <= 2000.0, "/dose_mg", "must be more than 0 and at most 2000");
        }
        if let Some(weight) = draft.weight_kg {
            f.check((20.0..=400.0).contains(&weight), "/weight_kg", "must be between 20 and 400");
        }
        f.check(draft.distinct_from.len() <= 8, "/distinct_from", "must name at most 8 infusions");
        let minutes = draft.planned_minutes.map(|minutes| match u32::try_from(minutes) {
            Ok(minutes @ 1..=720) => Ok(minutes),
            _ => Err("must be between 1 and 720"),
        });
        let planned_minutes = minutes.and_then(|minutes| f.take("/planned_minutes", minutes));
        let setting = draft.setting.and_then(|text| f.take("/setting", Text::optional(&text))).flatten();
        let note = draft.note.and_then(|text| f.take("/note", Text::optional(&text))).flatten();
        let cancel_reason =
            draft.cancel_reason.and_then(|text| f.take("/cancel_reason", Text::optional(&text))).flatten();
        f.done()?;
        Ok(Self {
            status: draft.status,
            route: draft.route,
            planned_start: draft.planned_start,
            planned_minutes,
            started_at: draft.started_at,
            ended_at: draft.ended_at,
            dose_mg: draft.dose_mg,
            weight_kg: draft.weight_kg,
            setting,
            supervised: draft.supervised.unwrap_or(true),
            note,
            recorded_by: by,
            source,
            of_clinic: source == Source::Clinic,
            clinic: None,
            distinct_from: draft.distinct_from,
            course: draft.course,
            cancel_reason,
            reported: None,
            same_as: None,
            creation: None,
            history: FieldHistory::default(),
        })
    }

    /// Returns the report that the record makes for the patient.
    pub fn report(&self) -> Reported {
        Reported { started_at: self.started_at, ended_at: self.ended_at }
    }

    /// Returns the instant at which the planned end is taken for the end; `None` when the infusion is not planned.
    pub fn provisional_at(&self) -> Option<Timestamp> {
        let (_, end) = self.span().filter(|_| self.status == InfusionStatus::Planned)?;
        Some(shift(end, UNSAID))
    }

    /// Returns the infusion as if it had gone as planned.
    #[must_use]
    pub fn provisional(&self) -> Self {
        let (started_at, ended_at) = self.span().unzip();
        Self { status: InfusionStatus::Completed, source: Source::Provisional, started_at, ended_at, ..self.clone() }
    }

    /// Returns the instant from which on the phases may be others than with the facts `before`; `None` if they are the
    /// same.
    pub fn moves_phases(&self, before: Option<&Self>) -> Option<Timestamp> {
        let id = Id::from_uuid(uuid::Uuid::nil());
        let doses = (before.and_then(|before| before.dose(id)), self.dose(id));
        if doses.0 == doses.1 {
            return None;
        }
        let doses = [doses.0, doses.1].into_iter().flatten();
        doses.flat_map(|dose| [dose.planned_start, dose.started_at, dose.ended_at]).flatten().min()
    }

    /// Returns the dose for the window; `None` when the infusion does not count.
    pub fn dose(&self, id: Id<Infusion>) -> Option<Dose> {
        let status = match (self.status, self.started_at) {
            (InfusionStatus::Completed, _) => DoseStatus::Completed,
            (InfusionStatus::Planned, Some(_)) => DoseStatus::InProgress,
            (InfusionStatus::Planned, None) => DoseStatus::Planned,
            (InfusionStatus::Cancelled | InfusionStatus::NoShow, _) => return None,
        };
        let Self { route, started_at, ended_at, planned_start, .. } = *self;
        Some(Dose { infusion_id: id, route, started_at, ended_at, planned_start, status })
    }

    /// Returns its start and end, recorded or planned; `None` when it does not count.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let (start, end) = match self.status {
            InfusionStatus::Completed => (self.started_at?, Some(self.ended_at?)),
            InfusionStatus::Planned => (self.started_at.or(self.planned_start)?, None),
            InfusionStatus::Cancelled | InfusionStatus::NoShow => return None,
        };
        Some(session_span(start, end, self.planned_minutes.unwrap_or(USUAL_MINUTES)))
    }

    /// Whether both may be reports of one administration: they lie within six hours of each other.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.span()
            .zip(other.span())
            .is_some_and(|((start, end), (from, to))| shift(start, -APART) <= to && from <= shift(end, APART))
    }
}

/// A pause as it was asked for. Its period is judged where it is new: sent again later, what created a pause is right.
#[derive(Debug)]
pub struct PauseRequest {
    /// The period, or what is wrong with it.
    pub period: Result<PausePeriod>,
    /// The digest of the body.
    pub creation: Option<Creation>,
}

/// The sealed document of a pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseDoc {
    /// The times in which only safety is asked.
    #[serde(flatten)]
    pub period: PausePeriod,
    /// Its creation, by which the same body sent again is known as a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation: Option<Creation>,
}

/// Finds the first of `others` that may be the same administration as `new`, unless either names the other in
/// `distinct_from`.
pub fn clash<'a>(
    id: Id<Infusion>,
    new: &InfusionFacts,
    others: impl IntoIterator<Item = (Id<Infusion>, &'a InfusionFacts)>,
) -> Option<Id<Infusion>> {
    others
        .into_iter()
        .find(|(other, facts)| {
            *other != id
                && !new.distinct_from.contains(other)
                && !facts.distinct_from.contains(&id)
                && new.overlaps(facts)
        })
        .map(|(other, _)| other)
}

fn check_times(f: &mut Fields, draft: &InfusionDraft, now: Timestamp) {
    match draft.status {
        InfusionStatus::Planned => {
            f.check(draft.planned_start.is_some(), "/planned_start", "is required for a planned infusion");
            f.check(draft.ended_at.is_none(), "/ended_at", "a planned infusion has not ended");
        }
        InfusionStatus::Completed => {
            f.check(draft.started_at.is_some(), "/started_at", "is required for a completed infusion");
            f.check(draft.ended_at.is_some(), "/ended_at", "is required for a completed infusion");
        }
        InfusionStatus::Cancelled | InfusionStatus::NoShow => {}
    }
    if let Some(start) = draft.planned_start {
        f.check(start <= shift(now, AHEAD), "/planned_start", "must lie within the next two years");
    }
    if let Some(start) = draft.started_at {
        f.check(start <= shift(now, SKEW), "/started_at", "must not lie in the future");
    }
    if let Some(end) = draft.ended_at {
        f.check(end <= shift(now, SKEW), "/ended_at", "must not lie in the future");
    }
    if let Some((start, end)) = draft.started_at.zip(draft.ended_at) {
        f.check(end > start, "/ended_at", "must be later than the start");
        f.check(end.duration_since(start) <= LONGEST, "/ended_at", "must be at most 12 hours after the start");
    }
}

/// Moves `at` by `by`, within the range of a timestamp.
fn shift(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}
