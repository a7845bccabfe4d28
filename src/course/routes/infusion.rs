//! An infusion on the wire.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::course::draft::InfusionDraft;
use crate::course::model::{InfusionFacts, Reported};
use crate::course::status::{CourseKind, InfusionStatus, Source};
use crate::course::store::StoredDocument;
use crate::http::{EntityTag, Patch, Patchable, read_document};
use crate::kernel::id::Infusion;
use crate::kernel::locale::TextLanguage;
use crate::kernel::{Error, FieldError, Fields, Id, Result, Text, Zone, device_time};
use crate::planning::window::{Route, WindowParams, driving};

/// One administration of ketamine.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct InfusionView {
    /// Its id.
    id: Uuid,
    /// Its state.
    #[schema(example = "completed", examples("planned", "completed", "cancelled", "no_show"))]
    status: &'static str,
    /// The route by which ketamine was given.
    #[schema(value_type = String, example = "iv_infusion", examples("iv_infusion", "im", "sc", "in_racemic", "in_esketamine", "sublingual", "oral"))]
    route: Route,
    /// The planned start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    planned_start: Option<Timestamp>,
    /// The planned duration in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 40)]
    planned_minutes: Option<u32>,
    /// The start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    started_at: Option<Timestamp>,
    /// The end of the infusion, from which the window counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    ended_at: Option<Timestamp>,
    /// The advice on driving with its earliest time, to show until then; present once it is completed. The time is by
    /// the clock where the patient was at the end, also if they have moved since. For the patient the words say which
    /// clock that is, in their language; others read English without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        example = "Please do not drive before Wednesday 11 March, 10:40 Berlin time (UTC+01), and not before a night's sleep. Your clinic may ask for longer."
    )]
    driving: Option<String>,
    /// Dose in milligrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 35.0)]
    dose_mg: Option<f64>,
    /// Body weight in kilograms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 70.0)]
    weight_kg: Option<f64>,
    /// The setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Room 2")]
    setting: Option<String>,
    /// Whether staff were there.
    supervised: bool,
    /// A note of the clinic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    note: Option<String>,
    /// The account that recorded it last.
    recorded_by: Uuid,
    /// The source of the record; `provisional` when no end was recorded within an hour after the planned one.
    #[schema(example = "clinic", examples("clinic", "patient", "provisional"))]
    source: &'static str,
    /// The patient's report, where the clinic's record takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reported: Option<ReportedView>,
    /// The clinic's record of the same administration, which counts in place of this report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    same_as: Option<Uuid>,
    /// Infusions within six hours that are other administrations.
    distinct_from: Vec<Uuid>,
    /// The kind of the course, if one was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "induction", examples("induction", "maintenance"))]
    course: Option<CourseKind>,
    /// The reason of the cancellation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cancel_reason: Option<String>,
    /// Its version.
    version: i64,
    /// The tag of the shown state, for `If-Match`: the same as in the header `ETag`.
    #[schema(value_type = String, example = "\"v3\"")]
    etag: EntityTag,
    /// The instant of the first record.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The instant of the last change.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The patient's report of an infusion.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ReportedView {
    /// The start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    started_at: Option<Timestamp>,
    /// The end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    ended_at: Option<Timestamp>,
}

impl From<Reported> for ReportedView {
    fn from(Reported { started_at, ended_at }: Reported) -> Self {
        Self { started_at, ended_at }
    }
}

impl InfusionView {
    /// Returns the key by which a list is sorted.
    pub(super) fn place(&self) -> (Option<Timestamp>, Uuid) {
        (self.started_at.or(self.planned_start), self.id)
    }

    /// Returns the tag of the shown state.
    pub(super) fn tag(&self) -> &EntityTag {
        &self.etag
    }

    /// Renders `stored`, the infusion of a patient who was in `zone`, with the advice on driving: in the language of
    /// the patient, or for staff (`None`).
    pub(super) fn of(
        stored: StoredDocument<Infusion, InfusionFacts>,
        zone: &Zone,
        patient: Option<TextLanguage>,
    ) -> Self {
        let ended = stored.doc.ended_at.filter(|_| stored.doc.status == InfusionStatus::Completed);
        let driving = ended.and_then(|end| driving(WindowParams::shipped(), end, zone, patient));
        Self { driving, ..Self::without_advice(stored) }
    }

    /// Renders what the version of `stored` covers: without the advice on driving, which depends on the zone.
    pub fn without_advice(stored: StoredDocument<Infusion, InfusionFacts>) -> Self {
        let facts = stored.doc;
        Self {
            driving: None,
            id: stored.id.uuid(),
            status: match facts.status {
                InfusionStatus::Planned => "planned",
                InfusionStatus::Completed => "completed",
                InfusionStatus::Cancelled => "cancelled",
                InfusionStatus::NoShow => "no_show",
            },
            route: facts.route,
            planned_start: facts.planned_start,
            planned_minutes: facts.planned_minutes,
            started_at: facts.started_at,
            ended_at: facts.ended_at,
            dose_mg: facts.dose_mg,
            weight_kg: facts.weight_kg,
            setting: facts.setting.map(Text::into_string),
            supervised: facts.supervised,
            note: facts.note.map(Text::into_string),
            recorded_by: facts.recorded_by.uuid(),
            source: match facts.source {
                Source::Clinic => "clinic",
                Source::Patient => "patient",
                Source::Provisional => "provisional",
            },
            reported: facts.reported.map(ReportedView::from),
            same_as: facts.same_as.map(Id::uuid),
            distinct_from: facts.distinct_from.into_iter().map(Id::uuid).collect(),
            course: facts.course,
            cancel_reason: facts.cancel_reason.map(Text::into_string),
            version: stored.version,
            etag: EntityTag::version(stored.version),
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        }
    }
}

/// An infusion to record.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutInfusion {
    /// `planned` or `completed`; a recorded one may also become `cancelled` or `no_show`.
    #[schema(example = "completed")]
    status: String,
    /// The route by which ketamine is given.
    #[schema(example = "iv_infusion")]
    route: String,
    /// The planned start; required for `planned`. Of a new infusion at most 12 hours ago: after that, record it as
    /// completed.
    #[schema(format = DateTime)]
    planned_start: Option<String>,
    /// The planned duration in minutes, 1 to 720.
    #[schema(example = 40)]
    planned_minutes: Option<i64>,
    /// The start; required for `completed`.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// The end; required for `completed`. At most 12 hours after the start and 5 minutes from now.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Dose in milligrams: more than 0, at most 2000.
    #[schema(example = 35.0)]
    dose_mg: Option<f64>,
    /// Body weight in kilograms: 20 to 400.
    #[schema(example = 70.0)]
    weight_kg: Option<f64>,
    /// The setting.
    #[schema(max_length = 200, example = "Room 2")]
    setting: Option<String>,
    /// Whether staff are there; true by default.
    #[schema(default = true)]
    supervised: Option<bool>,
    /// A note of the clinic.
    #[schema(max_length = 2000)]
    note: Option<String>,
    /// Infusions within six hours that are other administrations.
    #[serde(default)]
    #[schema(max_items = 8)]
    distinct_from: BTreeSet<Uuid>,
    /// The patient's report of the same administration. The clinic's new record takes its place and keeps the report as
    /// `reported`.
    same_as: Option<Uuid>,
    /// The kind of the course: `induction` or `maintenance`. To record it for one of its infusions is enough.
    #[schema(example = "induction")]
    course: Option<String>,
    /// The reason of the cancellation.
    #[schema(max_length = 500)]
    cancel_reason: Option<String>,
}

fn parse_status(name: &str) -> Result<InfusionStatus, &'static str> {
    match name {
        "planned" => Ok(InfusionStatus::Planned),
        "completed" => Ok(InfusionStatus::Completed),
        "cancelled" => Ok(InfusionStatus::Cancelled),
        "no_show" => Ok(InfusionStatus::NoShow),
        _ => Err("must be planned, completed, cancelled or no_show"),
    }
}

/// Reads what a PUT of an infusion has, in a body that came another way. Returns also the members that it does not have.
///
/// # Errors
///
/// Every fault of the body's form.
pub fn read_infusion(body: Value) -> Result<(InfusionDraft, Vec<FieldError>)> {
    let (body, ignored) = read_document::<PutInfusion>(body)?;
    Ok((body.parse()?, ignored))
}

impl Patchable for PutInfusion {
    const FIXED: &'static [&'static str] = &["supervised"];
}

impl PutInfusion {
    /// Makes the body that gives the command `draft`.
    fn of(draft: &InfusionDraft) -> Result<Self> {
        let value = serde_json::to_value(draft).and_then(serde_json::from_value);
        value.map_err(|error| Error::Internal(Box::new(error)))
    }

    /// Applies `patch` to the command `draft`.
    pub(super) fn patched(draft: &InfusionDraft, patch: &Patch<Self>) -> Result<InfusionDraft> {
        patch.apply(&Self::of(draft)?)?.parse()
    }

    pub(super) fn parse(self) -> Result<InfusionDraft> {
        let mut f = Fields::new();
        let status = f.take("/status", parse_status(&self.status));
        let route = f.take("/route", Route::parse(&self.route));
        let planned_start = device_time::take(&mut f, "/planned_start", self.planned_start);
        let started_at = device_time::take(&mut f, "/started_at", self.started_at);
        let ended_at = device_time::take(&mut f, "/ended_at", self.ended_at);
        let course = self.course.and_then(|name| f.take("/course", CourseKind::parse(&name)));
        let (status, route) = f.finish(status.zip(route))?;
        Ok(InfusionDraft {
            status,
            route,
            planned_start,
            planned_minutes: self.planned_minutes,
            started_at,
            ended_at,
            dose_mg: self.dose_mg,
            weight_kg: self.weight_kg,
            setting: self.setting,
            supervised: Some(self.supervised.unwrap_or(true)),
            note: self.note,
            distinct_from: self.distinct_from.into_iter().map(Id::from_uuid).collect(),
            same_as: self.same_as.map(Id::from_uuid),
            course,
            cancel_reason: self.cancel_reason,
        })
    }
}

/// The end of an infusion.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EndInfusion {
    /// The start, if it was not recorded.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// The end; now by default.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Dose in milligrams, if that was not recorded; for the clinic only.
    #[schema(example = 35.0)]
    dose_mg: Option<f64>,
}

impl EndInfusion {
    pub(super) fn parse(self) -> Result<(Option<Timestamp>, Option<Timestamp>, Option<f64>)> {
        let mut f = Fields::new();
        let started = device_time::take(&mut f, "/started_at", self.started_at);
        let ended = device_time::take(&mut f, "/ended_at", self.ended_at);
        f.done()?;
        Ok((started, ended, self.dose_mg))
    }
}

/// The start of an infusion.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartInfusion {
    /// The start; now by default.
    #[schema(format = DateTime)]
    started_at: Option<String>,
}

impl StartInfusion {
    pub(super) fn parse(self) -> Result<Option<Timestamp>> {
        let mut f = Fields::new();
        let started = device_time::take(&mut f, "/started_at", self.started_at);
        f.done()?;
        Ok(started)
    }
}
