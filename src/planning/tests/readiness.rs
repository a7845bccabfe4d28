//! Effortful prompts wait until the patient is ready.

use super::*;
use crate::planning::window::Rating;

/// Day 0 is Monday, 7 September 2026, in Berlin; the plan is made on Tuesday at half past nine.
const NOW: &str = "2026-09-08T07:30:00Z";

fn one() -> Facts {
    Facts { infusions: vec![done(1, "2026-09-07T08:00:00Z")], ..facts("Europe/Berlin") }
}

fn feeling(unreal: u8, answered: &str) -> Facts {
    let dissociation = Some(Rating { value: unreal, answered_at: at(answered) });
    Facts { condition: Condition { dissociation, ..Condition::default() }, ..one() }
}

#[test]
fn rule_what_asks_for_effort_waits_while_things_feel_unreal() {
    let usual = planned(&one(), NOW);
    let unreal = planned(&feeling(6, "2026-09-08T06:45:00Z"), NOW);
    for key in ["d1.tell", "d1.exercise", "d1.wind"] {
        assert!(why_not(&usual, key).is_empty(), "{key}");
        assert_eq!(why_not(&unreal, key), [DropReason::NotReady], "{key}: its part of the day is over before");
    }
    let light = |plan: &Plan| {
        let all = plan.prompts.iter().filter(|prompt| fixture().rule(&prompt.rule_key).is_some());
        let of = |prompt: &&Planned| !["exercise", "reflection"].contains(&word(prompt.kind));
        all.filter(of).map(|prompt| prompt.id).collect::<Vec<_>>()
    };
    assert!(light(&usual).iter().all(|id| light(&unreal).contains(id)), "nothing else is held back");
    assert!(unreal.prompts.iter().any(|prompt| prompt.rule_key == "d2.thought"), "a day later it weighs no more");
}

fn word(kind: PromptKind) -> &'static str {
    match kind {
        PromptKind::Exercise => "exercise",
        PromptKind::Reflection => "reflection",
        _ => "light",
    }
}

#[test]
fn it_comes_within_its_part_of_the_day_once_a_day_has_passed() {
    // On Tuesday at 11:55; the windows of d2.step begin on Wednesday at 8:30 and 11:30.
    let unreal = planned(&feeling(4, "2026-09-08T10:55:00Z"), NOW);
    let step = unreal.prompts.iter().find(|prompt| prompt.rule_key == "d2.step").unwrap();
    assert_eq!(step.why, Why::Readiness);
    assert!(step.due_at > at("2026-09-09T10:55:00Z") && step.due_at < at("2026-09-09T10:56:00Z"), "{step:?}");
}

#[test]
fn a_low_answer_holds_nothing_back() {
    assert_eq!(planned(&feeling(3, "2026-09-08T06:45:00Z"), NOW), planned(&one(), NOW));
    let yesterday = feeling(9, "2026-09-07T06:45:00Z");
    assert_eq!(planned(&yesterday, NOW), planned(&one(), NOW), "nor does one that is more than a day old");
}

#[test]
fn rule_while_an_alert_is_open_only_safety_is_asked() {
    let until = at("2026-09-11T08:00:00Z");
    let suspended = Some(PausePeriod { from: at("2026-09-08T07:00:00Z"), until });
    let facts = Facts { condition: Condition { suspended, ..Condition::default() }, ..one() };
    let plan = planned(&facts, NOW);
    let during = |prompt: &&Planned| prompt.due_at > at(NOW) && prompt.due_at < until;
    assert!(plan.prompts.iter().filter(during).all(|prompt| prompt.kind == PromptKind::Safety));
    assert!(plan.prompts.iter().any(|prompt| prompt.rule_key == "d1.check"));
    assert!(plan.prompts.iter().filter(during).all(|prompt| prompt.reminder_at.is_none_or(|at| at < until)));
    assert_eq!(why_not(&plan, "d1.tell"), [DropReason::Suspended]);
    assert!(plan.prompts.iter().any(|prompt| prompt.rule_key == "d5.parts"), "it goes on when it is closed");
}

#[test]
fn rule_what_was_put_off_into_another_session_waits_until_the_patient_is_ready() {
    let kindness = fixture().rule("d3.kindness").unwrap();
    let mood = fixture().rule("d3.mood").unwrap();
    let (due, until) = (at("2026-09-11T09:00:00Z"), at("2026-09-12T09:00:00Z"));
    let wait = |facts: &Facts, rule| put_off(fixture(), facts, rule, (due, until), &[]).map(|(due, _)| due);
    assert_eq!(wait(&one(), kindness), Ok(due));
    // Another session ended at 10:40 local time, 20 minutes before.
    let again = Facts { infusions: vec![done(1, "2026-09-07T08:00:00Z"), done(2, "2026-09-11T08:00:00Z")], ..one() };
    let slept = at("2026-09-12T02:40:00Z");
    assert_eq!(wait(&again, mood), Ok(at("2026-09-11T10:40:00Z")), "a dial waits for the acute phase alone");
    // Eighteen hours later it is twenty to five, and night; at eight it may come.
    assert_eq!(wait(&again, kindness), Ok(at("2026-09-12T06:00:00Z")), "{slept}");
    let told = put_off(fixture(), &again, kindness, (due, until), &[]);
    assert_eq!(told.unwrap().1, Why::Readiness, "and it says why");
    let soon = put_off(fixture(), &again, kindness, (due, at("2026-09-11T20:00:00Z")), &[]);
    assert_eq!(soon, Err(DropReason::NotReady));
    let pauses = vec![PausePeriod { from: at("2026-09-11T07:00:00Z"), until: at("2026-09-13T07:00:00Z") }];
    assert_eq!(wait(&Facts { pauses, ..one() }, kindness), Err(DropReason::Paused));
}

#[test]
fn what_was_put_off_is_dropped_once_none_of_its_exercises_is_offered() {
    let (due, until) = (at("2026-09-11T09:00:00Z"), at("2026-09-12T09:00:00Z"));
    let after = |withheld: &[&str], key: &str| {
        let withheld = withheld.iter().map(|&key| key.to_owned()).collect();
        put_off(fixture(), &Facts { withheld, ..one() }, fixture().rule(key).unwrap(), (due, until), &[])
    };
    assert_eq!(after(&["kind-letter"], "d3.kindness"), Err(DropReason::Withheld));
    assert!(after(&["kind-letter"], "d1.exercise").is_ok(), "it offers others");
}

#[test]
fn sessions_of_years_ago_change_nothing_of_a_plan() {
    // Eight days apart, so that none is of a series, up to five weeks before.
    let old =
        |n: u32| done(100 + u128::from(n), &(at("2026-07-31T08:00:00Z") - hours(8 * 24 * i64::from(n))).to_string());
    let after = |count: u32| {
        let recent = [done(1, "2026-09-07T08:00:00Z"), done(2, "2026-09-08T06:00:00Z")];
        let facts = Facts { infusions: (0..count).map(old).chain(recent).collect(), ..facts("Europe/Berlin") };
        planned(&facts, NOW)
    };
    assert!(after(1).prompts.len() > 10);
    assert_eq!(after(1), after(300));
}

#[test]
fn rule_what_leaves_is_judged_by_the_readiness_of_the_plan() {
    let again = Facts { infusions: vec![done(1, "2026-09-07T08:00:00Z"), done(2, "2026-09-11T08:00:00Z")], ..one() };
    let doses = || again.infusions.iter().map(InfusionFact::dose).collect::<Vec<_>>();
    let until = at("2026-09-12T09:00:00Z");
    let unready = |now: &str, until| unready_until(&fixture().window, &doses(), &again.zones, (at(now), until));
    assert_eq!(unready("2026-09-11T07:59:00Z", until), None, "the one before is slept on, and the next has not begun");
    let slept = at("2026-09-12T02:40:00Z");
    assert_eq!(unready("2026-09-11T09:00:00Z", until), Some(slept));
    assert_eq!(unready("2026-09-11T20:00:00Z", until), Some(slept));
    let soon = slept - SignedDuration::from_secs(1);
    assert_eq!(unready("2026-09-11T20:00:00Z", soon), Some(soon), "not before it expires");
    assert_eq!(unready("2026-09-12T02:40:00Z", until), None);
    assert_eq!(unready_until(&fixture().window, &[], &[], (at(NOW), until)), None);
}
