//! The operations on the activity of a patient.

mod activity;

use crate::http::Operations;

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(activity::get_activity);
}
