//! What goes out of a response: all to the owner, the granted sections to a reader.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::draft::DistressFields;
use super::model::{Content, Distress};
use super::seal::{Of, Opened};
use super::store::Row;
use super::words::{Common, Words};
use crate::care::grants::Sections;
use crate::course::Surroundings;
use crate::kernel::id::{Account, Patient};
use crate::kernel::{Id, Result};
use crate::planning::window::{Context, Phase};
use crate::vault::Keys;

/// The work on one exercise. A therapist sees `id`, the exercise, `local_date`, `phase`, `sections`, the sections that are
/// open to them, and when those last changed; the patient sees the rest.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = ExerciseResponseView)]
pub struct ResponseView {
    /// Its id.
    pub id: Uuid,
    /// The exercise.
    #[schema(example = "if-then-habit")]
    pub exercise_key: String,
    /// The version that was shown.
    #[schema(example = 1)]
    pub exercise_version: u32,
    /// Its title, in the language of `Accept-Language`; without it, the patient reads it in theirs.
    #[schema(example = "When–then")]
    pub title: String,
    /// The date on which it was done, where the patient was.
    #[schema(value_type = String, format = Date, example = "2026-11-02")]
    pub local_date: Date,
    /// The phase in which it was done. Corrected infusions change it; it is not part of the version.
    #[schema(value_type = String, example = "peak")]
    pub phase: Phase,
    /// The sections that are open to you; shown to a therapist only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["answers"]))]
    pub sections: Option<Vec<String>>,
    /// Answers by step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    pub answers: Option<Map<String, Value>>,
    /// How it felt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub distress: Option<DistressFields>,
    /// When it last changed; to a therapist, when one of the sections they see did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub updated_at: Option<Timestamp>,
    /// `draft`, `done` or `deleted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "done")]
    pub status: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 1)]
    pub version: Option<i64>,
    /// When it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub occurred_at: Option<Timestamp>,
    /// The zone the device was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// When the device took it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub recorded_at: Option<Timestamp>,
    /// When it arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub received_at: Option<Timestamp>,
    /// Whether its times were odd when it arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = false)]
    pub clock_suspect: Option<bool>,
    /// The prompt that suggested it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub prompt_id: Option<Uuid>,
    /// The assignment that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub assignment_id: Option<Uuid>,
    /// The step at which the exercise stops, because of what was answered to it, and what to say then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stopped: Option<StoppedView>,
    /// Steps that are asked later, and have no answer yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub later: Option<Vec<LaterView>>,
    /// Something gentle to offer: distress is high at the end, or has risen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub support: Option<SupportView>,
    /// Where it lies in relation to the infusions. Not part of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub context: Option<Context>,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    pub deleted_at: Option<Timestamp>,
    /// Who opened it, and when first; not in lists. Not part of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub seen_by: Option<Vec<ResponseSeenBy>>,
}

/// Where an exercise stops.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExerciseStop)]
pub struct StoppedView {
    /// The step.
    #[schema(example = "safe")]
    pub step: String,
    /// What to say.
    pub text: String,
}

/// A step that is asked later.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExerciseLaterStep)]
pub struct LaterView {
    /// The step.
    #[schema(example = "done")]
    pub step: String,
    /// From when on.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
}

/// Something gentle to offer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExerciseSupport)]
pub struct SupportView {
    /// The exercise to offer.
    #[schema(example = "grounding-54321")]
    pub exercise_key: String,
    /// What to say. The app shows it at once; nobody else is told.
    pub text: String,
}

/// Who opened a response.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ResponseSeenBy {
    /// Who.
    pub account_id: Uuid,
    /// When first.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
}

/// A response as a unit returns it: still sealed.
#[derive(Clone, Debug)]
pub struct Found {
    /// The row.
    pub row: Row,
    /// What a reader may see of it; `None` for the owner.
    pub shared: Option<Sections>,
    /// Who opened it, if that was asked for.
    pub openings: Option<Vec<(Id<Account>, Timestamp)>>,
}

/// What is offered when it was too much.
const GENTLE: &str = "grounding-54321";

/// Opens and renders a response, after the unit, in the language of `locale`.
///
/// # Errors
///
/// When it cannot be opened.
pub fn render(
    keys: &Keys,
    patient: Id<Patient>,
    found: &Found,
    around: &Surroundings,
    locale: &str,
) -> Result<ResponseView> {
    let open = found.shared.unwrap_or(Sections::ALL);
    let opened = Of { patient, response: found.row.id }.open(keys, &found.row.parts, open)?;
    rendered(found, &opened, around, locale)
}

/// Renders a response of which the sections it may show were opened, and no others.
///
/// # Errors
///
/// When its exercise is not in the library.
pub fn rendered(found: &Found, opened: &Opened, around: &Surroundings, locale: &str) -> Result<ResponseView> {
    let (row, content, header) = (&found.row, &opened.content, &opened.content.header);
    let words = Words::of(header.exercise()?, locale);
    let place = around.context(header.occurred_at);
    let mut view = ResponseView {
        id: row.id.uuid(),
        exercise_key: header.exercise_key.clone(),
        exercise_version: header.exercise_version,
        title: words.title().to_owned(),
        local_date: header.local_date(|at| around.zone_at(at)),
        phase: place.phase,
        sections: found.shared.map(|open| open.names().into_iter().map(str::to_owned).collect()),
        answers: content.answers.as_ref().map(|answers| answers.as_map().clone()),
        distress: content.distress.map(DistressFields::of),
        updated_at: opened.sections_at,
        status: None,
        version: None,
        occurred_at: None,
        zone: None,
        recorded_at: None,
        received_at: None,
        clock_suspect: None,
        prompt_id: None,
        assignment_id: None,
        stopped: None,
        later: None,
        support: None,
        context: None,
        deleted_at: None,
        seen_by: None,
    };
    if found.shared.is_some() {
        return Ok(view);
    }
    let status = match (row.deleted_at, header.draft) {
        (Some(_), _) => "deleted",
        (None, true) => "draft",
        (None, false) => "done",
    };
    view.updated_at = Some(row.updated_at);
    view.status = Some(status.to_owned());
    view.version = Some(row.version);
    view.occurred_at = Some(header.occurred_at);
    view.zone = header.zone.as_ref().map(|zone| zone.name().to_owned());
    view.recorded_at = header.recorded_at;
    view.received_at = Some(row.received_at);
    view.clock_suspect = Some(opened.clock_suspect);
    view.prompt_id = header.prompt_id.map(Id::uuid);
    view.assignment_id = header.assignment_id.map(Id::uuid);
    view.stopped = stopped(content, words)?;
    view.later = Some(later(content)?).filter(|list| !list.is_empty());
    view.support = content.distress.filter(|distress| distress.calls_for_grounding()).map(|_: Distress| SupportView {
        exercise_key: GENTLE.to_owned(),
        text: Common::of(locale).get("grounding_offer").to_owned(),
    });
    view.context = Some(place);
    view.deleted_at = row.deleted_at;
    let seen = |(account, opened_at): &(Id<Account>, Timestamp)| ResponseSeenBy {
        account_id: account.uuid(),
        opened_at: *opened_at,
    };
    view.seen_by = found.openings.as_ref().map(|list| list.iter().map(seen).collect());
    Ok(view)
}

fn stopped(content: &Content, words: Words) -> Result<Option<StoppedView>> {
    let exercise = content.header.exercise()?;
    let step = content.answers.as_ref().and_then(|answers| answers.stopped_at(exercise));
    Ok(step.map(|step| StoppedView {
        step: step.id.clone(),
        text: words.find(&format!("{}.stop", step.id)).unwrap_or_default().to_owned(),
    }))
}

/// The steps that are asked some hours after the exercise was done, and have no answer yet.
fn later(content: &Content) -> Result<Vec<LaterView>> {
    let exercise = content.header.exercise()?;
    let open = exercise.steps.iter().filter_map(|step| {
        let hours = step.defer_h?;
        let answered = content.answers.as_ref().is_some_and(|answers| answers.get(&step.id).is_some());
        let from = content.header.occurred_at.saturating_add(SignedDuration::from_hours(i64::from(hours))).ok()?;
        (!answered).then(|| LaterView { step: step.id.clone(), from })
    });
    Ok(open.collect())
}
