//! The window that an infusion opens: its phases, its index, and its views for each reader.
//!
//! Everything here is pure. A window is never stored: it follows from the infusions, the parameters of the protocol and
//! an instant, so a corrected infusion corrects the window and the context of every entry with it.
//!
//! What holds:
//!
//! - Phases run on **elapsed hours since the end of the infusion**; no zone and no change of clocks moves them. A zone
//!   only turns instants into days, in the [projections](OwnerView).
//! - The index is a **teaching heuristic**, not a measurement: the disclaimer goes out with every answer, and nothing
//!   may use the index to decide on treatment, dose or frequency.
//! - Overlapping infusions combine by the **largest**, never by the sum: a number that climbs with every dose would
//!   reward more dosing.
//! - The owner sees words and days. Index, curve and the instants of boundaries are in the [`ClinicalView`] only,
//!   because a reader can count down with them.
//!
//! What must not go in: SQL, HTTP, the clock, and the planning of prompts, which only asks for phase and readiness.

mod curve;
mod dose;
mod driving;
mod german;
mod hours;
mod model;
mod params;
mod phase;
mod projection;
#[cfg(test)]
mod tests;
mod phase_texts;
mod spanish;

pub use curve::CurvePoint;
pub use dose::{Dose, DoseStatus, Route};
pub use driving::{MORNING, driving, driving_advice};
pub use model::{Context, Overlay, PhaseTime, Rating, ReadinessFacts, Window};
pub use model::{context, doses_for_contexts, doses_for_window, ready, window};
pub use params::{
    Combine, CurveModel, CurveParams, NoDriving, PhaseHours, PrepHours, RouteParams, Routes, WindowParams,
};
pub use phase::Phase;
pub use projection::{ClinicalPhase, ClinicalView, Days, OwnerPhase, OwnerView};
