//! The window in the bundle: what an app needs to derive the phase of an instant, and the words to show it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::locale::TextLanguage;
use crate::planning::window::{MORNING, Phase, Route, WindowParams, driving_advice};

/// The phases of the window that an infusion opens, and the advice on driving.
///
/// An instant has the phase `in_session` during an infusion that has begun, `none` before the end of the first one, and
/// else the phase by the hours that have passed since the last completed one ended. There is no curve here and no index:
/// the owner sees words and days.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleWindow)]
pub struct WindowWords {
    /// The explanation of the picture. Show it with the phases.
    disclaimer: String,
    /// Every phase, in the order in which an infusion passes them.
    phases: Vec<PhaseWords>,
    /// The hours of the acute phase, by the route of the infusion. They stand for the end of `acute` and the start of
    /// `settling`.
    #[schema(value_type = HashMap<String, f64>, example = json!({ "iv_infusion": 2.0, "oral": 4.0 }))]
    acute_hours: BTreeMap<&'static str, f64>,
    /// The overlay `prep`, in hours since the start of the next infusion.
    prep: PrepHours,
    /// The advice on driving after an infusion.
    driving: DrivingAdvice,
}

/// A phase with its words.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundlePhase)]
struct PhaseWords {
    /// The phase.
    #[schema(value_type = String, example = "peak")]
    key: Phase,
    /// Its label.
    #[schema(example = "Open window")]
    label: &'static str,
    /// One plain sentence about it.
    sentence: &'static str,
    /// Its first hour since the end of the infusion, inclusive; absent for `none` and `in_session`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 24.0)]
    start_h: Option<f64>,
    /// Its last hour, exclusive; absent if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 72.0)]
    end_h: Option<f64>,
}

/// The hours of the overlay `prep`. They are 0 or negative.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundlePrep)]
struct PrepHours {
    /// Its first hour, inclusive.
    #[schema(example = -72.0)]
    start_h: f64,
    /// Its last hour, exclusive.
    #[schema(example = 0.0)]
    end_h: f64,
}

/// The advice on driving after a completed infusion: `{when}` is the later of two instants, by the clock of the zone in
/// which the patient was when it ended, also if they have moved since.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleDriving)]
struct DrivingAdvice {
    /// The text. The server writes `{when}` as `Wednesday 11 March, 10:40 Berlin time (UTC+01)`, in German
    /// `Mittwoch, 11. März, 10:40 Uhr Ortszeit Berlin (UTC+01)`, in Spanish
    /// `miércoles 11 de marzo, 10:40, hora de Berlin (UTC+01)`. The place is the last part of the zone's name, with a
    /// space for `_`; zones of no place (without `/`, or `Etc/…`) have the offset only: `10:40 (UTC+00)`. The offset is
    /// the one at that time, with its minutes if there are any: `UTC+05:30`.
    text: &'static str,
    /// The hours after the end of the infusion: the first instant.
    #[schema(example = 24.0)]
    hours: f64,
    /// The local time on the date after that of the end: the second instant.
    #[schema(example = "06:00")]
    morning: String,
}

impl WindowWords {
    /// Returns the phases by `params`, in the words of the language `locale`.
    pub fn new(params: &WindowParams, locale: &str) -> Self {
        let language = TextLanguage::of(locale);
        let phase = |key: Phase| {
            let hours = params.phases.iter().find(|hours| hours.key == key);
            PhaseWords {
                key,
                label: key.label(language),
                sentence: key.sentence(language),
                start_h: hours.map(|hours| hours.start_h),
                end_h: hours.and_then(|hours| hours.end_h),
            }
        };
        Self {
            disclaimer: params.disclaimer_for(locale).to_owned(),
            phases: Phase::ALL.into_iter().map(phase).collect(),
            acute_hours: Route::ALL.into_iter().map(|route| (route.name(), params.routes.of(route).acute_h)).collect(),
            prep: PrepHours { start_h: params.prep_overlay.start_h, end_h: params.prep_overlay.end_h },
            driving: DrivingAdvice {
                text: driving_advice(language),
                hours: params.no_driving.min_h,
                morning: MORNING.strftime("%H:%M").to_string(),
            },
        }
    }
}
