//! The one sentence of a push, in the languages of phones. It says nothing of ketamine, therapy or feelings: others see
//! the screen.

use super::model::TEXT;

/// The sentence by primary language.
const SENTENCES: [(&str, &str); 10] = [
    ("en", TEXT),
    ("de", "Ein Moment für dich ist bereit"),
    ("es", "Un momento para ti está listo"),
    ("fr", "Un moment pour toi est prêt"),
    ("it", "Un momento per te è pronto"),
    ("pt", "Um momento para ti está pronto"),
    ("nl", "Er is een moment voor jou klaar"),
    ("pl", "Chwila dla ciebie jest gotowa"),
    ("sv", "En stund för dig är redo"),
    ("da", "Et øjeblik til dig er klar"),
];

/// Returns the sentence in the first of these languages that there is, or in English. Languages are tags of BCP 47.
pub fn sentence<'t>(languages: impl IntoIterator<Item = &'t str>) -> &'static str {
    let primary = |tag: &'t str| tag.split('-').next().unwrap_or(tag);
    let known = |tag: &'t str| SENTENCES.iter().find(|(language, _)| *language == primary(tag));
    languages.into_iter().find_map(known).map_or(TEXT, |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_in_the_language_of_the_device() {
        assert_eq!(sentence(["de-AT"]), "Ein Moment für dich ist bereit");
        assert_eq!(sentence(["tlh", "es"]), "Un momento para ti está listo");
        assert_eq!(sentence([]), TEXT);
        assert_eq!(sentence(["zh-Hant"]), TEXT);
    }

    #[test]
    fn every_sentence_fits_a_lock_screen_and_is_another_one() {
        for (n, (language, text)) in SENTENCES.iter().enumerate() {
            assert!(text.chars().count() <= 40, "{language}");
            assert!(SENTENCES.iter().skip(n + 1).all(|(_, other)| other != text), "{language}");
        }
    }
}
