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
/// What follows a time by the clock of a place.
const PLACE: &str = " {place} time";
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

/// Returns the advice on driving after an infusion that ended at `end`, when the patient was in `zone`: a day and a
/// night have to pass. Whichever is later counts, the hours or the morning after. Words, no time to count down.
///
/// They say by which clock the time is: the patient may read them in another zone, also from an answer that the phone
/// has kept. `patient` is the patient's language. Staff (`None`) read English without the clock, which would tell them in
/// which zone the patient was.
pub fn driving(params: &WindowParams, end: Timestamp, zone: &Zone, patient: Option<TextLanguage>) -> Option<String> {
    let morning = zone.instant(zone.date(end).tomorrow().ok()?, MORNING);
    let until = end.checked_add(params.no_driving()).ok()?.max(morning);
    let (at, language) = (zone.local(until), patient.unwrap_or(TextLanguage::English));
    let (time, place) = match language {
        TextLanguage::English => (at.strftime("%A %-d %B, %H:%M").to_string(), PLACE),
        TextLanguage::German => (german::when(at), german::PLACE),
        TextLanguage::Spanish => (spanish::when(at), spanish::PLACE),
    };
    let clock = patient.map(|_| {
        let place = zone.place().map(|name| place.replace("{place}", &name)).unwrap_or_default();
        format!("{place} (UTC{})", zone.offset(until))
    });
    Some(driving_advice(language).replace("{when}", &format!("{time}{}", clock.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(end: &str, zone: &str, patient: Option<TextLanguage>) -> String {
        driving(WindowParams::shipped(), end.parse().unwrap(), &Zone::parse(zone).unwrap(), patient).unwrap()
    }

    #[test]
    fn nobody_drives_before_a_day_and_a_night_have_passed() {
        let said = |end: &str, language| told(end, "Europe/Berlin", Some(language));
        let words = said("2026-03-10T09:40:00Z", TextLanguage::English);
        assert!(
            words.contains("before Wednesday 11 March, 10:40 Berlin time (UTC+01), and not before a night's sleep"),
            "{words}"
        );
        // The clocks go forward in the night: the hours count.
        let words = said("2026-03-28T09:40:00Z", TextLanguage::English);
        assert!(words.contains("Sunday 29 March, 11:40 Berlin time (UTC+02)"), "{words}");
        let words = said("2026-03-28T09:40:00Z", TextLanguage::German);
        assert!(
            words.contains("vor Sonntag, 29. März, 11:40 Uhr Ortszeit Berlin (UTC+02) ans Steuer, und nicht, bevor du"),
            "{words}"
        );
        let words = said("2026-12-31T09:05:00Z", TextLanguage::Spanish);
        assert!(
            words.contains("antes del viernes 1 de enero, 10:05, hora de Berlin (UTC+01), ni antes de haber dormido"),
            "{words}"
        );
    }

    #[test]
    fn a_patient_anywhere_reads_by_which_clock_they_do_not_drive_and_staff_read_no_clock() {
        for (zone, patient, staff) in [
            ("America/New_York", "10:00 New York time (UTC-04), and", "10:00, and"),
            ("Asia/Kolkata", "19:30 Kolkata time (UTC+05:30), and", "19:30, and"),
            ("Etc/GMT+5", "09:00 (UTC-05), and", "09:00, and"),
            ("UTC", "14:00 (UTC+00), and", "14:00, and"),
        ] {
            for (reader, time) in [(Some(TextLanguage::English), patient), (None, staff)] {
                let words = told("2026-03-10T14:00:00Z", zone, reader);
                assert!(words.contains(&format!("before Wednesday 11 March, {time}")), "{words}");
            }
        }
    }
}
