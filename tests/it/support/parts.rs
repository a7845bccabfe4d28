//! The committed API document in parts: each test is a process of its own, which reads few of them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

use super::app::{committed, document};

/// An object of the document.
pub struct Part {
    text: &'static str,
    value: OnceLock<Value>,
}

impl Part {
    /// What it says, parsed when it is first asked for.
    pub fn value(&self) -> &Value {
        self.value.get_or_init(|| self.text.parse().unwrap())
    }
}

/// The items of the paths by their templates.
pub fn paths() -> &'static BTreeMap<&'static str, Part> {
    &Parts::of_document().paths
}

/// The component to which a reference points.
pub fn component(to: &str) -> Option<&'static Value> {
    let (kind, name) = to.strip_prefix("#/components/")?.split_once('/')?;
    Parts::of_document().components.get(kind)?.get(name).map(Part::value)
}

#[derive(Default)]
struct Parts {
    paths: BTreeMap<&'static str, Part>,
    /// By their kinds and names.
    components: BTreeMap<&'static str, BTreeMap<&'static str, Part>>,
}

impl Parts {
    fn of_document() -> &'static Self {
        static PARTS: OnceLock<Parts> = OnceLock::new();
        PARTS.get_or_init(|| Self::of(committed()))
    }

    /// Finds them in one walk over the lines: the document has a line for each member, indented by two spaces a level.
    /// In a profile, searching the text for each kind of part took a sixth of a test.
    fn of(document: &'static str) -> Self {
        let mut parts = Self::default();
        // The names and starts of the objects that were opened last at the levels 1 to 3.
        let (mut names, mut starts) = ([""; 4], [0; 4]);
        let mut end = 0;
        for line in document.split('\n') {
            let start = end;
            end += line.len() + 1;
            // Most lines stand deeper than any part.
            if line.starts_with("        ") {
                continue;
            }
            let text = line.trim_start();
            let level = (line.len() - text.len()) / 2;
            if let Some(name) = text.strip_prefix('"').and_then(|text| text.strip_suffix("\": {")) {
                (names[level], starts[level]) = (name, start + line.len() - 1);
            } else if text.starts_with('}') {
                let text = &document[starts[level]..=start + 2 * level];
                let part = Part { text, value: OnceLock::new() };
                match (level, names[1]) {
                    (2, "paths") => drop(parts.paths.insert(names[2], part)),
                    (3, "components") => drop(parts.components.entry(names[2]).or_default().insert(names[3], part)),
                    _ => {}
                }
            }
        }
        parts
    }
}

#[test]
fn the_parts_are_those_of_the_document() {
    let whole = document();
    let items = whole["paths"].as_object().unwrap();
    assert_eq!(paths().len(), items.len());
    assert!(items.iter().all(|(template, item)| paths()[template.as_str()].value() == item));
    for (kind, named) in whole["components"].as_object().unwrap() {
        for (name, value) in named.as_object().unwrap() {
            assert_eq!(component(&format!("#/components/{kind}/{name}")), Some(value), "{kind}/{name}");
        }
    }
}
