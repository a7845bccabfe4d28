//! Languages and countries.

use icu_locale_core::Locale;

/// Reads a language tag of BCP 47 of at most 35 characters, also with `_` and in any case, and returns its canonical
/// spelling: `de_at` is `de-AT`.
///
/// # Errors
///
/// A sentence for the person who sent it, also for a tag that names no language (`und`, `zxx`).
pub fn language(tag: &str) -> Result<String, &'static str> {
    const WRONG: &str = "must be a BCP 47 language, such as en or de-AT";
    let locale = Locale::try_from_str(&tag.replace('_', "-")).ok().filter(|_| tag.len() <= 35).ok_or(WRONG)?;
    match locale.id.language.as_str() {
        // Undetermined, no linguistic content, several languages, uncoded languages: none of them can be shown.
        "und" | "zxx" | "mul" | "mis" => Err("must name a language, such as en or de-AT"),
        // For private use.
        name if ("qaa"..="qtz").contains(&name) => Err("must name a language, such as en or de-AT"),
        _ => Ok(locale.to_string()),
    }
}

/// Reads a country of ISO 3166 in any case, and returns its two capital letters.
///
/// # Errors
///
/// A sentence for the person who sent it, also for a code that stands for no country (`ZZ`, `XX`).
pub fn country(code: &str) -> Result<String, &'static str> {
    if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Err("must be two letters of ISO 3166, such as DE");
    }
    let code = code.to_ascii_uppercase();
    // These are for private use; only Kosovo's is used everywhere for a country.
    let private =
        matches!(code.as_str(), "AA" | "ZZ") || ("QM"..="QZ").contains(&code.as_str()) || code.starts_with('X');
    if private && code != "XK" { Err("must name a country, such as DE") } else { Ok(code) }
}

/// Returns the primary language of a tag of BCP 47 in its canonical spelling: `de` for `de-AT`.
pub fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or(tag)
}

/// A language in which the program itself has words for patients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextLanguage {
    /// English, also for who reads none of the others.
    English,
    /// German.
    German,
    /// Spanish.
    Spanish,
}

impl TextLanguage {
    /// Every language.
    pub const ALL: [Self; 3] = [Self::English, Self::German, Self::Spanish];

    /// Returns the language of texts for a BCP 47 tag; English for languages without texts.
    pub fn of(tag: &str) -> Self {
        match primary(tag) {
            "de" => Self::German,
            "es" => Self::Spanish,
            _ => Self::English,
        }
    }

    /// Returns its BCP 47 tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Spanish => "es",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_the_language_of_the_tag_or_in_english() {
        for (tag, language) in [
            ("de", TextLanguage::German),
            ("de-AT", TextLanguage::German),
            ("es-419", TextLanguage::Spanish),
            ("en-GB", TextLanguage::English),
            ("den", TextLanguage::English),
            ("tlh", TextLanguage::English),
            ("", TextLanguage::English),
        ] {
            assert_eq!(TextLanguage::of(tag), language, "{tag}");
        }
    }

    #[test]
    fn a_language_is_known_in_its_usual_spellings() {
        for (sent, kept) in [
            ("en", "en"),
            ("de-AT", "de-AT"),
            ("de_at", "de-AT"),
            ("ZH-HANT-tw", "zh-Hant-TW"),
            ("gsw", "gsw"),
            ("es-419", "es-419"),
            ("de-DE-u-co-phonebk", "de-DE-u-co-phonebk"),
        ] {
            assert_eq!(language(sent).as_deref(), Ok(kept), "{sent}");
        }
        for wrong in
            ["e", "", " en", "en-", "english", "*", "x-klingon", &"a".repeat(36), "und", "UND-de", "zxx", "mul", "qaa"]
        {
            assert!(language(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_country_is_known_in_any_case() {
        for (sent, kept) in [("DE", "DE"), ("de", "DE"), ("xk", "XK")] {
            assert_eq!(country(sent).as_deref(), Ok(kept), "{sent}");
        }
        for wrong in ["DEU", "D1", "", "D", "ZZ", "zz", "XX", "AA", "QZ", "ＤＥ"] {
            assert!(country(wrong).is_err(), "{wrong}");
        }
    }
}
