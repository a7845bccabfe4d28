//! Notes that come back on a date.

use super::*;

/// A patient who has written so many notes for 10 September.
fn with_notes(count: u128) -> Facts {
    let note = |n: u128| DatedResponse {
        id: Id::from_uuid(Uuid::from_u128((n + 1) << 64)),
        exercise: "future-note".to_owned(),
        date: "2026-09-10".parse().unwrap(),
    };
    Facts { dated: (0..count).map(note).collect(), ..facts("Europe/Berlin") }
}

/// The number of notes that are pushed on each date, and the cards.
fn dates(plan: &Plan) -> (Vec<(String, usize)>, Vec<String>) {
    let (mut pushed, mut cards): (Vec<(String, usize)>, _) = (Vec::new(), Vec::new());
    for prompt in plan.prompts.iter().filter(|prompt| prompt.rule_key == "note.returned") {
        let date = prompt.local_date.to_string();
        match pushed.last_mut() {
            _ if !prompt.push => cards.push(date),
            Some((last, count)) if *last == date => *count += 1,
            _ => pushed.push((date, 1)),
        }
    }
    (pushed, cards)
}

/// The prompt when it is out.
fn gone_out(prompt: &Planned) -> PastPrompt {
    PastPrompt {
        id: prompt.id,
        rule_key: prompt.rule_key.clone(),
        rule: None,
        due_at: prompt.due_at,
        date: prompt.local_date,
        answered_at: None,
        anchor: None,
        hangs_on: None,
        unanswered: true,
        lapsed: false,
        taken_back: false,
        missed: false,
        card: !prompt.push,
    }
}

#[test]
fn rule_a_note_without_room_on_its_date_comes_on_the_next_ones() {
    let plan = planned(&with_notes(11), "2026-09-08T08:00:00Z");
    let expected = [("2026-09-10", 4), ("2026-09-11", 4), ("2026-09-12", 3)];
    assert_eq!(dates(&plan), (expected.map(|(date, count)| (date.to_owned(), count)).into(), Vec::new()));
    // In the order in which they are listed: an added note moves none to another date.
    let planned_of = |plan: &Plan, n: usize| {
        let id = with_notes(12).dated[n].id;
        plan.prompts.iter().find(|prompt| prompt.returns == Some(id)).map(|prompt| prompt.local_date).unwrap()
    };
    let more = planned(&with_notes(12), "2026-09-08T08:00:00Z");
    for n in 0..11 {
        assert_eq!(planned_of(&plan, n), planned_of(&more, n), "{n}");
    }
}

#[test]
fn rule_a_note_that_has_waited_longest_comes_first() {
    let mut facts = with_notes(5);
    for n in 5..9 {
        let note = with_notes(9).dated[n].clone();
        facts.dated.insert(0, DatedResponse { date: "2026-09-11".parse().unwrap(), ..note });
    }
    let waited = facts.dated.last().unwrap().id;
    let plan = planned(&facts, "2026-09-08T08:00:00Z");
    let expected = [("2026-09-10", 4), ("2026-09-11", 4), ("2026-09-12", 1)];
    assert_eq!(dates(&plan).0, expected.map(|(date, count)| (date.to_owned(), count)));
    let prompt = plan.prompts.iter().find(|prompt| prompt.returns == Some(waited)).unwrap();
    assert_eq!((prompt.local_date.to_string().as_str(), prompt.why), ("2026-09-11", Why::LaterDay));
}

#[test]
fn rule_a_note_without_room_for_a_week_is_a_card_on_its_date() {
    let facts = with_notes(4 * 8 + 2);
    let plan = planned(&facts, "2026-09-08T08:00:00Z");
    let (pushed, cards) = dates(&plan);
    assert_eq!(pushed.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [4; 8]);
    assert_eq!(pushed.last().unwrap().0, "2026-09-17");
    assert_eq!(cards, ["2026-09-10"; 2]);
    let is_card = |prompt: &&Planned| prompt.rule_key == "note.returned" && !prompt.push;
    assert!(plan.prompts.iter().filter(is_card).all(|card| card.reminder_at.is_none()));
    // A card that is out takes no room from those that are announced.
    let mut later = facts;
    later.settled = plan.prompts.iter().filter(is_card).map(gone_out).collect();
    assert_eq!(dates(&planned(&later, "2026-09-08T08:00:00Z")), (pushed, Vec::new()));
}

#[test]
fn rule_a_note_whose_date_has_passed_comes_at_the_next_time() {
    // Written without a network, or with a slip of the finger.
    for (written, due) in [
        ("2026-09-09", "2026-09-10T08:01:00Z"),
        ("2026-09-01", "2026-09-10T08:01:00Z"),
        ("1950-09-01", "2026-09-10T08:01:00Z"),
    ] {
        let mut facts = with_notes(1);
        facts.dated[0].date = written.parse().unwrap();
        let plan = planned(&facts, "2026-09-10T08:00:00Z");
        let prompt = plan.prompts.iter().find(|prompt| prompt.returns == Some(facts.dated[0].id)).unwrap();
        assert_eq!(prompt.due_at, at(due), "{written}");
    }
    // It came back already.
    let mut facts = with_notes(1);
    let prompt = planned(&facts, "2026-09-08T08:00:00Z").prompts.into_iter().find(|one| one.returns.is_some()).unwrap();
    facts.settled.push(PastPrompt { lapsed: true, ..gone_out(&prompt) });
    for now in ["2026-09-11T08:00:00Z", "2026-09-30T08:00:00Z", "2027-03-01T08:00:00Z"] {
        assert!(planned(&facts, now).prompts.iter().all(|prompt| prompt.returns.is_none()), "{now}");
    }
}

#[test]
fn rule_a_note_that_expired_in_an_outage_comes_again() {
    let note =
        |facts: &Facts, now: &str| planned(facts, now).prompts.into_iter().find(|prompt| prompt.returns.is_some());
    for (now, due) in [
        ("2026-09-14T08:00:00Z", "2026-09-14"),
        // In the evening, when no part of the last day of its week is left.
        ("2026-09-17T21:00:00Z", "2026-09-18"),
        ("2026-10-20T08:00:00Z", "2026-10-20"),
    ] {
        let mut facts = with_notes(1);
        let first = note(&facts, "2026-09-08T08:00:00Z").unwrap();
        facts.settled = vec![PastPrompt { missed: true, ..gone_out(&first) }];
        let again = note(&facts, now).unwrap();
        assert_eq!((again.local_date.to_string().as_str(), again.push, again.occurrence), (due, true, 1), "{now}");
        assert_ne!(again.id, first.id);
        // It keeps its place until then, and may expire in an outage too.
        assert_eq!(note(&facts, now).map(|note| note.due_at), Some(again.due_at));
        facts.settled.push(PastPrompt { missed: true, ..gone_out(&again) });
        assert_eq!(note(&facts, "2026-11-20T08:00:00Z").map(|note| note.occurrence), Some(2), "{now}");
        // Once the patient had it, it comes no more, even if it is the first that they answered after all.
        for had in [0, 1] {
            let mut facts = facts.clone();
            facts.settled[had].missed = false;
            assert_eq!(note(&facts, "2026-11-20T08:00:00Z"), None, "{now}");
        }
    }
    // Among others that wait it has its turn by the date that was written.
    let mut facts = with_notes(5);
    let all = planned(&facts, "2026-09-08T08:00:00Z").prompts;
    let missed = all.iter().filter(|prompt| prompt.returns.is_some()).map(gone_out);
    facts.settled = missed.map(|past| PastPrompt { missed: true, ..past }).collect();
    assert_eq!(
        dates(&planned(&facts, "2026-09-14T06:00:00Z")).0,
        [("2026-09-14".to_owned(), 4), ("2026-09-15".to_owned(), 1)]
    );
}
