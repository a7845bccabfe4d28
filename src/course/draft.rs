//! Commands to record and to change an infusion, not yet checked.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;

use super::model::InfusionStatus;
use super::series::CourseKind;
use crate::kernel::id::Infusion;
use crate::kernel::{Change, Id};
use crate::planning::window::Route;

/// What a command to record an infusion says, not yet checked.
#[derive(Clone, Debug)]
pub struct InfusionDraft {
    /// `planned` or `completed`.
    pub status: InfusionStatus,
    /// How it is given.
    pub route: Route,
    /// When it is to start.
    pub planned_start: Option<Timestamp>,
    /// How long it is to last.
    pub planned_minutes: Option<i64>,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Dose in milligrams.
    pub dose_mg: Option<f64>,
    /// Body weight in kilograms.
    pub weight_kg: Option<f64>,
    /// Where and how, in words.
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
    /// Why it was cancelled.
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

    /// A digest of all it says, by which a creation that is sent again is known.
    pub fn digest(&self) -> String {
        let digest = digest::digest(&digest::SHA256, format!("{self:?}").as_bytes());
        STANDARD_NO_PAD.encode(digest.as_ref())
    }
}

/// What a command to change an infusion says, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct InfusionPatch {
    /// The new status.
    pub status: Option<InfusionStatus>,
    /// The new route.
    pub route: Option<Route>,
    /// When it is to start.
    pub planned_start: Change<Timestamp>,
    /// How long it is to last.
    pub planned_minutes: Change<i64>,
    /// When it started.
    pub started_at: Change<Timestamp>,
    /// When it ended.
    pub ended_at: Change<Timestamp>,
    /// Dose in milligrams.
    pub dose_mg: Change<f64>,
    /// Body weight in kilograms.
    pub weight_kg: Change<f64>,
    /// Where and how, in words.
    pub setting: Change<String>,
    /// Whether somebody trained was there.
    pub supervised: Option<bool>,
    /// A remark.
    pub note: Change<String>,
    /// Infusions within six hours that this one is not; replaces the list.
    pub distinct_from: Option<Vec<Id<Infusion>>>,
    /// Of what kind of course it is a part.
    pub course: Change<CourseKind>,
    /// Why it was cancelled.
    pub cancel_reason: Change<String>,
}
