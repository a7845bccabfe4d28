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
    static PATHS: OnceLock<BTreeMap<&'static str, Part>> = OnceLock::new();
    PATHS.get_or_init(|| parts(section("paths"), 4))
}

/// The component to which a reference points.
pub fn component(to: &str) -> Option<&'static Value> {
    static COMPONENTS: OnceLock<BTreeMap<&'static str, BTreeMap<&'static str, Part>>> = OnceLock::new();
    let kinds = || objects(section("components"), 4).into_iter().map(|(kind, text)| (kind, parts(text, 6)));
    let (kind, name) = to.strip_prefix("#/components/")?.split_once('/')?;
    COMPONENTS.get_or_init(|| kinds().collect()).get(kind)?.get(name).map(Part::value)
}

fn section(name: &str) -> &'static str {
    objects(committed(), 2)[name]
}

fn parts(text: &'static str, indent: usize) -> BTreeMap<&'static str, Part> {
    objects(text, indent).into_iter().map(|(name, text)| (name, Part { text, value: OnceLock::new() })).collect()
}

/// The texts of the objects whose names stand `indent` spaces in: the document has a line for each member.
fn objects(text: &'static str, indent: usize) -> BTreeMap<&'static str, &'static str> {
    let (before, end) = (format!("\n{:indent$}\"", ""), format!("\n{:indent$}}}", ""));
    let starts = text.match_indices(&before).map(|(at, before)| &text[at + before.len()..]);
    starts
        .filter_map(|start| {
            let (name, value) = start.split_once("\": ").filter(|(_, value)| value.starts_with("{\n"))?;
            Some((name, &value[..value.find(&end)? + end.len()]))
        })
        .collect()
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
