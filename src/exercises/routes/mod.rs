//! Exercises over HTTP: the library, advice, responses, assignments.

mod advice;
mod cautions;
mod history;
mod library;
mod lists;
mod responses;

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AcceptLanguage, Header as _, Quality};
use actix_web::{FromRequest, HttpRequest};

use super::words;
use crate::http::Operations;
use crate::kernel::Error;

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
        .service(advice::suggest_exercises)
        .service(advice::list_patient_exercises)
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
        .service(cautions::get_cautions)
        .service(cautions::put_cautions);
    super::assignments::configure_patient(config);
}

/// The language that a request asks for, of those that there are; `None` if it does not say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Language(pub(super) Option<&'static str>);

impl Language {
    /// The one with the highest weight, and of those the first.
    pub(super) fn negotiate(accepted: &AcceptLanguage) -> Self {
        let known = accepted
            .iter()
            .filter(|wanted| wanted.quality > Quality::ZERO)
            .filter_map(|wanted| Some((words::language(wanted.item.item()?.primary_language())?, wanted.quality)));
        // Of equals, `max_by_key` takes the last.
        Self(known.rev().max_by_key(|(_, weight)| *weight).map(|(language, _)| language))
    }

    /// The language asked for, or else `own`.
    pub(super) fn or(self, own: &str) -> &str {
        self.0.unwrap_or(own)
    }
}

impl FromRequest for Language {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // A header that cannot be read asks for nothing.
        ready(Ok(AcceptLanguage::parse(request).map_or(Self(None), |accepted| Self::negotiate(&accepted))))
    }
}
