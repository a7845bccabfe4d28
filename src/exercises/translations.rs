//! The translations of the library, by key and language.
//!
//! English is complete. Another language has all words of an exercise or none, so that no exercise mixes languages.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::catalogue::Exercise;

/// The texts of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// The language, as a BCP 47 tag.
    pub locale: String,
    /// The texts that many exercises share.
    pub common: HashMap<String, String>,
    /// The texts by version of an exercise, then by step.
    pub exercises: HashMap<String, HashMap<String, String>>,
}

static LANGUAGES: LazyLock<Vec<Texts>> = LazyLock::new(|| {
    // English first: it is the fallback.
    let files =
        [include_str!("data/texts/en.json"), include_str!("data/texts/de.json"), include_str!("data/texts/es.json")];
    #[expect(clippy::expect_used, reason = "embedded at build time; a test parses them")]
    files.into_iter().map(|file| serde_json::from_str(file).expect("the embedded texts are right")).collect()
});

/// Returns the languages, English first.
pub fn languages() -> &'static [Texts] {
    &LANGUAGES
}

/// Finds the texts of the language that fits `locale` best.
fn texts(locale: &str) -> Option<&'static Texts> {
    let base = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let wanted = base(locale);
    languages().iter().find(|texts| base(&texts.locale) == wanted)
}

/// Finds the language of the library that fits a BCP 47 tag.
pub fn language(tag: &str) -> Option<&'static str> {
    texts(tag).map(|texts| texts.locale.as_str())
}

/// The words of one exercise.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// Their language.
    pub locale: &'static str,
    own: Option<&'static HashMap<String, String>>,
    common: Common,
}

impl Words {
    /// Returns the words of `exercise` in the language of `locale`, or in English.
    pub fn of(exercise: &Exercise, locale: &str) -> Self {
        let reference = exercise.reference();
        let complete = texts(locale).filter(|texts| texts.exercises.contains_key(&reference));
        let found = complete.or_else(|| languages().first());
        Self {
            locale: found.map_or("en", |texts| texts.locale.as_str()),
            own: found.and_then(|texts| texts.exercises.get(&reference)),
            common: Common::of(found.map_or("en", |texts| texts.locale.as_str())),
        }
    }

    /// Returns the title.
    pub fn title(self) -> &'static str {
        self.find("title").unwrap_or_default()
    }

    /// Finds the words of a step (`sort`), or of something in it (`sort.honesty`).
    pub fn find(self, name: &str) -> Option<&'static str> {
        self.own.and_then(|own| own.get(name)).map(String::as_str)
    }

    /// Returns the texts that many exercises share.
    pub fn common(self) -> Common {
        self.common
    }
}

/// The texts that many exercises share, in one language.
#[derive(Clone, Copy, Debug)]
pub struct Common(Option<&'static Texts>);

impl Common {
    /// Returns those of the language of `locale`, or English.
    pub fn of(locale: &str) -> Self {
        Self(texts(locale).or_else(|| languages().first()))
    }

    /// Returns the words of that name; empty when there are none, which a test rules out.
    pub fn get(self, name: &str) -> &'static str {
        self.0.and_then(|texts| texts.common.get(name)).map_or("", String::as_str)
    }

    /// Returns the days since something was done, in words.
    pub fn done_before(self, days: i64) -> String {
        if days <= 0 {
            self.get("reason.done_today").to_owned()
        } else {
            self.get("reason.done_before").replace("{days}", &days.to_string())
        }
    }
}
