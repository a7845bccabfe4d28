//! The text of a prompt, with its placeholders filled for the owner.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::library::{choice, title};
use crate::kernel::id::Response;
use crate::kernel::{Id, Zone};
use crate::planning::{Piece, Planned, Quote, Rule, pieces};

/// The values of the placeholders in prompts, for their owner. They are opened when a prompt is read, and stored
/// nowhere.
#[derive(Debug, Default)]
pub struct PlaceholderValues {
    /// The patient's own words, in one line each. There is none for what was not written, was deleted or does not open.
    pub quotes: BTreeMap<Quote, String>,
    /// What prompts bring back, by response.
    pub returned: BTreeMap<Id<Response>, String>,
    /// The exercises that are not offered to the patient.
    pub withheld: BTreeSet<String>,
    /// The zone where the patient lives now, if a prompt was put off.
    pub zone: Option<Zone>,
}

/// Writes the text of a prompt for its owner, in the wording it was planned with, or in its plain wording when there is
/// nothing of what that quotes. A prompt that offers several exercises has a line for each that is not withheld.
pub fn text(rule: &Rule, planned: &Planned, values: &PlaceholderValues) -> String {
    let returned = planned.returns.and_then(|response| values.returned.get(&response)).map(String::as_str);
    let quoting = render(rule.text_of(planned.wording), values, returned);
    let mut text = quoting.or_else(|| render(&rule.plain, values, None)).unwrap_or_default();
    for (_, line) in choices(rule).filter(|(key, _)| !values.withheld.contains(*key)) {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

/// Lists the exercises that a rule lets the patient choose from, each with its line of the text; none if it offers at
/// most one.
pub fn choices(rule: &Rule) -> impl Iterator<Item = (&str, String)> {
    let list = if rule.exercises.len() > 1 { rule.exercises.as_slice() } else { &[] };
    list.iter().map(|key| (key.as_str(), format!("– {}", choice(key))))
}

/// Fills the placeholders whose values are the same for every patient. Those that quote the patient stay.
pub fn template(text: &str) -> String {
    fill(text, |quote| Some(format!("{{{}}}", quote.name()).into())).unwrap_or_default()
}

fn render(text: &str, values: &PlaceholderValues, returned: Option<&str>) -> Option<String> {
    fill(text, |quote| match quote {
        Quote::Returned => returned.map(Cow::Borrowed),
        quote => values.quotes.get(quote).map(|words| words.as_str().into()),
    })
}

/// Fills the placeholders of a text; `None` when there is nothing of what it quotes. Braces in a quote are the
/// patient's own and stay.
fn fill<'v>(text: &str, quoted: impl Fn(&Quote) -> Option<Cow<'v, str>>) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(words) => out.push_str(words),
            Piece::TherapistName => out.push_str("your therapist"),
            Piece::Exercise(key) => out.push_str(&title(key)),
            Piece::Quote(quote) => out.push_str(&quoted(&quote)?),
            Piece::Other(_) => out.push('…'),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::Protocol;

    #[test]
    fn no_placeholder_is_left_in_any_text() {
        let nothing = PlaceholderValues::default();
        for rule in &Protocol::default_v1().rules {
            for text in rule.texts() {
                let text = render(text, &nothing, None).unwrap_or_else(|| render(&rule.plain, &nothing, None).unwrap());
                assert!(!text.is_empty() && !text.contains(['{', '}']), "{}: {text}", rule.key);
            }
        }
        assert_eq!(render("a {ex:body-scan} b { c", &nothing, None).unwrap(), "a Slow tour of the body b { c");
    }

    #[test]
    fn a_quote_is_the_patients_own_or_none() {
        let quotes = [(Quote::Takeaway, "{ex:slow} is allowed".to_owned())];
        let values = PlaceholderValues { quotes: quotes.into(), ..PlaceholderValues::default() };
        assert_eq!(render("'{last_takeaway}'", &values, None).unwrap(), "'{ex:slow} is allowed'");
        assert_eq!(render("'{answer:if-then-habit}'", &values, None), None);
    }
}
