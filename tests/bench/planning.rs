//! Planning 14 days for one patient with one infusion.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Instant;

use afterglow::kernel::{Entropy, Id, Zone};
use afterglow::planning::{
    Condition, Facts, InfusionFact, Prerequisite, PromptKey, Protocol, QuietHours, Weekday, ZoneSince, plan,
};
use jiff::{SignedDuration, Timestamp};

use super::report::{Goal, Report, median};

/// Times single calls.
pub fn measure(report: &mut Report) {
    let now: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
    let before = |hours| now - SignedDuration::from_hours(hours);
    let zone = Zone::parse("Europe/Berlin").unwrap();
    let facts = Facts {
        patient: Id::from_uuid(Entropy::System.opaque()),
        prompt_key: PromptKey::new(Entropy::System.bytes()),
        care_start: before(24 * 14),
        zones: vec![ZoneSince { zone, from: before(24 * 14) }],
        quiet_hours: QuietHours::default(),
        weekly_day: Weekday::Sunday,
        infusions: vec![InfusionFact {
            id: Id::from_uuid(Entropy::System.opaque()),
            route: afterglow::planning::window::Route::IvInfusion,
            supervised: true,
            planned_minutes: 40,
            planned_start: Some(before(2)),
            started_at: Some(before(2)),
            ended_at: Some(before(1)),
            provisional: false,
            recorded_at: before(1),
            reported_as: None,
        }],
        pauses: Vec::new(),
        settled: Vec::new(),
        last_active_at: Some(before(30)),
        overrides: Vec::new(),
        dated: Vec::new(),
        withheld: BTreeSet::new(),
        holds: BTreeSet::from([Prerequisite::LiveLink]),
        condition: Condition::default(),
        last_measure_at: None,
        capabilities: BTreeSet::new(),
    };
    let protocol = Protocol::default_v1();
    let planned = plan(protocol, &facts, now).prompts.len();
    let once = |_| {
        let begin = Instant::now();
        black_box(plan(protocol, black_box(&facts), now));
        begin.elapsed().as_secs_f64() * 1e6
    };
    let times: Vec<f64> = (0..2000).map(once).collect();
    let middle = median(&times);
    let figure = format!("{middle:.0} µs for {planned} prompts");
    report.goal("plan 14 days, µs", figure, middle, Goal::Most(200.0));

    // Six infusions, twice a week: three have been, three are to come.
    let infusion = |n: i64| {
        let start = before(24 * (10 - 3 * n - (n % 2)));
        let done = start < now;
        InfusionFact {
            id: Id::from_uuid(Entropy::System.opaque()),
            planned_start: Some(start),
            started_at: done.then_some(start),
            ended_at: done.then_some(start + SignedDuration::from_mins(40)),
            ..facts.infusions[0].clone()
        }
    };
    let course = Facts { infusions: (0..6).map(infusion).collect(), ..facts.clone() };
    let planned = plan(protocol, &course, now).prompts.len();
    let once = |_| {
        let begin = Instant::now();
        black_box(plan(protocol, black_box(&course), now));
        begin.elapsed().as_secs_f64() * 1e6
    };
    let times: Vec<f64> = (0..2000).map(once).collect();
    let middle = median(&times);
    let figure = format!("{middle:.0} µs for {planned} prompts");
    report.goal("plan a course of six infusions, µs", figure, middle, Goal::Most(300.0));
}
