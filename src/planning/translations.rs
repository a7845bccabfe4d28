//! The texts of a rule in other languages than the protocol's own.
//!
//! They are part of a protocol's document. Those of the default protocol lie beside this file, one file for each
//! language, and are put into it when it is loaded. A translation is whole: a plan has one language, and validation refuses
//! a protocol with a part of a translation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::locale::TextLanguage;

/// The texts of a rule in another language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTexts {
    /// The text, with the placeholders of the rule's.
    pub text: String,
    /// As many wordings as the rule has, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wordings: Vec<String>,
    /// The text for when there is nothing of what a text quotes, if the rule has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plain: String,
    /// Why it is asked, if the rule says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
}

/// The texts of every rule in one language, by the key of the rule.
pub type Translation = BTreeMap<String, RuleTexts>;

/// The texts of a rule in one language.
#[derive(Clone, Copy, Debug)]
pub struct RuleWords<'p> {
    /// The language, as the protocol names it.
    pub language: &'p str,
    /// The text, with placeholders in braces.
    pub text: &'p str,
    /// More wordings of the text.
    pub wordings: &'p [String],
    /// The text for when there is nothing of what a text quotes; empty if no text quotes anything.
    pub plain: &'p str,
    /// Why it is asked, and why then; may be empty.
    pub because: &'p str,
}

impl<'p> RuleWords<'p> {
    /// Returns those of a translation into `language`.
    pub(super) fn translated(language: &'p str, texts: &'p RuleTexts) -> Self {
        let RuleTexts { text, wordings, plain, because } = texts;
        Self { language, text, wordings, plain, because }
    }

    /// Lists every wording of the text.
    pub fn texts(self) -> impl Iterator<Item = &'p str> {
        std::iter::once(self.text).chain(self.wordings.iter().map(String::as_str))
    }

    /// Returns the wording with this number, or the first one.
    pub fn text_of(self, wording: u32) -> &'p str {
        self.texts().nth(usize::try_from(wording).unwrap_or(0)).unwrap_or(self.text)
    }
}

/// Returns why a rule is asked that a therapist has added for one patient.
pub(super) const fn added(language: TextLanguage) -> &'static str {
    match language {
        TextLanguage::English => "Your therapist added this for you.",
        TextLanguage::German => "Deine therapeutische Begleitung hat das für dich hinzugefügt.",
        TextLanguage::Spanish => "Tu terapeuta lo ha añadido para ti.",
    }
}

/// Returns the translations of the default protocol, by language.
pub(super) fn shipped() -> BTreeMap<String, Translation> {
    #[expect(clippy::expect_used, reason = "embedded at build time; a test parses them")]
    let read = |file: &str| -> Translation { serde_json::from_str(file).expect("the embedded texts are well-formed") };
    [("de", include_str!("texts/de.json")), ("es", include_str!("texts/es.json"))]
        .into_iter()
        .map(|(language, file)| (language.to_owned(), read(file)))
        .collect()
}
