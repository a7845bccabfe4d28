//! The operations on a patient's settings.

mod me;
mod overrides;

pub use me::{QuietHoursDto, changed_settings, parse_quiet_hours, parse_weekday};
pub use overrides::PutOverride;

use crate::http::Operations;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config.service(me::get_me).service(me::patch_me);
}

/// Registers the operations below `/v1/patients/{patient_id}`.
pub fn configure_patient(config: &mut Operations<'_, '_>) {
    config.service(overrides::get_overrides).service(overrides::put_overrides);
}
