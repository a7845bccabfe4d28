//! The view of a response.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::draft::DistressFields;
use super::model::{ResponseContent, Responses};
use super::translations::{Common, Words};
use crate::care::grants::Sections;
use crate::course::ContextSource;
use crate::items::OpenedItem;
use crate::items::view::{ItemPresenter, ItemView};
use crate::kernel::{Id, Listed, Result};

/// The work on one exercise. A therapist sees `id`, the exercise, `local_date`, `phase`, `sections`, the sections that
/// are open to them, and when those last changed; the patient sees the rest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExerciseResponseView)]
pub struct ResponseFields {
    /// The exercise.
    #[schema(example = "if-then-habit")]
    exercise_key: String,
    /// The version that was shown.
    #[schema(example = 1)]
    exercise_version: u32,
    /// Its title, in the language of `Accept-Language`; without that header, in the patient's own for the patient.
    #[schema(example = "When–then")]
    title: &'static str,
    /// Answers by step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<HashMap<String, serde_json::Value>>)]
    answers: Option<Box<RawValue>>,
    /// Distress before and after, and usefulness.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DistressFields>, nullable = false)]
    distress: Option<Box<RawValue>>,
    /// The assignment that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    assignment_id: Option<Uuid>,
    /// The step at which the exercise stops because of its answer, and the text to show then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stopped: Option<StoppedView>,
    /// The steps that are asked later and have no answer yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    later: Option<Vec<LaterView>>,
    /// The grounding exercise to offer, if distress is high at the end or has risen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    support: Option<SupportView>,
}

/// The view of a response.
pub type ResponseView = ItemView<ResponseFields>;

/// A response in a list.
pub type ResponseItem = Listed<ResponseView>;

/// The step at which an exercise stops.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExerciseStop)]
pub struct StoppedView {
    /// The step.
    #[schema(example = "safe")]
    pub step: String,
    /// The text.
    pub text: String,
}

/// A step that is asked later.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExerciseLaterStep)]
pub struct LaterView {
    /// The step.
    #[schema(example = "done")]
    pub step: String,
    /// The instant from which it is asked.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
}

/// The grounding exercise to offer.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExerciseSupport)]
pub struct SupportView {
    /// The exercise to offer.
    #[schema(example = "grounding-54321")]
    pub exercise_key: String,
    /// The text. The app shows it at once; nobody else sees it.
    pub text: String,
}

/// The exercise that is offered as grounding.
pub const GENTLE: &str = "grounding-54321";

impl ItemPresenter for Responses {
    type Fields = ResponseFields;
    type Manner = Option<&'static str>;

    fn fields(
        opened: &mut OpenedItem<Self>,
        shared: Option<Sections>,
        around: &ContextSource,
        language: Self::Manner,
    ) -> Result<ResponseFields> {
        // A reader's words are in the language of their request: they must not learn the patient's language.
        let locale = language.unwrap_or(if shared.is_none() { around.locale.as_str() } else { "en" });
        let words = Words::of(opened.header.exercise()?, locale);
        let own = if shared.is_none() { Some(opened.content()?) } else { None };
        let gentle = own.as_ref().and_then(|content| content.distress).filter(|felt| felt.calls_for_grounding());
        Ok(ResponseFields {
            exercise_key: opened.header.exercise_key.clone(),
            exercise_version: opened.header.exercise_version,
            title: words.title(),
            answers: opened.take(0),
            distress: opened.take(1),
            assignment_id: opened.header.assignment_id.filter(|_| own.is_some()).map(Id::uuid),
            stopped: own.as_ref().map(|content| stopped(content, words)).transpose()?.flatten(),
            later: own.as_ref().map(later).transpose()?.filter(|list| !list.is_empty()),
            support: gentle.map(|_| SupportView {
                exercise_key: GENTLE.to_owned(),
                text: Common::of(locale).get("grounding_offer").to_owned(),
            }),
        })
    }
}

fn stopped(content: &ResponseContent, words: Words) -> Result<Option<StoppedView>> {
    let exercise = content.header.exercise()?;
    let step = content.answers.as_ref().and_then(|answers| answers.stopped_at(exercise));
    Ok(step.map(|step| StoppedView {
        step: step.id.clone(),
        text: words.find(&format!("{}.stop", step.id)).unwrap_or_default().to_owned(),
    }))
}

/// Lists the steps that are asked some hours after the exercise was done and have no answer yet.
fn later(content: &ResponseContent) -> Result<Vec<LaterView>> {
    let exercise = content.header.exercise()?;
    let open = exercise.steps.iter().filter_map(|step| {
        let hours = step.defer_h?;
        let answered = content.answers.as_ref().is_some_and(|answers| answers.get(&step.id).is_some());
        let from = content
            .header
            .circumstances
            .occurred_at
            .saturating_add(SignedDuration::from_hours(i64::from(hours)))
            .ok()?;
        (!answered).then(|| LaterView { step: step.id.clone(), from })
    });
    Ok(open.collect())
}
