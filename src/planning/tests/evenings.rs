//! Late sessions, use at home, measures after an infusion, and corrections of what has gone out.

use super::*;

fn ended(n: u128, end: &str) -> InfusionFact {
    let end = at(end);
    InfusionFact {
        started_at: Some(end - SignedDuration::from_mins(40)),
        ended_at: Some(end),
        ..done(n, "2026-09-07T08:00:00Z")
    }
}

/// Berlin in September: two hours ahead of UTC.
fn with(infusion: InfusionFact) -> Facts {
    Facts { infusions: vec![infusion], ..facts("Europe/Berlin") }
}

#[track_caller]
fn one<'a>(plan: &'a Plan, key: &str) -> &'a Planned {
    let mut found = plan.prompts.iter().filter(|prompt| prompt.rule_key == key);
    let one = found.next().unwrap_or_else(|| panic!("{key} is not planned"));
    assert!(found.next().is_none(), "{key} is planned twice");
    one
}

fn local(prompt: &Planned) -> String {
    format!("{} {}", prompt.local_date, prompt.local_time.strftime("%H:%M"))
}

#[test]
fn rule_late_sessions_a_check_goes_until_half_past_ten_though_it_is_quiet() {
    let plan = planned(&with(ended(1, "2026-09-07T17:20:00Z")), "2026-09-07T17:30:00Z");
    let landing = one(&plan, "d0.landing");
    assert_eq!((local(landing).as_str(), landing.push, landing.why), ("2026-09-07 22:20", true, Why::AfterEnd));
    assert_eq!(one(&plan, "d1.check").why, Why::Window);
    // A reflection keeps the quiet hours; the next day is full.
    assert_eq!(why_not(&plan, "d0.fragments"), [DropReason::Cap]);
}

#[test]
fn rule_late_sessions_a_later_one_is_checked_when_the_acute_phase_is_over_or_at_ten() {
    let plan = planned(&with(ended(1, "2026-09-07T17:50:00Z")), "2026-09-07T18:00:00Z");
    let landing = one(&plan, "d0.landing");
    assert_eq!((local(landing).as_str(), landing.push, landing.why), ("2026-09-07 22:00", true, Why::LateSession));
    let plan = planned(&with(ended(1, "2026-09-07T18:15:00Z")), "2026-09-07T18:20:00Z");
    assert_eq!(local(one(&plan, "d0.landing")), "2026-09-07 22:15");
}

#[test]
fn rule_late_sessions_after_that_a_card_and_a_check_at_eight() {
    let plan = planned(&with(ended(1, "2026-09-07T18:45:00Z")), "2026-09-07T18:50:00Z");
    let landing = one(&plan, "d0.landing");
    assert_eq!((local(landing).as_str(), landing.push), ("2026-09-07 22:45", false));
    let check = one(&plan, "d1.check");
    assert_eq!((local(check).as_str(), check.why), ("2026-09-08 08:00", Why::LateSession));
    // Swallowed, the acute phase lasts four hours: too late an hour sooner.
    let oral = InfusionFact { route: Route::Oral, ..ended(1, "2026-09-07T17:40:00Z") };
    let plan = planned(&with(oral), "2026-09-07T17:50:00Z");
    assert_eq!(local(one(&plan, "d1.check")), "2026-09-08 08:00");
}

#[test]
fn rule_late_sessions_on_an_evening_that_a_flight_takes_the_check_is_a_card() {
    // She lands at 22:31 local time of the same day, where it was 17:31: that day has no half past ten.
    let moves = [("America/New_York", "2026-09-01T00:00:00Z"), ("Africa/Casablanca", "2026-11-20T22:31:00Z")];
    let zones = moves.map(|(name, from)| ZoneSince { zone: zone(name), from: at(from) });
    let infusions = vec![ended(1, "2026-11-20T20:18:00Z")];
    let plan = planned(&Facts { zones: zones.into(), infusions, ..facts("UTC") }, "2026-11-20T20:20:00Z");
    let landing = one(&plan, "d0.landing");
    assert_eq!((local(landing).as_str(), landing.push), ("2026-11-20 22:31", false));
    assert_eq!(local(one(&plan, "d1.check")), "2026-11-21 08:00");
}

#[test]
fn rule_late_sessions_a_check_that_a_session_moves_past_half_past_ten_is_a_card() {
    // Swallowed, it is acute for four hours: the check at ten moves to eleven.
    let oral = InfusionFact { route: Route::Oral, ..ended(1, "2026-09-07T17:00:00Z") };
    let plan = planned(&with(oral), "2026-09-07T17:10:00Z");
    let landing = one(&plan, "d0.landing");
    assert_eq!((local(landing).as_str(), landing.push, landing.why), ("2026-09-07 23:00", false, Why::AfterSession));
    assert_eq!(local(one(&plan, "d1.check")), "2026-09-08 08:00");
    // Of two of a day, the acute phase of the one that ended first may last longer.
    let oral = InfusionFact { route: Route::Oral, ..ended(1, "2026-09-07T16:50:00Z") };
    let facts = Facts { infusions: vec![oral, ended(2, "2026-09-07T17:05:00Z")], ..facts("Europe/Berlin") };
    let plan = planned(&facts, "2026-09-07T17:10:00Z");
    let landing = one(&plan, "d0.landing");
    assert_eq!((local(landing).as_str(), landing.push), ("2026-09-07 22:50", false));
}

#[test]
fn rule_late_sessions_a_check_that_is_asked_again_at_night_is_a_card() {
    let before = with(ended(1, "2026-09-07T08:40:00Z"));
    let landing = one(&planned(&before, "2026-09-07T09:00:00Z"), "d0.landing").clone();
    // It ended at seven in the evening: told at eleven.
    let after = corrected(&out(&before, &landing), "2026-09-07T17:00:00Z", "2026-09-07T21:00:00Z");
    let again = planned(&after, "2026-09-07T21:00:00Z");
    let again = one(&again, "d0.landing");
    assert_eq!((again.occurrence, local(again).as_str(), again.push), (1, "2026-09-07 23:05", false));
}

#[test]
fn the_evening_of_a_late_session_begins_after_it() {
    let plan = planned(&with(ended(1, "2026-09-07T16:20:00Z")), "2026-09-07T16:25:00Z");
    let evening = one(&plan, "d0.evening");
    assert_eq!((local(evening).as_str(), evening.why), ("2026-09-07 20:20", Why::AfterSession));
    let plan = planned(&with(ended(1, "2026-09-07T18:10:00Z")), "2026-09-07T18:15:00Z");
    assert_eq!(why_not(&plan, "d0.evening"), [DropReason::InSession], "its hours are over before the acute phase is");
    let plan = planned(&with(ended(1, "2026-09-07T18:45:00Z")), "2026-09-07T18:50:00Z");
    assert_eq!(why_not(&plan, "d0.evening"), [DropReason::TooLate]);
}

#[test]
fn rule_use_at_home_adds_two_checks() {
    let home = InfusionFact { supervised: false, ..ended(1, "2026-09-07T08:40:00Z") };
    let plan = planned(&with(home), "2026-09-07T08:45:00Z");
    assert_eq!(local(one(&plan, "home.plus1")), "2026-09-07 11:40");
    assert_eq!(local(one(&plan, "home.plus3")), "2026-09-07 13:40");
    // Swallowed, it is acute for four hours: these two ask in the middle of it.
    let swallowed = InfusionFact { route: Route::Oral, supervised: false, ..ended(1, "2026-09-07T08:40:00Z") };
    let plan = planned(&with(swallowed), "2026-09-07T08:45:00Z");
    assert_eq!(local(one(&plan, "home.plus3")), "2026-09-07 13:40");
    let plan = planned(&with(ended(1, "2026-09-07T08:40:00Z")), "2026-09-07T08:45:00Z");
    assert!(plan.prompts.iter().all(|prompt| !prompt.rule_key.starts_with("home.")));
    assert!(plan.dropped.iter().all(|dropped| !dropped.rule_key.starts_with("home.")));
}

#[test]
fn rule_measures_move_to_the_first_allowed_morning() {
    // Filled in six days and some hours before the seventh morning.
    let last = Some(at("2026-09-07T12:00:00Z"));
    let facts = Facts { last_measure_at: last, ..with(ended(1, "2026-09-07T08:40:00Z")) };
    let plan = planned(&facts, "2026-09-07T09:00:00Z");
    let measures = one(&plan, "d7.measures");
    assert_eq!((measures.local_date, measures.why), ("2026-09-15".parse().unwrap(), Why::LaterDay));
    // Not at all, when every morning is too soon.
    let facts = Facts { last_measure_at: Some(at("2026-09-10T12:00:00Z")), ..facts };
    assert_eq!(why_not(&planned(&facts, "2026-09-07T09:00:00Z"), "d7.measures"), [DropReason::TooSoon]);
}

/// The facts after `prompt` has gone out and nobody has answered.
fn out(facts: &Facts, prompt: &Planned) -> Facts {
    let Planned { id, due_at, .. } = *prompt;
    let settled = PastPrompt {
        id,
        rule_key: prompt.rule_key.clone(),
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
    };
    Facts { settled: vec![settled], ..facts.clone() }
}

/// The same, with another end that was told at `told`.
fn corrected(facts: &Facts, end: &str, told: &str) -> Facts {
    let infusions = facts.infusions.iter().map(|fact| InfusionFact {
        started_at: Some(at(end) - SignedDuration::from_mins(40)),
        ended_at: Some(at(end)),
        recorded_at: at(told),
        ..fact.clone()
    });
    Facts { infusions: infusions.collect(), ..facts.clone() }
}

#[test]
fn rule_correction_a_check_that_went_out_for_a_wrong_time_is_asked_again() {
    let before = with(ended(1, "2026-09-07T08:40:00Z"));
    let landing = one(&planned(&before, "2026-09-07T09:00:00Z"), "d0.landing").clone();
    let gone = out(&before, &landing);
    // It ended at half past two, not at twenty to nine: told in time.
    let after = corrected(&gone, "2026-09-07T14:50:00Z", "2026-09-07T13:00:00Z");
    let plan = planned(&after, "2026-09-07T13:00:00Z");
    let again = one(&plan, "d0.landing");
    assert_eq!((again.occurrence, local(again).as_str()), (1, "2026-09-07 19:50"));
    let existing = [diffs::stored(&landing, Hold::Out)];
    let steps = diff(&existing, &plan, at("2026-09-07T13:00:00Z"));
    assert!(steps.contains(&Step::Cancel { id: landing.id, reason: DropReason::Corrected }));
    assert!(steps.iter().any(|step| matches!(step, Step::Insert(to) if to.id == again.id)));
    // By less than six hours: it stays.
    let little = corrected(&gone, "2026-09-07T10:00:00Z", "2026-09-07T13:00:00Z");
    let plan = planned(&little, "2026-09-07T13:00:00Z");
    assert_eq!(one(&plan, "d0.landing").id, landing.id);
    assert!(diff(&existing, &plan, at("2026-09-07T13:00:00Z")).iter().all(|step| !matches!(step, Step::Cancel { .. })));
    // Answered, it stays as well.
    let mut answered = corrected(&gone, "2026-09-07T14:50:00Z", "2026-09-07T13:00:00Z");
    answered.settled[0] = PastPrompt { unanswered: false, ..answered.settled[0].clone() };
    assert_eq!(one(&planned(&answered, "2026-09-07T13:00:00Z"), "d0.landing").id, landing.id);
}

#[test]
fn rule_correction_a_check_whose_new_time_has_passed_is_due_in_five_minutes_or_not_at_all() {
    let before = with(ended(1, "2026-09-07T15:40:00Z"));
    let landing = one(&planned(&before, "2026-09-07T16:00:00Z"), "d0.landing").clone();
    let gone = out(&before, &landing);
    // It ended seven hours sooner; three hours after that have passed, five more have not.
    let told = "2026-09-07T15:00:00Z";
    let plan = planned(&corrected(&gone, "2026-09-07T08:40:00Z", told), told);
    let again = one(&plan, "d0.landing");
    assert_eq!((again.occurrence, again.due_at, again.why), (1, at("2026-09-07T15:05:00Z"), Why::Corrected));
    // A minute later it is planned where it was.
    let plan = planned(&corrected(&gone, "2026-09-07T08:40:00Z", told), "2026-09-07T15:01:00Z");
    assert_eq!(one(&plan, "d0.landing").due_at, at("2026-09-07T15:05:00Z"));
    let late = "2026-09-07T19:00:00Z";
    let plan = planned(&corrected(&gone, "2026-09-07T08:40:00Z", late), late);
    assert!(plan.prompts.iter().all(|prompt| prompt.rule_key != "d0.landing"), "it is of no use any more");
    assert_eq!(why_not(&plan, "d0.landing"), [DropReason::Corrected]);
}

#[test]
fn rule_correction_a_check_that_went_out_for_an_infusion_of_weeks_ago_is_taken_back() {
    let before = with(ended(1, "2026-09-07T15:40:00Z"));
    let landing = one(&planned(&before, "2026-09-07T16:00:00Z"), "d0.landing").clone();
    let told = "2026-09-07T19:00:00Z";
    // No plan reaches its right time any more.
    let plan = planned(&corrected(&out(&before, &landing), "2026-07-20T08:40:00Z", told), told);
    let steps = diff(&[diffs::stored(&landing, Hold::Out)], &plan, at(told));
    assert!(steps.contains(&Step::Cancel { id: landing.id, reason: DropReason::Corrected }), "{steps:?}");
}

#[test]
fn rule_two_on_one_date_what_went_out_for_the_first_is_taken_back() {
    let first = with(ended(1, "2026-09-07T06:40:00Z"));
    let fragments = one(&planned(&first, "2026-09-07T07:00:00Z"), "d0.fragments").clone();
    let mut both = out(&first, &fragments);
    both.infusions.push(ended(2, "2026-09-07T14:40:00Z"));
    let plan = planned(&both, "2026-09-07T15:00:00Z");
    assert_eq!(one(&plan, "d0.fragments").anchor, Some(both.infusions[1].id));
    let existing = [diffs::stored(&fragments, Hold::Out)];
    let steps = diff(&existing, &plan, at("2026-09-07T15:00:00Z"));
    assert!(steps.contains(&Step::Cancel { id: fragments.id, reason: DropReason::Merged }));
    // Answered, it is left alone.
    let existing = [diffs::stored(&fragments, Hold::Settled)];
    let steps = diff(&existing, &plan, at("2026-09-07T15:00:00Z"));
    assert!(steps.iter().all(|step| !matches!(step, Step::Cancel { .. })));
}

#[test]
fn what_was_not_corrected_is_not_asked_again() {
    // A measure that was moved to a later morning, and went out then.
    let last = Some(at("2026-09-07T12:00:00Z"));
    let facts = Facts { last_measure_at: last, ..with(ended(1, "2026-09-07T08:40:00Z")) };
    let measures = one(&planned(&facts, "2026-09-07T09:00:00Z"), "d7.measures").clone();
    let gone = out(&facts, &measures);
    let plan = planned(&gone, "2026-09-15T09:00:00Z");
    assert_eq!(one(&plan, "d7.measures").id, measures.id);
    // Another edit of the same infusion, long after a correction: the dose, say.
    let before = with(ended(1, "2026-09-07T08:40:00Z"));
    let check = one(&planned(&before, "2026-09-07T09:00:00Z"), "d1.check").clone();
    let told = "2026-09-08T09:00:00Z";
    let moved = corrected(&out(&before, &check), "2026-09-08T00:30:00Z", told);
    let again = one(&planned(&moved, told), "d1.check").clone();
    assert_eq!((again.occurrence, again.local_date), (1, "2026-09-09".parse().unwrap()));
    let mut both = moved.clone();
    both.settled.extend(out(&moved, &again).settled);
    let edited = corrected(&both, "2026-09-08T00:30:00Z", "2026-09-09T15:00:00Z");
    let plan = planned(&edited, "2026-09-09T15:00:00Z");
    assert!(plan.prompts.iter().all(|prompt| prompt.rule_key != "d1.check" || prompt.occurrence <= 1), "{plan:?}");
}
