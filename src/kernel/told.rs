//! What a device says of when something happened.

use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::clock::micros;

/// How far ahead of the server's clock a device may be before its times are doubted.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// What happened longer ago than this is doubted.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Nobody records something days before it happens.
const BEFOREHAND: SignedDuration = SignedDuration::from_hours(24);

/// An instant as a device writes it, with its offset from UTC.
///
/// # Errors
///
/// A sentence for the person who sent it.
pub fn instant(text: &str) -> Result<(Timestamp, Offset), &'static str> {
    const WRONG: &str = "must be an RFC 3339 time with an offset, such as 2026-11-02T21:30:00+01:00";
    let pieces = Pieces::parse(text).ok().filter(|pieces| pieces.time_zone_annotation().is_none());
    let pieces = pieces.ok_or(WRONG)?;
    // RFC 3339 knows no seconds in an offset, and none of a day or more.
    let offset =
        pieces.to_numeric_offset().filter(|offset| offset.seconds() % 60 == 0 && offset.seconds().abs() < 86_400);
    let (time, offset) = pieces.time().zip(offset).ok_or(WRONG)?;
    let at = offset.to_timestamp(pieces.date().to_datetime(time)).ok().ok_or(WRONG)?;
    Ok((micros(at), offset))
}

/// Whether times are odd, seen from when they arrived: what they were given with is kept, and flagged.
pub fn is_odd(occurred_at: Timestamp, recorded_at: Option<Timestamp>, received_at: Timestamp) -> bool {
    let ahead = |at: Timestamp| at.duration_since(received_at) > SKEW;
    ahead(occurred_at)
        || received_at.duration_since(occurred_at) > LONG_AGO
        || recorded_at.is_some_and(ahead)
        || recorded_at.is_some_and(|at| occurred_at.duration_since(at) > BEFOREHAND)
}
