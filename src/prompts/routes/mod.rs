//! The operations around infusions and what follows from them.

mod activity;
mod courses;
mod infusion;
mod infusions;
pub(crate) mod me;
pub(crate) mod overrides;
mod pauses;
mod window;

use jiff::Timestamp;

use crate::http::Operations;
use crate::kernel::fields::Fields;

/// Registers what lies below `/v1`.
pub fn configure(config: &mut Operations<'_, '_>) {
    config.service(me::get_me).service(me::patch_me);
}

/// Registers what lies below `/v1/patients/{patient_id}`.
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
        .service(activity::get_activity)
        .service(overrides::get_overrides)
        .service(overrides::put_overrides)
        .service(pauses::list_pauses)
        .service(pauses::put_pause)
        .service(pauses::delete_pause);
}

/// An instant of the wire: RFC 3339 with an offset, to the microsecond.
pub(crate) fn instant(fields: &mut Fields, pointer: &str, text: Option<String>) -> Option<Timestamp> {
    text.and_then(|text| fields.take(pointer, parse_instant(&text)))
}

fn parse_instant(text: &str) -> Result<Timestamp, &'static str> {
    let at = text.parse::<Timestamp>().ok().map(crate::kernel::clock::micros);
    let range = Timestamp::UNIX_EPOCH.as_second()..=4_102_444_800;
    at.filter(|at| range.contains(&at.as_second()))
        .ok_or("must be an instant in RFC 3339 with an offset, such as 2026-03-10T09:00:00Z")
}
