//! Every exercise can be done, in any order, and each fault points to its answer.

use serde_json::{Map, Value, json};

use crate::exercises::answers::Answers;
use crate::exercises::catalogue::{self, Exercise, StepType};
use crate::exercises::draft::PutExerciseResponse;
use crate::exercises::model::Distress;
use crate::exercises::model::{ResponseContent, Responses};
use crate::http::Patch;
use crate::items::stays_done;
use crate::kernel::{Error, Fields};

/// Returns complete, believable answers to every exercise.
fn fixtures() -> Map<String, Value> {
    serde_json::from_str(include_str!("answers.json")).unwrap()
}

fn of(exercise: &Exercise) -> Map<String, Value> {
    fixtures()[&exercise.key].as_object().unwrap().clone()
}

/// Returns the pointers of the faults of these answers.
fn faults(exercise: &Exercise, given: impl Into<Value>) -> Vec<String> {
    let mut fields = Fields::new();
    let Value::Object(given) = given.into() else { panic!("answers are an object") };
    Answers::parse(exercise, given, &mut fields);
    match fields.done() {
        Err(Error::Invalid(list)) => list.into_iter().map(|fault| fault.pointer).collect(),
        _ => Vec::new(),
    }
}

fn exercise(key: &str) -> &'static Exercise {
    catalogue::find(key, None).unwrap()
}

fn draft(key: &str, more: impl Into<Value>) -> PutExerciseResponse {
    let version = catalogue::find(key, None).map_or(1, |exercise| exercise.version);
    let mut body =
        json!({ "exercise_key": key, "exercise_version": version, "occurred_at": "2026-03-10T18:30:00+01:00" });
    let Value::Object(more) = more.into() else { panic!("fields are an object") };
    body.as_object_mut().unwrap().extend(more);
    serde_json::from_value(body).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "reads better at the calls")]
fn patched(content: &ResponseContent, patch: Value) -> ResponseContent {
    let patch = Patch::<PutExerciseResponse>::of(patch.as_object().unwrap().clone());
    patch.apply(&PutExerciseResponse::of(content)).unwrap().parse().unwrap()
}

#[test]
fn a_date_lies_in_the_range_of_all_dates() {
    let note = exercise("future-note");
    for right in ["1900-01-01", "2026-11-02", "2199-12-31"] {
        assert_eq!(faults(note, json!({ "open_on": right })), Vec::<String>::new(), "{right}");
    }
    for wrong in ["1899-12-31", "2200-01-01", "9999-12-31", "-009999-01-01", "2026-02-30", "2026-W45-1", "tomorrow"] {
        assert_eq!(faults(note, json!({ "open_on": wrong })), ["/answers/open_on"], "{wrong}");
    }
    assert_eq!(faults(note, json!({ "open_on": 20_261_102 })), ["/answers/open_on"]);
}

#[test]
fn every_exercise_can_be_done() {
    for exercise in catalogue::newest() {
        let given = of(exercise);
        let steps = exercise.steps.iter().filter(|step| step.ask != StepType::Info);
        assert!(steps.clone().all(|step| given.contains_key(&step.id)), "{}: an answer is missing", exercise.key);
        let done = draft(&exercise.key, json!({ "answers": given.clone() })).parse().unwrap();
        let kept = done.answers.unwrap();
        assert_eq!(kept.as_map(), &given, "{}: answers are kept as they were given", exercise.key);
        let stopped = kept.stopped_at(exercise).map(|step| &step.id);
        assert_eq!(stopped, None, "{}: the happy path goes to the end", exercise.key);
    }
}

#[test]
fn every_exercise_is_saved_step_by_step_in_any_order() {
    for exercise in catalogue::newest() {
        let given = of(exercise);
        let mut content = draft(&exercise.key, json!({ "status": "draft" })).parse().unwrap();
        // From the last step to the first.
        for step in exercise.steps.iter().rev().filter(|step| given.contains_key(&step.id)) {
            let mut answers = Map::new();
            answers.insert(step.id.clone(), given[&step.id].clone());
            content = patched(&content, json!({ "answers": answers }));
        }
        let content = patched(&content, json!({ "status": "done" }));
        assert_eq!(content.answers.unwrap().as_map(), &given, "{}", exercise.key);
    }
}

/// Returns wrong answers for a type of step.
fn wrong(ask: &StepType) -> Vec<Value> {
    let long = |n: usize| json!("x".repeat(n));
    match ask {
        StepType::Info => vec![json!("read")],
        StepType::TextShort => vec![json!(1), long(281), json!("a\0b"), json!(["a"])],
        StepType::TextLong => vec![json!(true), long(5001)],
        StepType::Person => vec![json!({}), long(81)],
        StepType::List { .. } => vec![json!("one"), json!([1]), json!(vec!["x"; 8]), json!([long(281)])],
        StepType::Scale { .. } => vec![json!(-1), json!(11), json!(3.5), json!("3")],
        StepType::Single { .. } => vec![json!("nothing_like_it"), json!(["calmer"]), json!(0)],
        StepType::Multi { options } => {
            vec![json!("x"), json!(["nothing_like_it"]), json!([options[0], options[0]])]
        }
        StepType::Rank { max, .. } => vec![
            json!("honesty"),
            json!([{ "card": "nothing_like_it" }]),
            json!([{ "own": "a" }, { "own": "a" }]),
            json!((0..=*max).map(|n| json!({ "own": format!("{n}") })).collect::<Vec<_>>()),
        ],
        StepType::CardSort { piles, own_cards, .. } => {
            let pile = &piles[0];
            let own = (0..=*own_cards).map(|n| json!({ "own": format!("{n}") })).collect::<Vec<_>>();
            vec![
                json!([]),
                json!({ "no_pile": [] }),
                json!({ pile: [{ "card": "nothing_like_it" }] }),
                json!({ pile: [{ "card": "calm", "own": "calm" }] }),
                json!({ pile: own }),
                json!({ pile: [{ "own": "a" }], piles[1].as_str(): [{ "own": "a" }] }),
            ]
        }
        StepType::Timer { .. } => vec![json!(-1), json!(1.5), json!(86_401), json!("60")],
        StepType::Audio | StepType::Drawing => vec![json!("a door"), json!({ "file": "x" }), json!({ "alt": 1 })],
        StepType::Date => vec![json!("soon"), json!("2026-02-30"), json!("2026-3-1"), json!(20_260_301)],
        StepType::Time => {
            vec![json!("25:00"), json!("T1830"), json!("18+01"), json!("7 pm"), json!("07:30:00"), json!(7)]
        }
        StepType::Confirm => vec![json!("yes"), json!(1)],
        StepType::Pair { repeat } => vec![
            json!({ "left": "a", "right": "b" }),
            json!([{ "left": 1 }]),
            json!([{ "middle": "a" }]),
            json!(vec![json!({ "left": "a", "right": "b" }); repeat + 1]),
        ],
    }
}

#[test]
fn whatever_is_wrong_with_an_answer_is_pointed_at() {
    let mut types = std::collections::BTreeSet::new();
    for exercise in catalogue::newest() {
        for step in &exercise.steps {
            types.insert(step.ask.name());
            for answer in wrong(&step.ask) {
                let at = format!("/answers/{}", step.id);
                let found = faults(exercise, json!({ step.id.as_str(): answer }));
                let pointed = found.iter().any(|pointer| *pointer == at || pointer.starts_with(&format!("{at}/")));
                assert!(pointed, "{}/{}: {answer} gives {found:?}", exercise.key, step.id);
            }
        }
    }
    // No exercise in the data has a recording yet.
    assert_eq!(types.len(), 16, "each type of step but `audio` is in the library: {types:?}");
}

#[test]
fn a_voice_note_is_told_in_words_for_now() {
    let mut spoken = exercise("three-panels").clone();
    spoken.steps[0].ask = StepType::Audio;
    assert!(faults(&spoken, json!({ "before": { "alt": "A hum." } })).is_empty());
    for answer in wrong(&StepType::Audio) {
        assert!(!faults(&spoken, json!({ "before": answer })).is_empty(), "{answer}");
    }
}

#[test]
fn a_step_that_there_is_not_has_no_answer_and_is_not_repeated() {
    let found = faults(exercise("box-breath"), json!({ "a secret thought": "x", "after": "calmer" }));
    assert_eq!(found, ["/answers"], "a step's name could be somebody's words");
}

#[test]
fn an_empty_text_is_no_answer() {
    let given = json!({ "answers": { "insight": "  ", "when": "the kettle boils", "then": "" } });
    let content = draft("if-then-habit", given).parse().unwrap();
    let kept = content.answers.unwrap();
    assert_eq!(kept.as_map().keys().collect::<Vec<_>>(), ["when"]);
    let list = faults(exercise("grounding-54321"), json!({ "see": ["a lamp", "", ""] }));
    assert!(list.is_empty());
}

#[test]
fn a_merge_patch_takes_answers_out_and_merges_piles() {
    let start = json!({ "answers": { "sort": { "very_me": [{ "card": "calm" }], "not_now": [{ "card": "craft" }] }, "move": "walk" } });
    let content = draft("values-sort", start).parse().unwrap();
    let patch = json!({ "answers": { "sort": { "not_now": null, "a_bit_me": [{ "own": "my dog" }] }, "move": null } });
    let content = patched(&content, patch);
    let wanted = json!({ "sort": { "very_me": [{ "card": "calm" }], "a_bit_me": [{ "own": "my dog" }] } });
    assert_eq!(json!(content.answers.unwrap().as_map()), wanted);
}

#[test]
fn a_gate_stands_before_what_is_done_with_a_therapist() {
    let refused = draft("imagery-rescript", json!({ "answers": { "scene": "The stairs" } })).parse();
    let Err(Error::Invalid(list)) = refused else { panic!("{refused:?}") };
    assert_eq!(list[0].pointer, "/answers/present");
    let waits = draft("imagery-rescript", json!({ "status": "draft", "answers": { "scene": "The stairs" } }));
    waits.parse().unwrap();
    let alone = draft("imagery-rescript", json!({ "answers": { "present": false } })).parse().unwrap();
    let stopped = alone.answers.unwrap().stopped_at(exercise("imagery-rescript")).unwrap().id.clone();
    assert_eq!(stopped, "present", "stopping there is fine, and done");
}

#[test]
fn an_exercise_stops_where_it_has_to() {
    let stop = |key: &str, answers: Value| {
        let content = draft(key, json!({ "answers": answers })).parse().unwrap();
        content.answers.unwrap().stopped_at(exercise(key)).map(|step| step.id.clone())
    };
    let suds = |n: u8| json!({ "present": true, "distress_before": n });
    assert_eq!(stop("imagery-rescript", suds(8)).as_deref(), Some("distress_before"));
    assert_eq!(stop("imagery-rescript", suds(7)), None);
    assert_eq!(stop("repair-letter", json!({ "safe": "not_sure" })).as_deref(), Some("safe"));
    assert_eq!(stop("repair-letter", json!({ "safe": "yes" })), None);
}

#[test]
fn distress_that_is_high_or_has_risen_calls_for_something_gentle() {
    let felt = |before, after| Distress { before, after, usefulness: None }.calls_for_grounding();
    assert!(felt(None, Some(8)) && felt(Some(9), Some(8)) && felt(Some(2), Some(5)));
    assert!(!felt(Some(3), Some(5)) && !felt(Some(9), Some(7)) && !felt(Some(9), None));
}

#[test]
fn every_fault_of_a_response_is_told_at_once() {
    let body = json!({
        "exercise_version": 7, "status": "finished", "zone": "Mars/Olympus", "recorded_at": "then",
        "distress": { "before": 11, "usefulness": 5 },
    });
    let Err(Error::Invalid(list)) = draft("box-breath", body).parse() else { panic!() };
    let pointers: Vec<_> = list.iter().map(|fault| fault.pointer.as_str()).collect();
    let wanted = ["/exercise_version", "/status", "/zone", "/recorded_at", "/distress/before", "/distress/usefulness"];
    assert_eq!(pointers, wanted);
    let Err(Error::Invalid(list)) = draft("yoga", json!({})).parse() else { panic!() };
    assert_eq!(list[0].pointer, "/exercise_key");
}

#[test]
fn a_response_stays_with_its_exercise_and_stays_done() {
    let old = draft("box-breath", json!({})).parse().unwrap();
    let other = draft("body-scan", json!({})).parse().unwrap();
    let again = draft("box-breath", json!({ "status": "draft" })).parse().unwrap();
    assert!(old.may_become(&other).is_err());
    assert!(stays_done::<Responses>(&old, &again).is_err());
    again.may_become(&old).unwrap();
    stays_done::<Responses>(&again, &old).unwrap();
}
