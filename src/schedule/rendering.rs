//! The text of a prompt, with its placeholders filled for the owner.

use std::collections::BTreeSet;

use super::library::{choice, title};
use crate::planning::{Planned, Rule};

/// The placeholder that quotes the patient.
const TAKEAWAY: &str = "last_takeaway";

/// Whether the text quotes the patient.
pub fn quotes(text: &str) -> bool {
    text.contains(&format!("{{{TAKEAWAY}}}"))
}

/// Writes the text of a prompt for its owner, in the wording it was planned with. A prompt that offers several
/// exercises has a line for each that is not `withheld`.
pub fn text(rule: &Rule, planned: &Planned, takeaway: Option<&str>, withheld: &BTreeSet<String>) -> String {
    let mut text = render(rule.text_of(planned.wording), takeaway);
    if rule.exercises.len() > 1 {
        for key in rule.exercises.iter().filter(|key| !withheld.contains(*key)) {
            text.push_str("\n– ");
            text.push_str(&choice(key));
        }
    }
    text
}

/// Fills the placeholders of a rule's text for the owner. The result is never stored. `{ex:key}` becomes the exercise's
/// title. The placeholder that quotes the patient becomes their `takeaway` or a neutral phrase.
pub fn render(text: &str, takeaway: Option<&str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        match name.split_once(':') {
            Some(("ex", key)) => out.push_str(&title(key)),
            _ => out.push_str(match name {
                "therapist_name" => "your therapist",
                TAKEAWAY => takeaway.unwrap_or("what you took along"),
                _ => "…",
            }),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::Protocol;

    #[test]
    fn no_placeholder_is_left_in_any_text() {
        for rule in &Protocol::default_v1().rules {
            for text in rule.texts().map(|text| render(text, None)) {
                assert!(!text.contains(['{', '}']), "{}: {text}", rule.key);
            }
        }
        assert_eq!(render("a {ex:body-scan} b { c", None), "a Slow tour of the body b { c");
        assert_eq!(render("'{last_takeaway}'", Some("{ex:slow} is allowed")), "'{ex:slow} is allowed'");
    }
}
