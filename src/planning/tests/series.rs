//! A series of sessions: what takes turns, what is asked once a week, and what is said in other words.

use std::collections::HashMap;

use super::*;

/// Six sessions on Mondays, Wednesdays and Fridays, the plan of each day as it is on that day.
fn induction(facts: &Facts) -> Vec<Planned> {
    let days = [7, 9, 11, 14, 16, 18];
    let infusion = |(n, day): (usize, &i32)| {
        let start = format!("2026-09-{day:02}T08:00:00Z");
        InfusionFact { planned_start: Some(at(&start)), ..done(u128::try_from(n).unwrap() + 1, &start) }
    };
    let infusions = days.iter().enumerate().map(infusion).collect();
    let facts = Facts { infusions, ..facts.clone() };
    let date = |text: &str| text.parse::<Date>().unwrap();
    preview::preview(Protocol::default_v1(), &facts, date("2026-09-04"), date("2026-10-04")).prompts
}

fn dates<'a>(prompts: &'a [Planned], key: &'a str) -> Vec<String> {
    prompts.iter().filter(|prompt| prompt.rule_key == key).map(|prompt| prompt.local_date.to_string()).collect()
}

#[test]
fn rule_series_telling_and_practising_take_turns() {
    let prompts = induction(&thin("Europe/Berlin"));
    assert_eq!(dates(&prompts, "d1.tell"), ["2026-09-08", "2026-09-12", "2026-09-17", "2026-09-19"]);
    assert_eq!(dates(&prompts, "d1.exercise"), ["2026-09-10", "2026-09-15", "2026-09-19"]);
}

#[test]
fn rule_series_sharing_is_asked_on_an_evening_before_a_session_at_most_once_in_seven_days() {
    let prompts = induction(&thin("Europe/Berlin"));
    assert_eq!(dates(&prompts, "series.share"), ["2026-09-08", "2026-09-15"]);
    assert!(
        prompts.iter().filter(|prompt| prompt.rule_key == "series.share").all(|prompt| prompt.local_time.hour() >= 18)
    );
    for missing in [Prerequisite::LiveLink, Prerequisite::UnsharedEntry] {
        let mut facts = thin("Europe/Berlin");
        facts.holds.remove(&missing);
        assert!(dates(&induction(&facts), "series.share").is_empty(), "{missing:?}");
    }
    let alone = Facts { infusions: vec![coming(1, "2026-09-10T08:00:00Z")], ..thin("Europe/Berlin") };
    let plan = plan(Protocol::default_v1(), &alone, at("2026-09-08T08:00:00Z"));
    assert_eq!(why_not(&plan, "series.share"), [DropReason::Series], "before the first one there is nothing to share");
}

#[test]
fn rule_series_a_takeaway_comes_in_the_place_of_an_intention() {
    let mut facts = thin("Europe/Berlin");
    let prompts = induction(&facts);
    assert_eq!(
        (dates(&prompts, "prep.lastround"), dates(&prompts, "prep.intention").len()),
        (vec!["2026-09-06".into(), "2026-09-13".into()], 0)
    );
    facts.holds.remove(&Prerequisite::Takeaway);
    let prompts = induction(&facts);
    assert_eq!(
        (dates(&prompts, "prep.intention"), dates(&prompts, "prep.lastround").len()),
        (vec!["2026-09-06".into(), "2026-09-13".into()], 0)
    );
}

#[test]
fn rule_series_after_the_last_one_day_2_has_three() {
    let prompts = induction(&thin("Europe/Berlin"));
    let day: Vec<_> =
        prompts.iter().filter(|prompt| prompt.local_date == "2026-09-20".parse::<Date>().unwrap()).collect();
    let keys: Vec<_> = day.iter().map(|prompt| prompt.rule_key.as_str()).collect();
    assert_eq!(keys, ["d2.mood", "d2.step", "d2.thought"]);
}

#[test]
fn rule_series_no_sentence_is_read_twice_within_five_days() {
    let protocol = Protocol::default_v1();
    for holds in [Prerequisite::ALL.into(), BTreeSet::new()] {
        let mut read: HashMap<String, (Date, String)> = HashMap::new();
        for prompt in induction(&Facts { holds, ..thin("Europe/Berlin") }) {
            let text = protocol.rule(&prompt.rule_key).unwrap().text_of(prompt.wording);
            let sentences = text.split_inclusive(['.', '?', '!', ':']).map(str::trim).filter(|one| !one.is_empty());
            for sentence in sentences {
                let now = (prompt.local_date, prompt.rule_key.clone());
                if let Some((before, key)) = read.insert(sentence.to_owned(), now) {
                    let apart = prompt.local_date.duration_since(before).as_hours() / 24;
                    assert!(apart > 5, "{key} and {}, {apart} days apart: {sentence}", prompt.rule_key);
                }
            }
        }
    }
}

#[test]
fn rule_series_each_wording_is_shorter_than_the_one_before() {
    for key in ["prep.morning", "d0.fragments", "d1.tell"] {
        let lengths: Vec<_> =
            Protocol::default_v1().rule(key).unwrap().texts().map(|text| text.chars().count()).collect();
        assert!(lengths.len() == 3 && lengths.is_sorted_by(|one, next| one > next), "{key}: {lengths:?}");
    }
}

#[test]
fn a_session_called_off_gives_those_after_it_other_words() {
    let facts = |infusions| Facts { infusions, ..thin("Europe/Berlin") };
    let (first, second, third) =
        (done(1, "2026-09-07T08:00:00Z"), coming(2, "2026-09-11T08:00:00Z"), coming(3, "2026-09-15T08:00:00Z"));
    let morning = |plan: &Plan| plan.prompts.iter().rfind(|prompt| prompt.rule_key == "prep.morning").cloned().unwrap();
    let now = "2026-09-08T08:00:00Z";
    let before = plan(Protocol::default_v1(), &facts(vec![first.clone(), second, third.clone()]), at(now));
    let existing: Vec<_> = before.prompts.iter().map(|prompt| diffs::stored(prompt, Hold::Waiting)).collect();
    let after = plan(Protocol::default_v1(), &facts(vec![first, third]), at(now));
    let (old, new) = (morning(&before), morning(&after));
    assert_eq!((old.id, old.wording, new.wording), (new.id, 2, 0), "eight days apart they are no series");
    let steps = diff(&existing, &after, at(now));
    assert!(
        steps.iter().any(|step| matches!(step, Step::Move { id, reason: MoveReason::Infusion, .. } if *id == old.id))
    );
}

#[test]
fn rule_silences_in_the_plan_a_card_for_who_has_not_answered_since_day_4() {
    let mut facts = Facts { infusions: vec![done(1, "2026-09-07T08:00:00Z")], ..thin("Europe/Berlin") };
    let now = "2026-09-13T08:00:00Z";
    let quiet = plan(Protocol::default_v1(), &facts, at(now));
    let card = quiet.prompts.iter().find(|prompt| prompt.rule_key == "d8.card").unwrap();
    assert_eq!((card.day, card.push, card.reminder_at), (Some(8), false, None));
    let sent = quiet.prompts.iter().find(|prompt| prompt.day == Some(4)).unwrap();
    let answered = |when: &str| PastPrompt {
        id: sent.id,
        rule_key: sent.rule_key.clone(),
        rule: None,
        due_at: sent.due_at,
        date: sent.local_date,
        answered_at: Some(at(when)),
        anchor: sent.anchor,
        hangs_on: sent.hangs_on,
        unanswered: false,
        lapsed: false,
        taken_back: false,
        missed: false,
        card: false,
    };
    facts.settled = vec![answered("2026-09-10T21:59:59Z")];
    assert!(on(&plan(Protocol::default_v1(), &facts, at(now)), "2026-09-15").contains(&"d8.card"), "that was day 3");
    facts.settled = vec![answered("2026-09-10T22:00:00Z")];
    assert_eq!(why_not(&plan(Protocol::default_v1(), &facts, at(now)), "d8.card"), [DropReason::Answered]);
}
