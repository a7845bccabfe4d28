//! The library over HTTP: the same for everybody with an account.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::language::Language;
use crate::exercises::answers;
use crate::exercises::catalogue::{self, Exercise, Guidance, Step, StepType};
use crate::exercises::translations::{Common, Words};
use crate::http::document::{AcceptLanguageHeader, IfNoneMatchHeader, PublicErrors, ReadErrors};
use crate::http::{EntityTag, PathOf, Preconditions, Query, Reply, whole_list};
use crate::identity::{Caller, Directory};
use crate::kernel::{Error, Result};
use crate::planning::window::Phase;
use crate::state::State;

/// Read the JSON Schema of exercises
///
/// Describes the form of an exercise: every type of step with its parameters, and the form of its answer.
#[utoipa::path(tag = "exercises", security(()),
    responses((status = 200, description = "The schema", body = serde_json::Value, content_type = "application/schema+json"), PublicErrors))]
#[get("/schemas/exercise.json")]
pub(super) async fn get_exercise_schema() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/schema+json")
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .body(catalogue::SCHEMA)
}

/// An exercise in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ExerciseSummary {
    /// Its name.
    #[schema(example = "if-then-habit")]
    pub key: String,
    /// Its newest version. Versions are never changed.
    #[schema(example = 1)]
    pub version: u32,
    /// Its title.
    #[schema(example = "When–then")]
    pub title: String,
    /// The purpose, in a sentence.
    pub purpose: String,
    /// The school it comes from.
    #[schema(example = "implementation_intentions")]
    pub modality: String,
    /// The school in words.
    pub modality_label: String,
    /// The duration in minutes.
    #[schema(example = 7)]
    pub minutes: u32,
    /// The phases it was made for.
    #[schema(value_type = Vec<String>, example = json!(["peak", "consolidate"]))]
    pub phases: Vec<Phase>,
    /// `self`, `guided` (better with a therapist) or `therapist_only` (once a therapist has assigned it).
    #[schema(value_type = String, example = "self")]
    pub guidance: Guidance,
    /// The language of the words.
    #[schema(example = "en")]
    pub locale: String,
}

impl ExerciseSummary {
    pub(super) fn of(exercise: &Exercise, locale: &str) -> Self {
        let words = Words::of(exercise, locale);
        Self {
            key: exercise.key.clone(),
            version: exercise.version,
            title: words.title().to_owned(),
            purpose: words.find("purpose").unwrap_or_default().to_owned(),
            modality: exercise.modality.clone(),
            modality_label: words.common().get(&format!("modality.{}", exercise.modality)).to_owned(),
            minutes: exercise.minutes,
            phases: exercise.phases.clone(),
            guidance: exercise.guidance,
            locale: words.locale.to_owned(),
        }
    }
}

/// The library.
#[derive(Serialize, ToSchema)]
struct ExerciseList {
    /// The newest version of each exercise, in a considered order.
    items: Vec<ExerciseSummary>,
}

/// An exercise.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExerciseView {
    /// Its name.
    #[schema(example = "if-then-habit")]
    key: String,
    /// The version. Versions are never changed.
    #[schema(example = 1)]
    version: u32,
    /// Its title.
    title: String,
    /// The purpose, in a sentence.
    purpose: String,
    /// The school it comes from.
    #[schema(example = "implementation_intentions")]
    modality: String,
    /// The school in words.
    modality_label: String,
    /// The duration in minutes.
    #[schema(example = 7)]
    minutes: u32,
    /// The phases it was made for.
    #[schema(value_type = Vec<String>, example = json!(["peak", "consolidate"]))]
    phases: Vec<Phase>,
    /// `self`, `guided` (better with a therapist) or `therapist_only` (once a therapist has assigned it).
    #[schema(value_type = String, example = "self")]
    guidance: Guidance,
    /// The language of the words.
    #[schema(example = "en")]
    locale: String,
    /// The evidence for it in the days after ketamine: `tested_related`, `general` or `conventional`. None of them says
    /// that it works.
    #[schema(example = "general")]
    evidence_in_window: String,
    /// The questions before the first step and after the last one.
    around: AroundView,
    /// The steps, in the order in which they are shown; answers are taken in any order.
    steps: Vec<StepView>,
}

/// The questions before and after every exercise.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExerciseAround)]
struct AroundView {
    /// The question for `distress.before`, the distress at the beginning, 0 to 10.
    before: String,
    /// The question for `distress.after`, the distress at the end, 0 to 10.
    after: String,
    /// The word at 0.
    low: String,
    /// The word at 10.
    high: String,
    /// The question for `distress.usefulness`, 0 to 4.
    usefulness: String,
}

/// An option.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExerciseOption)]
struct OptionView {
    /// The value in the answer.
    #[schema(example = "calmer")]
    key: String,
    /// The label.
    #[schema(example = "calmer")]
    label: String,
    /// Whether the exercise stops here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    stops: bool,
}

/// A step.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExerciseStep)]
struct StepView {
    /// Its name: the key of its answer.
    #[schema(example = "when")]
    id: String,
    /// `info`, `text_short`, `text_long`, `list`, `scale`, `single`, `multi`, `rank`, `card_sort`, `timer`, `audio`,
    /// `drawing`, `person`, `date`, `time`, `confirm` or `pair`.
    #[serde(rename = "type")]
    #[schema(example = "text_short")]
    type_: String,
    /// The label.
    label: String,
    /// Whether the exercise needs an answer to be done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    required: bool,
    /// The hours after the rest at which it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 24)]
    after_hours: Option<u32>,
    /// The most characters of each text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 280)]
    max_length: Option<usize>,
    /// The number of fields of a list to show, of cards to rank or of pairs to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    items: Option<usize>,
    /// The options of a choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    options: Vec<OptionView>,
    /// The piles of a sort.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    piles: Vec<OptionView>,
    /// The cards of a sort.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    cards: Vec<OptionView>,
    /// The most cards that the patient may add.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    own_cards: Option<usize>,
    /// The source of the cards to rank, as `step/pile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "sort/very_me")]
    from: Option<String>,
    /// The duration of the timer in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 180)]
    seconds: Option<u32>,
    /// The word at 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    low: Option<String>,
    /// The word at 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    high: Option<String>,
    /// The lowest number at which the exercise stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 8)]
    stop_at: Option<u8>,
    /// The text to show when it stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stop: Option<String>,
    /// The heading of the first text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    left: Option<String>,
    /// The heading of the second text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    right: Option<String>,
}

impl StepView {
    fn of(step: &Step, words: Words) -> Self {
        let word = |name: &str| words.find(&format!("{}.{name}", step.id)).map(str::to_owned);
        let choices = |keys: &[&str], stops: &[String]| -> Vec<OptionView> {
            let view = |key: &&str| OptionView {
                key: (*key).to_owned(),
                label: word(key).unwrap_or_default(),
                stops: stops.iter().any(|stop| stop == key),
            };
            keys.iter().map(view).collect()
        };
        let mut view = Self {
            id: step.id.clone(),
            type_: step.ask.name().to_owned(),
            label: words.find(&step.id).unwrap_or_default().to_owned(),
            required: step.required,
            after_hours: step.defer_h,
            max_length: None,
            items: None,
            options: Vec::new(),
            piles: Vec::new(),
            cards: Vec::new(),
            own_cards: None,
            from: None,
            seconds: None,
            low: word("low"),
            high: word("high"),
            stop_at: None,
            stop: word("stop"),
            left: word("left"),
            right: word("right"),
        };
        let keys = |list: &'_ [String]| list.iter().map(String::clone).collect::<Vec<_>>();
        match &step.ask {
            StepType::TextShort => view.max_length = Some(answers::SHORT),
            StepType::TextLong => view.max_length = Some(answers::LONG),
            StepType::Person => view.max_length = Some(answers::NAME),
            StepType::List { items } => (view.items, view.max_length) = (Some(*items), Some(answers::SHORT)),
            StepType::Pair { repeat } => (view.items, view.max_length) = (Some(*repeat), Some(answers::SHORT)),
            StepType::Scale { stop_at } => view.stop_at = *stop_at,
            StepType::Single { stop_on, .. } => view.options = choices(&step.ask.options(), stop_on),
            StepType::Multi { .. } => view.options = choices(&step.ask.options(), &[]),
            StepType::Rank { max, from } => {
                (view.items, view.from) = (Some(*max), Some(format!("{}/{}", from.step, from.pile)));
            }
            StepType::CardSort { piles, cards, own_cards } => {
                let (piles, cards) = (keys(piles), keys(cards));
                let refs = |list: &'_ [String]| -> Vec<OptionView> {
                    choices(&list.iter().map(String::as_str).collect::<Vec<_>>(), &[])
                };
                (view.piles, view.cards, view.own_cards) = (refs(&piles), refs(&cards), Some(*own_cards));
            }
            StepType::Timer { seconds } => view.seconds = Some(*seconds),
            StepType::Info
            | StepType::Audio
            | StepType::Drawing
            | StepType::Date
            | StepType::Time
            | StepType::Confirm => {}
        }
        view
    }
}

impl ExerciseView {
    /// Renders `exercise` in the language of `locale`, or in English.
    pub fn of(exercise: &Exercise, locale: &str) -> Self {
        let words = Words::of(exercise, locale);
        let common = |name| Common::get(words.common(), name).to_owned();
        let summary = ExerciseSummary::of(exercise, locale);
        Self {
            key: summary.key,
            version: summary.version,
            title: summary.title,
            purpose: summary.purpose,
            modality: summary.modality,
            modality_label: summary.modality_label,
            minutes: summary.minutes,
            phases: summary.phases,
            guidance: summary.guidance,
            locale: summary.locale,
            evidence_in_window: exercise.evidence_in_window.clone(),
            around: AroundView {
                before: common("distress_before"),
                after: common("distress_after"),
                low: common("distress_low"),
                high: common("distress_high"),
                usefulness: common("usefulness"),
            },
            steps: exercise.steps.iter().map(|step| StepView::of(step, words)).collect(),
        }
    }
}

/// List exercises
///
/// The library, in the language of `Accept-Language`, else in that of the patient who asks, as far as it is translated;
/// else in English. `/v1/patients/{patient_id}/exercises` gives the offers to a patient.
#[utoipa::path(tag = "exercises", params(IfNoneMatchHeader, AcceptLanguageHeader),
    responses((status = 200, description = "The exercises", body = ExerciseList), ReadErrors))]
#[get("/exercises")]
pub(super) async fn list_exercises(
    caller: Caller,
    when: Preconditions,
    language: Language,
    (state, directory): (web::Data<State>, web::Data<Directory>),
) -> Result<Reply> {
    let language = language.for_caller(&caller, &state, &directory).await?;
    let items = catalogue::newest().map(|exercise| ExerciseSummary::of(exercise, language)).collect();
    Ok(whole_list(&state.vault, b"list_exercises", &ExerciseList { items }, &when).compressed_if(true))
}

/// The version of an exercise.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GetExercise {
    /// The version; the newest by default.
    #[param(nullable = false, minimum = 1, example = 1)]
    version: Option<u32>,
}

/// Read an exercise
///
/// Its steps with their words, in the language of `Accept-Language`, else in that of the patient who asks, if it is
/// translated; else in English. Answers name keys, not words, so they are the same in every language. A version never
/// changes.
#[utoipa::path(tag = "exercises",
    params(("key" = String, Path, description = "Its name", example = "if-then-habit"), GetExercise, IfNoneMatchHeader, AcceptLanguageHeader),
    responses((status = 200, description = "The exercise", body = ExerciseView), (status = 304, description = "You have it"), ReadErrors))]
#[get("/exercises/{key}")]
pub(super) async fn get_exercise(
    caller: Caller,
    key: PathOf<(String,)>,
    query: Result<Query<GetExercise>, Error>,
    when: Preconditions,
    language: Language,
    (state, directory): (web::Data<State>, web::Data<Directory>),
) -> Result<Reply> {
    let GetExercise { version } = caller.first(&state, query).await?.into_inner();
    let language = language.for_caller(&caller, &state, &directory).await?;
    let exercise = catalogue::find(&key.0.0, version).ok_or(Error::NotFound)?;
    let view = ExerciseView::of(exercise, language);
    let reply = Reply::ok(&view).compressed_if(true).header(header::CONTENT_LANGUAGE, &view.locale);
    Ok(reply.unless_shown(EntityTag::of_content, &when))
}
