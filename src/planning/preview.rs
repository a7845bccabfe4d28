//! A plan of a whole course for made-up facts. It is not stored.

use std::collections::{BTreeMap, HashSet};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::calendar::zone_at;
use super::facts::{Condition, Facts};
use super::plan::{Plan, plan};
use super::protocol::Protocol;
use crate::kernel::Zone;

/// The number of days taken from each plan. A plan reaches further, so that later prompts are considered.
const STEP: i32 = 7;

/// Plans from `first` to `last`, week by week, as if nothing were answered. What a pause moved past `last` is in the
/// result.
pub fn preview(protocol: &Protocol, facts: &Facts, first: Date, last: Date) -> Plan {
    let mut whole = by_weeks(protocol, facts, (first, last));
    if facts.pauses.is_empty() && facts.condition.suspended.is_none() {
        return whole;
    }
    let condition = Condition { suspended: None, ..facts.condition.clone() };
    let unpaused = Facts { pauses: Vec::new(), condition, ..facts.clone() };
    let mut gone: HashSet<_> =
        by_weeks(protocol, &unpaused, (first, last)).prompts.iter().map(|prompt| prompt.id).collect();
    for prompt in &whole.prompts {
        gone.remove(&prompt.id);
    }
    let after = last.saturating_add(1.days());
    let moved = by_weeks(protocol, facts, (after, last.saturating_add(STEP.days()))).prompts;
    let moved: Vec<_> = moved.into_iter().filter(|prompt| gone.contains(&prompt.id)).collect();
    whole.dropped.retain(|one| moved.iter().all(|prompt| prompt.id != one.id));
    whole.prompts.extend(moved);
    whole
}

fn by_weeks(protocol: &Protocol, facts: &Facts, (first, last): (Date, Date)) -> Plan {
    let noon = |date: Date| -> Timestamp {
        let zone = facts.zones.first().map_or_else(Zone::utc, |since| since.zone.clone());
        let at = zone.instant(date, jiff::civil::time(12, 0, 0, 0));
        zone_at(&facts.zones, at).unwrap_or(&zone).instant(date, jiff::civil::time(0, 0, 0, 0))
    };
    let mut whole = Plan::default();
    let mut dropped = BTreeMap::new();
    let mut from = first;
    while from <= last {
        let until = from.saturating_add(STEP.days()).min(last.saturating_add(1.days()));
        let week = plan(protocol, facts, noon(from));
        whole.prompts.extend(week.prompts.into_iter().filter(|one| from <= one.local_date && one.local_date < until));
        dropped.extend(week.dropped.into_iter().map(|one| (one.id, one)));
        from = until;
    }
    let asked: HashSet<_> = whole.prompts.iter().map(|prompt| prompt.id).collect();
    whole.dropped = dropped.into_values().filter(|one| !asked.contains(&one.id)).collect();
    whole.dropped.sort_by(|one, two| (one.anchor, &one.rule_key, one.id).cmp(&(two.anchor, &two.rule_key, two.id)));
    whole.prompts.sort_by(|one, two| (one.due_at, &one.rule_key).cmp(&(two.due_at, &two.rule_key)));
    whole
}
