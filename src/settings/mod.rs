//! Where and when a patient lives, and what their therapists have set for them.
//!
//! Owns the row of a patient's settings: the sealed document (zones lived in, quiet hours, weekly day, language, country,
//! notifications, what therapists changed in the protocol) and the cautions, which are sealed by themselves, because the
//! patient is not to see that one was set. Promises that the history of zones only grows at its end, and that no
//! override touches what is for safety. When something is asked follows from the settings and does not belong here.

pub mod actions;
mod model;
pub mod overrides;
mod routes;
mod store;
#[cfg(test)]
mod tests;

pub use actions::settings;
pub use model::{CautionFlag, Notifications, Settings};
pub use routes::{PutOverride, QuietHoursDto, configure, configure_patient, parse_quiet_hours, parse_weekday};
pub use store::{
    SettingsRow, find_cautions, find_settings, insert_settings, open_cautions, open_settings, update_cautions,
};
