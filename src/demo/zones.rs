//! The places whose clocks change during the story.

use jiff::{SignedDuration, Timestamp};

use super::stage::unfit;
use crate::kernel::{Result, Zone};

/// The zones with their countries; of zones that fit equally the first is taken. Between them the clocks change in
/// March, April, September, October and November, by an hour or by half of one, on both halves of the globe.
const ZONES: [(&str, &str); 7] = [
    ("Europe/Berlin", "DE"),
    ("America/New_York", "US"),
    ("Australia/Lord_Howe", "AU"),
    ("Pacific/Auckland", "NZ"),
    ("America/Santiago", "CL"),
    ("Asia/Jerusalem", "IL"),
    ("Africa/Cairo", "EG"),
];
/// The length of the story of the patient who lives there.
const BEFORE: SignedDuration = SignedDuration::from_hours(27 * 24);
/// The time for which plans are made.
const AHEAD: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The place of a home.
#[derive(Clone, Debug)]
pub(super) struct DemoZone {
    pub(super) zone: Zone,
    /// The country (ISO 3166).
    pub(super) country: String,
    /// Whether its clocks change during the story.
    pub(super) changes: bool,
}

/// Finds the place whose clocks change in the weeks of the story that ends at `now` or in the plan after it,
/// and closest to `now`.
///
/// There are weeks in which no clocks change anywhere: around the turn of the year, and from May to August. Then it is
/// the zone whose change is the nearest to these weeks.
///
/// # Errors
///
/// [`crate::kernel::Error::Internal`] when the machine knows none of these zones.
pub(super) fn across_a_change(now: Timestamp) -> Result<DemoZone> {
    let first = now.saturating_sub(BEFORE).unwrap_or(now);
    let last = now.saturating_add(AHEAD).unwrap_or(now);
    let days = |from: Timestamp, to: Timestamp| to.duration_since(from).as_hours().abs() / 24;
    // The days outside of these weeks, and the distance from now.
    let distance = |at: Timestamp| {
        let outside = if at < first {
            days(at, first) + 1
        } else if at > last {
            days(last, at) + 1
        } else {
            0
        };
        (outside, days(at, now))
    };
    let known = ZONES.iter().filter_map(|(name, country)| {
        let zone = Zone::parse(name).ok()?;
        let (next, before) = zone.changes_around(now);
        let nearest = next.into_iter().chain(before).map(distance).min()?;
        let place = DemoZone { zone, country: (*country).to_owned(), changes: nearest.0 == 0 };
        Some((nearest, place))
    });
    let found = known.min_by_key(|(nearest, _)| *nearest).map(|(_, place)| place);
    found.ok_or_else(|| unfit("this machine knows no time zones"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone_on(now: &str) -> (String, bool) {
        let now: Timestamp = now.parse().unwrap();
        let place = across_a_change(now).unwrap();
        let (next, before) = place.zone.changes_around(now);
        let changes = before.is_some_and(|at| at >= now - BEFORE) || next.is_some_and(|at| at <= now + AHEAD);
        assert_eq!(place.changes, changes, "{now}");
        (place.zone.name().to_owned(), changes)
    }

    #[test]
    fn clocks_change_in_the_weeks_of_the_story() {
        for (now, zone) in [
            ("2026-03-10T08:00:00Z", "America/New_York"),
            ("2026-03-29T00:30:00Z", "Europe/Berlin"),
            ("2026-04-06T12:00:00Z", "Australia/Lord_Howe"),
            ("2026-04-25T12:00:00Z", "Africa/Cairo"),
            ("2026-09-06T12:00:00Z", "America/Santiago"),
            ("2026-09-28T12:00:00Z", "Pacific/Auckland"),
            ("2026-10-25T04:10:00Z", "Europe/Berlin"),
            ("2026-11-01T05:30:00Z", "America/New_York"),
            ("2026-11-25T21:00:00Z", "America/New_York"),
            ("2027-03-01T12:00:00Z", "America/New_York"),
        ] {
            assert_eq!(zone_on(now), (zone.to_owned(), true), "{now}");
        }
    }

    #[test]
    fn where_none_do_it_is_the_nearest() {
        for now in ["2026-06-24T12:00:00Z", "2026-07-15T12:00:00Z", "2027-01-05T12:00:00Z"] {
            let (zone, changes) = zone_on(now);
            assert!(!changes && ZONES.iter().any(|(name, _)| *name == zone), "{now}: {zone}");
        }
    }
}
