//! The local dates between which a list looks.

use jiff::civil::{Date, Time};
use jiff::{Timestamp, ToSpan};

use super::{Fields, Zone};

/// The message for a text that is no date.
const WRONG: &str = "must be a date such as 2026-11-02";
/// The message for a date outside the range.
const OUTSIDE: &str = "must lie between 1900-01-01 and 2199-12-31";

/// Local dates of the patient, both inclusive. It is what `from` and `to` mean in every list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateRange {
    /// The first date.
    pub from: Option<Date>,
    /// The last date.
    pub to: Option<Date>,
}

impl DateRange {
    /// Parses the two dates and notes their faults. `at` stands before the names of fields: `query/` or `/`.
    pub fn take(fields: &mut Fields, at: &str, from: Option<String>, to: Option<String>) -> Self {
        let mut date =
            |name: &str, text: Option<String>| text.and_then(|text| fields.take(&format!("{at}{name}"), parse(&text)));
        let dates = Self { from: date("from", from), to: date("to", to) };
        let in_order = dates.from.zip(dates.to).is_none_or(|(from, to)| from <= to);
        fields.check(in_order, &format!("{at}to"), "must not be earlier than `from`");
        dates
    }

    /// Whether a local date lies between the two.
    pub fn admits(&self, date: Date) -> bool {
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }

    /// Returns the first instant and the end of the instants that may have such a local date. A local date begins and
    /// ends within a day of the same date in UTC.
    pub fn instants(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let start = |date: Date, days: i64| Zone::utc().instant(date.saturating_add(days.days()), Time::midnight());
        (self.from.map(|date| start(date, -1)), self.to.map(|date| start(date, 2)))
    }
}

/// Parses a date of the calendar, as RFC 3339 writes one, from 1900 to 2199.
///
/// # Errors
///
/// A sentence for the person who sent it.
pub fn parse(text: &str) -> Result<Date, &'static str> {
    let date = text.parse::<Date>().map_err(|_why| WRONG)?;
    if date.to_string() != text {
        return Err(WRONG);
    }
    if (1900..=2199).contains(&date.year()) { Ok(date) } else { Err(OUTSIDE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_one_of_the_calendar_and_in_the_range_of_all_times() {
        assert_eq!(parse("2026-11-02"), Ok(jiff::civil::date(2026, 11, 2)));
        let longer =
            ["2026-11-02T10:00", "20261102", "2026-11-02T10:00:00Z", "2026-W45-1", "2026-11-02[Europe/Berlin]"];
        for wrong in longer.into_iter().chain(["", "2026-02-30", "yesterday", " 2026-11-02", "+002026-11-02"]) {
            assert_eq!(parse(wrong), Err(WRONG), "{wrong}");
        }
        for outside in ["1899-12-31", "2200-01-01", "-009999-01-01", "9999-12-31"] {
            assert_eq!(parse(outside), Err(OUTSIDE), "{outside}");
        }
    }

    #[test]
    fn the_instants_of_a_range_are_those_of_its_dates_in_every_zone() {
        let date = jiff::civil::date(2026, 4, 5);
        let range = DateRange { from: Some(date), to: Some(date) };
        let (first, end) = range.instants();
        for zone in ["Pacific/Kiritimati", "Pacific/Auckland", "UTC", "Pacific/Pago_Pago", "Etc/GMT+12"] {
            let zone = Zone::parse(zone).unwrap();
            let begins = zone.instant(date, Time::midnight());
            let ends = zone.instant(date.tomorrow().unwrap(), Time::midnight());
            assert!(first.is_some_and(|first| first <= begins) && end.is_some_and(|end| ends <= end), "{zone:?}");
        }
    }
}
