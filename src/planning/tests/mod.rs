mod activity;
mod calendar;
mod diffs;
mod evenings;
mod faults;
mod golden;
mod histories;
mod notes;
mod plans;
mod properties;
mod readiness;
mod reference;
mod rules;
mod series;
mod shipped;
mod silence;
mod translations;
mod zones;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::protocol::{Capability, Prerequisite};
use super::*;
use crate::kernel::{Id, Zone};
use crate::planning::window::Route;

pub(super) const ALL_CAPABILITIES: [Capability; 4] =
    [Capability::Checks, Capability::Measures, Capability::Attachments, Capability::Adaptive];

/// Returns the protocol on which mechanisms are tested: an earlier state of the first version, without its texts. The
/// shipped one is tested in `golden` and `shipped`.
pub(super) fn fixture() -> &'static Protocol {
    static FIXTURE: LazyLock<Protocol> = LazyLock::new(|| serde_json::from_str(include_str!("protocol.json")).unwrap());
    &FIXTURE
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

pub(super) fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

/// Makes the facts of a patient in the zone `name` who meets every prerequisite, on a server with every capability.
pub(super) fn facts(name: &str) -> Facts {
    let care_start = at("2026-09-01T08:00:00Z");
    Facts {
        patient: Id::from_uuid(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_00aa)),
        prompt_key: PromptKey::new([7; 32]),
        care_start,
        zones: vec![ZoneSince { zone: zone(name), from: care_start }],
        quiet_hours: QuietHours::default(),
        weekly_day: Weekday::Sunday,
        infusions: Vec::new(),
        pauses: Vec::new(),
        settled: Vec::new(),
        last_active_at: None,
        overrides: Vec::new(),
        dated: Vec::new(),
        withheld: BTreeSet::new(),
        holds: Prerequisite::ALL.into(),
        condition: Condition::default(),
        last_measure_at: None,
        capabilities: BTreeSet::from(ALL_CAPABILITIES),
    }
}

/// Makes the same facts on a server without capabilities.
pub(super) fn thin(name: &str) -> Facts {
    Facts { capabilities: BTreeSet::new(), ..facts(name) }
}

/// Makes an infusion of 40 minutes.
pub(super) fn done(n: u128, start: &str) -> InfusionFact {
    let start = at(start);
    InfusionFact {
        id: Id::from_uuid(Uuid::from_u128(n)),
        route: Route::IvInfusion,
        supervised: true,
        planned_minutes: 40,
        planned_start: None,
        started_at: Some(start),
        ended_at: Some(start + SignedDuration::from_mins(40)),
        provisional: false,
        recorded_at: Timestamp::UNIX_EPOCH,
        reported_as: None,
    }
}

/// Makes a session to come.
pub(super) fn coming(n: u128, start: &str) -> InfusionFact {
    InfusionFact {
        id: Id::from_uuid(Uuid::from_u128(n)),
        route: Route::IvInfusion,
        supervised: true,
        planned_minutes: 40,
        planned_start: Some(at(start)),
        started_at: None,
        ended_at: None,
        provisional: false,
        recorded_at: Timestamp::UNIX_EPOCH,
        reported_as: None,
    }
}

pub(super) fn planned(facts: &Facts, now: &str) -> Plan {
    plan(fixture(), facts, at(now))
}

/// Lists each prompt's key, local date and local time, in order of time.
pub(super) fn places(plan: &Plan) -> Vec<(&str, Date, Time)> {
    plan.prompts.iter().map(|prompt| (prompt.rule_key.as_str(), prompt.local_date, prompt.local_time)).collect()
}

/// Lists the keys planned for a date.
pub(super) fn on<'a>(plan: &'a Plan, date: &str) -> Vec<&'a str> {
    let date: Date = date.parse().unwrap();
    plan.prompts.iter().filter(|prompt| prompt.local_date == date).map(|prompt| prompt.rule_key.as_str()).collect()
}

pub(super) fn why_not(plan: &Plan, key: &str) -> Vec<DropReason> {
    plan.dropped.iter().filter(|dropped| dropped.rule_key == key).map(|dropped| dropped.reason).collect()
}
