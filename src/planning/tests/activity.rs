//! What follows from what the patient leaves: a message after a silence, an exercise that lapsed, the stop of what
//! recurs.

use super::*;
use crate::planning::protocol::Anchor;
use crate::planning::window::Phase;

/// A patient whose infusion ended on Monday, 7 September 2026, at twenty to eleven in Berlin, and who did something
/// last at `active`.
fn since(active: &str) -> Facts {
    let infusions = vec![done(1, "2026-09-07T08:00:00Z")];
    Facts { infusions, last_active_at: Some(at(active)), ..facts("Europe/Berlin") }
}

/// The times of the prompts of a rule, with their reasons.
fn of(plan: &Plan, key: &str) -> Vec<(String, Why)> {
    let of = plan.prompts.iter().filter(|prompt| prompt.rule_key == key);
    of.map(|prompt| (format!("{} {}", prompt.local_date, prompt.local_time.strftime("%H:%M")), prompt.why)).collect()
}

fn silence(time: &str) -> Vec<(String, Why)> {
    vec![(time.to_owned(), Why::Silence)]
}

/// The prompt as it is after it went out.
fn out(prompt: &Planned, lapsed: bool) -> PastPrompt {
    PastPrompt {
        id: prompt.id,
        rule_key: prompt.rule_key.clone(),
        rule: None,
        due_at: prompt.due_at,
        date: prompt.local_date,
        answered_at: None,
        anchor: prompt.anchor,
        hangs_on: prompt.hangs_on,
        unanswered: true,
        lapsed,
        taken_back: false,
        missed: false,
        card: false,
    }
}

/// The protocol with these rules alone, so that nothing else is in their way.
fn only(keys: &[&str]) -> Protocol {
    let rules = fixture().rules.iter().filter(|rule| keys.contains(&rule.key.as_str())).cloned().collect();
    Protocol { rules, series: Vec::new(), ..fixture().clone() }
}

fn plan_of(protocol: &Protocol, facts: &Facts, now: &str) -> Plan {
    plan(protocol, facts, at(now))
}

const BEFORE: &str = "2026-09-07T06:00:00Z";

#[test]
fn rule_silence_of_48_hours_in_the_peak_calls_for_one_gentle_message() {
    let protocol = only(&["adapt.quiet"]);
    let planned = |facts: &Facts, now: &str| plan_of(&protocol, facts, now);
    let day_two = "2026-09-08T22:10:00Z";
    let plan = planned(&since(BEFORE), day_two);
    assert_eq!(of(&plan, "adapt.quiet"), silence("2026-09-09 10:40"), "48 hours after the end");
    let message = plan.prompts.iter().find(|prompt| prompt.rule_key == "adapt.quiet").unwrap();
    let Planned { kind, priority, minutes, push, reminder_at, .. } = message.clone();
    assert_eq!((kind, priority, minutes, push, reminder_at), (PromptKind::OnDemand, 3, 1, true, None));
    assert_eq!(message.expires_at, message.due_at + hours(24));
    assert!(plan.awaits_activity);
    // Planned again, also later, it is the same one.
    for later in ["2026-09-09T08:00:00Z", "2026-09-09T08:39:59Z", "2026-09-09T12:00:00Z", "2026-09-12T12:00:00Z"] {
        let again = planned(&since(BEFORE), later);
        assert_eq!(again.prompts.iter().find(|prompt| prompt.rule_key == "adapt.quiet"), Some(message), "{later}");
    }
    // The infusion has just ended: it is not known yet.
    for early in ["2026-09-07T08:50:00Z", "2026-09-08T07:40:00Z"] {
        let plan = planned(&since(BEFORE), early);
        assert_eq!(
            (of(&plan, "adapt.quiet"), why_not(&plan, "adapt.quiet"), plan.awaits_activity),
            (vec![], vec![], false)
        );
    }
    // Nothing is known of the patient: nothing follows.
    let plan = planned(&Facts { last_active_at: None, ..since(BEFORE) }, day_two);
    assert_eq!((of(&plan, "adapt.quiet"), plan.awaits_activity), (vec![], false));
}

#[test]
fn a_silence_that_a_clinic_asks_about_between_windows_may_begin_weeks_after_the_last_infusion() {
    let mut protocol = only(&["adapt.quiet"]);
    protocol.rules[0].anchor = Anchor::AfterSilence { hours: 240, phase: Phase::Maintenance };
    // Fifty days after the infusion, or before the next one in a week.
    let mut facts = since("2026-10-20T12:00:00Z");
    for infusion in [None, Some(coming(2, "2026-11-06T09:00:00Z"))] {
        facts.infusions.extend(infusion);
        let plan = plan_of(&protocol, &facts, "2026-10-30T08:00:00Z");
        assert_eq!(of(&plan, "adapt.quiet"), silence("2026-10-30 13:00"), "{:?}", why_not(&plan, "adapt.quiet"));
    }
}

#[test]
fn rule_silence_begins_with_the_last_activity_and_is_reached_in_the_peak_or_not_at_all() {
    let protocol = only(&["adapt.quiet"]);
    let planned = |facts: &Facts, now: &str| plan_of(&protocol, facts, now);
    let all = |active: &str| {
        let found = |now: Timestamp| of(&planned(&since(active), &now.to_string()), "adapt.quiet");
        let mut all: Vec<_> = (0..24 * 7).flat_map(|hour| found(at("2026-09-07T08:45:00Z") + hours(hour))).collect();
        all.dedup();
        all
    };
    assert_eq!(all("2026-09-07T12:00:00Z"), silence("2026-09-09 14:00"), "something written on day 0");
    assert_eq!(all("2026-09-08T08:39:00Z"), silence("2026-09-10 10:39"), "the last minute of the peak");
    assert_eq!(all("2026-09-08T08:40:00Z"), [], "72 hours after the end the peak is over");
    assert_eq!(all("2026-09-09T08:00:00Z"), []);
    // Quiet hours move it like anything else.
    assert_eq!(all("2026-09-07T20:00:00Z"), [("2026-09-10 08:00".to_owned(), Why::QuietHours)]);
    // A message that waits for its time is withdrawn when the patient becomes active, and the reason is told.
    let plan = planned(&since("2026-09-09T08:41:00Z"), "2026-09-09T08:41:00Z");
    assert_eq!(why_not(&plan, "adapt.quiet"), [DropReason::Answered]);
    // One that has gone out stays what it was.
    let sent = planned(&since(BEFORE), "2026-09-09T08:00:00Z");
    let sent = out(sent.prompts.iter().find(|prompt| prompt.rule_key == "adapt.quiet").unwrap(), false);
    let plan = planned(&Facts { settled: vec![sent], ..since("2026-09-09T09:00:00Z") }, "2026-09-09T09:00:00Z");
    assert_eq!((of(&plan, "adapt.quiet"), why_not(&plan, "adapt.quiet")), (vec![], vec![]), "asked, not asked again");
}

#[test]
fn rule_silence_the_message_takes_a_place_by_priority_and_adds_none() {
    let keys = |facts: &Facts, now: &str, date: &str| -> Vec<String> {
        let plan = planned(facts, now);
        let capped = plan.prompts.iter().filter(|prompt| prompt.push && prompt.local_date.to_string() == date);
        capped.map(|prompt| prompt.rule_key.clone()).collect()
    };
    let now = "2026-09-08T22:10:00Z";
    let active = keys(&since("2026-09-08T21:00:00Z"), now, "2026-09-09");
    let silent = keys(&since(BEFORE), now, "2026-09-09");
    assert_eq!(active, ["d2.mood", "d2.step", "d2.thought", "d2.different"]);
    // Three count besides the dial; the least of them gives way. And three hours lie between two.
    assert!(silent.contains(&"adapt.quiet".to_owned()) && !silent.contains(&"d2.different".to_owned()), "{silent:?}");
    assert!(silent.len() <= active.len(), "{silent:?}");
    let plan = planned(&since(BEFORE), now);
    let spaced: Vec<_> =
        plan.prompts.iter().filter(|one| one.kind != PromptKind::Safety).map(|one| one.due_at).collect();
    assert!(spaced.windows(2).all(|pair| pair[1].duration_since(pair[0]) >= hours(3)));
    // Where all that is asked comes before it, it has no place.
    let mut protocol = fixture().clone();
    let different = protocol.rules.iter_mut().find(|rule| rule.key == "d2.different").unwrap();
    different.priority = 2;
    let plan = plan_of(&protocol, &since(BEFORE), now);
    assert_eq!(why_not(&plan, "adapt.quiet"), [DropReason::Cap]);
}

#[test]
fn rule_silence_no_message_in_a_pause_on_the_day_of_the_next_session_or_after_an_end_that_nobody_told() {
    let protocol = only(&["adapt.quiet"]);
    let planned = |facts: &Facts, now: &str| plan_of(&protocol, facts, now);
    let now = "2026-09-08T22:10:00Z";
    let with = |change: &dyn Fn(&mut Facts)| {
        let mut facts = since(BEFORE);
        change(&mut facts);
        let plan = planned(&facts, now);
        assert_eq!(of(&plan, "adapt.quiet"), []);
        why_not(&plan, "adapt.quiet")
    };
    let pause = PausePeriod { from: at("2026-09-09T00:00:00Z"), until: at("2026-09-10T00:00:00Z") };
    assert_eq!(with(&|facts| facts.pauses.push(pause)), [DropReason::Paused]);
    assert_eq!(with(&|facts| facts.infusions.push(coming(2, "2026-09-09T15:00:00Z"))), [DropReason::Superseded]);
    assert_eq!(with(&|facts| facts.infusions[0].provisional = true), [DropReason::Provisional]);
    let left_out = Override { rule_key: "adapt.quiet".into(), change: RuleChange::LeftOut };
    assert_eq!(with(&|facts| facts.overrides.push(left_out.clone())), [DropReason::LeftOut]);
    // What a night moved does not move into the day of the next session.
    let night = |next: &str| {
        let facts = since("2026-09-07T19:30:00Z");
        let infusions = facts.infusions.iter().cloned().chain([coming(2, next)]).collect();
        planned(&Facts { infusions, ..facts }, "2026-09-09T19:00:00Z")
    };
    assert_eq!(why_not(&night("2026-09-10T15:00:00Z"), "adapt.quiet"), [DropReason::QuietHours]);
    assert_eq!(of(&night("2026-09-11T15:00:00Z"), "adapt.quiet"), [("2026-09-10 08:00".to_owned(), Why::QuietHours)]);
    // The day before a session it may come.
    let mut facts = since(BEFORE);
    facts.infusions.push(coming(2, "2026-09-10T15:00:00Z"));
    assert_eq!(of(&planned(&facts, now), "adapt.quiet").len(), 1);
    // Of two infusions on a date only the later one has a message.
    let mut facts = since(BEFORE);
    facts.infusions.push(done(2, "2026-09-07T15:00:00Z"));
    let plan = planned(&facts, "2026-09-09T06:00:00Z");
    let anchors = plan.prompts.iter().filter(|prompt| prompt.rule_key == "adapt.quiet").map(|prompt| prompt.anchor);
    assert_eq!(anchors.collect::<Vec<_>>(), [Some(facts.infusions[1].id)]);
}

/// The facts of one whose prompts of these rules have all lapsed.
fn lapsed(protocol: &Protocol, keys: &[&str]) -> Facts {
    let facts = Facts { last_active_at: None, ..since(BEFORE) };
    let plan = plan_of(protocol, &facts, RECORDED);
    let lapsed = plan.prompts.iter().filter(|prompt| keys.contains(&prompt.rule_key.as_str()));
    let settled: Vec<_> = lapsed.map(|prompt| out(prompt, true)).collect();
    assert_eq!(settled.len(), keys.len());
    Facts { settled, ..facts }
}

const RECORDED: &str = "2026-09-07T08:50:00Z";
/// The night after day 2.
const LATER: &str = "2026-09-09T22:10:00Z";

#[test]
fn rule_carry_over_an_exercise_that_lapsed_comes_once_more_on_the_next_day() {
    let protocol = only(&["d2.step"]);
    let facts = lapsed(&protocol, &["d2.step"]);
    let planned = |facts: &Facts, now: &str| plan_of(&protocol, facts, now);
    let plan = planned(&facts, LATER);
    let times = of(&plan, "d2.step");
    let [first, again] = &times[..] else { panic!("{times:?}") };
    assert!(first.0.starts_with("2026-09-09 ") && again.0.starts_with("2026-09-10 "), "in its window: {times:?}");
    assert_eq!(again.1, Why::CarriedOver);
    let again = plan.prompts.iter().filter(|prompt| prompt.rule_key == "d2.step").nth(1).unwrap();
    assert_eq!((again.priority, again.occurrence, again.kind, again.push), (4, 1, PromptKind::Exercise, true));
    assert_eq!(again.expires_at, again.due_at + hours(10));
    // Once: what lapses again is gone.
    let mut twice = facts.clone();
    twice.settled.push(out(again, true));
    let plan = planned(&twice, "2026-09-10T22:10:00Z");
    assert!(of(&plan, "d2.step").iter().all(|(time, _)| !time.starts_with("2026-09-11")));
    // Only what lapsed: neither what was answered or skipped, nor what is still open.
    let mut done = facts.clone();
    done.settled[0] = PastPrompt { lapsed: false, ..done.settled[0].clone() };
    assert_eq!(of(&planned(&done, LATER), "d2.step").len(), 1);
    // What may be done for a day, and what is no exercise, does not come again.
    let others = ["d1.tell", "d1.exercise", "d2.thought", "d2.mood", "d2.different"];
    let plan = plan_of(fixture(), &lapsed(fixture(), &others), LATER);
    assert!(others.iter().all(|key| of(&plan, key).len() <= 1), "{:?}", places(&plan));
    // A protocol that says nothing of it carries nothing over.
    let plan = plan_of(&Protocol { carry_over: None, ..protocol.clone() }, &facts, LATER);
    assert_eq!(of(&plan, "d2.step").len(), 1);
}

#[test]
fn rule_carry_over_if_the_next_day_takes_it() {
    let protocol = only(&["d2.step", "d3.kindness"]);
    let again = |change: &dyn Fn(&mut Facts)| {
        let mut facts = lapsed(&protocol, &["d2.step"]);
        change(&mut facts);
        let plan = plan_of(&protocol, &facts, LATER);
        (of(&plan, "d2.step").len() > 1, why_not(&plan, "d2.step"))
    };
    assert_eq!(again(&|_| {}), (true, vec![]));
    let next = |start: &'static str| move |facts: &mut Facts| facts.infusions.push(coming(2, start));
    assert_eq!(again(&next("2026-09-10T15:00:00Z")), (false, vec![DropReason::Superseded]));
    let pause = PausePeriod { from: at("2026-09-10T00:00:00Z"), until: at("2026-09-11T00:00:00Z") };
    assert_eq!(again(&|facts| facts.pauses.push(pause)), (false, vec![DropReason::Paused]));
    assert!(!again(&|facts| facts.withheld.extend(["activation-plan".to_owned()])).0);
    // Day 3 holds 25 minutes; with more on it, what is carried over gives way.
    let mut heavy = protocol.clone();
    heavy.rules.iter_mut().find(|rule| rule.key == "d3.kindness").unwrap().minutes = 18;
    let facts = lapsed(&heavy, &["d2.step"]);
    assert_eq!(why_not(&plan_of(&heavy, &facts, LATER), "d2.step"), [DropReason::Cap]);
}

#[test]
fn rule_carry_over_takes_at_most_one_a_day_the_one_of_the_highest_priority() {
    let mut protocol = only(&["d2.step", "d2.thought"]);
    let thought = protocol.rules.iter_mut().find(|rule| rule.key == "d2.thought").unwrap();
    (thought.expires, thought.priority, thought.minutes) = (crate::planning::protocol::Expiry::Hours(6), 3, 2);
    let facts = lapsed(&protocol, &["d2.thought", "d2.step"]);
    let plan = plan_of(&protocol, &facts, LATER);
    let carried = |plan: &Plan| {
        let of = plan.prompts.iter().filter(|prompt| prompt.occurrence == 1 && prompt.day == Some(3));
        of.map(|prompt| prompt.rule_key.clone()).collect::<Vec<_>>()
    };
    assert_eq!((carried(&plan), why_not(&plan, "d2.thought")), (vec!["d2.step".to_owned()], vec![DropReason::Cap]));
    // One that has gone out keeps its place, though another of more weight lapses later.
    let mut alone = facts.clone();
    alone.settled.retain(|past| past.rule_key == "d2.thought");
    let first = plan_of(&protocol, &alone, LATER);
    let sent = first.prompts.iter().find(|prompt| prompt.occurrence == 1).unwrap();
    assert_eq!(sent.rule_key, "d2.thought");
    let mut both = facts.clone();
    both.settled.push(out(sent, false));
    assert_eq!(carried(&plan_of(&protocol, &both, "2026-09-10T10:00:00Z")), ["d2.thought"]);
}

/// A patient whose first weekly prompts after the fortnight, so many of them, have lapsed.
fn weeks(lapsed: usize) -> Facts {
    weeks_of(fixture(), lapsed)
}

fn weeks_of(protocol: &Protocol, lapsed: usize) -> Facts {
    let mut facts = since(BEFORE);
    let mut now = at("2026-09-23T08:00:00Z");
    while facts.settled.len() < lapsed {
        let plan = plan(protocol, &facts, now);
        let week = now..now + hours(24 * 7);
        let due = plan.prompts.iter().filter(|one| one.rule_key == "mnt.weekly" && week.contains(&one.due_at));
        facts.settled.extend(due.map(|prompt| out(prompt, true)));
        now = week.end;
    }
    facts
}

/// The dates of the weekly prompts and of the message that they rest, on the day of `now` and after it.
fn resting(facts: &Facts, now: &str) -> (Vec<String>, Vec<String>) {
    let plan = planned(facts, now);
    let from = zone("Europe/Berlin").date(at(now));
    let dates = |key: &str| {
        let of = plan.prompts.iter().filter(|prompt| prompt.rule_key == key && prompt.local_date >= from);
        of.map(|prompt| prompt.local_date.to_string()).collect()
    };
    (dates("mnt.weekly"), dates("mnt.rest"))
}

#[test]
fn rule_maintenance_stops_after_four_weekly_ones_that_lapsed_in_a_row_with_one_message() {
    let sunday = |date: &str| vec![date.to_owned()];
    // Sundays, from 27 September on: the fourth of them is 18 October.
    let thursday = "2026-10-22T08:00:00Z";
    let (weekly, message) = resting(&weeks(3), "2026-10-15T08:00:00Z");
    assert_eq!((weekly, message), (vec!["2026-10-18".to_owned(), "2026-10-25".to_owned()], vec![]));
    let facts = weeks(4);
    assert_eq!(zone("Europe/Berlin").date(facts.settled[3].due_at), "2026-10-18".parse().unwrap());
    assert_eq!(resting(&facts, thursday), (vec![], sunday("2026-10-25")), "in the place of the fifth");
    let plan = planned(&facts, thursday);
    assert!(plan.awaits_activity);
    let stopped = why_not(&plan, "mnt.weekly");
    assert!(!stopped.is_empty() && stopped.iter().all(|reason| *reason == DropReason::Stopped), "{stopped:?}");
    // Then none, however long it lasts.
    let message = plan.prompts.iter().find(|prompt| prompt.rule_key == "mnt.rest").unwrap();
    assert_eq!((message.kind, message.minutes, message.priority), (PromptKind::OnDemand, 1, 3));
    let mut facts = facts;
    facts.settled.push(out(message, true));
    for week in 0..30 {
        let now = at("2026-10-28T08:00:00Z") + hours(24 * 7 * week);
        assert_eq!(resting(&facts, &now.to_string()), (vec![], vec![]), "{now}");
    }
    // A pause: the message waits for the first Sunday after it.
    let pause = PausePeriod { from: at("2026-10-22T00:00:00Z"), until: at("2026-10-27T00:00:00Z") };
    let paused = Facts { pauses: vec![pause], ..weeks(4) };
    assert_eq!(resting(&paused, thursday), (vec![], sunday("2026-11-01")));
}

#[test]
fn rule_maintenance_a_row_is_remembered_whole_however_many_it_takes_to_stop() {
    // A clinic published this before there was a bound.
    let mut protocol = fixture().clone();
    rule(&mut protocol, "mnt.weekly").stops_after = Some(70);
    let mut facts = weeks_of(&protocol, 70);
    let last = facts.settled[69].due_at;
    let half_a_year_later = last + hours(24 * 7 * 26);
    // What is older than a plan looks back is found by its id.
    let remembered = ids_in_a_row(&protocol, &facts, half_a_year_later);
    facts.settled.retain(|past| remembered.contains(&past.id));
    let stopped = why_not(&plan(&protocol, &facts, half_a_year_later), "mnt.weekly");
    assert!(!stopped.is_empty() && stopped.iter().all(|reason| *reason == DropReason::Stopped), "{stopped:?}");
}

#[test]
fn rule_maintenance_starts_again_with_any_activity_or_an_infusion() {
    let thursday = "2026-10-22T08:00:00Z";
    let both = vec!["2026-10-25".to_owned(), "2026-11-01".to_owned()];
    // Something written, yesterday; it need not be an answer.
    let active = Facts { last_active_at: Some(at("2026-10-21T08:00:00Z")), ..weeks(4) };
    assert_eq!(resting(&active, thursday), (both.clone(), vec![]));
    // Between the third and the fourth: these are no four in a row.
    let between = Facts { last_active_at: Some(at("2026-10-14T08:00:00Z")), ..weeks(4) };
    assert_eq!(resting(&between, thursday), (both, vec![]));
    // An infusion: after its fortnight they come again.
    let mut facts = weeks(4);
    facts.infusions.push(done(2, "2026-10-20T08:00:00Z"));
    assert_eq!(resting(&facts, "2026-11-05T08:00:00Z").0, ["2026-11-08", "2026-11-15"]);
    // Where nothing is known of the patient, nothing stops.
    let unknown = Facts { last_active_at: None, ..weeks(4) };
    assert_eq!(resting(&unknown, thursday).0.len(), 2);
}

#[test]
fn rule_maintenance_the_monthly_check_stops_after_three_without_a_message() {
    let mut facts = since(BEFORE);
    for month in 0..4 {
        let now = at("2026-09-20T08:00:00Z") + hours(24 * 28 * month);
        let plan = planned(&facts, &now.to_string());
        let due = plan.prompts.iter().find(|one| one.rule_key == "mnt.monthly" && one.due_at > now);
        assert_eq!(due.is_some(), month < 3, "month {month}");
        if let Some(due) = due {
            facts.settled.push(out(due, true));
        } else {
            assert!(why_not(&plan, "mnt.monthly").contains(&DropReason::Stopped));
        }
    }
}

fn rule<'a>(protocol: &'a mut Protocol, key: &str) -> &'a mut Rule {
    protocol.rules.iter_mut().find(|rule| rule.key == key).unwrap()
}

#[test]
fn faults_of_what_follows_from_silence_are_named() {
    let faults = |change: &dyn Fn(&mut Protocol)| {
        let mut protocol = fixture().clone();
        change(&mut protocol);
        protocol.validate()
    };
    assert_eq!(faults(&|_| {}), Vec::<String>::new());
    assert_eq!(
        faults(&|protocol| rule(protocol, "mnt.weekly").stops_after = None),
        ["mnt.rest: it follows the stop of a rule that does not stop"]
    );
    assert_eq!(
        faults(&|protocol| rule(protocol, "d1.tell").stops_after = Some(2)),
        ["d1.tell: only what recurs stops, after some have lapsed"]
    );
    assert_eq!(faults(&|protocol| rule(protocol, "mnt.weekly").stops_after = Some(52)), Vec::<String>::new());
    assert_eq!(
        faults(&|protocol| rule(protocol, "mnt.weekly").stops_after = Some(53)),
        ["mnt.weekly: it stops after at most 52 that lapse in a row"]
    );
    let silence = |hours, phase| crate::planning::protocol::Anchor::AfterSilence { hours, phase };
    assert_eq!(
        faults(&|protocol| rule(protocol, "adapt.quiet").anchor = silence(0, crate::planning::window::Phase::Peak)),
        ["adapt.quiet: a silence lasts some hours"]
    );
    assert_eq!(
        faults(
            &|protocol| rule(protocol, "adapt.quiet").anchor = silence(48, crate::planning::window::Phase::InSession)
        ),
        ["adapt.quiet: a silence is reached in a phase after an infusion"]
    );
    assert_eq!(
        faults(&|protocol| rule(protocol, "adapt.quiet").kind = PromptKind::Habit),
        ["adapt.quiet: on demand is what is outside the template"]
    );
    assert_eq!(
        faults(&|protocol| protocol.carry_over.as_mut().unwrap().priority = 1),
        ["carry_over: what is carried over expires in some hours and is not the most important"]
    );
}
