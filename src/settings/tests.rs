use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::kernel::{Error, Zone};

fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

#[track_caller]
fn faults<T: std::fmt::Debug>(answer: crate::kernel::Result<T>) -> Vec<String> {
    match answer {
        Err(Error::Invalid(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
        other => panic!("expected faults, got {other:?}"),
    }
}

#[test]
fn the_zone_history_answers() {
    let [berlin, tokyo] = ["Europe/Berlin", "Asia/Tokyo"].map(|name| Zone::parse(name).unwrap());
    let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
    let mut settings = Settings::new(berlin.clone(), "de", now - hours(100));
    assert!(!settings.change_zone(berlin.clone(), None, now).unwrap());
    assert_eq!(faults(settings.change_zone(tokyo.clone(), Some(now - hours(101)), now)), ["/effective_at"]);
    assert_eq!(faults(settings.change_zone(tokyo.clone(), Some(now + hours(1)), now)), ["/effective_at"]);
    assert!(settings.change_zone(tokyo.clone(), Some(now - hours(5)), now).unwrap());
    assert_eq!(settings.zone_at(now - hours(1000)), berlin);
    assert_eq!(settings.zone_at(now - hours(6)), berlin);
    assert_eq!(settings.zone_at(now - hours(5)), tokyo);
    // To the zone that counts, and yet before the last change.
    assert_eq!(faults(settings.change_zone(tokyo.clone(), Some(now - hours(6)), now)), ["/effective_at"]);
    assert_eq!(faults(settings.change_zone(tokyo.clone(), Some(now + hours(1)), now)), ["/effective_at"]);
    assert!(!settings.change_zone(tokyo.clone(), Some(now - hours(5)), now).unwrap(), "said again");
    assert!(
        !settings.change_zone(tokyo.clone(), None, now - hours(6)).unwrap(),
        "said again, and the clock was set back"
    );
    let json = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
}
