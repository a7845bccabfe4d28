//! Where every word is that somebody wrote: it may be gone only if somebody deleted it who saw it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::reference_phone::{Phone, Thing};

/// Why a word may be gone.
struct Excuse {
    /// The thing that was deleted.
    thing: String,
    /// The version of the tombstone, once it is known.
    at: Option<i64>,
}

/// The words of a life, each written once.
#[derive(Default)]
pub struct Words {
    written: Vec<String>,
    /// By the word and the phone on which it was deleted: the same thing may be deleted on several.
    excused: BTreeMap<(String, usize), Excuse>,
}

/// The words in a document.
pub fn within(doc: &Value) -> BTreeSet<String> {
    let text = doc.to_string();
    let pieces = text.split(|sign: char| !sign.is_ascii_alphanumeric());
    pieces.filter(|piece| piece.starts_with("word") && piece.len() > 4).map(str::to_owned).collect()
}

fn seen(thing: &Thing) -> BTreeSet<String> {
    within(&Value::Object(thing.local.clone()))
}

/// The words that a phone has.
pub fn held(phone: &mut Phone) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = phone.things().iter().filter(|thing| !thing.deleted).flat_map(seen).collect();
    all.extend(phone.waiting().iter().flat_map(within));
    all
}

impl Words {
    /// A word that nobody has written before.
    pub fn new_word(&mut self) -> String {
        let word = format!("word{}", self.written.len());
        self.written.push(word.clone());
        word
    }

    /// A person deletes a thing: they saw its words.
    pub fn deleted(&mut self, by: usize, thing: &Thing) {
        for word in seen(thing) {
            self.excused.insert((word, by), Excuse { thing: thing.id.clone(), at: None });
        }
    }

    /// A comment goes with its entry, whoever deletes it.
    pub fn comments(&mut self, entry: &str, word: &str) {
        self.excused.insert((word.to_owned(), usize::MAX), Excuse { thing: entry.to_owned(), at: Some(i64::MAX) });
    }

    /// A phone has an answer: what it shows again after it was deleted is there again.
    pub fn shown(&mut self, number: usize, phone: &mut Phone) {
        if self.excused.is_empty() {
            return;
        }
        for thing in phone.things() {
            let version = thing.base["version"].as_i64().unwrap_or(0);
            if thing.base["deleted"] == true {
                for ((_, by), excuse) in &mut self.excused {
                    if *by == number && excuse.thing == thing.id {
                        excuse.at.get_or_insert(version);
                    }
                }
            }
            if thing.deleted || thing.base["deleted"] == true {
                continue;
            }
            let words = seen(&thing);
            self.excused.retain(|(word, by), excuse| {
                let again = match excuse.at {
                    None => *by == number,
                    Some(at) => version > at,
                };
                !(again && excuse.thing == thing.id && words.contains(word))
            });
        }
    }

    /// A phone forgets what it did last.
    pub fn forgets(&mut self, number: usize) {
        for ((_, by), excuse) in &mut self.excused {
            if *by == number {
                excuse.at.get_or_insert(i64::MAX);
            }
        }
    }

    /// What was only where it was destroyed is gone.
    pub fn only(&mut self, left: &BTreeSet<String>) {
        for word in self.written.iter().filter(|word| !left.contains(*word)) {
            let gone = || Excuse { thing: String::new(), at: Some(i64::MAX) };
            self.excused.entry((word.clone(), usize::MAX)).or_insert_with(gone);
        }
    }

    /// The words that ought to be there and are not.
    pub fn missing(&self, there: &BTreeSet<String>) -> Vec<&str> {
        let excused: BTreeSet<&String> = self.excused.keys().map(|(word, _)| word).collect();
        let lost = |word: &&String| !there.contains(*word) && !excused.contains(word);
        self.written.iter().filter(lost).map(String::as_str).collect()
    }
}
