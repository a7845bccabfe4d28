//! The parameters of a window, as part of a protocol.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::dose::Route;
use super::hours::duration;
use super::phase::Phase;
use crate::kernel::locale::primary;
use crate::kernel::{Fields, Result};

/// The unit of every number: hours since the end of administration.
const UNITS: &str = "hours_since_administration_end";

/// One leap year; keeps every sum of an instant and hours within what an instant can hold.
const MOST_HOURS: f64 = 8784.0;

/// The parameters of a window: data of a protocol, versioned with it.
///
/// Source of the default numbers: `clinical.md` §1.2 to §1.5. They are heuristics, not fitted to data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowParams {
    /// The name of this set.
    pub key: String,
    /// Its version, from 1.
    pub version: u32,
    /// The state of its clinical sign-off.
    pub status: String,
    /// Always `hours_since_administration_end`.
    pub units: String,
    /// The texts that go with every window.
    pub disclaimer: String,
    /// The same in other languages, by primary language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disclaimers: BTreeMap<String, String>,
    /// The shape of the index.
    pub curve: CurveParams,
    /// The six phases after an infusion, in their order, without gaps, the last one open.
    pub phases: Vec<PhaseHours>,
    /// The times of the overlay `prep`.
    pub prep_overlay: PrepHours,
    /// The parameters of a route.
    pub routes: Routes,
    /// The time without driving.
    pub no_driving: NoDriving,
}

/// The shape of the index: a normalised difference of two exponentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurveParams {
    /// The formula.
    pub model: CurveModel,
    /// Time constant of the rise, hours.
    pub tau_rise_h: f64,
    /// Time constant of the decay, hours; more than that of the rise.
    pub tau_decay_h: f64,
    /// The height of the peak, above 0 and at most 1. The same for every route: no human data rank routes.
    pub amplitude: f64,
    /// The combination of overlapping infusions.
    pub combine: Combine,
    /// The last hour since the end, inclusive, at which the index counts.
    pub horizon_h: f64,
    /// The name of the disclaimer among the consent texts.
    pub disclaimer_key: String,
}

/// The formula of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveModel {
    /// `exp(-t/decay) - exp(-t/rise)`, divided by its peak.
    BatemanNormalised,
}

/// The combination of overlapping infusions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// The largest counts.
    Max,
}

/// The hours of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseHours {
    /// The phase.
    pub key: Phase,
    /// Its first hour, inclusive.
    pub start_h: f64,
    /// Its last hour, exclusive; none for the last phase.
    pub end_h: Option<f64>,
}

/// The hours of the overlay `prep`, relative to the start of the next infusion. They are 0 or negative.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepHours {
    /// Its first hour, inclusive.
    pub start_h: f64,
    /// Its last hour, exclusive.
    pub end_h: f64,
}

/// The parameters of each route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// Infusion into a vein.
    pub iv_infusion: RouteParams,
    /// Injection into a muscle.
    pub im: RouteParams,
    /// Injection or pump under the skin.
    pub sc: RouteParams,
    /// Nasal spray of racemic ketamine.
    pub in_racemic: RouteParams,
    /// Nasal spray of esketamine.
    pub in_esketamine: RouteParams,
    /// Under the tongue.
    pub sublingual: RouteParams,
    /// Swallowed.
    pub oral: RouteParams,
}

impl Routes {
    /// Returns the parameters of `route`.
    pub fn of(&self, route: Route) -> RouteParams {
        match route {
            Route::IvInfusion => self.iv_infusion,
            Route::Im => self.im,
            Route::Sc => self.sc,
            Route::InRacemic => self.in_racemic,
            Route::InEsketamine => self.in_esketamine,
            Route::Sublingual => self.sublingual,
            Route::Oral => self.oral,
        }
    }
}

/// The parameters of a route.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteParams {
    /// The delay of the index in hours.
    pub lag_h: f64,
    /// The duration of `acute` in hours. `settling` starts then, and no other phase moves.
    pub acute_h: f64,
}

/// The time without driving after an infusion.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoDriving {
    /// The least number of hours.
    pub min_h: f64,
    /// Whether a night's sleep must have passed too.
    pub and_after_sleep: bool,
}

/// The start and end of a phase, as time since the end of the infusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) phase: Phase,
    pub(super) start: SignedDuration,
    pub(super) end: Option<SignedDuration>,
}

static SHIPPED: LazyLock<WindowParams> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the file is embedded, and a test reads and validates it")]
    serde_json::from_str(include_str!("default.json")).expect("default.json holds window parameters")
});

impl WindowParams {
    /// Returns the default parameters, which are part of the program.
    pub fn shipped() -> &'static Self {
        &SHIPPED
    }

    /// Checks the rules that the types cannot express. Parameters from outside are checked before use.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::kernel::Error::Invalid) with a pointer into these parameters for each fault.
    pub fn validate(&self) -> Result<()> {
        let mut fields = Fields::new();
        fields.check(!self.key.trim().is_empty(), "/key", "must not be empty");
        fields.check(self.version >= 1, "/version", "must be at least 1");
        fields.check(self.units == UNITS, "/units", "must be hours_since_administration_end");
        fields.check(!self.disclaimer.trim().is_empty(), "/disclaimer", "must not be empty");
        let translated = self.disclaimers.values().all(|text| !text.trim().is_empty());
        fields.check(translated, "/disclaimers", "must not be empty");
        self.validate_curve(&mut fields);
        self.validate_phases(&mut fields);
        let prep = self.prep_overlay;
        let prep_right = -MOST_HOURS <= prep.start_h && prep.start_h < prep.end_h && prep.end_h <= 0.0;
        fields.check(prep_right, "/prep_overlay", "must start before it ends, and end at 0 or before");
        self.validate_routes(&mut fields);
        fields.check(hours_fit(self.no_driving.min_h), "/no_driving/min_h", "must be from 0 to 8784 hours");
        fields.done()
    }

    fn validate_curve(&self, fields: &mut Fields) {
        let curve = &self.curve;
        fields.check(curve.tau_rise_h > 0.0, "/curve/tau_rise_h", "must be more than 0");
        let slower = curve.tau_decay_h > curve.tau_rise_h && curve.tau_decay_h <= MOST_HOURS;
        fields.check(slower, "/curve/tau_decay_h", "must be more than tau_rise_h and at most 8784");
        let height = curve.amplitude > 0.0 && curve.amplitude <= 1.0;
        fields.check(height, "/curve/amplitude", "must be more than 0 and at most 1");
        let horizon = curve.horizon_h > 0.0 && hours_fit(curve.horizon_h);
        fields.check(horizon, "/curve/horizon_h", "must be more than 0 and at most 8784 hours");
    }

    fn validate_phases(&self, fields: &mut Fields) {
        let complete = self.phases.iter().map(|hours| hours.key).eq(Phase::AFTER);
        fields.check(complete, "/phases", "must be acute, settling, peak, consolidate, closing and maintenance");
        // The first phase starts at the end of the infusion: a later start would leave hours without a phase.
        let mut reached = Some(0.0);
        for (number, hours) in self.phases.iter().enumerate() {
            let at = format!("/phases/{number}");
            let joined = reached.is_some_and(|end: f64| end.total_cmp(&hours.start_h).is_eq());
            fields.check(joined, &at, "must start where the one before ends, the first one at 0");
            let ascending = hours.end_h.is_none_or(|end| end > hours.start_h && hours_fit(end));
            fields.check(ascending, &at, "must end after its start, and within 8784 hours");
            let last = number + 1 == self.phases.len();
            fields.check(last == hours.end_h.is_none(), &at, "must have an end, unless it is the last one");
            reached = hours.end_h;
        }
    }

    fn validate_routes(&self, fields: &mut Fields) {
        let settling_end = self.phases.iter().find(|hours| hours.key == Phase::Settling).and_then(|hours| hours.end_h);
        for route in Route::ALL {
            let RouteParams { lag_h, acute_h } = self.routes.of(route);
            let name = route.name();
            let lag = hours_fit(lag_h) && lag_h < self.curve.horizon_h;
            fields.check(lag, &format!("/routes/{name}/lag_h"), "must be 0 or more, and less than the horizon");
            let acute = acute_h > 0.0 && settling_end.is_some_and(|end| acute_h < end);
            fields.check(
                acute,
                &format!("/routes/{name}/acute_h"),
                "must be more than 0, and end before settling does",
            );
        }
    }

    /// Returns the disclaimer in the language of a BCP 47 tag, or in the protocol's own.
    pub fn disclaimer_for(&self, reader: &str) -> &str {
        self.disclaimers.get(primary(reader)).unwrap_or(&self.disclaimer)
    }

    /// Returns the time since its end in which an infusion counts in the index.
    pub fn horizon(&self) -> SignedDuration {
        duration(self.curve.horizon_h)
    }

    /// Returns the duration of the acute phase after an infusion by `route`.
    pub fn acute(&self, route: Route) -> SignedDuration {
        duration(self.routes.of(route).acute_h)
    }

    /// Returns the time without driving, the same for every route.
    pub(super) fn no_driving(&self) -> SignedDuration {
        duration(self.no_driving.min_h)
    }

    /// Returns the times from the end of an infusion by `route` at which `phase` starts and ends; an end only if it has
    /// one.
    pub fn phase_times(&self, route: Route, phase: Phase) -> Option<(SignedDuration, Option<SignedDuration>)> {
        self.spans(route).find(|span| span.phase == phase).map(|span| (span.start, span.end))
    }

    /// Lists the phases after an infusion by `route`, in their order.
    pub(super) fn spans(&self, route: Route) -> impl Iterator<Item = Span> {
        let acute = self.acute(route);
        self.phases.iter().map(move |hours| Span {
            phase: hours.key,
            start: if hours.key == Phase::Settling { acute } else { duration(hours.start_h) },
            end: if hours.key == Phase::Acute { Some(acute) } else { hours.end_h.map(duration) },
        })
    }
}

/// Whether a boundary may have this number of hours.
fn hours_fit(hours: f64) -> bool {
    (0.0..=MOST_HOURS).contains(&hours)
}
