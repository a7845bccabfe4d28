use std::collections::BTreeMap;

use jiff::ToSpan;

use super::*;
use crate::planning::protocol::{Anchor, Expiry};

const NOW: &str = "2026-09-07T08:50:00Z";

fn one() -> Facts {
    Facts { infusions: vec![done(1, "2026-09-07T08:00:00Z")], ..facts("Europe/Berlin") }
}

fn settled(prompt: &Planned) -> PastPrompt {
    let Planned { id, rule_key, due_at, .. } = prompt.clone();
    PastPrompt {
        id,
        rule_key,
        rule: None,
        due_at,
        date: prompt.local_date,
        answered_at: None,
        anchor: prompt.anchor,
        hangs_on: prompt.hangs_on,
        unanswered: true,
        lapsed: false,
        taken_back: false,
        missed: false,
        card: false,
    }
}

#[test]
fn what_went_out_counts_even_if_nothing_calls_for_it() {
    let thin = Facts { infusions: one().infusions, ..thin("Europe/Berlin") };
    let sent: Vec<PastPrompt> =
        planned(&thin, NOW).prompts.iter().filter(|prompt| prompt.day == Some(6)).map(settled).collect();
    let sent: Vec<_> = sent.into_iter().map(|sent| PastPrompt { unanswered: false, ..sent }).collect();
    // The infusion turns out to have been two days later: what was day 6 is day 4, which now holds two exercises.
    let infusions = vec![done(2, "2026-09-09T08:00:00Z")];
    let moved = Facts { infusions, settled: sent, ..thin };
    assert_eq!(
        on(&planned(&Facts { settled: Vec::new(), ..moved.clone() }, NOW), "2026-09-13"),
        ["d4.ifthen", "d4.music"]
    );
    let plan = planned(&moved, NOW);
    assert_eq!(why_not(&plan, "d4.ifthen"), [DropReason::Cap]);
    assert!(plan.prompts.iter().all(|prompt| prompt.id != moved.settled[0].id));
}

#[test]
fn what_lies_further_from_its_session_than_a_plan_reaches_is_planned_until_it_is_due() {
    let mut protocol = fixture().clone();
    let anchors = [
        ("d4.ifthen", Anchor::Day(40)),
        ("d0.fragments", Anchor::AfterEnd { hours: 24 * 20 }),
        ("prep.lastround", Anchor::BeforeNextDays(vec![30])),
    ];
    for (key, anchor) in anchors {
        let rule = protocol.rules.iter_mut().find(|rule| rule.key == key).unwrap();
        (rule.anchor, rule.expires) = (anchor, Expiry::Hours(24));
    }
    assert!(protocol.new_faults(fixture()).is_empty(), "a clinic may write that");
    for (key, infusion, due) in [
        ("d4.ifthen", done(1, "2026-09-07T08:00:00Z"), "2026-10-17"),
        ("d0.fragments", done(1, "2026-09-07T08:00:00Z"), "2026-09-27"),
        ("prep.lastround", coming(1, "2026-11-16T09:00:00Z"), "2026-10-17"),
    ] {
        let facts = Facts { infusions: vec![infusion], ..facts("Europe/Berlin") };
        let due: Date = due.parse().unwrap();
        for before in 1..=protocol.horizon_days {
            let now = zone("Europe/Berlin").instant(due - before.days(), Time::midnight());
            let plan = plan(&protocol, &facts, now);
            let found = plan.prompts.iter().find(|prompt| prompt.rule_key == key);
            assert_eq!(found.map(|prompt| prompt.local_date), Some(due), "{key}, {before} days before");
        }
    }
}

#[test]
fn a_preparation_whose_days_lie_weeks_apart_is_planned_for_the_first_possible_one_until_it_is_due() {
    let mut protocol = fixture().clone();
    for (days, due) in [([1, 30], "2026-11-15"), ([30, 1], "2026-10-17")] {
        let rule = protocol.rules.iter_mut().find(|rule| rule.key == "prep.lastround").unwrap();
        rule.anchor = Anchor::BeforeNextDays(days.into());
        let facts = Facts { infusions: vec![coming(1, "2026-11-16T09:00:00Z")], ..facts("Europe/Berlin") };
        let due: Date = due.parse().unwrap();
        for before in 1..=protocol.horizon_days {
            let now = zone("Europe/Berlin").instant(due - before.days(), Time::midnight());
            let plan = plan(&protocol, &facts, now);
            let found = plan.prompts.iter().find(|prompt| prompt.rule_key == "prep.lastround");
            assert_eq!(found.map(|prompt| prompt.local_date), Some(due), "{days:?}, {before} days before");
        }
    }
}

#[test]
fn ids_do_not_depend_on_when_or_how_often() {
    let first = planned(&one(), NOW);
    let later = planned(&one(), "2026-09-12T20:00:00Z");
    for prompt in &first.prompts {
        assert!(later.prompts.contains(prompt), "{prompt:?}");
    }
    let version = Protocol { version: 2, ..fixture().clone() };
    let other = plan(&version, &one(), at(NOW));
    let ids = |plan: &Plan| plan.prompts.iter().map(|prompt| prompt.id).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&other));
    let moved = Facts { infusions: vec![done(1, "2026-09-08T08:00:00Z")], ..one() };
    assert!(ids(&planned(&moved, NOW)).iter().all(|id| ids(&first).contains(id)));
    let stranger = Facts { patient: Id::from_uuid(Uuid::from_u128(7)), ..one() };
    assert!(planned(&stranger, NOW).prompts.iter().all(|prompt| !ids(&first).contains(&prompt.id)));
}

#[test]
fn jitter_is_at_most_twenty_minutes() {
    let plan = planned(&one(), NOW);
    let jitters: BTreeSet<_> = plan
        .prompts
        .iter()
        .filter(|prompt| prompt.why == Why::Window)
        .map(|prompt| {
            let rule = fixture().rule(&prompt.rule_key).unwrap();
            let span = fixture().windows.span(rule.window[0]);
            prompt.local_time.duration_since(span.from).as_mins()
        })
        .collect();
    assert!(jitters.iter().all(|minutes| (0..=20).contains(minutes)), "{jitters:?}");
    assert!(jitters.len() > 5, "{jitters:?}");
}

/// What everybody is asked at one time of the day does not come to everybody in one minute, and to nobody before the
/// part of the day begins.
#[test]
fn prompts_of_many_patients_are_spread_over_twenty_minutes() {
    let rule = |prompt: &Planned| fixture().rule(&prompt.rule_key).unwrap();
    let in_window = |prompt: &&Planned| prompt.why == Why::Window && rule(prompt).window.len() == 1;
    let plan = planned(&one(), NOW);
    let first = plan.prompts.iter().find(in_window).unwrap();
    let from = fixture().windows.span(rule(first).window[0]).from;
    let mut minutes: BTreeMap<i64, usize> = BTreeMap::new();
    for n in 0..400 {
        let facts = Facts { patient: Id::from_uuid(Uuid::from_u128(1000 + n)), ..one() };
        let plan = planned(&facts, NOW);
        let found = plan.prompts.iter().filter(in_window).find(|prompt| prompt.rule_key == first.rule_key);
        if let Some(prompt) = found {
            *minutes.entry(prompt.local_time.duration_since(from).as_mins()).or_default() += 1;
        }
    }
    assert!(minutes.values().sum::<usize>() >= 300, "hardly anybody is asked: {minutes:?}");
    assert!(minutes.keys().all(|minute| (0..=20).contains(minute)), "{minutes:?}");
    assert!(minutes.len() >= 19, "some minutes are hardly used: {minutes:?}");
    assert!(minutes.values().all(|count| *count <= 50), "a herd: {minutes:?}");
}

#[test]
fn a_server_without_checks_plans_none() {
    let facts = Facts { infusions: vec![done(1, "2026-09-07T08:00:00Z")], ..thin("Europe/Berlin") };
    let plan = planned(&facts, NOW);
    assert!(
        plan.prompts
            .iter()
            .all(|prompt| !matches!(prompt.kind, PromptKind::Safety | PromptKind::Measure | PromptKind::OnDemand))
    );
    assert_eq!(why_not(&plan, "d1.check"), [DropReason::Capability]);
    assert_eq!(on(&plan, "2026-09-08"), ["d1.tell", "d1.exercise", "d1.wind"]);
}

#[test]
fn quiet_hours_move_what_is_still_of_use_and_drop_the_rest() {
    let (from, to) = ("17:00".parse().unwrap(), "07:00".parse().unwrap());
    let facts = Facts { quiet_hours: QuietHours { from, to }, ..one() };
    let plan = planned(&facts, NOW);
    // Evening of day 3, good for 36 hours: the next morning.
    let share = plan.prompts.iter().find(|prompt| prompt.rule_key == "d3.share").unwrap();
    assert_eq!((share.local_date.to_string(), share.local_time, share.why), ("2026-09-11".into(), to, Why::QuietHours));
    // Evening of day 2, until 21:00.
    assert_eq!(why_not(&plan, "d2.different"), [DropReason::QuietHours]);
}

#[test]
fn a_pause_silences_all_but_safety() {
    let pause = PausePeriod { from: at("2026-09-07T00:00:00Z"), until: at("2026-09-10T00:00:00Z") };
    let plan = planned(&Facts { pauses: vec![pause], ..one() }, NOW);
    assert_eq!(on(&plan, "2026-09-07"), ["d0.landing", "d0.evening"]);
    assert_eq!(on(&plan, "2026-09-08"), ["d1.check"]);
    assert_eq!(on(&plan, "2026-09-09"), [""; 0]);
    assert_eq!(why_not(&plan, "d1.tell"), [DropReason::Paused]);
    assert_eq!(on(&plan, "2026-09-10"), ["d3.mood", "d3.kindness", "d3.share"]);
}

#[test]
fn what_is_answered_keeps_its_place_through_a_pause() {
    let tell = planned(&one(), NOW).prompts.into_iter().find(|prompt| prompt.rule_key == "d1.tell").unwrap();
    let pause = PausePeriod { from: at("2026-09-07T00:00:00Z"), until: at("2026-09-10T00:00:00Z") };
    let plan = planned(&Facts { pauses: vec![pause], settled: vec![settled(&tell)], ..one() }, NOW);
    assert_eq!(on(&plan, "2026-09-08"), ["d1.check", "d1.tell"]);
}

#[test]
fn prerequisites_are_needed() {
    let plan = planned(&Facts { holds: BTreeSet::new(), ..one() }, NOW);
    for key in ["d5.habit", "d10.habit", "d9.rehearse", "d8.review", "d3.share"] {
        assert_eq!(why_not(&plan, key), [DropReason::Prerequisite], "{key}");
    }
    let holds = BTreeSet::from([Prerequisite::LiveLink]);
    assert_eq!(why_not(&planned(&Facts { holds, ..one() }, NOW), "d3.share"), [DropReason::Prerequisite]);
}

#[test]
fn reminders_take_only_places_that_are_left() {
    let plan = planned(&one(), NOW);
    let reminder = |key: &str| plan.prompts.iter().find(|prompt| prompt.rule_key == key).unwrap().reminder_at;
    // Day 1 is full: a check has a reminder all the same.
    assert!(reminder("d1.check").is_some());
    assert!(reminder("d1.tell").is_none());
    // Day 6 has room; 36 hours from midday, half-way, are at six the next morning: dropped, not moved.
    assert!(reminder("d6.people").is_none());
    // 30 hours from the morning of day 4: that night. 48 hours from the afternoon of day 8: the next afternoon, full.
    assert!(reminder("d4.ifthen").is_none());
    assert!(reminder("d8.review").is_none());
    // 48 hours from the afternoon of day 12 fall on day 13, which is full with its letter.
    assert!(reminder("d12.signs").is_none());
    let next = plan.prompts.iter().find(|prompt| prompt.rule_key == "d14.measures").unwrap();
    assert_eq!(next.reminder_at.unwrap(), next.due_at + hours(24));
}

#[test]
fn gaps_of_a_series_keep_a_part_of_the_template() {
    for (gap, day1, day2, last) in [
        (1, &["d1.check"][..], &[][..], None),
        (2, &["d1.check", "prep.safety", "d1.tell"], &["prep.morning"], None),
        (3, &["d1.check", "d1.tell"], &["d2.step", "prep.safety", "prep.intention"], None),
        (4, &["d1.check", "d1.tell", "d1.exercise", "d1.wind"], &["d2.mood", "d2.step", "d2.thought"], Some("d3.mood")),
    ] {
        let next = at("2026-09-07T12:00:00Z") + hours(24 * gap);
        let mut facts = one();
        facts.holds.retain(|held| !matches!(held, Prerequisite::Takeaway | Prerequisite::UnsharedEntry));
        facts.infusions.push(coming(2, &next.to_string()));
        facts.last_measure_at = Some(at(NOW));
        let plan = planned(&facts, NOW);
        let sorted = |keys: &[&'static str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        let found = |date| on(&plan, date).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        assert_eq!(found("2026-09-08"), sorted(day1), "gap {gap}, day 1");
        assert!(found("2026-09-09").is_superset(&sorted(day2)), "gap {gap}, day 2: {:?}", found("2026-09-09"));
        if gap < 3 {
            assert_eq!(found("2026-09-09"), sorted(day2), "gap {gap}, day 2");
        }
        let latest = plan.prompts.iter().filter_map(|prompt| prompt.day).max().unwrap();
        assert!(i64::from(latest) < gap.max(2), "gap {gap}: day {latest}");
        if let Some(key) = last {
            assert!(plan.prompts.iter().any(|prompt| prompt.rule_key == key), "gap {gap}");
        }
    }
}

#[test]
fn two_infusions_on_one_date_have_one_day_zero() {
    let facts = Facts {
        infusions: vec![done(1, "2026-09-07T06:00:00Z"), done(2, "2026-09-07T13:00:00Z")],
        ..facts("Europe/Berlin")
    };
    let plan = planned(&facts, "2026-09-07T13:45:00Z");
    assert!(plan.prompts.iter().all(|prompt| prompt.anchor != Some(facts.infusions[0].id)));
    assert_eq!(why_not(&plan, "d0.landing"), [DropReason::Merged]);
}

#[test]
fn a_session_is_prepared_for() {
    let mut facts = Facts { infusions: vec![coming(1, "2026-09-10T08:00:00Z")], ..facts("Europe/Berlin") };
    let plan = planned(&facts, NOW);
    assert_eq!(on(&plan, "2026-09-09"), ["prep.measures", "prep.safety", "prep.lastround"]);
    assert_eq!(why_not(&plan, "prep.intention"), [DropReason::Replaced]);
    facts.holds.remove(&Prerequisite::Takeaway);
    let plan = planned(&facts, NOW);
    assert_eq!(on(&plan, "2026-09-09"), ["prep.measures", "prep.safety", "prep.intention"]);
    assert_eq!(why_not(&plan, "prep.lastround"), [DropReason::Prerequisite]);
    // Three hours before ten is seven: not before eight.
    let morning = plan.prompts.iter().find(|prompt| prompt.rule_key == "prep.morning").unwrap();
    assert_eq!((morning.local_time.to_string(), morning.day), ("08:00:00".into(), Some(0)));
    let early = Facts { infusions: vec![coming(1, "2026-09-10T06:59:00Z")], ..facts };
    assert_eq!(why_not(&planned(&early, NOW), "prep.morning"), [DropReason::TooLate]);
}

#[test]
fn measures_keep_their_distance() {
    let mut facts = one();
    facts.last_measure_at = Some(at("2026-09-06T06:00:00Z"));
    facts.infusions.push(coming(2, "2026-09-11T08:00:00Z"));
    assert_eq!(why_not(&planned(&facts, NOW), "prep.measures"), [DropReason::TooSoon]);
    facts.last_measure_at = None;
    let plan = planned(&facts, NOW);
    assert!(on(&plan, "2026-09-10").contains(&"prep.measures"));
}

#[test]
fn between_windows_there_is_one_prompt_a_week() {
    let plan = planned(&Facts { last_measure_at: Some(at(NOW)), ..one() }, "2026-09-25T08:00:00Z");
    let weekly: Vec<_> = places(&plan)
        .into_iter()
        .filter(|(key, ..)| *key == "mnt.weekly")
        .map(|(_, date, _)| date.to_string())
        .collect();
    assert_eq!(weekly, ["2026-09-27", "2026-10-04"]);
    let mut coming_again = one();
    coming_again.infusions.push(coming(2, "2026-10-12T08:00:00Z"));
    let plan = planned(&coming_again, "2026-09-25T08:00:00Z");
    let weekly =
        places(&plan).into_iter().filter(|(key, ..)| *key == "mnt.weekly").map(|(_, date, _)| date.to_string());
    assert_eq!(weekly.collect::<Vec<_>>(), ["2026-09-27", "2026-10-04"], "as long as the next session is a week away");
    coming_again.infusions.push(coming(3, "2026-10-11T08:00:00Z"));
    let plan = planned(&coming_again, "2026-09-25T08:00:00Z");
    assert_eq!(on(&plan, "2026-10-04").iter().filter(|key| **key == "mnt.weekly").count(), 0);
    assert_eq!(plan.prompts.iter().filter(|prompt| prompt.rule_key == "mnt.monthly").count(), 1);
}

#[test]
fn a_provisional_end_plans_two_days() {
    let mut facts = one();
    facts.infusions[0].provisional = true;
    let plan = planned(&facts, NOW);
    assert_eq!(plan.prompts.iter().filter_map(|prompt| prompt.day).max(), Some(1));
}

#[test]
fn a_flight_east_skips_hours_and_keeps_the_night() {
    let landed = at("2026-09-09T09:00:00Z"); // 11:00 in Berlin, 18:00 in Tokyo, day 2
    let mut facts = one();
    let before = planned(&facts, NOW);
    facts.zones.push(ZoneSince { zone: zone("Asia/Tokyo"), from: landed });
    facts.settled = before.prompts.iter().filter(|prompt| prompt.due_at < landed).map(settled).collect();
    let plan = planned(&facts, &landed.to_string());
    // Prompts that were due before stay.
    for prompt in before.prompts.iter().filter(|prompt| prompt.due_at < landed) {
        assert_eq!(
            plan.prompts.iter().find(|other| other.id == prompt.id).map(|other| other.due_at),
            Some(prompt.due_at)
        );
    }
    // The rest runs on the clock of Tokyo, never at night, and no local date holds more than its cap.
    for prompt in plan.prompts.iter().filter(|prompt| prompt.due_at >= landed) {
        assert_eq!(prompt.zone, zone("Asia/Tokyo"));
        assert!(!facts.quiet_hours.contains(prompt.local_time), "{prompt:?}");
    }
    assert_eq!(on(&plan, "2026-09-10"), ["d3.mood", "d3.kindness", "d3.share"]);
    assert!(on(&plan, "2026-09-09").len() <= 5);
}

#[test]
fn a_flight_west_repeats_hours_but_no_prompt() {
    let landed = at("2026-09-09T12:00:00Z"); // 14:00 in Berlin, 08:00 in New York, day 2
    let mut facts = one();
    facts.zones.push(ZoneSince { zone: zone("America/New_York"), from: landed });
    let plan = planned(&facts, &landed.to_string());
    let dues: Vec<_> = plan.prompts.iter().filter(|prompt| prompt.day == Some(2)).map(|prompt| prompt.due_at).collect();
    assert_eq!(dues.len(), on(&plan, "2026-09-09").len());
    let mood = plan.prompts.iter().find(|prompt| prompt.rule_key == "d2.mood").unwrap();
    assert_eq!(mood.zone, zone("Europe/Berlin"));
    let thought = plan.prompts.iter().find(|prompt| prompt.rule_key == "d2.thought").unwrap();
    assert_eq!(thought.zone, zone("America/New_York"));
}

#[test]
fn rule_what_hangs_on_an_infusion_that_never_was_takes_no_place_and_is_taken_back() {
    let thin = Facts { infusions: one().infusions, ..thin("Europe/Berlin") };
    let plan_before = planned(&thin, NOW);
    let tell = plan_before.prompts.iter().find(|prompt| prompt.rule_key == "d1.tell").unwrap();
    let existing = vec![super::diffs::stored(tell, Hold::Out)];
    let now = at("2026-09-08T12:00:00Z");
    let gone = Facts { infusions: Vec::new(), settled: vec![settled(tell)], ..thin.clone() };
    let steps = diff(&existing, &plan(fixture(), &gone, now), now);
    assert_eq!(steps, [Step::Cancel { id: tell.id, reason: DropReason::Withdrawn }]);
    // The clinic's record in the place of the patient's report is the same infusion.
    let theirs = InfusionFact { reported_as: Some(thin.infusions[0].id), ..done(9, "2026-09-07T08:05:00Z") };
    let joined = Facts { infusions: vec![theirs], ..gone };
    assert!(diff(&existing, &plan(fixture(), &joined, now), now).iter().all(|step| step.id() != tell.id));
}

#[test]
fn rule_the_jitter_never_passes_the_end_of_a_part_of_the_day() {
    // No clinic can publish this: no part of the day is shorter than the jitter.
    let protocol = Protocol { jitter_minutes: u8::MAX, ..fixture().clone() };
    let plan = plan(&protocol, &one(), at(NOW));
    let meant: Vec<_> = plan.prompts.iter().filter(|prompt| prompt.why == Why::Window).collect();
    assert!(meant.len() > 5, "{}", meant.len());
    for prompt in meant {
        let part = protocol.rule(&prompt.rule_key).unwrap().window[0];
        let span = protocol.windows.span(part);
        assert!((span.from..=span.to).contains(&prompt.local_time), "{}: {}", prompt.rule_key, prompt.local_time);
    }
}
