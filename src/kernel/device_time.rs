//! Times as devices write them.

use jiff::civil::Time;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::Fields;
use super::clock::micros;

/// The message for a text that is no instant in range.
const WRONG: &str = "must be an RFC 3339 time with an offset, such as 2026-11-02T21:30:00+01:00";
/// The last second that a plan, a pause or an infusion can name: the beginning of 2100.
const LAST: i64 = 4_102_444_800;

/// The most that a device may be ahead of the server's clock before its times are odd.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The age beyond which a time is odd.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(366 * 24);
/// The most that a record may precede the event before its times are odd.
const BEFOREHAND: SignedDuration = SignedDuration::from_hours(24);

/// Parses an instant as a device writes it, with its offset from UTC.
///
/// # Errors
///
/// A sentence for the person who sent it.
pub fn instant(text: &str) -> Result<(Timestamp, Offset), &'static str> {
    let pieces = Pieces::parse(text).ok().filter(|pieces| pieces.time_zone_annotation().is_none());
    let pieces = pieces.ok_or(WRONG)?;
    // RFC 3339 knows no seconds in an offset, and none of a day or more.
    let offset =
        pieces.to_numeric_offset().filter(|offset| offset.seconds() % 60 == 0 && offset.seconds().abs() < 86_400);
    let (time, offset) = pieces.time().zip(offset).ok_or(WRONG)?;
    let at = offset.to_timestamp(pieces.date().to_datetime(time)).ok().ok_or(WRONG)?;
    Ok((micros(at), offset))
}

/// Takes the instant at `pointer` of a request, between 1970 and 2100, or notes a fault.
pub fn take(fields: &mut Fields, pointer: &str, text: Option<String>) -> Option<Timestamp> {
    let in_range =
        |(at, _): (Timestamp, Offset)| Some(at).filter(|at| (0..=LAST).contains(&at.as_second())).ok_or(WRONG);
    text.and_then(|text| fields.take(pointer, instant(&text).and_then(in_range)))
}

/// Parses a local time to the minute, such as 21:00.
///
/// # Errors
///
/// A sentence for the person who sent it.
pub fn local_time(text: &str) -> Result<Time, &'static str> {
    let five = text.len() == 5;
    five.then(|| Time::strptime("%H:%M", text).ok()).flatten().ok_or("must be a local time such as 21:00")
}

/// Whether times are odd, seen from the time of their arrival. An object with odd times is kept, and flagged.
pub fn is_odd(occurred_at: Timestamp, recorded_at: Option<Timestamp>, received_at: Timestamp) -> bool {
    let ahead = |at: Timestamp| at.duration_since(received_at) > SKEW;
    ahead(occurred_at)
        || received_at.duration_since(occurred_at) > LONG_AGO
        || recorded_at.is_some_and(ahead)
        || recorded_at.is_some_and(|at| occurred_at.duration_since(at) > BEFOREHAND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_has_an_offset_and_a_range() {
        let taken = |text: &str| {
            let mut fields = Fields::new();
            let at = take(&mut fields, "/at", Some(text.to_owned()));
            fields.finish(at).map(|at| at.to_string()).ok()
        };
        for (text, at) in [
            ("2026-11-02T21:30:00+01:00", Some("2026-11-02T20:30:00Z")),
            ("1970-01-01T00:00:00Z", Some("1970-01-01T00:00:00Z")),
            ("2100-01-01T00:00:00Z", Some("2100-01-01T00:00:00Z")),
            ("2100-01-01T00:00:01Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-02T21:30:00", None),
            ("2026-11-02T21:30:00+01:00[Europe/Berlin]", None),
            ("2026-11-02", None),
        ] {
            assert_eq!(taken(text).as_deref(), at, "{text}");
        }
    }

    #[test]
    fn a_local_time_has_hours_and_minutes() {
        assert_eq!(local_time("21:05").unwrap(), jiff::civil::time(21, 5, 0, 0));
        for odd in ["9:05", "24:00", "21:05:00", "21.05", "noon!"] {
            assert!(local_time(odd).is_err(), "{odd}");
        }
    }
}
