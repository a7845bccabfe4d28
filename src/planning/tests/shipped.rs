//! The shipped protocol: rules, texts and burden of the clinical brief.

use super::*;
use crate::planning::protocol::Anchor;
use crate::planning::window::WindowParams;

/// `clinical.md` §3.
const EXERCISES: [&str; 22] = [
    "grounding-54321",
    "box-breath",
    "body-scan",
    "values-sort",
    "leaves-defusion",
    "thought-record",
    "self-kindness-pairs",
    "activation-plan",
    "experiment",
    "kind-letter",
    "parts-letter",
    "imagery-rescript",
    "safe-place",
    "if-then-habit",
    "repair-letter",
    "gratitude-specific",
    "music-relisten",
    "three-panels",
    "urge-surf",
    "early-signs",
    "pain-pacing",
    "future-note",
];

#[test]
fn the_default_protocol_holds_all_37_rules_two_for_use_at_home_four_for_series_silence_and_notes_and_no_fault() {
    let protocol = Protocol::default_v1();
    assert_eq!(protocol.rules.len(), 37 + 2 + 4);
    assert!(protocol.rules.iter().all(|rule| (20..=160).contains(&rule.because.chars().count())), "each says why");
    assert_eq!(protocol.validate(), Vec::<String>::new());
    assert_eq!((protocol.key.as_str(), protocol.version), ("afterglow-default", 1));
    let per_kind = |kind| protocol.rules.iter().filter(|rule| rule.kind == kind).count();
    let kinds = [
        PromptKind::Safety,
        PromptKind::Measure,
        PromptKind::Preparation,
        PromptKind::Reflection,
        PromptKind::Exercise,
        PromptKind::Habit,
        PromptKind::OnDemand,
    ];
    assert_eq!(kinds.map(per_kind), [6 + 2, 3, 3, 6 + 2, 11, 6 + 1, 2 + 1]);
    assert_eq!(protocol.rules.iter().filter(|rule| rule.at_home).count(), 2);
    let json = serde_json::to_string(protocol).unwrap();
    assert_eq!(&serde_json::from_str::<Protocol>(&json).unwrap(), protocol);
}

#[test]
fn the_protocol_carries_the_shipped_window() {
    assert_eq!(&Protocol::default_v1().window, WindowParams::shipped());
    Protocol::default_v1().window.validate().unwrap();
}

#[test]
fn texts_are_short_and_promise_nothing() {
    let banned = ["rewire", "cure", "heal", "must", "should", "guarantee", "optimal", "countdown", "brain"];
    for rule in &Protocol::default_v1().rules {
        for text in rule.texts().chain([rule.plain.as_str()]) {
            assert!(text.chars().count() <= 240, "{}: {} characters", rule.key, text.chars().count());
        }
        let lower = rule
            .texts()
            .chain([rule.plain.as_str(), rule.because.as_str()])
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase();
        for word in lower.split(|c: char| !c.is_alphabetic()) {
            assert!(!banned.iter().any(|stem| word.starts_with(stem) && word != "health"), "{}: {word}", rule.key);
        }
    }
}

#[test]
fn exercises_exist() {
    for rule in &Protocol::default_v1().rules {
        for key in &rule.exercises {
            assert!(EXERCISES.contains(&key.as_str()), "{}: {key}", rule.key);
        }
    }
}

#[test]
fn nothing_is_planned_that_the_server_cannot_answer() {
    for rule in &Protocol::default_v1().rules {
        let needs = match rule.kind {
            PromptKind::Safety => Some(Capability::Checks),
            PromptKind::Measure => Some(Capability::Measures),
            // A silence and a stop need no answer.
            PromptKind::OnDemand if rule.anchor == Anchor::Adaptive => Some(Capability::Adaptive),
            _ => None,
        };
        assert_eq!(rule.needs, needs.into_iter().collect::<Vec<_>>(), "{}", rule.key);
    }
}

/// The table at the end of `clinical.md` §2.2: pushes and minutes a day, without free dials and optional cards.
const BURDEN: [(i32, usize, u32); 15] = [
    (0, 3, 6),
    (1, 3, 24),
    (2, 3, 24),
    (3, 2, 19),
    (4, 1, 7),
    (5, 1, 15),
    (6, 1, 12),
    (7, 2, 7),
    (8, 1, 10),
    (9, 1, 3),
    (10, 1, 2),
    (11, 0, 0),
    (12, 1, 12),
    (13, 1, 10),
    (14, 1, 5),
];

#[test]
fn the_burden_of_the_full_template_is_what_the_table_says() {
    let protocol = Protocol::default_v1();
    for (day, prompts, minutes) in BURDEN {
        let mut free = protocol.caps.free_dials_per_day;
        let counted: Vec<_> = protocol
            .rules
            .iter()
            .filter(|rule| match rule.anchor {
                Anchor::Day(n) => n == day,
                Anchor::AfterEnd { .. } => day == 0,
                _ => false,
            })
            .filter(|rule| rule.counts() && !rule.at_home)
            .filter(|rule| {
                let dial =
                    rule.kind == PromptKind::Habit && rule.minutes <= protocol.caps.free_dial_minutes && free > 0;
                free -= u32::from(dial);
                !dial
            })
            .map(|rule| rule.minutes)
            .collect();
        assert_eq!((counted.len(), counted.iter().sum()), (prompts, minutes), "day {day}");
        let cap = protocol.caps.days.iter().find(|cap| cap.first <= day && day <= cap.last).unwrap();
        assert!(prompts <= usize::try_from(cap.prompts).unwrap() && minutes <= cap.minutes.unwrap(), "day {day}");
    }
}

#[test]
fn the_full_template_is_planned_whole() {
    let facts = Facts { infusions: vec![done(1, "2026-09-07T08:00:00Z")], ..facts("Europe/Berlin") };
    let plan = plan(Protocol::default_v1(), &facts, at("2026-09-07T08:50:00Z"));
    assert_eq!(plan.dropped, Vec::<Dropped>::new().as_slice(), "nobody has answered yet");
    for (day, prompts, _) in BURDEN {
        let counted = plan.prompts.iter().filter(|prompt| prompt.day == Some(day) && prompt.push);
        let dials = plan.prompts.iter().any(|prompt| {
            prompt.push && prompt.day == Some(day) && prompt.minutes == 1 && prompt.kind == PromptKind::Habit
        });
        assert_eq!(counted.count(), prompts + usize::from(dials), "day {day}");
    }
}

#[test]
fn faults_of_a_protocol_are_named() {
    let mut protocol = Protocol::default_v1().clone();
    protocol.rules[10].key = "prep.safety".to_owned();
    protocol.rules[11].text = "{ex:box-breath}".to_owned();
    protocol.rules[12].plain = "{last_takeaway}".to_owned();
    protocol.caps.days.remove(2);
    let faults = protocol.validate();
    assert!(faults.iter().any(|fault| fault == "prep.safety: the key is used twice"), "{faults:?}");
    assert!(faults.iter().any(|fault| fault == "d1.exercise: a placeholder is unknown"), "{faults:?}");
    let quoting = format!("{}: the text without a quote quotes", protocol.rules[12].key);
    assert!(faults.contains(&quoting), "{faults:?}");
    assert!(faults.iter().any(|fault| fault == "caps: every day of the plan has a cap"), "{faults:?}");
}

#[test]
fn the_default_protocol_keeps_its_own_safety_checks() {
    assert_eq!(Protocol::default_v1().unsafe_without(), Vec::<&str>::new());
    assert_eq!(Protocol::default_v1().faults(), []);
}
