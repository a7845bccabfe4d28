//! Advice on driving after an infusion.

use jiff::Timestamp;
use jiff::civil::Time;

use super::params::WindowParams;
use crate::kernel::Zone;

/// The advice, with the place of the earliest time in it.
pub const DRIVING: &str =
    "Please do not drive before {when}, and not before a night's sleep. Your clinic may ask for longer.";
/// The local time of the morning after.
pub const MORNING: Time = Time::constant(6, 0, 0, 0);

/// Returns the advice on driving after an infusion that ended at `end`: a day and a night have to pass. Whichever is later counts,
/// the hours or the morning after. Words, no time to count down.
pub fn driving(params: &WindowParams, end: Timestamp, zone: &Zone) -> Option<String> {
    let morning = zone.instant(zone.date(end).tomorrow().ok()?, MORNING);
    let until = end.checked_add(params.no_driving()).ok()?.max(morning);
    Some(DRIVING.replace("{when}", &zone.local(until).strftime("%A %-d %B, %H:%M").to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_drives_before_a_day_and_a_night_have_passed() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let said = |end: &str| driving(WindowParams::shipped(), end.parse().unwrap(), &berlin).unwrap();
        let words = said("2026-03-10T09:40:00Z");
        assert!(words.contains("before Wednesday 11 March, 10:40, and not before a night's sleep"), "{words}");
        // The clocks go forward in the night: the hours count.
        let words = said("2026-03-28T09:40:00Z");
        assert!(words.contains("Sunday 29 March, 11:40"), "{words}");
    }
}
