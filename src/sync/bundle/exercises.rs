//! The words around exercises in the bundle.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::exercises::catalogue::Availability;
use crate::exercises::fit::Fit;
use crate::exercises::model::{HIGH, ROSE};
use crate::exercises::translations::Common;
use crate::exercises::view::GENTLE;

/// The reasons for a suggestion. Of `done_before` and `done_today` the first has the days in it.
const REASONS: [&str; 7] = ["assignment", "prompt", "phase", "minutes", "not_done_yet", "done_before", "done_today"];

/// The words around exercises.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleExerciseWords)]
pub struct ExerciseWords {
    /// The text for an exercise that is not offered, by its `offer`.
    #[schema(value_type = HashMap<String, String>)]
    offers: BTreeMap<&'static str, &'static str>,
    /// The advice on the fit of an exercise to the phase, by `fit`: `good` in one of its phases, `late` when all of them
    /// are over, else `early`. `in_session` counts as `acute`, and `none` as `maintenance`.
    #[schema(value_type = HashMap<String, String>)]
    fits: BTreeMap<&'static str, &'static str>,
    /// The reasons for a suggestion, by their codes. `{days}` in `done_before` is the number of days; `done_today` has
    /// its place on the same day.
    #[schema(value_type = HashMap<String, String>)]
    reasons: BTreeMap<&'static str, &'static str>,
    /// The offer of grounding at the end of an exercise.
    support: SupportRule,
}

/// The offer of grounding at the end of an exercise that raised distress.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleSupport)]
struct SupportRule {
    /// The lowest `distress.after` at which it is made.
    #[schema(example = 8)]
    after: u8,
    /// The least rise from `distress.before` to `distress.after` at which it is made.
    #[schema(example = 3)]
    rise: u8,
    /// The exercise to offer.
    #[schema(example = "grounding-54321")]
    exercise_key: &'static str,
    /// The text. The app shows it at once; nobody else sees it.
    text: &'static str,
}

impl ExerciseWords {
    /// Returns the words in the language of `locale`.
    pub fn new(locale: &str) -> Self {
        let common = Common::of(locale);
        let word = |list: &str, name: &'static str| (name, common.get(&format!("{list}.{name}")));
        let offers = [Availability::WithTherapist, Availability::NotNow];
        Self {
            offers: offers.into_iter().map(|offer| word("offer", offer.name())).collect(),
            fits: [Fit::Good, Fit::Early, Fit::Late].into_iter().map(|fit| word("fit", fit.name())).collect(),
            reasons: REASONS.into_iter().map(|reason| word("reason", reason)).collect(),
            support: SupportRule { after: HIGH, rise: ROSE, exercise_key: GENTLE, text: common.get("grounding_offer") },
        }
    }
}
