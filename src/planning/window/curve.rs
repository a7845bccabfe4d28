//! The index: how open the window may be, as a teaching heuristic between 0 and 1.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::dose::{Dose, Route};
use super::hours::{after, duration, hours_between};
use super::params::{Combine, CurveModel, WindowParams};

/// The step between two points of a sampled curve, hours.
const STEP_H: f64 = 6.0;

/// One point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct CurvePoint {
    /// Hours since the end of the most recent infusion.
    #[schema(example = 24.0)]
    pub hours: f64,
    /// The index at that hour, from 0 to 1, of all infusions known at the requested instant.
    #[schema(example = 0.995)]
    pub index: f64,
}

/// The curve of one set of parameters, with its peak computed once.
pub(super) struct Curve<'a> {
    params: &'a WindowParams,
    horizon: SignedDuration,
    peak: f64,
}

impl<'a> Curve<'a> {
    pub(super) fn new(params: &'a WindowParams) -> Self {
        let (rise, decay) = (params.curve.tau_rise_h, params.curve.tau_decay_h);
        // At the peak, the derivative of the difference is zero.
        let peak_at = (decay / rise).ln() * rise * decay / (decay - rise);
        let curve = Self { params, horizon: params.horizon(), peak: 0.0 };
        Self { peak: curve.raw(peak_at), ..curve }
    }

    /// Computes the difference of exponentials, not normalised.
    fn raw(&self, hours: f64) -> f64 {
        let CurveModel::BatemanNormalised = self.params.curve.model;
        (-hours / self.params.curve.tau_decay_h).exp() - (-hours / self.params.curve.tau_rise_h).exp()
    }

    /// Computes the index of one infusion by `route`, `elapsed` after its end. The horizon counts from the end, not
    /// from the lag.
    fn of_one(&self, route: Route, elapsed: SignedDuration) -> f64 {
        let late = elapsed.as_secs_f64() / 3600.0 - self.params.routes.of(route).lag_h;
        if elapsed > self.horizon || late <= 0.0 || self.peak <= 0.0 {
            return 0.0;
        }
        (self.params.curve.amplitude * self.raw(late) / self.peak).clamp(0.0, 1.0)
    }

    /// Computes the index at `at` of all infusions that have ended by `known`.
    pub(super) fn index(&self, doses: &[Dose], known: Timestamp, at: Timestamp) -> f64 {
        let Combine::Max = self.params.curve.combine;
        doses
            .iter()
            .filter_map(|dose| Some((dose, dose.end().filter(|end| *end <= known)?)))
            .map(|(dose, end)| self.of_one(dose.route, at.duration_since(end)))
            .fold(0.0, f64::max)
    }

    /// Samples the index from `end` to the horizon, every [`STEP_H`] hours, of all infusions that have ended by
    /// `known`.
    pub(super) fn sample(&self, doses: &[Dose], known: Timestamp, end: Timestamp) -> Vec<CurvePoint> {
        let step = duration(STEP_H);
        std::iter::successors(Some(SignedDuration::ZERO), |elapsed| elapsed.checked_add(step))
            .take_while(|elapsed| *elapsed <= self.horizon)
            .map(|elapsed| {
                let at = after(end, elapsed);
                CurvePoint { hours: hours_between(end, at), index: self.index(doses, known, at) }
            })
            .collect()
    }
}
