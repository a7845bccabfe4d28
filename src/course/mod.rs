//! The course of a treatment: infusions, the courses they make, and pauses.
//!
//! Owns the documents of infusions and pauses, their rules and changes, and the window that the infusions open. A
//! stored document was valid when it was stored. An infusion only moves forward:
//! `planned → completed | cancelled | no_show`, `completed → cancelled`; a `provisional` one may become anything.
//! Courses are derived from the infusions each time. The prompts that follow from an infusion do not belong here: they
//! are planned at the end of the unit that changed it.

pub mod actions;
pub mod draft;
pub mod model;
pub mod pauses;
mod routes;
pub mod series;
pub mod status;
mod store;
mod surroundings;
#[cfg(test)]
mod tests;

pub use draft::InfusionDraft;
pub use model::{InfusionFacts, PauseDoc, PauseRequest, REPORTED, Reported, clash};
pub use routes::{InfusionView, configure_patient, read_infusion, read_pause};
pub use series::{Course, courses};
pub use status::{CourseKind, InfusionStatus, Source};
pub use store::{
    InfusionRow, OpenedInfusions, PauseRow, SealedContextSource, StoredDocument, background, count_infusions, doses,
    find_infusion, infusion_exists, list_infusion_rows, list_infusion_versions, list_infusions, list_infusions_of,
    list_pause_versions, list_pauses, list_pauses_among, list_pauses_of, open_doses, open_infusions, open_periods,
    pause_periods, silence, update_infusion,
};
pub use surroundings::{ContextSource, Needed};
