//! The forms in which texts are compared, and the characters that can be seen.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{BinaryProperty as _, DefaultIgnorableCodePoint, EnumeratedProperty as _, GeneralCategory};

/// Returns the composed form (NFC): a letter with its accent is the same however it was typed.
pub fn composed(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned()
}

/// Returns the form in which words, tags and names of mailboxes are compared: composed, and one form for letters that
/// are the same in upper case.
pub fn folded(text: &str) -> String {
    // Upper case between: it makes of `ß` and `ﬁ` the letters that they stand for. Lower case has two letters sigma, by
    // their place in the word.
    composed(&composed(text).to_lowercase().to_uppercase().to_lowercase().replace('ς', "σ"))
}

/// Whether a text shows anything: more than spaces, controls, marks without a letter and characters without a shape.
pub fn is_visible(text: &str) -> bool {
    text.chars().any(|c| {
        // The braille pattern without a dot is counted as a symbol.
        let blank = DefaultIgnorableCodePoint::for_char(c) || c == '\u{2800}';
        !blank
            && !matches!(
                GeneralCategory::for_char(c),
                GeneralCategory::Control
                    | GeneralCategory::Format
                    | GeneralCategory::Surrogate
                    | GeneralCategory::PrivateUse
                    | GeneralCategory::Unassigned
                    | GeneralCategory::SpaceSeparator
                    | GeneralCategory::LineSeparator
                    | GeneralCategory::ParagraphSeparator
                    | GeneralCategory::NonspacingMark
                    | GeneralCategory::EnclosingMark
            )
    })
}

/// Whether a character may stand in a line that others are shown: no control, no line break, nothing that has no shape
/// or turns the direction of what follows. Joiners and variation selectors are part of how letters and emoji look.
pub fn is_plain(c: char) -> bool {
    let odd = matches!(
        GeneralCategory::for_char(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::Surrogate
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    let shaping = matches!(
        c,
        '\u{200c}' | '\u{200d}' | '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}'
    );
    shaping || !(odd || DefaultIgnorableCodePoint::for_char(c))
}

/// Checks that a line has only characters that may stand in it.
///
/// # Errors
///
/// A sentence for the person who sent it, with the first character that may not.
pub fn check_line(text: &str) -> Result<(), String> {
    let Some(odd) = text.chars().find(|c| !is_plain(*c)) else { return Ok(()) };
    let code = u32::from(odd);
    Err(format!(
        "must be one line without controls, invisible characters and changes of direction, but has U+{code:04X}"
    ))
}

/// Whether a character is a space of any width.
pub fn is_space(c: char) -> bool {
    GeneralCategory::for_char(c) == GeneralCategory::SpaceSeparator
}

/// Whether a character is a letter, a digit or a mark on one.
pub fn is_of_word(c: char) -> bool {
    let category = GeneralCategory::for_char(c);
    let mark = matches!(category, GeneralCategory::NonspacingMark | GeneralCategory::SpacingMark);
    (c.is_alphanumeric() || mark) && !DefaultIgnorableCodePoint::for_char(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_however_they_were_typed() {
        for (one, other) in [
            ("für später", "FU\u{308}R SPA\u{308}TER"),
            ("Å", "\u{212b}"),
            ("한", "\u{1112}\u{1161}\u{11ab}"),
            ("Straße", "STRASSE"),
            ("\u{1e9e}", "ß"),
            ("of\u{fb01}ce", "Office"),
            ("ὀδός", "Ο\u{313}ΔΟ\u{301}Σ"),
        ] {
            assert_eq!(folded(one), folded(other), "{one}");
        }
        assert_ne!(folded("fur"), folded("für"));
        assert!(folded("ΟΔΟΣΗΜΑΝΣΗ").contains(&folded("ΟΔΟΣ")), "the last sigma of a word is a sigma");
    }

    #[test]
    fn something_can_be_seen_or_not() {
        for seen in ["a", " . ", "語", "😀", "e\u{301}", "❤\u{fe0f}", "می\u{200c}خواهم", "葛\u{e0100}"] {
            assert!(is_visible(seen) && check_line(seen).is_ok(), "{seen}");
        }
        let unseen = [
            "",
            " \t",
            "\u{200b}",
            "\u{301}",
            "\u{3164}\u{ffa0}",
            "\u{2800}",
            "\u{ad}\u{2060}",
            "\u{e000}",
            "\u{3000}",
            "\u{200d}\u{fe0f}",
        ];
        for unseen in unseen {
            assert!(!is_visible(unseen), "{unseen:?}");
        }
        let odd = [
            '\n',
            '\t',
            '\u{7f}',
            '\u{2028}',
            '\u{202e}',
            '\u{2066}',
            '\u{200e}',
            '\u{200b}',
            '\u{feff}',
            '\u{85}',
            '\u{3164}',
            '\u{e0041}',
        ];
        for odd in odd {
            assert!(!is_plain(odd), "{odd:?}");
        }
    }
}
