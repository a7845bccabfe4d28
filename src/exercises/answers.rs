//! The answers to the steps of an exercise, checked step by step.
//!
//! Until a response is done, any subset of the steps is accepted, in any order. An empty text is no answer. Faults
//! point to the answer and never repeat it.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::catalogue::{Exercise, Step, StepType};
use crate::kernel::device_time::local_time;
use crate::kernel::{Fields, date_range};

/// The most characters of a short text, and of each text of a list or pair.
pub const SHORT: usize = 280;
/// The most characters of a long text.
pub const LONG: usize = 5000;
/// The most characters of a person, and of a card that the patient adds.
pub const NAME: usize = 80;
/// The most texts of a list.
pub const ITEMS: usize = 7;
/// The most seconds of a timer: a day.
const SECONDS: u64 = 86_400;

/// The answers to the steps, by the names of the steps. `Debug` prints their number, never their content.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answers(Map<String, Value>);

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answers({})", self.0.len())
    }
}

impl Answers {
    /// Checks `given` against the steps of `exercise`; faults go to `fields`, below `/answers`.
    pub fn parse(exercise: &Exercise, given: Map<String, Value>, fields: &mut Fields) -> Self {
        let mut kept = Map::new();
        let known = given.keys().all(|id| exercise.step(id).is_some());
        fields.check(known, "/answers", "has an answer to a step that this version of the exercise does not have");
        for (id, value) in given {
            let Some(step) = exercise.step(&id) else { continue };
            let mut check = Check { fields, exercise };
            if let Some(value) = check.answer(&format!("/answers/{id}"), step, value) {
                kept.insert(id, value);
            }
        }
        Self(kept)
    }

    /// Whether nothing is answered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the answer to a step.
    pub fn get(&self, step: &str) -> Option<&Value> {
        self.0.get(step)
    }

    /// Returns the answer to a step that asks for a date.
    pub fn date(&self, step: &str) -> Option<Date> {
        self.get(step)?.as_str()?.parse().ok()
    }

    /// Returns all answers, in the form that is shown.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Returns the step at which the exercise stops, because of its answer.
    pub fn stopped_at<'e>(&self, exercise: &'e Exercise) -> Option<&'e Step> {
        exercise.steps.iter().find(|step| {
            let Some(answer) = self.get(&step.id) else { return false };
            match &step.ask {
                StepType::Single { stop_on, .. } => {
                    answer.as_str().is_some_and(|key| stop_on.iter().any(|stop| stop == key))
                }
                StepType::Scale { stop_at } => {
                    answer.as_u64().zip(*stop_at).is_some_and(|(value, stop)| value >= u64::from(stop))
                }
                StepType::Confirm => step.required && *answer == Value::Bool(false),
                _ => false,
            }
        })
    }

    /// Adds a fault for each required step without an answer, unless the exercise stops at a step.
    pub fn check_done(&self, exercise: &Exercise, fields: &mut Fields) {
        if self.stopped_at(exercise).is_some() {
            return;
        }
        for step in exercise.steps.iter().filter(|step| step.required && self.get(&step.id).is_none()) {
            fields.fault(format!("/answers/{}", step.id), "is required before this is done");
        }
    }
}

/// The check of one answer. It returns a valid answer in the form that is stored.
struct Check<'c> {
    fields: &'c mut Fields,
    exercise: &'c Exercise,
}

impl Check<'_> {
    fn answer(&mut self, at: &str, step: &Step, value: Value) -> Option<Value> {
        match &step.ask {
            StepType::Info => self.wrong(at, "takes no answer"),
            StepType::TextShort => self.text(at, value, SHORT),
            StepType::TextLong => self.text(at, value, LONG),
            StepType::Person => self.text(at, value, NAME),
            StepType::List { .. } => {
                let list = self.list(at, value, ITEMS)?;
                self.each(at, list, |check, at, text| check.text(at, text, SHORT))
            }
            StepType::Scale { .. } => match value.as_u64() {
                Some(0..=10) => Some(value),
                _ => self.wrong(at, "must be a whole number from 0 to 10"),
            },
            StepType::Single { .. } => self.option(at, value, &step.ask.options()),
            StepType::Multi { .. } => {
                let options = step.ask.options();
                let list = self.list(at, value, options.len())?;
                let list = self.each(at, list, |check, at, one| check.option(at, one, &options))?;
                self.unique(at, list)
            }
            StepType::Rank { max, from } => {
                let cards = self.exercise.step(&from.step).map(|sorted| &sorted.ask);
                let cards = if let Some(StepType::CardSort { cards, .. }) = cards { cards.as_slice() } else { &[] };
                let list = self.list(at, value, *max)?;
                let list = self.each(at, list, |check, at, item| check.card(at, item, cards))?;
                self.unique(at, list)
            }
            StepType::CardSort { piles, cards, own_cards } => self.piles(at, value, piles, cards, *own_cards),
            StepType::Timer { .. } => match value.as_u64() {
                Some(0..=SECONDS) => Some(value),
                _ => self.wrong(at, "must be a whole number of seconds, at most a day"),
            },
            StepType::Audio | StepType::Drawing => self.described(at, value),
            StepType::Date => match date_range::parse(value.as_str().unwrap_or_default()) {
                Ok(date) => Some(json!(date)),
                Err(why) => self.wrong(at, why),
            },
            StepType::Time => {
                let right = value.as_str().is_some_and(|text| local_time(text).is_ok());
                if right { Some(value) } else { self.wrong(at, "must be a time such as 18:30") }
            }
            StepType::Confirm => {
                if value.is_boolean() {
                    Some(value)
                } else {
                    self.wrong(at, "must be true or false")
                }
            }
            StepType::Pair { repeat } => {
                let list = self.list(at, value, *repeat)?;
                self.each(at, list, Self::pair)
            }
        }
    }

    fn wrong(&mut self, at: &str, why: &str) -> Option<Value> {
        self.fields.fault(at, why);
        None
    }

    /// Checks a text; an empty one is no answer.
    fn text(&mut self, at: &str, value: Value, most: usize) -> Option<Value> {
        let Some(text) = value.as_str() else { return self.wrong(at, "must be a text") };
        if text.contains('\0') {
            return self.wrong(at, "must not contain the NUL character");
        }
        if text.chars().count() > most {
            return self.wrong(at, &format!("must have at most {most} characters"));
        }
        (!text.trim().is_empty()).then_some(value)
    }

    fn option(&mut self, at: &str, value: Value, options: &[&str]) -> Option<Value> {
        let known = value.as_str().is_some_and(|key| options.contains(&key));
        if known { Some(value) } else { self.wrong(at, "must be one of the options of this step") }
    }

    fn list(&mut self, at: &str, value: Value, most: usize) -> Option<Vec<Value>> {
        match value {
            Value::Array(list) if list.len() <= most => Some(list),
            _ => {
                self.fields.fault(at, format!("must be a list of at most {most}"));
                None
            }
        }
    }

    /// Checks every part of a list; an empty part is left out, an empty list is no answer.
    fn each(
        &mut self,
        at: &str,
        list: Vec<Value>,
        mut check: impl FnMut(&mut Self, &str, Value) -> Option<Value>,
    ) -> Option<Value> {
        let parts = list.into_iter().enumerate();
        let kept: Vec<Value> = parts.filter_map(|(n, part)| check(self, &format!("{at}/{n}"), part)).collect();
        (!kept.is_empty()).then_some(Value::Array(kept))
    }

    fn unique(&mut self, at: &str, list: Value) -> Option<Value> {
        let twice = list
            .as_array()
            .is_some_and(|list| list.iter().enumerate().any(|(n, one)| list.iter().take(n).any(|other| other == one)));
        if twice { self.wrong(at, "must not name anything twice") } else { Some(list) }
    }

    /// Checks an object with no other fields than `names`.
    fn object(&mut self, at: &str, value: Value, names: &[&str]) -> Option<Map<String, Value>> {
        match value {
            Value::Object(object) if object.keys().all(|name| names.contains(&name.as_str())) => Some(object),
            _ => {
                self.fields.fault(at, format!("must be an object with {}", names.join(", ")));
                None
            }
        }
    }

    fn pair(&mut self, at: &str, value: Value) -> Option<Value> {
        let mut object = self.object(at, value, &["left", "right"])?;
        let mut kept = Map::new();
        for side in ["left", "right"] {
            if let Some(text) = object.remove(side)
                && let Some(text) = self.text(&format!("{at}/{side}"), text, SHORT)
            {
                kept.insert(side.to_owned(), text);
            }
        }
        (!kept.is_empty()).then_some(Value::Object(kept))
    }

    /// Checks a card of the deck, or one that the patient added.
    fn card(&mut self, at: &str, value: Value, cards: &[String]) -> Option<Value> {
        let object = self.object(at, value, &["card", "own"])?;
        let (card, own) = (object.get("card"), object.get("own"));
        match (card, own) {
            (Some(card), None) => {
                let known = card.as_str().is_some_and(|key| cards.iter().any(|card| card == key));
                if !known {
                    return self.wrong(&format!("{at}/card"), "is not a card of this step");
                }
            }
            (None, Some(own)) => {
                self.text(&format!("{at}/own"), own.clone(), NAME)?;
            }
            _ => return self.wrong(at, "must have either `card` or `own`"),
        }
        Some(Value::Object(object))
    }

    fn piles(&mut self, at: &str, value: Value, piles: &[String], cards: &[String], own_cards: usize) -> Option<Value> {
        let names: Vec<&str> = piles.iter().map(String::as_str).collect();
        let object = self.object(at, value, &names)?;
        let (mut sorted, mut seen) = (Map::new(), Vec::new());
        for (pile, value) in object {
            let at = format!("{at}/{pile}");
            let list = self.list(&at, value, cards.len() + own_cards)?;
            if let Some(Value::Array(list)) = self.each(&at, list, |check, at, item| check.card(at, item, cards)) {
                seen.extend(list.clone());
                sorted.insert(pile, Value::Array(list));
            }
        }
        let own = seen.iter().filter(|item| item.get("own").is_some()).count();
        if own > own_cards {
            return self.wrong(at, &format!("must have at most {own_cards} cards of their own"));
        }
        self.unique(at, Value::Array(seen))?;
        (!sorted.is_empty()).then_some(Value::Object(sorted))
    }

    /// Checks the words for a drawing or recording; files cannot be uploaded yet.
    fn described(&mut self, at: &str, value: Value) -> Option<Value> {
        let mut object = self.object(at, value, &["alt"])?;
        let alt = object.remove("alt").and_then(|alt| self.text(&format!("{at}/alt"), alt, LONG))?;
        Some(json!({ "alt": alt }))
    }
}
