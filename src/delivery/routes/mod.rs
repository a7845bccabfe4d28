//! The operations of devices: the plan that they show by themselves, and their receipts; and how deliveries go.

mod health;
mod plan;
mod receipts;

use crate::http::Operations;

/// Registers what lies below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config.service(health::get_delivery_health);
}

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(plan::get_plan).service(plan::take_plan).service(receipts::receive_delivery);
}
