//! The text of a prompt, with its placeholders filled for the owner.

use super::library::title;

/// The placeholder that quotes the patient.
const TAKEAWAY: &str = "last_takeaway";

/// Whether the text quotes the patient.
pub fn quotes(text: &str) -> bool {
    text.contains(&format!("{{{TAKEAWAY}}}"))
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
            let text = render(&rule.text, None);
            assert!(!text.contains(['{', '}']), "{}: {text}", rule.key);
        }
        assert_eq!(render("a {ex:body-scan} b { c", None), "a Slow tour of the body b { c");
        assert_eq!(render("'{last_takeaway}'", Some("{ex:slow} is allowed")), "'{ex:slow} is allowed'");
    }
}
