//! The operations on a patient's settings.

mod me;

pub use me::{QuietHoursDto, changed_settings, parse_quiet_hours, parse_weekday};

use crate::http::Operations;

/// Registers the operations below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config.service(me::get_me).service(me::patch_me);
}
