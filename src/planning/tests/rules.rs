//! The `[plan]` rules of `RULES.md` that are decided by arithmetic, each by its name.

use super::*;
use crate::planning::protocol::{Anchor, Effort};

/// Monday, 7 September 2026, ten to eleven in Berlin.
const NOW: &str = "2026-09-07T08:50:00Z";

/// A patient whose infusion has just ended.
fn one() -> Facts {
    Facts { infusions: vec![done(1, "2026-09-07T08:00:00Z")], ..facts("Europe/Berlin") }
}

/// The same, with a session to come.
fn and_then(start: &str) -> Facts {
    let mut facts = one();
    facts.infusions.push(coming(2, start));
    facts
}

/// Date, time and reason of the only prompt of this rule.
#[track_caller]
fn place(plan: &Plan, key: &str) -> (String, Why) {
    let found: Vec<_> = plan.prompts.iter().filter(|prompt| prompt.rule_key == key).collect();
    let [prompt] = found[..] else { panic!("{key} is planned {} times", found.len()) };
    (format!("{} {}", prompt.local_date, prompt.local_time.strftime("%H:%M")), prompt.why)
}

fn gone_out(prompt: &Planned) -> PastPrompt {
    let Planned { id, rule_key, due_at, hangs_on, .. } = prompt.clone();
    PastPrompt {
        id,
        rule_key,
        rule: None,
        due_at,
        date: prompt.local_date,
        answered_at: None,
        anchor: prompt.anchor,
        hangs_on,
        unanswered: true,
        lapsed: false,
        taken_back: false,
        missed: false,
        card: false,
    }
}

#[test]
fn rule_caps_over_the_cap_priority_decides_then_kind_then_window_then_key() {
    use DayPart::{Evening, Midday, Morning};
    use PromptKind::{Exercise, Habit, Measure, Preparation, Reflection, Safety};
    let wishes = [
        ("z1", 2, Habit, Evening),
        ("z2", 3, Safety, Evening),
        ("z3", 3, Measure, Evening),
        ("z4", 3, Preparation, Evening),
        ("z5", 3, Reflection, Evening),
        ("z6", 3, Exercise, Evening),
        ("z7", 3, Habit, Morning),
        ("y8", 3, Habit, Midday),
        ("a9", 3, Habit, Evening),
        ("b9", 3, Habit, Evening),
    ];
    let default = fixture();
    let rule = |(key, priority, kind, part): (&str, u8, PromptKind, DayPart)| {
        let (requires, minutes, effort) = (Vec::new(), 2, Effort::Light);
        let (key, window) = (key.to_owned(), vec![part]);
        Rule { key, kind, window, minutes, priority, effort, requires, ..default.rule("d8.review").unwrap().clone() }
    };
    // Day 8 holds one prompt.
    for first in 0..wishes.len() {
        let rules = wishes[first..].iter().rev().copied().map(rule).collect();
        let plan = plan(&Protocol { rules, series: Vec::new(), ..default.clone() }, &one(), at(NOW));
        assert_eq!(on(&plan, "2026-09-15"), [wishes[first].0]);
        for (key, ..) in &wishes[first + 1..] {
            assert_eq!(why_not(&plan, key), [DropReason::Cap], "{key}");
        }
    }
}

#[test]
fn rule_caps_a_day_of_both_kinds_has_the_larger_cap_and_never_the_sum() {
    // Day 8, which alone holds one prompt, is the day before the next session, which alone holds three.
    let plan = planned(&and_then("2026-09-16T12:00:00Z"), NOW);
    assert_eq!(on(&plan, "2026-09-15"), ["prep.measures", "prep.safety", "prep.lastround", "d8.card"]);
    assert_eq!(why_not(&plan, "d8.review"), [DropReason::Cap]);
    assert_eq!(why_not(&plan, "prep.intention"), [DropReason::Replaced]);
}

#[test]
fn rule_phase_fit_day_one_holds_26_minutes() {
    let longer = |minutes| {
        let mut protocol = fixture().clone();
        protocol.rules.iter_mut().find(|rule| rule.key == "d1.tell").unwrap().minutes = minutes;
        plan(&protocol, &one(), at(NOW))
    };
    assert_eq!(on(&longer(14), "2026-09-08"), ["d1.check", "d1.tell", "d1.exercise", "d1.wind"]);
    assert_eq!(on(&longer(15), "2026-09-08"), ["d1.check", "d1.tell", "d1.wind"], "27 minutes are too many");
}

#[test]
fn rule_preparation_the_morning_of_a_session_comes_three_hours_before_within_its_bounds() {
    let morning = |start: &str, quiet_until: i8| {
        let quiet_hours = QuietHours { to: Time::constant(quiet_until, 0, 0, 0), ..QuietHours::default() };
        let facts = Facts { infusions: vec![coming(1, start)], quiet_hours, ..facts("Europe/Berlin") };
        let plan = planned(&facts, NOW);
        let found = plan.prompts.iter().find(|prompt| prompt.rule_key == "prep.morning");
        found.map_or_else(|| format!("{:?}", why_not(&plan, "prep.morning")), |one| one.local_time.to_string())
    };
    for (start, quiet_until, wanted) in [
        ("2026-09-10T12:30:00Z", 8, "11:30:00"),
        ("2026-09-10T09:00:00Z", 8, "08:00:00"),
        // Three hours before ten is seven: not before eight.
        ("2026-09-10T08:00:00Z", 8, "08:00:00"),
        // An hour before, to the minute.
        ("2026-09-10T07:00:00Z", 8, "08:00:00"),
        ("2026-09-10T06:59:00Z", 8, "[TooLate]"),
        // With quiet hours until nine, it is asked then, or not at all.
        ("2026-09-10T08:00:00Z", 9, "09:00:00"),
        ("2026-09-10T07:59:00Z", 9, "[TooLate]"),
    ] {
        assert_eq!(morning(start, quiet_until), wanted, "{start}, quiet until {quiet_until}");
    }
}

#[test]
fn rule_preparation_measures_come_a_day_before_or_two_or_not_at_all() {
    // Without the short templates of close series, which leave them out.
    let protocol = Protocol { series: Vec::new(), ..fixture().clone() };
    let measures = |infusions: Vec<InfusionFact>| {
        let facts = Facts { infusions, ..facts("Europe/Berlin") };
        plan(&protocol, &facts, at("2026-09-06T22:30:00Z"))
    };
    let plan = measures(vec![coming(2, "2026-09-09T12:00:00Z")]);
    assert!(place(&plan, "prep.measures").0.starts_with("2026-09-08"));
    // The morning before lies within a day after an infusion.
    let plan = measures(vec![done(1, "2026-09-07T08:00:00Z"), coming(2, "2026-09-09T12:00:00Z")]);
    let (when, why) = place(&plan, "prep.measures");
    assert!(when.starts_with("2026-09-07") && why == Why::EarlierDay, "{when} {why:?}");
    // And so does the one before that.
    let three =
        vec![done(3, "2026-09-06T08:00:00Z"), done(1, "2026-09-07T08:00:00Z"), coming(2, "2026-09-09T12:00:00Z")];
    assert_eq!(why_not(&measures(three), "prep.measures"), [DropReason::TooSoon]);
}

#[test]
fn rule_series_with_a_gap_of_one_the_check_comes_before_the_next_start() {
    for (start, wanted, why) in [
        ("2026-09-08T12:00:00Z", "2026-09-08 08:43", Why::Window),
        // Ten past eight: before the morning has begun.
        ("2026-09-08T06:10:00Z", "2026-09-08 08:00", Why::BeforeStart),
    ] {
        let (when, found) = place(&planned(&and_then(start), NOW), "d1.check");
        assert!(when.starts_with(wanted) && found == why, "{start}: {when} {found:?}");
    }
    // It does not go out in quiet hours.
    assert_eq!(why_not(&planned(&and_then("2026-09-08T05:50:00Z"), NOW), "d1.check"), [DropReason::TooLate]);
}

#[test]
fn rule_series_close_sessions_keep_one_of_telling_and_an_exercise() {
    for start in ["2026-09-09T12:00:00Z", "2026-09-10T12:00:00Z"] {
        let plan = planned(&and_then(start), NOW);
        assert!(on(&plan, "2026-09-08").contains(&"d1.tell"));
        assert_eq!(why_not(&plan, "d1.exercise"), [DropReason::Series]);
        // If the therapist has left out the one, the other is kept.
        let left_out = Override { rule_key: "d1.tell".into(), change: RuleChange::LeftOut };
        let holds = BTreeSet::new();
        let plan = planned(&Facts { overrides: vec![left_out], holds, ..and_then(start) }, NOW);
        assert!(on(&plan, "2026-09-08").contains(&"d1.exercise"));
        assert_eq!(why_not(&plan, "d1.tell"), [DropReason::LeftOut]);
    }
}

#[test]
fn rule_series_end_the_review_and_its_measures_hang_on_the_last_infusion() {
    let mut facts = one();
    facts.infusions.push(done(2, "2026-09-11T08:00:00Z"));
    let later = "2026-09-11T09:00:00Z";
    let of = |plan: &Plan, key: &str| -> Vec<u128> {
        let anchors = plan.prompts.iter().filter(|prompt| prompt.rule_key == key);
        anchors.map(|prompt| prompt.anchor.unwrap().uuid().as_u128()).collect()
    };
    for key in ["d7.measures", "d7.body", "d8.review", "d14.measures"] {
        assert_eq!(of(&planned(&facts, later), key), [2], "{key}");
    }
    // Another one ten days later: the series has ended before, and what would follow it comes after that one.
    facts.infusions.push(coming(3, "2026-09-21T08:00:00Z"));
    let plan = planned(&facts, later);
    assert_eq!((of(&plan, "d7.measures"), of(&plan, "d8.review")), (vec![2], vec![2]));
    assert_eq!(why_not(&plan, "d14.measures"), [DropReason::Superseded, DropReason::Superseded]);
}

#[test]
fn rule_series_from_seven_days_on_the_template_is_whole_until_the_next_infusion() {
    for gap in 4..=9 {
        let next = at("2026-09-07T12:00:00Z") + hours(24 * gap);
        let plan = planned(&and_then(&next.to_string()), NOW);
        for rule in &fixture().rules {
            let Anchor::Day(day) = rule.anchor else { continue };
            let reasons = why_not(&plan, &rule.key);
            let cut = reasons.contains(&DropReason::Superseded);
            assert_eq!(cut, i64::from(day) >= gap, "{} with a gap of {gap}: {reasons:?}", rule.key);
            assert!(!reasons.contains(&DropReason::Series), "{}", rule.key);
        }
        let check = plan.prompts.iter().filter(|prompt| prompt.rule_key == "prep.safety");
        assert_eq!(check.map(|prompt| prompt.day).collect::<Vec<_>>(), [Some(-1)], "with the preparation on it");
    }
}

#[test]
fn rule_maintenance_a_week_has_one_prompt_on_the_patients_day() {
    let now = "2026-09-25T08:00:00Z";
    let weekly = |facts: &Facts| -> Vec<Planned> {
        planned(facts, now).prompts.into_iter().filter(|prompt| prompt.rule_key == "mnt.weekly").collect()
    };
    let dates = |list: &[Planned]| list.iter().map(|prompt| prompt.local_date.to_string()).collect::<Vec<_>>();
    let sundays = weekly(&one());
    assert_eq!(dates(&sundays), ["2026-09-27", "2026-10-04"]);
    let midweek = weekly(&Facts { weekly_day: Weekday::Wednesday, ..one() });
    assert_eq!(dates(&midweek), ["2026-09-23", "2026-09-30", "2026-10-07"]);
    assert_eq!((midweek[0].id, midweek[1].id), (sundays[0].id, sundays[1].id), "whole weeks since care began");
    // A patient who was asked on Wednesday and changes the day is not asked again on Sunday.
    let asked = Facts { settled: vec![gone_out(&midweek[0])], ..one() };
    assert_eq!(dates(&weekly(&asked)), ["2026-09-23", "2026-10-04"]);
    // The body is asked about every 28 days in any case.
    assert_eq!(place(&planned(&one(), now), "mnt.monthly").0.split(' ').next(), Some("2026-09-29"));
}

#[test]
fn rule_correction_a_measure_whose_new_time_has_passed_is_not_asked_again() {
    let before = one();
    let measures = planned(&before, NOW).prompts.into_iter().find(|one| one.rule_key == "d7.measures").unwrap();
    let told = "2026-09-14T12:00:00Z";
    let moved = |start: &str| {
        let infusions = vec![InfusionFact { recorded_at: at(told), ..done(1, start) }];
        planned(&Facts { infusions, settled: vec![gone_out(&measures)], ..before.clone() }, told)
    };
    let plan = moved("2026-09-06T08:00:00Z");
    assert_eq!(why_not(&plan, "d7.measures"), [DropReason::Corrected]);
    assert!(plan.prompts.iter().all(|prompt| prompt.rule_key != "d7.measures"));
    // Its new time is still to come.
    let plan = moved("2026-09-08T08:00:00Z");
    let again = plan.prompts.iter().find(|prompt| prompt.rule_key == "d7.measures").unwrap();
    assert_eq!((again.occurrence, again.local_date.to_string().as_str()), (1, "2026-09-15"));
    // A reflection that went out is never asked again.
    let tell = planned(&before, NOW).prompts.into_iter().find(|one| one.rule_key == "d1.tell").unwrap();
    let infusions = vec![InfusionFact { recorded_at: at("2026-09-08T12:00:00Z"), ..done(1, "2026-09-08T08:00:00Z") }];
    let plan = planned(&Facts { infusions, settled: vec![gone_out(&tell)], ..before }, "2026-09-08T12:00:00Z");
    assert!(plan.prompts.iter().all(|prompt| prompt.rule_key != "d1.tell" || prompt.id == tell.id));
}

#[test]
fn rule_correction_taken_back_itself_asks_the_check_again() {
    let before = one();
    let landing = planned(&before, NOW).prompts.into_iter().find(|one| one.rule_key == "d0.landing").unwrap();
    assert_eq!(landing.due_at, at("2026-09-07T11:40:00Z"));
    // At two somebody types an end six hours too early: the check that went out is taken back.
    let (wrong, right) = ("2026-09-07T12:00:00Z", "2026-09-07T12:10:00Z");
    let typed = vec![InfusionFact { recorded_at: at(wrong), ..done(1, "2026-09-07T02:00:00Z") }];
    let plan = planned(&Facts { infusions: typed, settled: vec![gone_out(&landing)], ..before.clone() }, wrong);
    assert_eq!(why_not(&plan, "d0.landing"), [DropReason::Corrected]);
    // Ten minutes later it is put right, and nobody has answered.
    let settled = vec![PastPrompt { taken_back: true, ..gone_out(&landing) }];
    let infusions = vec![InfusionFact { recorded_at: at(right), ..done(1, "2026-09-07T08:00:00Z") }];
    let plan = planned(&Facts { infusions, settled, ..before }, right);
    let again = plan.prompts.iter().find(|prompt| prompt.rule_key == "d0.landing").unwrap();
    assert_eq!((again.occurrence, again.due_at, again.why), (1, at("2026-09-07T12:15:00Z"), Why::Corrected));
}

#[test]
fn rule_one_administration_a_record_that_takes_the_place_of_a_report_keeps_its_prompts() {
    let report = one();
    let mut joined = report.clone();
    let theirs = InfusionFact { reported_as: Some(report.infusions[0].id), ..done(9, "2026-09-07T08:05:00Z") };
    joined.infusions = vec![theirs];
    let ids = |facts: &Facts| planned(facts, NOW).prompts.iter().map(|prompt| prompt.id).collect::<Vec<_>>();
    assert_eq!(ids(&joined), ids(&report));
    let existing: Vec<_> =
        planned(&report, NOW).prompts.iter().map(|prompt| diffs::stored(prompt, Hold::Waiting)).collect();
    let steps = diff(&existing, &planned(&joined, NOW), at(NOW));
    let hangs = |step: &Step| match step {
        Step::Move { to, reason, .. } => to.anchor == Some(joined.infusions[0].id) && *reason == MoveReason::Infusion,
        _ => false,
    };
    assert!(!steps.is_empty() && steps.iter().all(hangs), "{steps:?}");
}

#[test]
fn rule_caps_count_what_went_out_by_a_rule_that_is_gone_as_it_was_asked() {
    let before = one();
    let on = |plan: &Plan, date: &str| {
        plan.prompts.iter().filter(|prompt| prompt.local_date.to_string() == date && prompt.push).count()
    };
    let plan = planned(&before, NOW);
    let day = "2026-09-11";
    let full = on(&plan, day);
    assert!(full > 0);
    // The day is spent by something that the protocol of today has not heard of.
    let model = plan.prompts.iter().find(|prompt| prompt.rule_key == "d4.ifthen").unwrap();
    let rule = |minutes| Rule { key: "d4.old".to_owned(), minutes, ..fixture().rule("d4.ifthen").unwrap().clone() };
    let gone = |rule: Option<Rule>| PastPrompt {
        id: Id::from_uuid(Uuid::from_u128(77)),
        rule_key: "d4.old".to_owned(),
        rule: rule.map(Box::new),
        ..gone_out(model)
    };
    let then = |rule| on(&planned(&Facts { settled: vec![gone(rule)], ..before.clone() }, NOW), day);
    assert_eq!(then(None), full, "nobody knows what it asked");
    assert!(then(Some(rule(60))) < full, "{full}");
}

#[test]
fn rule_reminders_in_the_night_are_dropped_and_not_moved() {
    // Half-way of 30 hours from the morning of day 4 is the night; half-way of 24 hours from the evening is the
    // morning.
    let plan = planned(&one(), NOW);
    for prompt in plan.prompts.iter().filter(|prompt| prompt.push && prompt.kind != PromptKind::Safety) {
        let half =
            prompt.due_at + SignedDuration::from_secs(prompt.expires_at.duration_since(prompt.due_at).as_secs() / 2);
        assert!(prompt.reminder_at.is_none_or(|at| at == half), "{}: half-way or not at all", prompt.rule_key);
        let night = facts("Europe/Berlin").quiet_hours.contains(prompt.zone.local(half).time());
        assert!(!night || prompt.reminder_at.is_none(), "{}", prompt.rule_key);
    }
    assert!(plan.prompts.iter().any(|prompt| prompt.reminder_at.is_some() && prompt.kind != PromptKind::Safety));
}

#[test]
fn every_rule_of_the_protocol_is_planned_or_says_why_not() {
    for facts in [one(), and_then("2026-09-09T12:00:00Z"), Facts { holds: BTreeSet::new(), ..thin("Europe/Berlin") }] {
        let facts = Facts { infusions: and_then("2026-09-10T12:00:00Z").infusions, ..facts };
        let plan = planned(&facts, NOW);
        for rule in &fixture().rules {
            let outside = rule.recurs()
                || rule.kind == PromptKind::OnDemand
                || rule.at_home
                || matches!(rule.anchor, Anchor::DateOf(_));
            let told =
                plan.prompts.iter().any(|prompt| prompt.rule_key == rule.key) || !why_not(&plan, &rule.key).is_empty();
            assert!(outside || told, "{}", rule.key);
        }
    }
}
