//! What leaves the server, and when nothing does: sessions, what is moved, places of equal rank, reminders.

use super::*;

fn sessions(infusions: Vec<InfusionFact>) -> Facts {
    Facts { infusions, ..facts("Europe/Berlin") }
}

fn find<'a>(plan: &'a Plan, key: &str) -> &'a Planned {
    plan.prompts.iter().find(|prompt| prompt.rule_key == key).unwrap_or_else(|| panic!("{key} is not planned"))
}

/// Whether a first push or a reminder of the plan falls into a session or its acute phase.
fn buzzes(plan: &Plan, facts: &Facts) -> Vec<String> {
    let silences: Vec<_> = facts.infusions.iter().filter_map(|one| one.silence(&fixture().window)).collect();
    let within = |at: Timestamp| silences.iter().any(|(from, until)| *from <= at && at < *until);
    let leaving = |prompt: &Planned| within(prompt.due_at) || prompt.reminder_at.is_some_and(within);
    let at_home = |prompt: &Planned| fixture().rule(&prompt.rule_key).unwrap().at_home;
    let found = plan.prompts.iter().filter(|prompt| prompt.push && leaving(prompt) && !at_home(prompt));
    found.map(|prompt| format!("{} {} {:?}", prompt.rule_key, prompt.due_at, prompt.reminder_at)).collect()
}

#[test]
fn rule_silence_no_push_and_no_reminder_in_a_session_or_its_acute_phase() {
    for minutes in (0..24 * 60).step_by(10) {
        let start = at("2026-09-10T00:00:00Z") + SignedDuration::from_mins(minutes);
        let long = InfusionFact { planned_minutes: 120, ..coming(2, &start.to_string()) };
        let facts = sessions(vec![done(1, "2026-09-07T08:00:00Z"), long]);
        let plan = planned(&facts, "2026-09-08T08:50:00Z");
        assert_eq!(buzzes(&plan, &facts), Vec::<String>::new(), "a session at {start}");
    }
}

#[test]
fn rule_silence_only_a_session_of_whose_end_nobody_has_told_lasts_longer_when_something_leaves() {
    let planned = (at("2026-09-10T09:00:00Z"), at("2026-09-10T09:40:00Z"));
    let until = |untold| silence(planned, hours(2), untold).1;
    assert_eq!(silence(planned, hours(2), UntoldEnd::AsPlanned), (planned.0, at("2026-09-10T11:40:00Z")));
    assert_eq!(until(UntoldEnd::NotBefore(at("2026-09-10T09:20:00Z"))), at("2026-09-10T11:40:00Z"), "before its end");
    assert_eq!(until(UntoldEnd::NotBefore(at("2026-09-10T13:00:00Z"))), at("2026-09-10T15:00:00Z"), "it goes on");
}

#[test]
fn rule_silence_what_prepares_expires_at_the_start() {
    let facts = sessions(vec![coming(1, "2026-09-10T07:15:00Z")]);
    let plan = planned(&facts, "2026-09-08T08:50:00Z");
    let start = at("2026-09-10T07:15:00Z");
    let before = plan.prompts.iter().filter(|prompt| prompt.rule_key.starts_with("prep."));
    for prompt in before.filter(|prompt| prompt.kind != PromptKind::Safety) {
        assert!(prompt.expires_at <= start && prompt.reminder_at.is_none_or(|at| at < start), "{prompt:?}");
    }
    let morning = find(&plan, "prep.morning");
    assert_eq!((morning.expires_at, morning.reminder_at), (start, Some(at("2026-09-10T06:37:30Z"))));
}

#[test]
fn rule_moved_means_judged_again_what_is_about_tomorrow_does_not_come_on_the_day() {
    // Somebody who sleeps from seven in the evening to eight.
    let quiet_hours = QuietHours { from: Time::constant(18, 0, 0, 0), to: Time::constant(8, 0, 0, 0) };
    let mut facts = Facts { quiet_hours, ..sessions(vec![coming(1, "2026-09-10T09:00:00Z")]) };
    facts.holds.remove(&Prerequisite::Takeaway);
    facts.overrides =
        vec![Override { rule_key: "prep.intention".to_owned(), change: RuleChange::MovedTo(DayPart::Evening) }];
    let plan = planned(&facts, "2026-09-08T08:50:00Z");
    assert_eq!(why_not(&plan, "prep.intention"), [DropReason::QuietHours]);
    // The pieces of an evening session are caught in the morning, unless the next one is that day.
    let evening = done(1, "2026-09-07T13:20:00Z");
    let capabilities = BTreeSet::new();
    let alone = Facts { quiet_hours, capabilities: capabilities.clone(), ..sessions(vec![evening.clone()]) };
    let pieces = planned(&alone, "2026-09-07T14:30:00Z");
    assert_eq!(find(&pieces, "d0.fragments").due_at, at("2026-09-08T06:00:00Z"));
    let both = vec![evening, coming(2, "2026-09-08T07:00:00Z")];
    let pieces = planned(&Facts { quiet_hours, capabilities, ..sessions(both) }, "2026-09-07T14:30:00Z");
    assert_eq!(why_not(&pieces, "d0.fragments"), [DropReason::QuietHours]);
}

#[test]
fn rule_what_has_one_part_of_the_day_is_placed_before_what_has_two() {
    for n in 0..60 {
        let patient = Id::from_uuid(Uuid::from_u128(n));
        let facts = Facts { patient, ..sessions(vec![done(1, "2026-09-07T08:00:00Z")]) };
        let plan = planned(&facts, "2026-09-07T09:00:00Z");
        let day = on(&plan, "2026-09-09");
        assert!(day.contains(&"d2.mood") && day.contains(&"d2.step"), "{n}: {day:?}");
    }
}

#[test]
fn rule_two_on_one_date_the_day_0_set_hangs_on_the_last_end() {
    let long = InfusionFact { ended_at: Some(at("2026-09-07T13:00:00Z")), ..done(1, "2026-09-07T07:00:00Z") };
    let facts = sessions(vec![long.clone(), done(2, "2026-09-07T08:00:00Z")]);
    let plan = planned(&facts, "2026-09-07T13:10:00Z");
    let landing = find(&plan, "d0.landing");
    assert_eq!((landing.anchor, landing.due_at), (Some(long.id), at("2026-09-07T16:00:00Z")));
    assert_eq!(buzzes(&plan, &facts), Vec::<String>::new());
}

#[test]
fn rule_gaps_count_by_the_starts_when_a_session_runs_over_midnight() {
    // From eleven in the evening to one; the next at six in the evening of the same night's date.
    let night = InfusionFact { ended_at: Some(at("2026-09-07T23:00:00Z")), ..done(1, "2026-09-07T21:00:00Z") };
    let facts = sessions(vec![night, coming(2, "2026-09-08T16:00:00Z")]);
    let plan = planned(&facts, "2026-09-07T23:10:00Z");
    assert_eq!(find(&plan, "d0.landing").due_at, at("2026-09-08T06:00:00Z"), "the first one is not merged");
}

#[test]
fn rule_day_0_the_second_look_at_home_stands_for_the_landing() {
    let home = InfusionFact { supervised: false, route: Route::Oral, ..done(1, "2026-09-07T08:00:00Z") };
    let plan = planned(&sessions(vec![home]), "2026-09-07T08:50:00Z");
    assert_eq!(why_not(&plan, "d0.landing"), [DropReason::Replaced]);
    assert_eq!(find(&plan, "home.plus3").due_at, at("2026-09-07T11:40:00Z"), "in the acute phase too");
    assert!(on(&plan, "2026-09-07").contains(&"d0.evening"), "no cap takes the evening");
    let clinic = planned(&sessions(vec![done(1, "2026-09-07T08:00:00Z")]), "2026-09-07T08:50:00Z");
    assert!(on(&clinic, "2026-09-07").contains(&"d0.landing"));
}

#[test]
fn rule_day_0_has_its_fragments_though_a_morning_prepared_it() {
    let facts = sessions(vec![InfusionFact {
        planned_start: Some(at("2026-09-10T09:00:00Z")),
        ..done(1, "2026-09-10T09:00:00Z")
    }]);
    let plan = planned(&facts, "2026-09-10T05:00:00Z");
    assert_eq!(on(&plan, "2026-09-10"), ["prep.morning", "d0.landing", "d0.fragments", "d0.evening"]);
}

#[test]
fn rule_day_0_a_card_after_midnight_takes_no_place_and_has_no_reminder() {
    // At home by mouth until eleven in the evening: the landing is a card at three in the morning.
    let late = InfusionFact { route: Route::Oral, ..done(1, "2026-09-07T20:20:00Z") };
    let plan = planned(&sessions(vec![late]), "2026-09-07T21:10:00Z");
    let card = find(&plan, "d0.landing");
    assert_eq!((card.local_date.to_string().as_str(), card.push, card.reminder_at), ("2026-09-08", false, None));
    let day = on(&plan, "2026-09-08");
    for key in ["d1.check", "d1.tell", "d1.exercise"] {
        assert!(day.contains(&key), "{day:?}");
    }
}

#[test]
fn rule_day_0_and_1_have_no_monthly_check() {
    for day in 0..2 {
        // The monthly check is called for on 29 September.
        let start = at("2026-09-29T07:00:00Z") - hours(24 * day);
        let plan = planned(&sessions(vec![done(1, &start.to_string())]), "2026-09-27T08:00:00Z");
        let monthly = find(&plan, "mnt.monthly");
        assert_eq!(monthly.local_date.to_string(), if day == 0 { "2026-10-01" } else { "2026-09-30" });
        assert_eq!(monthly.why, Why::LaterDay);
    }
}

#[test]
fn rule_reminders_keep_their_distance_and_none_is_for_a_minute() {
    for n in 0..60 {
        let patient = Id::from_uuid(Uuid::from_u128(n));
        let facts =
            Facts { patient, ..sessions(vec![done(1, "2026-09-07T08:00:00Z"), coming(2, "2026-09-14T08:00:00Z")]) };
        let plan = planned(&facts, "2026-09-07T09:00:00Z");
        let spaced: Vec<_> = plan.prompts.iter().filter(|prompt| prompt.kind != PromptKind::Safety).collect();
        for prompt in &spaced {
            let Some(at) = prompt.reminder_at else { continue };
            assert!(prompt.minutes > 1, "{prompt:?}");
            for other in spaced.iter().filter(|other| other.id != prompt.id) {
                let times = [Some(other.due_at), other.reminder_at];
                let near = times.into_iter().flatten().any(|time| time.duration_since(at).abs() < hours(3));
                assert!(!near, "{prompt:?} {other:?}");
            }
        }
    }
}

#[test]
fn rule_silence_a_message_without_room_comes_on_the_next_date() {
    // The silence begins at night, so that it is long enough in the middle of a full day.
    let mut without_room = 0;
    for n in 0..40 {
        let (patient, infusions) = (Id::from_uuid(Uuid::from_u128(n)), vec![done(1, "2026-09-07T03:00:00Z")]);
        let last_active_at = Some(at("2026-09-07T04:00:00Z"));
        let facts = Facts { patient, infusions, last_active_at, ..facts("Europe/Berlin") };
        let found = |now: &str| {
            let messages = planned(&facts, now).prompts.into_iter().filter(|prompt| prompt.rule_key == "adapt.quiet");
            messages.map(|prompt| prompt.due_at).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = ["2026-09-08T22:30:00Z", "2026-09-09T22:30:00Z"].into_iter().flat_map(found).collect();
        all.dedup();
        let [due] = all.as_slice() else { panic!("{n}: {all:?}") };
        without_room += usize::from(zone("Europe/Berlin").date(*due) == jiff::civil::date(2026, 9, 10));
    }
    assert!(without_room > 0, "no day was full");
}
