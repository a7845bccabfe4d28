//! The facts that planning reads: infusions, zone history, quiet hours, pauses.
//!
//! Owns what a sealed infusion, settings or pause document may say and how it may change. Promises that a stored
//! document is valid at the time it was stored, and that an infusion only moves forward:
//! `planned → completed | cancelled | no_show`, `completed → cancelled`; what nobody said (`provisional`) may become
//! anything. Courses are derived from the infusions each time. What follows from an infusion (phases,
//! prompts) does not belong here.

pub mod draft;
pub mod model;
pub mod series;
pub mod settings;
mod store;
mod surroundings;
#[cfg(test)]
mod tests;

pub use draft::{InfusionDraft, InfusionPatch};
pub use model::{InfusionFacts, InfusionStatus, Reported, Source, clash};
pub use series::{Course, CourseKind, courses};
pub use settings::{CautionFlag, Notifications, Settings};
pub use store::{
    Background, Stored, background, doses, find_cautions, find_infusion, find_settings, infusion_exists,
    insert_infusion, insert_settings, list_infusions, list_pauses, open_cautions, open_settings, put_pause,
    update_cautions, update_infusion, update_settings,
};
pub use surroundings::Surroundings;
