//! The settings of a patient, and the changes that their therapists made for them.
//!
//! Owns the row of a patient's settings: the sealed document (zones lived in, quiet hours, weekly day, language,
//! country, notifications, overrides of the protocol) and the cautions. The cautions are sealed by themselves, because
//! the patient must not see that one was set. Promises that the history of zones only grows, by a person's hand only at its
//! end, and that no override touches a safety rule. The times of prompts follow from the settings and do not belong here.

pub mod actions;
mod model;
pub mod overrides;
mod routes;
mod store;
#[cfg(test)]
mod tests;

pub use actions::{settings, settings_or_default};
pub use model::{CautionFlag, ChosenProtocols, ClinicCautions, Notifications, OWN_FIELDS, Settings};
pub use routes::{QuietHoursDto, changed_settings, configure, parse_quiet_hours, parse_weekday};
pub use store::{
    SealedCautions, SettingsRow, find_cautions, find_own_cautions, find_sealed_cautions, find_settings,
    find_settings_version, insert_settings, open_or_default, open_settings, update_cautions,
};

/// The name in the patient's log of every change of what they are offered: of the protocol, and of the reasons against
/// exercises. One name for both, because it must not tell that there is a reason.
pub const CHANGED_OFFER: &str = "changed_offer";
