//! The one sentence of a push and the titles in a calendar, in the languages of phones. They say nothing of ketamine,
//! therapy or feelings: others see the screen.

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

/// The titles of what a calendar shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarTitles {
    /// The title of a prompt, and the name of the calendar.
    pub prompt: &'static str,
    /// The title of an infusion.
    pub infusion: &'static str,
}

/// The titles in English.
const ENGLISH: CalendarTitles = CalendarTitles { prompt: "A moment for you", infusion: "Appointment" };

/// The titles by primary language.
const TITLES: [(&str, CalendarTitles); 10] = [
    ("en", ENGLISH),
    ("de", CalendarTitles { prompt: "Ein Moment für dich", infusion: "Termin" }),
    ("es", CalendarTitles { prompt: "Un momento para ti", infusion: "Cita" }),
    ("fr", CalendarTitles { prompt: "Un moment pour toi", infusion: "Rendez-vous" }),
    ("it", CalendarTitles { prompt: "Un momento per te", infusion: "Appuntamento" }),
    ("pt", CalendarTitles { prompt: "Um momento para ti", infusion: "Compromisso" }),
    ("nl", CalendarTitles { prompt: "Een moment voor jou", infusion: "Afspraak" }),
    ("pl", CalendarTitles { prompt: "Chwila dla ciebie", infusion: "Spotkanie" }),
    ("sv", CalendarTitles { prompt: "En stund för dig", infusion: "Avtalad tid" }),
    ("da", CalendarTitles { prompt: "Et øjeblik til dig", infusion: "Aftale" }),
];

/// Returns the titles in a language, a tag of BCP 47, or in English.
pub fn calendar_titles(language: &str) -> CalendarTitles {
    in_language(&TITLES, [language]).unwrap_or(ENGLISH)
}

/// Returns the sentence in the first of these languages that there is, or in English. Languages are tags of BCP 47.
pub fn sentence<'t>(languages: impl IntoIterator<Item = &'t str>) -> &'static str {
    in_language(&SENTENCES, languages).unwrap_or(TEXT)
}

/// Finds the text in the first of these languages that there is.
fn in_language<'t, T: Copy>(texts: &[(&str, T)], languages: impl IntoIterator<Item = &'t str>) -> Option<T> {
    let primary = |tag: &'t str| tag.split('-').next().unwrap_or(tag);
    let known = |tag: &'t str| texts.iter().find(|(language, _)| *language == primary(tag));
    languages.into_iter().find_map(known).map(|(_, text)| *text)
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
    fn titles_are_in_the_language_of_the_patient_and_need_no_escape_in_a_calendar() {
        assert_eq!(calendar_titles("de-AT").infusion, "Termin");
        assert_eq!(calendar_titles("zh-Hant"), ENGLISH);
        for ((language, titles), (of_sentence, _)) in TITLES.iter().zip(SENTENCES) {
            assert_eq!(*language, of_sentence);
            for title in [titles.prompt, titles.infusion] {
                assert!(title.len() <= 40 && !title.contains([',', ';', '\\', '\n']), "{title}");
            }
        }
    }

    #[test]
    fn every_sentence_fits_a_lock_screen_and_is_another_one() {
        for (n, (language, text)) in SENTENCES.iter().enumerate() {
            assert!(text.chars().count() <= 40, "{language}");
            assert!(SENTENCES.iter().skip(n + 1).all(|(_, other)| other != text), "{language}");
        }
    }
}
