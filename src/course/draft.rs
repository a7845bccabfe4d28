//! Commands to record an infusion, not yet checked.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::status::{CourseKind, InfusionStatus};
use crate::kernel::id::Infusion;
use crate::kernel::{Error, Id, Result};
use crate::planning::window::Route;

/// The fields of a command to record an infusion, not yet checked.
///
/// It serialises as the body of the PUT that gives it: [`Creation`](crate::kernel::Creation) is computed from that, and
/// merge patches are applied to it. A field that is renamed here keeps its name on the wire by `#[serde(rename)]`.
#[derive(Clone, Debug, Serialize)]
pub struct InfusionDraft {
    /// `planned` or `completed`.
    pub status: InfusionStatus,
    /// The route of administration.
    pub route: Route,
    /// The planned start.
    pub planned_start: Option<Timestamp>,
    /// The planned duration in minutes.
    pub planned_minutes: Option<i64>,
    /// The start.
    pub started_at: Option<Timestamp>,
    /// The end.
    pub ended_at: Option<Timestamp>,
    /// Dose in milligrams.
    pub dose_mg: Option<f64>,
    /// Body weight in kilograms.
    pub weight_kg: Option<f64>,
    /// The setting, in words.
    pub setting: Option<String>,
    /// Whether staff were there; `true` by default.
    pub supervised: Option<bool>,
    /// A remark.
    pub note: Option<String>,
    /// Infusions within six hours that are other administrations.
    pub distinct_from: Vec<Id<Infusion>>,
    /// The patient's report of the same administration, whose place a new record takes.
    pub same_as: Option<Id<Infusion>>,
    /// The kind of the course.
    pub course: Option<CourseKind>,
    /// The reason of the cancellation.
    pub cancel_reason: Option<String>,
}

impl InfusionDraft {
    /// Returns its fields by name.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when they are not representable as JSON.
    pub fn fields(&self) -> Result<Map<String, Value>> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) => Err(Error::internal("an infusion that is no object")),
            Err(error) => Err(Error::Internal(Box::new(error))),
        }
    }

    /// Makes a draft with a status and a route only.
    pub fn new(status: InfusionStatus, route: Route) -> Self {
        Self {
            status,
            route,
            planned_start: None,
            planned_minutes: None,
            started_at: None,
            ended_at: None,
            dose_mg: None,
            weight_kg: None,
            setting: None,
            supervised: None,
            note: None,
            distinct_from: Vec::new(),
            same_as: None,
            course: None,
            cancel_reason: None,
        }
    }
}
