//! The faults of comparable systems, each as a test.

use std::collections::BTreeMap;

use super::diffs::stored;
use super::*;
use crate::planning::preview::preview;

const NOW: &str = "2026-03-24T09:00:00Z";

/// Lists the prompts from the first to the last date, in this zone.
fn whole(facts: &Facts, first: &str, last: &str) -> Vec<Planned> {
    preview(fixture(), facts, first.parse().unwrap(), last.parse().unwrap()).prompts
}

#[test]
fn fault_prompts_an_hour_off_after_a_change_of_the_clock() {
    // The clocks go forward in Berlin on 29 March, back in Lord Howe (by half an hour) on 5 April 2026.
    for (name, start, change) in [
        ("Europe/Berlin", "2026-03-24T08:00:00Z", "2026-03-29"),
        ("Australia/Lord_Howe", "2026-03-30T22:00:00Z", "2026-04-05"),
    ] {
        let facts = Facts { infusions: vec![done(1, start)], ..facts(name) };
        let prompts = whole(&facts, "2026-03-24", "2026-04-20");
        let mut after = 0;
        for prompt in prompts.iter().filter(|prompt| prompt.why == Why::Window) {
            let rule = fixture().rule(&prompt.rule_key).unwrap();
            let span = fixture().windows.span(rule.window[0]);
            let late = prompt.local_time.duration_since(span.from);
            assert!((0..=20).contains(&late.as_mins()), "{name}: {prompt:?}");
            assert_eq!(zone(name).local(prompt.due_at).time(), prompt.local_time, "{name}: {prompt:?}");
            after += usize::from(prompt.local_date >= change.parse::<Date>().unwrap());
        }
        assert!(after > 3, "{name}: {after}");
    }
}

#[test]
fn fault_planning_again_asks_for_what_was_answered() {
    let facts = Facts { infusions: vec![done(1, "2026-03-24T08:00:00Z")], ..facts("Europe/Berlin") };
    let first = planned(&facts, NOW);
    let answered: Vec<_> = first.prompts.iter().filter(|prompt| prompt.day < Some(4)).cloned().collect();
    let settle = |prompt: &Planned| PastPrompt {
        id: prompt.id,
        rule_key: prompt.rule_key.clone(),
        rule: None,
        due_at: prompt.due_at,
        date: prompt.local_date,
        answered_at: Some(prompt.due_at),
        anchor: prompt.anchor,
        hangs_on: prompt.hangs_on,
        unanswered: false,
        lapsed: false,
        taken_back: false,
        missed: false,
        card: false,
    };
    let existing: Vec<_> = first
        .prompts
        .iter()
        .map(|prompt| stored(prompt, if prompt.day < Some(4) { Hold::Settled } else { Hold::Waiting }))
        .collect();
    let settled: Vec<_> = answered.iter().map(settle).collect();
    // The end was half a day later, and the patient has flown to New York; the plan is made every day.
    let infusions = vec![done(1, "2026-03-24T20:00:00Z")];
    let moved = ZoneSince { zone: zone("America/New_York"), from: at("2026-03-25T20:00:00Z") };
    let zones = facts.zones.iter().cloned().chain([moved]).collect();
    let facts = Facts { zones, infusions, settled, ..facts };
    for day in 25..31 {
        let now = format!("2026-03-{day}T12:00:00Z");
        let steps = diff(&existing, &planned(&facts, &now), at(&now));
        let again = |step: &Step| matches!(step, Step::Insert(to) if answered.iter().any(|one| one.rule_key == to.rule_key && one.anchor == to.anchor));
        assert!(!steps.iter().any(again), "{now}: {steps:?}");
    }
}

#[test]
fn fault_repeats_that_land_on_one_instant() {
    // Two days are one in Apia's neighbourhood: from Honolulu across the date line, and back a month later.
    let since = |name: &str, from: &str| ZoneSince { zone: zone(name), from: at(from) };
    let zones = vec![
        since("Pacific/Honolulu", "2026-01-01T00:00:00Z"),
        since("Pacific/Apia", "2026-04-19T10:00:00Z"),
        since("Pacific/Honolulu", "2026-05-17T10:00:00Z"),
    ];
    let infusions = vec![done(1, "2026-03-24T20:00:00Z")];
    let facts = Facts { infusions, zones, care_start: at("2026-03-01T00:00:00Z"), ..facts("Pacific/Honolulu") };
    let mut by_rule: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    let mut last: Option<Timestamp> = None;
    for prompt in whole(&facts, "2026-03-21", "2026-07-01") {
        by_rule.entry(prompt.rule_key.clone()).or_default().push(prompt.due_at);
        if prompt.kind != PromptKind::Safety {
            assert!(last.is_none_or(|last| prompt.due_at.duration_since(last) >= hours(3)), "{prompt:?}");
            last = Some(prompt.due_at);
        }
    }
    let weekly = &by_rule["mnt.weekly"];
    assert!(weekly.len() >= 10, "{weekly:?}");
    for times in by_rule.values() {
        assert!(times.windows(2).all(|pair| pair[1].duration_since(pair[0]) > hours(5 * 24)), "{times:?}");
    }
}

#[test]
fn rule_series_a_session_that_is_called_off_gives_back_only_days_to_come() {
    let first = done(1, "2026-03-24T08:00:00Z");
    let with = Facts { infusions: vec![first.clone(), coming(2, "2026-03-27T08:00:00Z")], ..facts("Europe/Berlin") };
    let existing: Vec<_> = planned(&with, NOW).prompts.iter().map(|prompt| stored(prompt, Hold::Waiting)).collect();
    let keys = |steps: &[Step]| -> Vec<String> {
        let key = |step: &Step| match step {
            Step::Insert(to) => Some(to.rule_key.clone()),
            _ => None,
        };
        steps.iter().filter_map(key).collect()
    };
    // Called off in the evening of day 2.
    let now = "2026-03-26T19:30:00Z";
    let without = Facts { infusions: vec![first], ..with };
    let back = keys(&diff(&existing, &planned(&without, now), at(now)));
    assert!(back.contains(&"d3.kindness".to_owned()) && back.contains(&"d4.ifthen".to_owned()), "{back:?}");
    for gone in ["d1.exercise", "d2.thought", "d2.different"] {
        assert!(!back.contains(&gone.to_owned()), "{gone} lies in the past: {back:?}");
    }
}

#[test]
fn fault_what_a_pause_moves_past_the_last_day_is_told() {
    let free = Facts { infusions: vec![done(1, "2026-03-24T08:00:00Z")], ..facts("Europe/Berlin") };
    let pause = PausePeriod { from: at("2026-04-06T22:00:00Z"), until: at("2026-04-07T22:00:00Z") };
    let paused = Facts { pauses: vec![pause], ..free.clone() };
    // The second week ends on 7 April, day 14, with the measures of that day: the patient rests on it.
    let told = |facts: &Facts| {
        let plan = preview(fixture(), facts, "2026-03-24".parse().unwrap(), "2026-04-07".parse().unwrap());
        let asked = plan.prompts.iter().map(|prompt| (prompt.id, Some(prompt.local_date)));
        let dropped = plan.dropped.iter().map(|one| (one.id, None));
        asked.chain(dropped).collect::<BTreeMap<_, _>>()
    };
    let (free, paused) = (told(&free), told(&paused));
    let vanished: Vec<_> = free.keys().filter(|id| !paused.contains_key(id)).collect();
    assert!(vanished.is_empty(), "{vanished:?}");
    let later: Vec<Date> =
        paused.into_values().flatten().filter(|date| *date > jiff::civil::date(2026, 4, 7)).collect();
    assert_eq!(later, [jiff::civil::date(2026, 4, 8)]);
}
