//! The data is valid by its schema, and every text exists.

use std::collections::BTreeSet;

use actix_web::FromRequest as _;
use actix_web::test::TestRequest;
use serde_json::{Value, json};

use crate::exercises::catalogue::{self, Exercise, SCHEMA, StepType};
use crate::exercises::routes::Language;
use crate::exercises::translations::{Words, languages};
use crate::planning::protocol::Anchor;
use crate::planning::{Piece, Protocol, Quote, pieces, quotes};
use crate::settings::CautionFlag;

fn data() -> Value {
    serde_json::from_str(include_str!("../data/exercises.json")).unwrap()
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap()
}

#[test]
fn the_library_is_what_its_schema_says() {
    let faults: Vec<String> = validator().iter_errors(&data()).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(catalogue::newest().count(), 22);
}

#[test]
fn the_schema_refuses_a_library_with_any_fault() {
    // The place of a mutation, by a pointer that the data has, and the new value.
    let mutations = [
        ("/exercises/0/key", json!("Grounding")),
        ("/exercises/0/version", json!(0)),
        ("/exercises/0/minutes", json!("4")),
        ("/exercises/0/phases", json!(["soon"])),
        ("/exercises/0/guidance", json!("alone")),
        ("/exercises/0/evidence_in_window", json!("proven")),
        ("/exercises/0/cautions", json!([{"flag": "grief"}])),
        ("/exercises/0/steps", json!([])),
        ("/exercises/0/steps/1/items", json!(8)),
        ("/exercises/0/steps/1/id", json!("See it")),
        ("/exercises/0/steps/1/type", json!("poem")),
        ("/exercises/1/steps/1/seconds", json!(0)),
        ("/exercises/1/steps/2/options", json!(["calmer"])),
        ("/exercises/3/steps/0/piles", json!(["one"])),
        ("/exercises/3/steps/1/from", json!({"step": "sort"})),
        ("/format", json!(2)),
    ];
    let validator = validator();
    for (pointer, wrong) in mutations {
        let mut mutated = data();
        *mutated.pointer_mut(pointer).unwrap_or_else(|| panic!("the data has no {pointer}")) = wrong;
        assert!(!validator.is_valid(&mutated), "{pointer}");
    }
    for pointer in ["", "/exercises/0", "/exercises/0/steps/0", "/exercises/3/steps/1/from"] {
        let mut mutated = data();
        mutated.pointer_mut(pointer).unwrap()["surplus"] = json!(1);
        assert!(!validator.is_valid(&mutated), "a surplus field in {pointer}");
    }
    let required = data()["exercises"][0].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for name in required {
        let mut mutated = data();
        mutated["exercises"][0].as_object_mut().unwrap().remove(&name);
        assert!(!validator.is_valid(&mutated), "without {name}");
    }
}

/// Checks the rules that a schema cannot express.
#[test]
fn everything_that_is_named_is_there() {
    let mut versions = BTreeSet::new();
    for exercise in catalogue::every_version() {
        let key = &exercise.key;
        assert!(versions.insert(exercise.reference()), "{key} twice in one version");
        assert!(exercise.phases.is_sorted(), "{key}: phases in their order");
        let ids: BTreeSet<&String> = exercise.steps.iter().map(|step| &step.id).collect();
        assert_eq!(ids.len(), exercise.steps.len(), "{key}: a step twice");
        if let Some(id) = &exercise.returns_on {
            assert!(matches!(exercise.step(id).map(|step| &step.ask), Some(StepType::Date)), "{key}: returns on {id}");
        }
        for id in &exercise.quote {
            let text = exercise.step(id).map(|step| &step.ask);
            assert!(matches!(text, Some(StepType::TextShort | StepType::TextLong)), "{key}: a quote of {id}");
        }
        for step in &exercise.steps {
            match &step.ask {
                StepType::Single { options, stop_on, routes, needs } => {
                    let named = stop_on.iter().chain(routes.keys()).chain(needs.keys());
                    assert!(named.clone().all(|key| options.contains(key)), "{key}/{}", step.id);
                }
                StepType::Rank { from, .. } => {
                    let sorted = exercise.step(&from.step).map(|sorted| &sorted.ask);
                    let known = matches!(sorted, Some(StepType::CardSort { piles, .. }) if piles.contains(&from.pile));
                    assert!(known, "{key}/{}: no such pile", step.id);
                }
                StepType::CardSort { piles, cards, .. } => {
                    assert!(piles.iter().all(|pile| !cards.contains(pile)), "{key}/{}: a pile like a card", step.id);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn every_exercise_that_a_prompt_offers_is_in_the_library() {
    for rule in &Protocol::default_v1().rules {
        for key in &rule.exercises {
            let exercise = catalogue::find(key, None).unwrap_or_else(|| panic!("{}: no {key}", rule.key));
            assert!(exercise.minutes <= 20, "{key}");
        }
    }
}

#[test]
fn every_exercise_that_a_prompt_quotes_says_how() {
    for rule in &Protocol::default_v1().rules {
        for quote in rule.texts().flat_map(quotes) {
            let Quote::Answer(key) = quote else { continue };
            let exercise = catalogue::find(&key, None).unwrap_or_else(|| panic!("{}: no {key}", rule.key));
            assert!(!exercise.quote.is_empty(), "{}: {key} has no quote", rule.key);
        }
        let Anchor::DateOf(key) = &rule.anchor else { continue };
        let exercise = catalogue::find(key, None).unwrap_or_else(|| panic!("{}: no {key}", rule.key));
        assert!(exercise.returns_on.is_some() && !exercise.quote.is_empty(), "{}: {key} does not return", rule.key);
    }
}

/// Returns the names of all texts of an exercise: the required and the optional ones.
fn names(exercise: &Exercise) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut needed: BTreeSet<String> = ["title", "purpose"].map(str::to_owned).into();
    let mut more = BTreeSet::new();
    if !exercise.quote.is_empty() {
        needed.insert("quote".to_owned());
    }
    for step in &exercise.steps {
        needed.insert(step.id.clone());
        let mut need = |name: &str| {
            needed.insert(format!("{}.{name}", step.id));
        };
        match &step.ask {
            StepType::Single { options, stop_on, .. } => {
                for key in options {
                    need(key);
                }
                if !stop_on.is_empty() {
                    need("stop");
                }
            }
            StepType::Multi { options } => {
                for key in options {
                    need(key);
                }
            }
            StepType::CardSort { piles, cards, .. } => {
                for key in piles.iter().chain(cards) {
                    need(key);
                }
            }
            StepType::Pair { .. } => {
                need("left");
                need("right");
            }
            StepType::Scale { stop_at } => {
                more.extend(["low", "high"].map(|end| format!("{}.{end}", step.id)));
                if stop_at.is_some() {
                    need("stop");
                }
            }
            StepType::Confirm if step.required => need("stop"),
            _ => {}
        }
    }
    (needed, more)
}

#[test]
fn each_language_says_all_of_an_exercise_or_nothing() {
    let english = languages().first().unwrap();
    for texts in languages() {
        let common: BTreeSet<&String> = texts.common.keys().collect();
        assert_eq!(common, english.common.keys().collect(), "{}: what exercises share", texts.locale);
        for (reference, words) in &texts.exercises {
            let (key, version) = reference.split_once('@').unwrap();
            let exercise = catalogue::find(key, version.parse().ok()).unwrap_or_else(|| panic!("no {reference}"));
            let (needed, more) = names(exercise);
            let has: BTreeSet<String> = words.keys().cloned().collect();
            let missing: Vec<_> = needed.difference(&has).collect();
            let surplus: Vec<_> = has.iter().filter(|name| !needed.contains(*name) && !more.contains(*name)).collect();
            assert!(missing.is_empty() && surplus.is_empty(), "{} {reference}: {missing:?} {surplus:?}", texts.locale);
            assert!(words.values().all(|text| !text.trim().is_empty()), "{} {reference}: empty words", texts.locale);
            let quoted = pieces(words.get("quote").map_or("", String::as_str)).filter_map(|piece| match piece {
                Piece::Other(step) => Some(step.to_owned()),
                _ => None,
            });
            let (quoted, steps): (BTreeSet<_>, _) = (quoted.collect(), exercise.quote.iter().cloned().collect());
            assert_eq!(quoted, steps, "{} {reference}: a quote", texts.locale);
        }
    }
    assert_eq!(english.exercises.len(), catalogue::every_version().len(), "English is complete");
    assert!(languages().iter().any(|texts| texts.locale == "de" && texts.exercises.len() >= 5), "German for five");
}

#[test]
fn nobody_reads_half_an_exercise_in_another_language() {
    let values = catalogue::find("values-sort", None).unwrap();
    assert_eq!(Words::of(values, "de-AT").locale, "de");
    assert_eq!(Words::of(values, "fr").locale, "en");
    let letter = catalogue::find("parts-letter", None).unwrap();
    let english = Words::of(letter, "en");
    let german = Words::of(letter, "de");
    assert_eq!((german.locale, german.title()), ("en", english.title()), "not translated: English, down to the frame");
    assert_eq!(german.common().get("usefulness"), english.common().get("usefulness"));
}

#[test]
fn the_language_is_the_one_that_somebody_reads_best() {
    for (header, wanted) in [
        ("de", Some("de")),
        ("de-CH, en;q=0.5", Some("de")),
        ("fr, de;q=0.3, en;q=0.8", Some("en")),
        ("fr;q=1, it", None),
        ("de;q=0", None),
        ("*", None),
        ("de;q=x,,;", None),
    ] {
        let request = TestRequest::default().insert_header(("accept-language", header)).to_http_request();
        let language = Language::extract(&request).into_inner().unwrap();
        assert_eq!(language.or("nothing"), wanted.unwrap_or("nothing"), "{header}");
    }
}

#[test]
fn what_the_server_cannot_answer_is_not_offered() {
    let urge = catalogue::find("urge-surf", None).unwrap();
    let Some(StepType::Single { options, needs, .. }) = urge.steps.first().map(|step| &step.ask) else { panic!() };
    assert!(options.iter().any(|option| option == "self_harm") && needs.contains_key("self_harm"));
    assert!(!urge.steps[0].ask.options().contains(&"self_harm"), "before the rules and the crisis card exist");
    assert!(CautionFlag::ALL.len() == 9);
}
