//! Times as devices write them.

use std::borrow::Cow;

use jiff::civil::Time;
use jiff::fmt::temporal::Pieces;
use jiff::{SignedDuration, Timestamp};

use super::Fields;

/// The message for a text that is no instant.
const WRONG: &str = "must be an RFC 3339 time with an offset, such as 2026-11-02T21:30:00+01:00";
/// The message for a text in which a blank stands before the offset.
const BLANK: &str = "has a blank where a `+` was: in a query, send `+` as `%2B`";
/// The message for an instant outside the range.
const OUTSIDE: &str = "must lie between 1900-01-01T00:00:00Z and 2199-12-31T23:59:59Z";
/// The first second of 1900.
const FIRST: i64 = -2_208_988_800;
/// The last second of 2199.
const LAST: i64 = 7_258_118_399;

/// The most that a device may be ahead of the server's clock before its times are odd.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The age beyond which a time is odd.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(366 * 24);
/// The most that a record may precede the event before its times are odd.
const BEFOREHAND: SignedDuration = SignedDuration::from_hours(24);

/// Parses an instant as a device writes it, with an offset from UTC: the second, whatever stands behind it. One that
/// lies outside the range is the first or the last second of it.
///
/// # Errors
///
/// A sentence for the person who sent it.
pub fn instant(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::from_second(parse(text)?.clamp(FIRST, LAST)).map_err(|_range| OUTSIDE)
}

/// Whether two texts name the same second.
pub fn is_same(one: &str, other: &str) -> bool {
    parse(one).is_ok_and(|second| parse(other) == Ok(second))
}

/// Takes the instant at `pointer` of a request; one that is malformed, or lies outside the range, is a noted fault.
pub fn take(fields: &mut Fields, pointer: &str, text: Option<String>) -> Option<Timestamp> {
    let parsed = |text: String| {
        let second = parse(&text)?;
        let inside = (FIRST..=LAST).contains(&second);
        inside.then(|| Timestamp::from_second(second).ok()).flatten().ok_or(OUTSIDE)
    };
    text.and_then(|text| fields.take(pointer, parsed(text)))
}

/// Parses the second since 1970 that `text` names. RFC 3339 knows more years than [`Timestamp`] does.
fn parse(text: &str) -> Result<i64, &'static str> {
    let text = without_fraction(text).ok_or(WRONG)?;
    let pieces = Pieces::parse(text.as_ref()).ok().filter(|pieces| pieces.time_zone_annotation().is_none());
    let pieces = pieces.ok_or_else(|| if blank_for_plus(&text) { BLANK } else { WRONG })?;
    // RFC 3339 knows no seconds in an offset, and none of a day or more.
    let offset =
        pieces.to_numeric_offset().filter(|offset| offset.seconds() % 60 == 0 && offset.seconds().abs() < 86_400);
    let (time, offset) = pieces.time().zip(offset).ok_or(WRONG)?;
    let at = offset.to_timestamp(pieces.date().to_datetime(time)).map(Timestamp::as_second);
    // Only the ends of the calendar lie outside: year 0 and before, and the last days of 9999.
    Ok(at.unwrap_or(if pieces.date().year() > 0 { i64::MAX } else { i64::MIN }))
}

/// Whether a blank stands where the sign of an offset does. A `+` in a query is read as a blank.
fn blank_for_plus(text: &str) -> bool {
    let offset = text.rsplit_once(' ').filter(|(time, _)| time.contains(['T', 't'])).map(|(_, offset)| offset);
    offset.is_some_and(|offset| offset.len() >= 2 && offset.bytes().all(|b| b.is_ascii_digit() || b == b':'))
}

/// Returns the text without the fraction of its second, of any length; `None` when that is no number.
fn without_fraction(text: &str) -> Option<Cow<'_, str>> {
    let Some((whole, rest)) = text.split_once('.') else { return Some(text.into()) };
    let offset = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    (offset.len() < rest.len()).then(|| format!("{whole}{offset}").into())
}

/// Parses a local time to the minute, such as 21:00.
///
/// # Errors
///
/// A sentence for the person who sent it.
pub fn local_time(text: &str) -> Result<Time, &'static str> {
    // The parser would pass over blanks.
    let five = text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit() || b == b':');
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
            ("2026-11-02T20:30:00.999999999999Z", Some("2026-11-02T20:30:00Z")),
            ("1900-01-01T00:00:00Z", Some("1900-01-01T00:00:00Z")),
            ("1969-12-31T23:59:59.5Z", Some("1969-12-31T23:59:59Z")),
            ("2199-12-31T23:59:59Z", Some("2199-12-31T23:59:59Z")),
            ("2200-01-01T00:00:00Z", None),
            ("1899-12-31T23:59:59Z", None),
            ("9999-12-31T23:59:59Z", None),
            ("0000-01-01T00:00:00Z", None),
            ("2026-11-02T20:30:00.Z", None),
            ("2026-11-02T21:30:00", None),
            ("2026-11-02T21:30:00+01:00[Europe/Berlin]", None),
            ("2026-11-02", None),
        ] {
            assert_eq!(taken(text).as_deref(), at, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_taken_whenever_it_was() {
        for (text, at) in [
            ("0000-01-01T00:00:00+01:00", "1900-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "2199-12-31T23:59:59Z"),
            ("2026-11-02T20:30:00.123456Z", "2026-11-02T20:30:00Z"),
        ] {
            assert_eq!(instant(text).unwrap().to_string(), at, "{text}");
        }
        assert_eq!(instant("yesterday"), Err(WRONG));
    }

    #[test]
    fn a_local_time_has_hours_and_minutes() {
        assert_eq!(local_time("21:05").unwrap(), jiff::civil::time(21, 5, 0, 0));
        for odd in ["9:05", "24:00", "21:05:00", "21.05", "noon!", " 9:05", "09: 5", "9:05\n"] {
            assert!(local_time(odd).is_err(), "{odd}");
        }
    }
}
