//! The courses that are derived from a patient's infusions.

use actix_web::get;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::care::Door;
use crate::care::door::Team;
use crate::course::series::{Course, courses};
use crate::course::status::CourseKind;
use crate::course::store::{list_visible_rows, open_infusions};
use crate::http::document::{IfNoneMatchHeader, ReadErrors};
use crate::http::{PatientRef, Preconditions, Reply};
use crate::kernel::{Id, Result};
use crate::settings::{find_settings, open_or_default};

/// A patient's courses, by time.
#[derive(Serialize, ToSchema)]
struct CourseList {
    /// The courses.
    items: Vec<CourseView>,
}

/// A series of infusions.
#[derive(Serialize, ToSchema)]
struct CourseView {
    /// The purpose, if the clinic recorded one for any of its infusions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "induction", examples("induction", "maintenance"))]
    kind: Option<CourseKind>,
    /// Its infusions, past and planned, by time.
    infusion_ids: Vec<Uuid>,
    /// The number of infusions that have taken place.
    #[schema(example = 3)]
    completed: usize,
    /// The start, or planned start, of the first infusion.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// The start of the last known infusion.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
    /// The infusions of the course after which none follows within seven days. The review of the week and its
    /// questionnaires follow each of them.
    series_ends: Vec<Uuid>,
}

impl From<Course> for CourseView {
    fn from(Course { kind, infusions, completed, first_at, last_at, series_ends }: Course) -> Self {
        let ids = |list: Vec<Id<_>>| list.into_iter().map(Id::uuid).collect();
        Self { kind, infusion_ids: ids(infusions), completed, first_at, last_at, series_ends: ids(series_ends) }
    }
}

/// List a patient's courses
///
/// Derived from the infusions each time, never stored. A new course begins where the clinic records another kind, and
/// after four weeks without an infusion unless both are maintenance.
#[utoipa::path(tag = "infusions", params(("patient_id" = PatientRef, Path, description = "The patient's id, or `me`"), IfNoneMatchHeader),
    responses((status = 200, description = "The courses", body = CourseList), ReadErrors))]
#[get("/courses")]
pub(super) async fn list_courses(door: Door<Team>, when: Preconditions) -> Result<Reply> {
    let (rows, row) = door
        .read("list_courses", |tx, access| {
            let rows = list_visible_rows(tx, access)?;
            for row in &rows {
                access.returns(row.id.uuid());
            }
            Ok((rows, find_settings(tx, access)?))
        })
        .await?;
    let (keys, patient) = (door.keys()?, door.patient()?);
    let settings = open_or_default(row.as_ref(), keys, patient)?;
    let list = open_infusions(&rows, keys, patient)?.list;
    let found = courses(list.iter().map(|stored| (stored.id, &stored.doc)), |at| settings.zone_at(at).date(at));
    let list = CourseList { items: found.into_iter().map(CourseView::from).collect() };
    Ok(door.whole_list("list_courses", &list, &when))
}
