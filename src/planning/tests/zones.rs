//! R11: every zone of the database, every change of its clocks from 2024 to 2037.

use std::collections::HashSet;

use jiff::ToSpan;
use jiff::tz::TimeZoneDatabase;

use super::*;

/// Checks one local time: one instant, and the documented one. The reference is read off the clock on the wall, not
/// off the library's notion of gap and fold.
fn check(zone: &Zone, date: Date, time: Time) {
    let wanted = date.to_datetime(time);
    let found = zone.instant(date, time);
    let shown = zone.local(found);
    if shown == wanted {
        // First of the two: no earlier instant shows the same.
        for minutes in [10, 20, 30, 60, 90, 120, 180] {
            let earlier = found - SignedDuration::from_mins(minutes);
            assert_ne!(zone.local(earlier), wanted, "{zone:?} {wanted}: {found} is the second");
        }
    } else {
        // The first instant after the gap: what it shows is later, what the instant before shows is earlier.
        let before = zone.local(found - SignedDuration::from_micros(1));
        assert!(before < wanted && wanted < shown, "{zone:?} {wanted}: {found} shows {shown}");
    }
}

#[test]
fn every_local_night_of_every_change_has_one_documented_instant() {
    let (first, last) = (at("2024-01-01T00:00:00Z"), at("2038-01-01T00:00:00Z"));
    let mut seen = HashSet::new();
    let mut changes = 0;
    let bundled = TimeZoneDatabase::bundled();
    for name in bundled.available() {
        let Ok(zone) = Zone::parse(name.as_str()) else { continue };
        let rules = bundled.get(name.as_str()).unwrap();
        let transitions: Vec<_> = rules
            .following(first)
            .take_while(|change| change.timestamp() < last)
            .map(|change| (change.timestamp(), change.offset()))
            .collect();
        seen.insert((rules.to_offset(first), transitions.clone()));
        for (change, _) in transitions {
            changes += 1;
            let date = zone.date(change);
            for date in [date.yesterday().unwrap(), date] {
                for step in 0..8 {
                    check(&zone, date, Time::midnight().saturating_add((30 * step).minutes()));
                }
            }
        }
    }
    assert!(seen.len() > 60 && changes > 2000, "{} zones, {changes} changes", seen.len());
}

#[test]
fn documented_nights() {
    for (name, local, instant) in [
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30:00Z"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30:00Z"),
        ("America/Santiago", "2026-09-06T00:00", "2026-09-06T04:00:00Z"),
    ] {
        let local: jiff::civil::DateTime = local.parse().unwrap();
        assert_eq!(zone(name).instant(local.date(), local.time()), at(instant), "{name} {local}");
    }
}

#[test]
fn rule_zone_change_a_date_that_comes_twice_has_one_cap() {
    let protocol = fixture();
    let mut facts = Facts { infusions: vec![done(1, "2026-09-07T02:00:00Z")], ..facts("Asia/Tokyo") };
    let now = at("2026-09-07T03:00:00Z");
    let usual = plan(protocol, &facts, now);
    // In the evening of the 9th the patient flies to Honolulu, where it is the early morning of the 9th.
    let from = at("2026-09-09T13:00:00Z");
    facts.zones.push(ZoneSince { zone: zone("Pacific/Honolulu"), from });
    let moved = plan(protocol, &facts, now);
    let on = |plan: &Plan| {
        let of = |prompt: &&Planned| {
            prompt.local_date.to_string() == "2026-09-09" && protocol.rule(&prompt.rule_key).unwrap().is_capped()
        };
        plan.prompts.iter().filter(of).cloned().collect::<Vec<_>>()
    };
    let (usual, twice) = (on(&usual), on(&moved));
    let cap = protocol.caps.days.iter().find(|cap| cap.first <= 2 && 2 <= cap.last).unwrap();
    let most = usize::try_from(cap.prompts + protocol.caps.free_dials_per_day).unwrap();
    assert!(!usual.is_empty() && twice.len() <= most, "{} on a date of 43 hours", twice.len());
    let ids: HashSet<_> = twice.iter().map(|prompt| prompt.id).collect();
    assert_eq!(ids.len(), twice.len(), "nothing twice");
}
