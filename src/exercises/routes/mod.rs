//! Exercises over HTTP: the library, suggestions, responses, cautions.

mod cautions;
mod history;
mod language;
mod library;
mod lists;
mod responses;
mod suggestions;
mod view_as;

use crate::http::Operations;

pub use language::Language;
pub use library::ExerciseView;

/// Registers what needs no token.
pub fn configure_public(config: &mut Operations<'_, '_>) {
    config.service(library::get_exercise_schema);
}

/// Registers the operations of the library below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config.service(library::list_exercises).service(library::get_exercise);
}

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config
        .service(suggestions::suggest_exercises)
        .service(suggestions::list_patient_exercises)
        .service(lists::list_exercise_responses)
        .service(responses::put_exercise_response)
        .service(responses::get_exercise_response)
        .service(responses::patch_exercise_response)
        .service(responses::delete_exercise_response)
        .service(responses::undelete_exercise_response)
        .service(responses::mark_response_opened)
        .service(history::list_response_revisions)
        .service(history::get_response_revision)
        .service(history::restore_response_revision)
        .service(view_as::list_responses_as_reader)
        .service(view_as::get_response_as_reader)
        .service(cautions::get_cautions)
        .service(cautions::put_cautions);
    super::assignments::configure_patient(config);
}
