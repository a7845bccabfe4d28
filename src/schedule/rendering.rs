//! The text of a prompt, with its placeholders filled for the owner.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::library::{choice, title};
use crate::kernel::id::Response;
use crate::kernel::locale::TextLanguage;
use crate::kernel::{Id, Zone};
use crate::planning::{Piece, Planned, Protocol, Quote, Rule, pieces};

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
    /// The patient's language, as a BCP 47 tag.
    pub language: String,
}

/// Writes the text of a prompt for its owner in their language, in the wording it was planned with, or in its plain
/// wording when there is nothing of what that quotes. A prompt that offers several exercises has a line for each that is
/// not withheld. `rule` is the one of `protocol` that made the prompt.
pub fn text(protocol: &Protocol, rule: &Rule, planned: &Planned, values: &PlaceholderValues) -> String {
    let words = protocol.words(rule, &values.language);
    let returned = planned.returns.and_then(|response| values.returned.get(&response)).map(String::as_str);
    let quoting = render((words.text_of(planned.wording), words.language), values, returned);
    let mut text = quoting.or_else(|| render((words.plain, words.language), values, None)).unwrap_or_default();
    for (_, line) in choices(rule, words.language).filter(|(key, _)| !values.withheld.contains(*key)) {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

/// Returns why a prompt of `rule` is asked, for its owner in their language; `None` if the protocol does not say it.
pub fn because(protocol: &Protocol, rule: &Rule, values: &PlaceholderValues) -> Option<String> {
    Some(protocol.words(rule, &values.language).because.to_owned()).filter(|because| !because.is_empty())
}

/// Lists the exercises that a rule lets the patient choose from, each with its line of the text in `language`; none if
/// it offers at most one.
pub fn choices<'r>(rule: &'r Rule, language: &str) -> impl Iterator<Item = (&'r str, String)> {
    let list = if rule.exercises.len() > 1 { rule.exercises.as_slice() } else { &[] };
    list.iter().map(move |key| (key.as_str(), format!("– {}", choice(key, language))))
}

/// Fills the placeholders of a text in `language` whose values are the same for every patient. Those that quote the
/// patient stay.
pub fn template(text: &str, language: &str) -> String {
    fill((text, language), |quote| Some(format!("{{{}}}", quote.name()).into())).unwrap_or_default()
}

fn render(text: (&str, &str), values: &PlaceholderValues, returned: Option<&str>) -> Option<String> {
    fill(text, |quote| match quote {
        Quote::Returned => returned.map(Cow::Borrowed),
        quote => values.quotes.get(quote).map(|words| words.as_str().into()),
    })
}

/// Fills the placeholders of a text in a language; `None` when there is nothing of what it quotes. Braces in a quote are
/// the patient's own and stay.
fn fill<'v>((text, language): (&str, &str), quoted: impl Fn(&Quote) -> Option<Cow<'v, str>>) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(words) => out.push_str(words),
            Piece::TherapistName => out.push_str(therapist(language)),
            Piece::Exercise(key) => out.push_str(&title(key, language)),
            Piece::Quote(quote) => out.push_str(&quoted(&quote)?),
            Piece::Other(_) => out.push('…'),
        }
    }
    Some(out)
}

/// Returns a word for the therapist that stands for a person of any gender; in German it is the nominative, and the
/// accusative.
fn therapist(language: &str) -> &'static str {
    match TextLanguage::of(language) {
        TextLanguage::English => "your therapist",
        TextLanguage::German => "deine therapeutische Begleitung",
        TextLanguage::Spanish => "tu terapeuta",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::{AddedRule, DayPart, Override, PromptKind, RuleChange, RuleEdit};

    #[test]
    fn no_placeholder_is_left_in_any_text() {
        let (nothing, protocol) = (PlaceholderValues::default(), Protocol::default_v1());
        for (rule, language) in protocol.rules.iter().flat_map(|rule| ["en", "de", "es"].map(|reader| (rule, reader))) {
            let words = protocol.words(rule, language);
            assert_eq!(words.language, language);
            for text in words.texts() {
                let plain = || render((words.plain, language), &nothing, None).unwrap();
                let text = render((text, language), &nothing, None).unwrap_or_else(plain);
                assert!(!text.is_empty() && !text.contains(['{', '}']), "{}: {text}", rule.key);
            }
        }
        let text = render(("a {ex:body-scan} b { c", "en"), &nothing, None).unwrap();
        assert_eq!(text, "a Slow tour of the body b { c");
    }

    #[test]
    fn what_a_therapist_words_is_filled_and_explained_in_the_language_of_the_patient() {
        let protocol = Protocol::default_v1();
        let text = "{therapist_name}: {ex:body-scan}".to_owned();
        let added = AddedRule {
            kind: PromptKind::Habit,
            day: 3,
            window: DayPart::Evening,
            minutes: 5,
            text: text.clone(),
            exercises: Vec::new(),
        };
        let edit = RuleEdit { text: Some(text), ..RuleEdit::default() };
        let changed = protocol.with(&[
            Override { rule_key: "own.walk".to_owned(), change: RuleChange::Added(added) },
            Override { rule_key: "d2.mood".to_owned(), change: RuleChange::Edited(edit) },
        ]);
        let reasons = ["en", "de-AT", "es"].map(|reader| {
            let values = PlaceholderValues { language: reader.to_owned(), ..PlaceholderValues::default() };
            for key in ["own.walk", "d2.mood"] {
                let words = protocol.words(changed.rule(key).unwrap(), reader);
                let filled = render((words.text, words.language), &values, None).unwrap();
                assert_eq!(filled, format!("{}: {}", therapist(reader), title("body-scan", reader)), "{key}");
            }
            let reason =
                |protocol: &Protocol| because(Protocol::default_v1(), protocol.rule("d2.mood").unwrap(), &values);
            assert_eq!(reason(&changed), reason(protocol), "why it is asked is as it was");
            because(protocol, changed.rule("own.walk").unwrap(), &values).unwrap()
        });
        assert_eq!(
            reasons,
            [
                "Your therapist added this for you.",
                "Deine therapeutische Begleitung hat das für dich hinzugefügt.",
                "Tu terapeuta lo ha añadido para ti.",
            ]
        );
    }

    #[test]
    fn a_quote_is_the_patients_own_or_none() {
        let quotes = [(Quote::Takeaway, "{ex:slow} is allowed".to_owned())];
        let values = PlaceholderValues { quotes: quotes.into(), ..PlaceholderValues::default() };
        assert_eq!(render(("'{last_takeaway}'", "en"), &values, None).unwrap(), "'{ex:slow} is allowed'");
        assert_eq!(render(("'{answer:if-then-habit}'", "en"), &values, None), None);
    }
}
