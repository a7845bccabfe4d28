//! The exercises of a patient and suggestions, over HTTP.

use actix_web::get;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::language::Language;
use super::library::ExerciseSummary;
use crate::care::Door;
use crate::care::door::Own;
use crate::exercises::catalogue::Availability;
use crate::exercises::fit::{Candidate, Reason, Situation};
use crate::exercises::suggestions;
use crate::exercises::translations::Common;
use crate::http::document::{AcceptLanguageHeader, IfNoneMatchHeader, ReadErrors};
use crate::http::{PatientRef, Preconditions, Query, Reply};
use crate::kernel::{Error, Fields, Result};

/// The library for a patient now.
#[derive(Serialize, ToSchema)]
struct PatientExerciseList {
    /// Every exercise, in the order of the library.
    items: Vec<PatientExercise>,
}

/// An exercise for a patient now.
#[derive(Serialize, ToSchema)]
struct PatientExercise {
    /// The exercise.
    exercise: ExerciseSummary,
    /// `yes`, `with_therapist` (once a therapist has assigned it) or `not_now`. No reason is given.
    #[schema(example = "yes")]
    offer: String,
    /// The text to show when it is not offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    offer_text: Option<String>,
    /// The fit to the patient's phase: `good`, `early` or `late`. Advice only.
    #[schema(example = "good")]
    fit: String,
    /// The advice in words.
    fit_text: String,
    /// The days since it was last done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 3)]
    days_since_done: Option<i64>,
}

impl PatientExercise {
    fn of(one: &Candidate, locale: &str) -> Self {
        let common = Common::of(locale);
        let withheld = one.offer != Availability::Yes;
        Self {
            exercise: ExerciseSummary::of(one.exercise, locale),
            offer: one.offer.name().to_owned(),
            offer_text: withheld.then(|| common.get(&format!("offer.{}", one.offer.name())).to_owned()),
            fit: one.fit.name().to_owned(),
            fit_text: common.get(&format!("fit.{}", one.fit.name())).to_owned(),
            days_since_done: one.days_since,
        }
    }
}

/// List the exercises of a patient
///
/// The whole library for the patient now: the offer of each exercise, its fit to the phase, and the days since it was
/// last done. The words are in the language of `Accept-Language`, else in that of the patient.
#[utoipa::path(tag = "exercises", params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"), IfNoneMatchHeader, AcceptLanguageHeader),
    responses((status = 200, description = "The exercises", body = PatientExerciseList), ReadErrors))]
#[get("/exercises")]
pub(super) async fn list_patient_exercises(door: Door<Own>, when: Preconditions, language: Language) -> Result<Reply> {
    let sources = door.read("list_patient_exercises", suggestions::read).await?;
    let (situation, locale) =
        sources.open((door.keys()?, door.patient()?), &door.state().protocols.known(), None, door.now())?;
    let items = situation.library().iter().map(|one| PatientExercise::of(one, language.or(&locale))).collect();
    Ok(door.whole_list("list_patient_exercises", &PatientExerciseList { items }, &when))
}

/// The time that the patient has, and how many suggestions they want.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SuggestExercises {
    /// The minutes at hand, 1 to 240.
    #[param(nullable = false, minimum = 1, maximum = 240, example = 10)]
    minutes: Option<i64>,
    /// The number of suggestions, 1 to 22; 3 by default.
    #[param(nullable = false, minimum = 1, maximum = 22)]
    limit: Option<i64>,
}

impl SuggestExercises {
    /// Parses the minutes, if they are limited, and the number of suggestions.
    fn parse(&self) -> Result<(Option<u32>, usize)> {
        let mut fields = Fields::new();
        let whole = |value: i64, most: u32| u32::try_from(value).ok().filter(|value| (1..=most).contains(value));
        let minutes = self.minutes.map(|value| whole(value, 240).ok_or("must be between 1 and 240"));
        let minutes = minutes.and_then(|minutes| fields.take("query/minutes", minutes));
        let limit = fields.take("query/limit", whole(self.limit.unwrap_or(3), 22).ok_or("must be between 1 and 22"));
        fields.finish(limit.and_then(|limit| Some((minutes, usize::try_from(limit).ok()?))))
    }
}

/// The suggestions for now.
#[derive(Serialize, ToSchema)]
struct SuggestionList {
    /// The suggestions, the best first. Empty when nothing fits.
    items: Vec<Suggestion>,
}

/// A suggested exercise.
#[derive(Serialize, ToSchema)]
struct Suggestion {
    /// The exercise.
    exercise: ExerciseSummary,
    /// The reasons, the strongest first.
    reasons: Vec<SuggestionReason>,
    /// The prompt that points to it: send it with the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prompt_id: Option<Uuid>,
    /// The assignment that asks for it: send it with the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    assignment_id: Option<Uuid>,
}

/// A reason why an exercise is suggested.
#[derive(Serialize, ToSchema)]
struct SuggestionReason {
    /// `assignment`, `prompt`, `phase`, `minutes`, `not_done_yet` or `done_before`.
    #[schema(example = "phase")]
    code: String,
    /// The reason in words, for the patient.
    text: String,
}

impl SuggestionReason {
    fn of(reason: Reason, common: Common) -> Self {
        let code = match reason {
            Reason::Assignment => "assignment",
            Reason::Prompt => "prompt",
            Reason::Phase => "phase",
            Reason::Minutes => "minutes",
            Reason::NotDoneYet => "not_done_yet",
            Reason::DoneBefore(_) => "done_before",
        };
        let text = match reason {
            Reason::DoneBefore(days) => common.done_before(days),
            _ => common.get(&format!("reason.{code}")).to_owned(),
        };
        Self { code: code.to_owned(), text }
    }
}

impl Suggestion {
    fn of(situation: &Situation, one: &Candidate, reasons: Vec<Reason>, locale: &str) -> Self {
        let key = &one.exercise.key;
        Self {
            exercise: ExerciseSummary::of(one.exercise, locale),
            reasons: reasons.into_iter().map(|reason| SuggestionReason::of(reason, Common::of(locale))).collect(),
            prompt_id: situation.prompted.get(key).copied(),
            assignment_id: situation.assigned.get(key).map(|(assignment, _)| *assignment),
        }
    }
}

/// Suggest exercises for now
///
/// Suggestions depend on the phase, the minutes at hand, open assignments and prompts, and past responses. Assigned
/// exercises come first, then those of a prompt. Exercises that were done today or are not offered are left out.
#[utoipa::path(tag = "exercises", params(("patient_id" = PatientRef, Path, description = "`me`, or your own id"), SuggestExercises, IfNoneMatchHeader,
        AcceptLanguageHeader),
    responses((status = 200, description = "Suggestions", body = SuggestionList), ReadErrors))]
#[get("/exercises/suggested")]
pub(super) async fn suggest_exercises(
    door: Door<Own>,
    query: Result<Query<SuggestExercises>, Error>,
    when: Preconditions,
    language: Language,
) -> Result<Reply> {
    let asked = query.and_then(|query| query.0.parse());
    let (minutes, most) = door.first("suggest_exercises", asked).await?;
    let sources = door.read("suggest_exercises", suggestions::read).await?;
    let protocols = &door.state().protocols.known();
    let (situation, locale) = sources.open((door.keys()?, door.patient()?), protocols, minutes, door.now())?;
    let best = situation.suggest(most).into_iter();
    let items = best.map(|(one, reasons)| Suggestion::of(&situation, &one, reasons, language.or(&locale))).collect();
    Ok(door.whole_list("suggest_exercises", &SuggestionList { items }, &when))
}
