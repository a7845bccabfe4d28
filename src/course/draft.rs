//! Commands to record an infusion, not yet checked.

use jiff::Timestamp;
use serde::Serialize;

use super::status::{CourseKind, InfusionStatus};
use crate::kernel::Id;
use crate::kernel::id::Infusion;
use crate::planning::window::Route;

/// The fields of a command to record an infusion, not yet checked.
///
/// It serialises as the body of the PUT that gives it: the creation of an infusion is known by that
/// ([`Creation`](crate::kernel::Creation)), and merge patches are applied to it. A field that is renamed here keeps its
/// name on the wire by `#[serde(rename)]`.
#[derive(Clone, Debug, Serialize)]
pub struct InfusionDraft {
    /// `planned` or `completed`.
    pub status: InfusionStatus,
    /// How it is given.
    pub route: Route,
    /// The planned start.
    pub planned_start: Option<Timestamp>,
    /// How long it is to last.
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
    /// Whether somebody trained was there; `true` unless said otherwise.
    pub supervised: Option<bool>,
    /// A remark.
    pub note: Option<String>,
    /// Infusions within six hours that this one is not.
    pub distinct_from: Vec<Id<Infusion>>,
    /// The patient's report of the same administration, which a new record replaces.
    pub same_as: Option<Id<Infusion>>,
    /// Of what kind of course it is a part.
    pub course: Option<CourseKind>,
    /// The reason of the cancellation.
    pub cancel_reason: Option<String>,
}

impl InfusionDraft {
    /// A draft that says nothing but where it stands and how it is given.
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
