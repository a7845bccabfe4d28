//! What a protocol asks of people: the prompts and the minutes of each day of a sample course, against its caps.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time, date};
use jiff::{Timestamp, ToSpan};
use uuid::Uuid;

use super::calendar::{QuietHours, Weekday, ZoneSince};
use super::facts::{Condition, Facts, InfusionFact, PromptKey, USUAL_MINUTES};
use super::plan::{DropReason, Plan};
use super::preview::preview;
use super::protocol::{Capability, Prerequisite, Protocol};
use super::window::Route;
use crate::kernel::{Id, Zone};

/// The day of the first infusion of a sample course: a Monday far from any change of a clock.
const FIRST: Date = date(2026, 6, 1);
/// The days of the infusions of an induction: two a week for three weeks.
const INDUCTION: [i32; 6] = [0, 3, 7, 10, 14, 17];

/// Makes the facts of a patient in London with infusions from nine to ten in the morning on these days, who meets
/// every prerequisite, on a server that serves everything. Exercises are not withheld from them.
fn sample(days: &[i32]) -> Facts {
    let zone = Zone::parse("Europe/London").unwrap_or_else(|_unknown| Zone::utc());
    let at = |day: i32, hour: i8| zone.instant(FIRST.saturating_add(day.days()), Time::constant(hour, 0, 0, 0));
    let infusion = |(n, day): (usize, &i32)| InfusionFact {
        id: Id::from_uuid(Uuid::from_u128(u128::try_from(n).unwrap_or(0) + 1)),
        route: Route::IvInfusion,
        supervised: true,
        planned_minutes: USUAL_MINUTES,
        planned_start: Some(at(*day, 9)),
        started_at: Some(at(*day, 9)),
        ended_at: Some(at(*day, 10)),
        provisional: false,
        recorded_at: Timestamp::UNIX_EPOCH,
        reported_as: None,
    };
    let all = [Capability::Checks, Capability::Measures, Capability::Attachments, Capability::Adaptive];
    Facts {
        patient: Id::from_uuid(Uuid::nil()),
        prompt_key: PromptKey::NOBODY,
        care_start: at(-7, 9),
        infusions: days.iter().enumerate().map(infusion).collect(),
        zones: vec![ZoneSince { zone, from: Timestamp::UNIX_EPOCH }],
        quiet_hours: QuietHours::default(),
        weekly_day: Weekday::Sunday,
        pauses: Vec::new(),
        settled: Vec::new(),
        last_active_at: None,
        overrides: Vec::new(),
        dated: Vec::new(),
        withheld: BTreeSet::new(),
        holds: Prerequisite::ALL.into(),
        condition: Condition::default(),
        last_measure_at: None,
        capabilities: all.into(),
    }
}

/// Plans the sample course of `days`, from three days before the first infusion to the end of the horizon.
fn course(protocol: &Protocol, days: &[i32]) -> Plan {
    let last = days.last().copied().unwrap_or(0).saturating_add(protocol.horizon_days);
    preview(protocol, &sample(days), FIRST.saturating_sub(3.days()), FIRST.saturating_add(last.days()))
}

/// What is asked on one day around a single infusion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayBurden {
    /// The day after the infusion; below 0, before it.
    pub day: i32,
    /// The number of prompts that a phone announces.
    pub prompts: u32,
    /// Their minutes.
    pub minutes: u32,
    /// The most prompts that the caps allow; `None` where none holds.
    pub most_prompts: Option<u32>,
    /// The most minutes.
    pub most_minutes: Option<u32>,
    /// The rules that the cap leaves no place for.
    pub dropped: Vec<String>,
}

/// Computes what a protocol asks on each day around a single infusion.
pub fn burden(protocol: &Protocol) -> Vec<DayBurden> {
    let plan = course(protocol, &[0]);
    let mut days: BTreeMap<i32, DayBurden> = BTreeMap::new();
    for prompt in plan.prompts.iter().filter(|prompt| prompt.push) {
        let Some(day) = prompt.day else { continue };
        let of = days.entry(day).or_default();
        of.prompts += 1;
        of.minutes = of.minutes.saturating_add(prompt.minutes);
    }
    for dropped in plan.dropped.iter().filter(|dropped| dropped.reason == DropReason::Cap) {
        let day = protocol.rule(&dropped.rule_key).and_then(|rule| rule.days().next());
        if let Some(day) = day {
            days.entry(day).or_default().dropped.push(dropped.rule_key.clone());
        }
    }
    let caps = &protocol.caps;
    let with_cap = |(day, burden): (i32, DayBurden)| {
        let after = caps.days.iter().find(|cap| (cap.first..=cap.last).contains(&day));
        let before = (-caps.preparation.days_before..0).contains(&day).then_some(&caps.preparation);
        let most = after.map(|cap| (cap.prompts, cap.minutes)).or(before.map(|cap| (cap.prompts, cap.minutes)));
        DayBurden { day, most_prompts: most.map(|most| most.0), most_minutes: most.and_then(|most| most.1), ..burden }
    };
    days.into_iter().map(with_cap).collect()
}

/// A prompt of a sample induction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The number of the infusion, from 0; `None` for what recurs.
    pub infusion: Option<usize>,
    /// The day of the course, from 0 on the day of the first infusion.
    pub course_day: i32,
    /// The local time.
    pub local_time: Time,
    /// The rule.
    pub rule_key: String,
    /// Its duration in minutes.
    pub minutes: u32,
}

/// Lists what a protocol asks in a sample induction: two infusions a week for three weeks.
pub fn induction(protocol: &Protocol) -> Vec<Asked> {
    let facts = sample(&INDUCTION);
    let number = |id| facts.infusions.iter().position(|infusion| Some(infusion.id) == id);
    let plan = course(protocol, &INDUCTION);
    let asked = |prompt: super::plan::Planned| Asked {
        infusion: number(prompt.anchor),
        course_day: prompt.local_date.since(FIRST).map_or(0, |span| span.get_days()),
        local_time: prompt.local_time,
        rule_key: prompt.rule_key,
        minutes: prompt.minutes,
    };
    plan.prompts.into_iter().filter(|prompt| prompt.push).map(asked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_burden_of_the_default_protocol_keeps_its_caps() {
        let days = burden(Protocol::default_v1());
        assert!(days.len() >= 12, "{days:?}");
        for of in &days {
            assert!(of.most_prompts.is_none_or(|most| of.prompts <= most + 1), "{of:?}");
        }
        let first = days.iter().find(|of| of.day == 1).unwrap();
        assert_eq!((first.prompts, first.most_prompts, first.most_minutes), (3, Some(3), Some(26)));
    }

    #[test]
    fn an_induction_asks_around_each_of_its_infusions() {
        let asked = induction(Protocol::default_v1());
        for infusion in 0..INDUCTION.len() {
            assert!(asked.iter().any(|one| one.infusion == Some(infusion)), "{infusion}");
        }
    }
}
