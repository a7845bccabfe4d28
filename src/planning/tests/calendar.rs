use jiff::civil::time;

use super::*;
use crate::kernel::Error;

fn faults<T: std::fmt::Debug>(answer: crate::kernel::Result<T>) -> Vec<String> {
    match answer {
        Err(Error::Invalid(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
        other => panic!("expected faults, got {other:?}"),
    }
}

#[test]
fn quiet_hours_cross_midnight() {
    let quiet = QuietHours::default();
    for (hour, inside) in [(20, false), (21, true), (0, true), (7, true), (8, false)] {
        assert_eq!(quiet.contains(time(hour, 0, 0, 0)), inside, "{hour}");
    }
    for hour in [0, 9, 21] {
        assert_eq!(faults(QuietHours::parse(time(hour, 0, 0, 0), time(hour, 0, 0, 0))), ["/quiet_hours"], "{hour}");
    }
    assert!(QuietHours::parse(time(18, 0, 0, 0), time(8, 0, 0, 0)).is_ok());
    assert_eq!(faults(QuietHours::parse(time(17, 59, 0, 0), time(8, 0, 0, 0))), ["/quiet_hours"]);
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    for (from, to) in [
        ("2026-10-24T20:30:00Z", "2026-10-25T07:00:00Z"),
        ("2026-10-25T00:30:00Z", "2026-10-25T07:00:00Z"),
        ("2026-10-25T07:00:00Z", "2026-10-25T07:00:00Z"),
    ] {
        assert_eq!(quiet.next_allowed(&berlin, at(from)), at(to));
    }
}

#[test]
fn quiet_hours_that_end_in_the_hour_that_comes_twice_end_twice() {
    for (name, from, to, times) in [
        (
            "Europe/Berlin",
            time(20, 0, 0, 0),
            time(2, 30, 0, 0),
            [("2026-10-25T00:10:00Z", "2026-10-25T00:30:00Z"), ("2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z")],
        ),
        (
            "Australia/Lord_Howe",
            time(20, 0, 0, 0),
            time(1, 45, 0, 0),
            [("2026-04-04T14:35:00Z", "2026-04-04T14:45:00Z"), ("2026-04-04T15:05:00Z", "2026-04-04T15:15:00Z")],
        ),
        (
            "America/Havana",
            time(21, 0, 0, 0),
            time(0, 30, 0, 0),
            [("2025-11-02T03:00:00Z", "2025-11-02T04:30:00Z"), ("2025-11-02T05:10:00Z", "2025-11-02T05:30:00Z")],
        ),
    ] {
        let (zone, quiet) = (zone(name), QuietHours::parse(from, to).unwrap());
        for (asked, allowed) in times {
            assert_eq!(quiet.next_allowed(&zone, at(asked)), at(allowed), "{name} {asked}");
        }
    }
}

#[test]
fn a_pause_lasts_at_most_sixty_days() {
    let now = at("2026-03-01T12:00:00Z");
    assert!(PausePeriod::parse(now, now + hours(60 * 24)).is_ok());
    assert_eq!(faults(PausePeriod::parse(now, now + hours(60 * 24 + 1))), ["/until"]);
    assert_eq!(faults(PausePeriod::parse(now, now)), ["/until"]);
}

#[test]
fn a_week_has_its_day() {
    let date = "2026-03-02".parse().unwrap(); // a Monday
    assert_eq!(Weekday::Monday.on_or_after(date).to_string(), "2026-03-02");
    assert_eq!(Weekday::Sunday.on_or_after(date).to_string(), "2026-03-08");
}
