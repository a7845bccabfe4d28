//! The operations on infusions, courses and pauses, and the window.

mod courses;
mod infusion;
mod infusions;
mod pauses;
mod window;

use crate::http::Operations;

pub use infusion::{InfusionView, read_infusion};
pub use pauses::read_pause;

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config
        .service(infusions::list_infusions)
        .service(infusions::put_infusion)
        .service(infusions::get_infusion)
        .service(infusions::patch_infusion)
        .service(infusions::start_infusion)
        .service(infusions::end_infusion)
        .service(courses::list_courses)
        .service(window::get_window)
        .service(window::get_clinical_window)
        .service(pauses::list_pauses)
        .service(pauses::put_pause)
        .service(pauses::delete_pause);
}
