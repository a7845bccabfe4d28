//! The texts of prompts in the bundle, and what fills their placeholders.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::exercises::catalogue;
use crate::exercises::translations::Words;
use crate::exercises::{QUOTED, RETURNED};
use crate::journal::TAKEAWAY_QUOTED;
use crate::kernel::Id;
use crate::kernel::id::Clinic;
use crate::kernel::locale::TextLanguage;
use crate::planning::reasons::{dropped_in_words, why_in_words as in_words};
use crate::planning::{DropReason, Prerequisite, PromptKind, Protocol, Protocols, Quote, Rule, RuleWords, Why, quotes};
use crate::schedule::TAKEAWAY_DAYS;
use crate::schedule::rendering::{choices, template};

/// The texts of one version of a protocol.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleProtocol)]
pub struct ProtocolTexts {
    /// Its name.
    #[schema(example = "afterglow-default")]
    key: String,
    /// Its version. Versions are never changed.
    #[schema(example = 1)]
    version: u32,
    /// Whether it is the protocol of the program by which plans are made where nobody has chosen another.
    current: bool,
    /// The language of its texts, and of the exercises that they name as far as those are translated: that of the
    /// bundle, or the protocol's own.
    #[schema(example = "en")]
    locale: String,
    /// Its rules.
    rules: Vec<RuleTexts>,
}

/// The texts of a rule.
///
/// To show a prompt, take the text with the number of its `wording`, or the first one if there is none, and put in the
/// place of each placeholder what the patient wrote. If there is nothing for one of them, show `plain` in its place.
/// Placeholders are in `texts` only; braces in what the patient wrote are their own. Then add a line for each of
/// `choices`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleRule)]
struct RuleTexts {
    /// Its name in its protocol.
    #[schema(example = "d1.tell")]
    rule_key: String,
    /// The kind of task: `safety`, `measure`, `reflection`, `exercise`, `preparation`, `habit`, `on_demand`.
    #[schema(value_type = String, example = "reflection")]
    kind: PromptKind,
    /// The duration in minutes.
    #[schema(example = 10)]
    minutes: u32,
    /// Whether its prompts are only cards in the app, without a reminder.
    optional: bool,
    /// Whether the phone may announce its prompts.
    push: bool,
    /// The wordings of the text, by number from 0.
    texts: Vec<String>,
    /// The text for when there is nothing of what a text quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    plain: Option<String>,
    /// Why it is asked, and why then, in one sentence for the patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "On the day after, telling it once in your own order helps it settle.")]
    because: Option<String>,
    /// The keys of the exercises that it offers. Leave out those to which the last answer of
    /// `/v1/patients/{patient_id}/exercises` outside the acute phase gave another `offer` than `yes`.
    exercises: Vec<String>,
    /// The lines to choose from, if it offers several exercises. Leave out the same ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    choices: Vec<ChoiceLine>,
    /// Whether an entry that answers it counts as a takeaway.
    gives_takeaway: bool,
}

/// A line of a text, about one of several exercises.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleChoice)]
struct ChoiceLine {
    /// The exercise.
    #[schema(example = "values-sort")]
    exercise_key: String,
    /// The line.
    line: String,
}

impl ProtocolTexts {
    /// Lists the texts of every protocol for those who read `language`.
    pub fn all(protocols: &Protocols, clinics: &[(Id<Clinic>, Option<Timestamp>)], language: &str) -> Vec<Self> {
        let current = protocols.current();
        let texts = |one: &Protocol| Self {
            key: one.key.clone(),
            version: one.version,
            current: (&one.key, one.version) == (&current.key, current.version),
            locale: one.language_for(language).to_owned(),
            rules: one.rules.iter().map(|rule| RuleTexts::of(rule, one.words(rule, language))).collect(),
        };
        protocols.every_version(clinics).map(texts).collect()
    }
}

impl RuleTexts {
    fn of(rule: &Rule, words: RuleWords<'_>) -> Self {
        let language = words.language;
        let said = |text: &str| Some(text).filter(|text| !text.is_empty()).map(|text| template(text, language));
        Self {
            rule_key: rule.key.clone(),
            kind: rule.kind,
            minutes: rule.minutes,
            optional: rule.optional,
            push: rule.push,
            texts: words.texts().map(|text| template(text, language)).collect(),
            plain: said(words.plain),
            because: Some(words.because.to_owned()).filter(|because| !because.is_empty()),
            exercises: rule.exercises.clone(),
            choices: choices(rule, language)
                .map(|(key, line)| ChoiceLine { exercise_key: key.to_owned(), line })
                .collect(),
            gives_takeaway: rule.gives.contains(&Prerequisite::Takeaway),
        }
    }
}

/// A placeholder in the texts of prompts: words of the patient, from what the app holds.
///
/// Only what is done and not deleted counts. The newest of several is that with the latest `occurred_at`, of equals that
/// with the greatest `seq`. Words are quoted in one line: runs of white space become one space, and control and format
/// characters are left out. What is longer than `max_length` is cut between two characters (grapheme clusters), at the
/// end of a word if one ends in the second half, and a space and `…` are added.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundlePlaceholder)]
pub struct PlaceholderView {
    /// Its name, which stands between braces in a text.
    #[schema(example = "answer:if-then-habit")]
    name: String,
    /// The source of the words: `takeaway`, the newest entry with a text that is tagged `takeaway`, or that answers a
    /// prompt of a rule that gives one: the first line of its title, or else of its body that is not empty.
    /// `newest_response`, the newest response to `exercise_key`. `returned_response`, the response with the
    /// `response_id` of the prompt. A response is quoted as the `quotes` say.
    #[schema(example = "newest_response")]
    source: &'static str,
    /// The exercise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "if-then-habit")]
    exercise_key: Option<String>,
    /// The most characters (Unicode code points) that are quoted of one answer, or of the takeaway.
    #[schema(example = 140)]
    max_length: usize,
    /// For a takeaway: the past days of `due_at` in which a prompt counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prompt_days: Option<i64>,
}

impl PlaceholderView {
    /// Lists the placeholders that are left in the texts of `protocols`.
    pub fn all(protocols: &Protocols, clinics: &[(Id<Clinic>, Option<Timestamp>)]) -> Vec<Self> {
        let rules = protocols.every_version(clinics).flat_map(|one| &one.rules);
        let found: BTreeSet<Quote> = rules.flat_map(Rule::texts).flat_map(quotes).collect();
        found.into_iter().map(Self::of).collect()
    }

    fn of(quote: Quote) -> Self {
        let name = quote.name();
        let (source, exercise_key, max_length, prompt_days) = match quote {
            Quote::Takeaway => ("takeaway", None, TAKEAWAY_QUOTED, Some(TAKEAWAY_DAYS)),
            Quote::Answer(exercise) => ("newest_response", Some(exercise), QUOTED, None),
            Quote::Returned => ("returned_response", None, RETURNED, None),
        };
        Self { name, source, exercise_key, max_length, prompt_days }
    }
}

/// The quote of a response: its template, with the names of steps in braces for their answers. There is no quote if an
/// answer is missing or empty.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleQuote)]
pub struct QuoteTemplate {
    /// The exercise.
    #[schema(example = "if-then-habit")]
    exercise_key: &'static str,
    /// Its version.
    #[schema(example = 1)]
    exercise_version: u32,
    /// The template.
    #[schema(example = "{when} – {then}")]
    template: &'static str,
}

impl QuoteTemplate {
    /// Lists the templates in the language of the bundle, for every version of an exercise that has one.
    pub fn all(locale: &str) -> Vec<Self> {
        let quoted = |one: &'static catalogue::Exercise| {
            let template = Words::of(one, locale).find("quote")?;
            Some(Self { exercise_key: &one.key, exercise_version: one.version, template })
        };
        catalogue::every_version().iter().filter_map(quoted).collect()
    }
}

fn name(of: &impl Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Returns the words for the reasons of a prompt's time, by name.
pub fn why_in_words(language: TextLanguage) -> BTreeMap<String, &'static str> {
    Why::ALL.iter().map(|why| (name(why), in_words(*why, language))).collect()
}

/// Returns the words for the reasons why a prompt is not planned, by name. That an exercise is withheld is never told.
pub fn not_asked_in_words(language: TextLanguage) -> BTreeMap<String, &'static str> {
    let told = DropReason::ALL.iter().filter(|reason| **reason != DropReason::Withheld);
    told.map(|reason| (name(reason), dropped_in_words(*reason, language))).collect()
}
