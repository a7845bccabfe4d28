//! Excerpts: a text cut to a length for display.

use unicode_segmentation::UnicodeSegmentation as _;

use super::unicode::is_plain;

/// Returns `words` in one line of at most `most` characters. A longer text is cut between two characters as people see
/// them (grapheme clusters), at the end of a word if one ends in the second half, and ends with an ellipsis.
pub fn excerpt(words: &str, most: usize) -> String {
    let shown = |c: &char| c.is_whitespace() || is_plain(*c);
    let line = words.chars().filter(shown).collect::<String>();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let (mut start, mut count) = (String::new(), 0);
    for cluster in line.graphemes(true) {
        count += cluster.chars().count();
        if count > most {
            let end = start.rfind(' ').filter(|end| *end > start.len() / 2);
            start.truncate(end.unwrap_or(start.len()));
            let start = start.trim_end();
            return if start.is_empty() { String::new() } else { format!("{start} …") };
        }
        start.push_str(cluster);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_line_and_ends_with_a_word() {
        assert_eq!(excerpt("\n  Slow \t is allowed.\r\nAnd more. ", 140), "Slow is allowed. And more.");
        let cut = excerpt(&"ebb and flow ".repeat(20), 140);
        assert!(cut.chars().count() <= 142 && cut.ends_with("and …"), "{cut}");
    }

    #[test]
    fn a_character_is_never_cut_in_two() {
        let family = "👩‍👩‍👧‍👦";
        for text in [family.repeat(60), format!("so {}", "e\u{301}\u{323}".repeat(200)), "นี้".repeat(90)] {
            let cut = excerpt(&text, 140);
            let whole = cut.strip_suffix(" …").unwrap();
            assert!(whole.chars().count() <= 140, "{cut}");
            let rest = text.strip_prefix(whole).unwrap();
            let border = whole.graphemes(true).chain(rest.graphemes(true)).eq(text.graphemes(true));
            assert!(border, "{cut}");
        }
        assert_eq!(excerpt(&format!("e{}", "\u{301}".repeat(5000)), 140), "", "one that is longer than all");
        let early = excerpt(&format!("Hm {}", "水".repeat(300)), 140);
        assert!(early.chars().count() > 130, "{early}");
    }

    #[test]
    fn nothing_in_it_turns_the_words_around_it() {
        assert_eq!(excerpt("a\u{202e}b\u{0}c\u{2028}d", 140), "abc d");
    }
}
