//! The words of a prompt, with their placeholders filled for the owner's eyes.

/// Fills the placeholders of a rule's text. `{ex:key}` becomes the exercise's name in plain words; one that quotes the
/// patient or names somebody becomes a neutral phrase, so that no text of a person is ever stored in a prompt.
pub fn render(text: &str) -> String {
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
            Some(("ex", key)) => out.push_str(&key.replace('-', " ")),
            _ => out.push_str(match name {
                "therapist_name" => "your therapist",
                "last_takeaway" => "what you took along",
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
    use crate::prompts::Protocol;

    #[test]
    fn no_placeholder_is_left_in_any_text() {
        for rule in &Protocol::default_v1().rules {
            let text = render(&rule.text);
            assert!(!text.contains(['{', '}']), "{}: {text}", rule.key);
        }
        assert_eq!(render("a {ex:body-scan} b { c"), "a body scan b { c");
    }
}
