//! Advice on driving after an infusion.

use jiff::Timestamp;
use jiff::civil::Time;

use super::params::WindowParams;
use super::{german, spanish};
use crate::kernel::Zone;
use crate::kernel::locale::TextLanguage;

/// The advice in English, with the place of the earliest time in it.
const DRIVING: &str =
    "Please do not drive before {when}, and not before a night's sleep. Your clinic may ask for longer.";
/// The local time of the morning after.
pub const MORNING: Time = Time::constant(6, 0, 0, 0);

/// Returns the advice with `{when}` in the place of the earliest time.
pub const fn driving_advice(language: TextLanguage) -> &'static str {
    match language {
        TextLanguage::English => DRIVING,
        TextLanguage::German => german::DRIVING,
        TextLanguage::Spanish => spanish::DRIVING,
    }
}

/// Returns the advice on driving after an infusion that ended at `end`: a day and a night have to pass. Whichever is
/// later counts, the hours or the morning after. Words, no time to count down.
pub fn driving(params: &WindowParams, end: Timestamp, zone: &Zone, language: TextLanguage) -> Option<String> {
    let morning = zone.instant(zone.date(end).tomorrow().ok()?, MORNING);
    let until = end.checked_add(params.no_driving()).ok()?.max(morning);
    let at = zone.local(until);
    let when = match language {
        TextLanguage::English => at.strftime("%A %-d %B, %H:%M").to_string(),
        TextLanguage::German => german::when(at),
        TextLanguage::Spanish => spanish::when(at),
    };
    Some(driving_advice(language).replace("{when}", &when))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_drives_before_a_day_and_a_night_have_passed() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let told = |end: &str, language| driving(WindowParams::shipped(), end.parse().unwrap(), &berlin, language);
        let said = |end: &str| told(end, TextLanguage::English).unwrap();
        let words = said("2026-03-10T09:40:00Z");
        assert!(words.contains("before Wednesday 11 March, 10:40, and not before a night's sleep"), "{words}");
        // The clocks go forward in the night: the hours count.
        let words = said("2026-03-28T09:40:00Z");
        assert!(words.contains("Sunday 29 March, 11:40"), "{words}");
        let words = told("2026-03-28T09:40:00Z", TextLanguage::German).unwrap();
        assert!(
            words.contains("nicht vor Sonntag, 29. März, 11:40 Uhr ans Steuer, und nicht, bevor du eine Nacht"),
            "{words}"
        );
        let words = told("2026-12-31T09:05:00Z", TextLanguage::Spanish).unwrap();
        assert!(words.contains("antes del viernes 1 de enero, 10:05, ni antes de haber dormido"), "{words}");
    }
}
