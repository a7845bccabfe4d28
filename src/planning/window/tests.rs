//! The vectors of `clinical.md` §1.3 and the acceptance checks 1 to 3 of its §8.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use super::hours::after;
use super::*;
use crate::kernel::{Id, Zone};

mod params;
mod properties;
mod views;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn end() -> Timestamp {
    at("2026-03-27T15:00:00Z")
}

fn secs(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn plus(hours: f64) -> Timestamp {
    after(end(), SignedDuration::from_secs_f64(hours * 3600.0))
}

fn dose(number: u128, route: Route, ended_at: Timestamp) -> Dose {
    Dose {
        infusion_id: Id::from_uuid(Uuid::from_u128(number)),
        route,
        started_at: Some(after(ended_at, secs(-45 * 60))),
        ended_at: Some(ended_at),
        planned_start: None,
        status: DoseStatus::Completed,
    }
}

fn planned(start: Timestamp) -> Dose {
    Dose {
        started_at: None,
        ended_at: None,
        planned_start: Some(start),
        status: DoseStatus::Planned,
        ..dose(90, Route::IvInfusion, start)
    }
}

fn under_way(start: Timestamp) -> Dose {
    Dose { ended_at: None, started_at: Some(start), status: DoseStatus::InProgress, ..dose(91, Route::Im, start) }
}

fn shipped() -> &'static WindowParams {
    WindowParams::shipped()
}

fn seen(doses: &[Dose], at: Timestamp) -> Window {
    window(doses, shipped(), at, ReadinessFacts::default())
}

fn phase(doses: &[Dose], at: Timestamp) -> Phase {
    seen(doses, at).phase
}

fn index_of_one(hours: f64) -> f64 {
    seen(&[dose(1, Route::IvInfusion, end())], plus(hours)).index
}

fn close(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 0.001, "found {found}, wanted {wanted}");
}

#[test]
fn the_index_meets_every_vector() {
    let hours = [
        0.0, 1.0, 2.0, 4.0, 6.0, 9.0, 12.0, 18.0, 24.0, 27.108, 36.0, 48.0, 60.0, 72.0, 96.0, 120.0, 144.0, 168.0,
        192.0, 240.0, 288.0, 336.0, 504.0,
    ];
    let wanted = [
        0.0, 0.119, 0.225, 0.406, 0.550, 0.713, 0.825, 0.951, 0.995, 1.000, 0.976, 0.905, 0.826, 0.749, 0.614, 0.503,
        0.412, 0.337, 0.276, 0.185, 0.124, 0.083, 0.021,
    ];
    for (hours, wanted) in hours.into_iter().zip(wanted) {
        close(index_of_one(hours), wanted);
    }
}

#[test]
fn the_index_crosses_its_thresholds_where_it_was_said_to() {
    for (level, up, down) in [(0.75, 9.9, 72.0), (0.50, 5.3, 120.8), (0.25, 2.3, 203.9), (0.10, 0.9, 313.9)] {
        // The text gives them to a tenth of an hour.
        assert!(index_of_one(up - 0.1) < level && index_of_one(up + 0.1) > level, "up through {level}");
        assert!(index_of_one(down - 0.1) > level && index_of_one(down + 0.1) < level, "down through {level}");
    }
}

#[test]
fn the_horizon_is_inclusive_and_counts_from_the_end() {
    for route in [Route::IvInfusion, Route::Oral] {
        let doses = [dose(1, route, end())];
        assert!(seen(&doses, plus(504.0)).index > 0.02, "{route}");
        let past = after(plus(504.0), SignedDuration::from_micros(1));
        assert!(seen(&doses, past).index.abs() < f64::EPSILON, "{route}");
    }
}

#[test]
fn a_route_with_a_lag_starts_late_and_is_otherwise_the_same() {
    let oral = [dose(1, Route::Oral, end())];
    assert!(seen(&oral, plus(0.75)).index.abs() < f64::EPSILON);
    close(seen(&oral, plus(4.75)).index, 0.406);
    close(seen(&oral, plus(72.75)).index, 0.749);
}

#[test]
fn phases_change_to_the_second() {
    for (route, acute) in Route::ALL.map(|route| {
        let hours = match route {
            Route::Sublingual => 3,
            Route::Oral => 4,
            _ => 2,
        };
        (route, hours)
    }) {
        let doses = [dose(1, route, end())];
        let edges = [
            (0, Phase::InSession, Phase::Acute),
            (acute, Phase::Acute, Phase::Settling),
            (24, Phase::Settling, Phase::Peak),
            (72, Phase::Peak, Phase::Consolidate),
            (168, Phase::Consolidate, Phase::Closing),
            (336, Phase::Closing, Phase::Maintenance),
        ];
        for (hours, before, from) in edges {
            let edge = after(end(), SignedDuration::from_hours(hours));
            assert_eq!(phase(&doses, after(edge, secs(-1))), before, "{route}, a second before {hours} h");
            assert_eq!(phase(&doses, edge), from, "{route} at {hours} h");
        }
        assert_eq!(phase(&doses, after(end(), secs(-45 * 60 - 1))), Phase::None);
        assert_eq!(phase(&doses, plus(8000.0)), Phase::Maintenance);
    }
}

#[test]
fn boundaries_are_those_at_which_the_phase_changes() {
    let window = seen(&[dose(1, Route::Oral, end())], plus(30.0));
    let found: Vec<_> = window.phases.iter().map(|time| (time.phase, time.starts_at, time.ends_at)).collect();
    let wanted = [
        (Phase::Acute, end(), Some(plus(4.0))),
        (Phase::Settling, plus(4.0), Some(plus(24.0))),
        (Phase::Peak, plus(24.0), Some(plus(72.0))),
        (Phase::Consolidate, plus(72.0), Some(plus(168.0))),
        (Phase::Closing, plus(168.0), Some(plus(336.0))),
        (Phase::Maintenance, plus(336.0), None),
    ];
    assert_eq!(found, wanted);
    assert_eq!(window.upcoming().next().unwrap().starts_at, plus(72.0));
    assert_eq!(window.upcoming().count(), 3);
}

#[test]
fn a_second_dose_neither_adds_to_the_first_nor_starts_from_nothing() {
    let doses = [dose(1, Route::IvInfusion, end()), dose(2, Route::IvInfusion, plus(96.0))];
    close(seen(&doses, after(plus(96.0), secs(-1))).index, 0.614);
    close(seen(&doses, plus(96.0)).index, 0.614);
    close(seen(&doses, after(plus(96.0), secs(1))).index, 0.614);
    close(seen(&doses, plus(96.0 + 27.108)).index, 1.0);
    let landing = seen(&doses, plus(97.0));
    assert_eq!((landing.phase, landing.infusion_id), (Phase::Acute, Some(doses[1].infusion_id)));
    assert!(landing.readiness.abs() < f64::EPSILON, "nothing effortful in the first two hours");
    assert_eq!(seen(&doses, plus(96.0 + 1.999)).readiness.to_bits(), 0.0_f64.to_bits());
    // Two days apart the index dips to about 0.90.
    let close_together = [dose(1, Route::IvInfusion, end()), dose(2, Route::IvInfusion, plus(48.0))];
    close(seen(&close_together, plus(48.0)).index, 0.905);
}

#[test]
fn a_change_of_clocks_moves_no_phase() {
    // Clocks in Berlin go forward on 29 March 2026 at 01:00 UTC: the 24 and 48 elapsed hours hold 25 and 49 on the
    // wall.
    let berlin = Zone::parse("Europe/Berlin").unwrap();
    let ended = at("2026-03-28T12:00:00Z");
    let doses = [dose(1, Route::IvInfusion, ended)];
    let edge = at("2026-03-29T12:00:00Z");
    assert_eq!(berlin.local(edge).to_string(), "2026-03-29T14:00:00");
    assert_eq!(phase(&doses, after(edge, secs(-1))), Phase::Settling);
    assert_eq!(phase(&doses, edge), Phase::Peak);
    close(seen(&doses, edge).index, 0.995);
    assert_eq!(seen(&doses, edge).day(&|at| berlin.date(at)), Some(1));
}

#[test]
fn the_planned_and_the_future_open_no_window() {
    assert_eq!(seen(&[], end()).phase, Phase::None);
    let doses = [planned(plus(-5.0)), dose(1, Route::Im, plus(10.0)), under_way(plus(20.0))];
    let window = seen(&doses, end());
    assert_eq!((window.phase, window.infusion_id, window.hours_since), (Phase::None, None, None));
    assert!(window.index.abs() < f64::EPSILON && window.phases.is_empty() && window.curve.is_empty());
    close(window.readiness, 1.0);
    // A planned infusion counts for nothing but its planned start, whatever else stands in it.
    let odd = Dose { status: DoseStatus::Planned, ..dose(1, Route::Im, end()) };
    assert_eq!(phase(&[odd], plus(1.0)), Phase::None);
}

#[test]
fn during_an_infusion_the_phase_is_in_session() {
    let doses = [dose(1, Route::IvInfusion, end()), under_way(plus(70.0))];
    assert_eq!(phase(&doses, after(plus(70.0), secs(-1))), Phase::Peak);
    let window = seen(&doses, plus(70.5));
    assert_eq!((window.phase, window.infusion_id), (Phase::InSession, Some(doses[1].infusion_id)));
    assert_eq!((window.hours_since, window.ended_at, window.phases.len()), (None, None, 0));
    assert!(window.readiness.abs() < f64::EPSILON);
    close(window.index, index_of_one(70.5));
    // One without a recorded end is over when another ends after its start.
    let both = [under_way(plus(1.0)), dose(2, Route::Im, plus(60.0))];
    assert_eq!(phase(&both, plus(50.0)), Phase::InSession);
    assert_eq!(phase(&both, plus(61.0)), Phase::Acute);
}

#[test]
fn the_overlay_covers_the_72_hours_before_the_next_start() {
    let next = plus(200.0);
    let doses = [dose(1, Route::IvInfusion, end()), planned(next), planned(plus(400.0))];
    assert_eq!(seen(&doses, after(plus(128.0), secs(-1))).overlay, None);
    let window = seen(&doses, plus(128.0));
    assert_eq!((window.overlay, window.phase), (Some(Overlay::Prep), Phase::Consolidate));
    assert_eq!(seen(&doses, after(next, secs(-1))).overlay, Some(Overlay::Prep));
    assert_eq!(seen(&doses, next).overlay, None);
    assert_eq!(seen(&[planned(next)], plus(199.0)).overlay, Some(Overlay::Prep));
    // The same instant, asked for after that infusion was held.
    assert_eq!(seen(&[dose(2, Route::Im, plus(201.0))], plus(199.0)).overlay, Some(Overlay::Prep));
}

#[test]
fn readiness_follows_sleep_answers_and_suspension() {
    let doses = [dose(1, Route::IvInfusion, end())];
    let ready = |hours: f64, facts: ReadinessFacts| window(&doses, shipped(), plus(hours), facts).readiness;
    let facts = ReadinessFacts::default();
    for (hours, wanted) in [(1.9, 0.0), (2.0, 0.3), (17.99, 0.3), (18.0, 1.0), (30.0, 1.0), (400.0, 1.0)] {
        close(ready(hours, facts), wanted);
    }
    let slept = ReadinessFacts { first_sleep: Some(plus(12.0)), ..facts };
    for (hours, wanted) in [(1.0, 0.0), (11.9, 0.3), (12.0, 1.0)] {
        close(ready(hours, slept), wanted);
    }
    let night_before = ReadinessFacts { first_sleep: Some(plus(-9.0)), ..facts };
    close(ready(12.0, night_before), 0.3);
    let high = Some(Rating { value: 4, answered_at: plus(20.0) });
    let both = ReadinessFacts { dissociation: high, drowsiness: high, ..facts };
    for (hours, wanted) in [(19.9, 1.0), (20.0, 0.4), (44.0, 0.4), (44.1, 1.0)] {
        close(ready(hours, both), wanted);
    }
    let low = ReadinessFacts { drowsiness: Some(Rating { value: 3, answered_at: plus(20.0) }), ..facts };
    close(ready(21.0, low), 1.0);
    close(ready(100.0, ReadinessFacts { suspended: true, ..facts }), 0.0);
}

#[test]
fn the_context_of_an_entry_follows_when_it_happened() {
    let doses = [dose(1, Route::IvInfusion, end()), dose(2, Route::IvInfusion, plus(96.0))];
    let of = |hours: f64| serde_json::to_value(context(&doses, shipped(), plus(hours))).unwrap();
    assert_eq!(of(-10.0), json!({ "phase": "none" }));
    assert_eq!(of(-0.5), json!({ "phase": "in_session", "infusion_id": doses[0].infusion_id }));
    let wanted = json!({ "phase": "peak", "hours_since": 26.5, "infusion_id": doses[0].infusion_id });
    assert_eq!(of(26.52), wanted);
    let wanted = json!({ "phase": "settling", "hours_since": 4.0, "infusion_id": doses[1].infusion_id });
    assert_eq!(of(100.0), wanted);
    // Moving the infusion moves the entry.
    let corrected = [dose(1, Route::IvInfusion, plus(6.0))];
    assert_eq!(context(&corrected, shipped(), plus(26.0)).phase, Phase::Settling);
}

#[test]
fn few_infusions_of_a_long_history_matter() {
    let past = |n: u32| dose(1000 + u128::from(n), Route::Im, plus(-96.0 * f64::from(n)));
    let mut doses: Vec<Dose> = (0..300).map(past).collect();
    doses.extend([planned(plus(100.0)), planned(plus(200.0))]);
    let numbers = |few: Vec<Dose>| few.iter().map(|dose| dose.infusion_id.uuid().as_u128()).collect::<Vec<_>>();
    let contexts = |from: f64, until: f64| numbers(doses_for_contexts(&doses, (plus(from), plus(until))));
    assert_eq!(contexts(10.0, 40.0), [1000]);
    assert_eq!(contexts(-200.0, -100.0), [1002, 1003], "the one in this period, and the one before it");
    assert_eq!(contexts(-200.0, -96.5), [1001, 1002, 1003], "one is under way at its end");
    assert!(doses_for_contexts(&doses, (Timestamp::MAX, Timestamp::MIN)).is_empty(), "of no instant");
    let window = numbers(doses_for_window(&doses, shipped().horizon(), plus(40.0)));
    assert_eq!(
        window,
        [1000, 1001, 1002, 1003, 1004, 1005, 1006, 90],
        "504 hours back from the last end, and the next"
    );
}

#[test]
fn the_curve_runs_from_the_last_end_to_the_horizon() {
    let doses = [dose(1, Route::IvInfusion, end()), dose(2, Route::IvInfusion, plus(96.0))];
    let curve = seen(&doses, plus(100.0)).curve;
    assert_eq!(curve.len(), 85);
    close(curve[0].hours, 0.0);
    close(curve[0].index, 0.614);
    close(curve[4].hours, 24.0);
    close(curve[4].index, 0.995);
    close(curve[84].hours, 504.0);
    close(curve[84].index, 0.021);
    close(seen(&doses, plus(50.0)).curve[17].index, index_of_one(102.0));
}

#[test]
fn rule_the_first_sleep_is_said_or_taken_to_be_over_at_six_in_the_morning() {
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    let sleep = |end: &str, said: Option<&str>| {
        ReadinessFacts::first_sleep(at(end), at("2026-03-11T06:00:00Z"), said.map(at)).to_string()
    };
    assert_eq!(sleep("2026-03-10T11:00:00Z", None), "2026-03-11T06:00:00Z");
    assert_eq!(sleep("2026-03-10T23:30:00Z", None), "2026-03-11T06:00:00Z");
    assert_eq!(sleep("2026-03-11T00:30:00Z", None), "2026-03-11T06:30:00Z", "not before six hours have passed");
    assert_eq!(sleep("2026-03-10T11:00:00Z", Some("2026-03-11T05:10:00Z")), "2026-03-11T05:10:00Z");
    assert_eq!(sleep("2026-03-10T11:00:00Z", Some("2026-03-10T07:00:00Z")), "2026-03-11T06:00:00Z", "the night before");
}
