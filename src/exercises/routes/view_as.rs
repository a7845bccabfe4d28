//! What a reader sees of a patient's exercise responses now, shown to the patient by the code that serves the reader.

use actix_web::get;

use super::language::Language;
use super::lists::{self, ExerciseResponseList, ListExerciseResponses};
use crate::care::Door;
use crate::care::door::ViewAs;
use crate::exercises::model::Responses;
use crate::exercises::view::ResponseView;
use crate::http::document::{AcceptLanguageHeader, IfNoneMatchHeader, ReadErrors};
use crate::http::{Listing, PageQuery, PathOf, PatientRef, Preconditions, Reply};
use crate::identity::Unlocked;
use crate::items::routes as items;
use crate::kernel::id::Response;
use crate::kernel::{Error, Id, Result};

/// List exercise responses as a reader sees them
///
/// The answer that this therapist gets to `list_exercise_responses` now. It is 404 when they see nothing of the
/// patient: no active care link, of theirs or of somebody for whom they stand in, or no such person. The therapist is
/// not told, and the access log has no row of it.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id"),
        ("reader_id" = Uuid, Path, description = "The therapist's account"),
        ListExerciseResponses, PageQuery, AcceptLanguageHeader),
    responses((status = 200, description = "Responses", body = ExerciseResponseList), ReadErrors))]
#[get("/view-as/{reader_id}/exercise-responses")]
pub(super) async fn list_responses_as_reader(
    door: Door<Unlocked<ViewAs>>,
    listing: Result<Listing<ListExerciseResponses>, Error>,
    language: Language,
) -> Result<Reply> {
    lists::list(door, "list_responses_as_reader", listing, language).await
}

/// Read an exercise response as a reader sees it
///
/// The answer that this therapist gets to `get_exercise_response` now: the sections that are open to them, and 404
/// without any. The therapist is not told, and nothing counts as opened.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or the caller's own id"),
        ("reader_id" = Uuid, Path, description = "The therapist's account"),
        ("response_id" = Uuid, Path, description = "The response"), IfNoneMatchHeader, AcceptLanguageHeader),
    responses((status = 200, description = "The response", body = ResponseView),
        (status = 304, description = "You have it"),
        ReadErrors))]
#[get("/view-as/{reader_id}/exercise-responses/{response_id}")]
pub(super) async fn get_response_as_reader(
    door: Door<Unlocked<ViewAs>>,
    id: PathOf<Id<Response>>,
    when: Preconditions,
    language: Language,
) -> Result<Reply> {
    items::get::<Responses, _>(door, "get_response_as_reader", (id.0, when), language.0).await
}
