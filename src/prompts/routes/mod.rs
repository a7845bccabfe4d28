//! The operations on what became of prompts.

mod activity;

use crate::http::Operations;

/// Registers what lies below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(activity::get_activity);
}
