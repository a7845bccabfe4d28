//! Lists of exercise responses over HTTP.

use actix_web::get;
use serde::Deserialize;
use uuid::Uuid;

use super::language::Language;
use crate::care::Door;
use crate::care::door::{Granted, Policy};
use crate::course::ContextSource;
use crate::exercises::catalogue;
use crate::exercises::model::Responses;
use crate::exercises::view::ResponseItem;
use crate::http::document::{AcceptLanguageHeader, ReadErrors};
use crate::http::{Listing, PageQuery, PatientRef, Reply, page};
use crate::identity::Unlocked;
use crate::items::pages::Filter;
use crate::items::{OpenedItem, Scan, routes as items};
use crate::kernel::id::{Any, Assignment};
use crate::kernel::{Error, Fields, Id, Result};

page! {
    /// A page of responses. It may have fewer items than its limit and still not be the last one.
    ExerciseResponseList: "The responses." of ResponseItem
}

/// The filter of responses.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListExerciseResponses {
    /// The key of an exercise of the library.
    #[param(nullable = false, example = "if-then-habit")]
    exercise_key: Option<String>,
    /// The assignment that asked for it; for the patient only.
    #[param(nullable = false)]
    assignment_id: Option<Uuid>,
    /// `draft`, `done` or `deleted`; without it, drafts and done ones. A therapist sees done ones in any case.
    #[param(nullable = false, example = "done")]
    status: Option<String>,
}

/// The filter of a list of responses.
#[derive(Clone, Debug)]
struct Responded {
    exercise: Option<String>,
    assignment: Option<Id<Any>>,
    deleted: bool,
    draft: Option<bool>,
}

impl ListExerciseResponses {
    fn parse(self, owner: bool) -> Result<Responded> {
        let mut fields = Fields::new();
        let state = match self.status.as_deref() {
            None => Some((false, None)),
            Some("draft") => Some((false, Some(true))),
            Some("done") => Some((false, Some(false))),
            Some("deleted") => Some((true, None)),
            Some(_) => fields.take("query/status", Err("must be draft, done or deleted")),
        };
        fields.check(owner || self.assignment_id.is_none(), "query/assignment_id", "is for the patient");
        let known = self.exercise_key.as_ref().is_none_or(|key| catalogue::find(key, None).is_some());
        fields.check(known, "query/exercise_key", "is not an exercise of the library");
        let (deleted, draft) = fields.finish(state)?;
        let assignment = self.assignment_id.map(|id| Id::<Assignment>::from_uuid(id).any());
        Ok(Responded { exercise: self.exercise_key, assignment, deleted, draft })
    }
}

impl Filter<Responses> for Responded {
    fn scan(&self) -> Scan {
        let link = self.assignment.map(|id| ("assignment_id", id));
        Scan { deleted: self.deleted, draft: self.draft, link, ..Scan::default() }
    }

    fn is_sparse(&self) -> bool {
        self.exercise.is_some()
    }

    fn needs_opening(&self) -> bool {
        self.is_sparse()
    }

    fn admits(&self, opened: &OpenedItem<Responses>, _: &ContextSource) -> Result<bool> {
        Ok(self.exercise.as_ref().is_none_or(|wanted| *wanted == opened.header.exercise_key))
    }
}

/// List exercise responses
///
/// The patient's own responses, newest first; for a therapist those of which a section is open to them, by local date,
/// newest first, and within a date in a fixed order that does not follow from their times.
#[utoipa::path(tag = "exercises",
    params(("patient_id" = PatientRef, Path, description = "`me`, or a patient's id"), ListExerciseResponses, PageQuery, AcceptLanguageHeader),
    responses((status = 200, description = "Responses", body = ExerciseResponseList), ReadErrors))]
#[get("/exercise-responses")]
pub(super) async fn list_exercise_responses(
    door: Door<Unlocked<Granted>>,
    listing: Result<Listing<ListExerciseResponses>, Error>,
    language: Language,
) -> Result<Reply> {
    list(door, "list_exercise_responses", listing, language).await
}

/// Lists the responses that the caller sees, as operation `act`.
pub(super) async fn list<P: Policy>(
    door: Door<P>,
    act: &'static str,
    listing: Result<Listing<ListExerciseResponses>, Error>,
    language: Language,
) -> Result<Reply> {
    let listing = listing.and_then(|listing| listing.map(|asked| asked.parse(door.is_owner())));
    let scope = listing.as_ref().map(|listing| format!("{:?}", listing.filter)).unwrap_or_default();
    let page = (listing, scope);
    items::list::<Responses, Responded, _, _>(door, act, page, language.0, ExerciseResponseList::of).await
}
