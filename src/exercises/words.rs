//! The words of the library, by key and language.
//!
//! English is complete. Another language gives an exercise all of its words or none: nobody reads half an exercise in
//! another language.

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
    /// What many exercises share.
    pub common: HashMap<String, String>,
    /// By version of an exercise, then by step.
    pub exercises: HashMap<String, HashMap<String, String>>,
}

static LANGUAGES: LazyLock<Vec<Texts>> = LazyLock::new(|| {
    // English first: what is not known is said in it.
    let files = [include_str!("data/texts/en.json"), include_str!("data/texts/de.json")];
    #[expect(clippy::expect_used, reason = "embedded at build time; a test parses them")]
    files.into_iter().map(|file| serde_json::from_str(file).expect("the embedded texts are right")).collect()
});

/// The languages there are, English first.
pub fn languages() -> &'static [Texts] {
    &LANGUAGES
}

/// The texts of the language that fits `locale` best.
fn texts(locale: &str) -> Option<&'static Texts> {
    let base = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    let wanted = base(locale);
    languages().iter().find(|texts| base(&texts.locale) == wanted)
}

/// The language of the library that fits a BCP 47 tag.
pub fn language(tag: &str) -> Option<&'static str> {
    texts(tag).map(|texts| texts.locale.as_str())
}

/// The words of one exercise.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The language they are in.
    pub locale: &'static str,
    own: Option<&'static HashMap<String, String>>,
    common: Common,
}

impl Words {
    /// The words of `exercise` in the language of `locale`, or in English.
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

    /// The title.
    pub fn title(self) -> &'static str {
        self.find("title").unwrap_or_default()
    }

    /// The words of a step (`sort`), or of something in it (`sort.honesty`).
    pub fn find(self, name: &str) -> Option<&'static str> {
        self.own.and_then(|own| own.get(name)).map(String::as_str)
    }

    /// What many exercises share.
    pub fn common(self) -> Common {
        self.common
    }
}

/// The words that many exercises share, in one language.
#[derive(Clone, Copy, Debug)]
pub struct Common(Option<&'static Texts>);

impl Common {
    /// Those of the language of `locale`, or English.
    pub fn of(locale: &str) -> Self {
        Self(texts(locale).or_else(|| languages().first()))
    }

    /// The words of that name; empty when there are none, which a test rules out.
    pub fn get(self, name: &str) -> &'static str {
        self.0.and_then(|texts| texts.common.get(name)).map_or("", String::as_str)
    }

    /// How many days ago something was done, in words.
    pub fn done_before(self, days: i64) -> String {
        if days <= 0 {
            self.get("reason.done_today").to_owned()
        } else {
            self.get("reason.done_before").replace("{days}", &days.to_string())
        }
    }
}
