//! The verification words of a link: patient and therapist compare them, so that each knows the person at the other
//! end.

use crate::kernel::Id;
use crate::kernel::id::{Account, CareLink};
use crate::vault::{MacLabel, Vault};

/// 256 short words without any meaning for a person, one for each byte.
const WORDS: &str = include_str!("verification_words.txt");

/// Derives the two words of a link. They are the same for both sides and cannot be guessed from its ids.
pub fn words_of(vault: &Vault, link: Id<CareLink>, patient: Id<Account>) -> Vec<&'static str> {
    let mac = vault.mac(MacLabel::Words, &[link.uuid().as_bytes(), patient.uuid().as_bytes()]);
    mac.iter().take(2).filter_map(|byte| word(*byte)).collect()
}

fn word(byte: u8) -> Option<&'static str> {
    WORDS.lines().nth(usize::from(byte))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_byte_has_a_short_word_of_its_own() {
        let words: Vec<&str> = (0..=u8::MAX).filter_map(word).collect();
        assert_eq!(words.len(), 256);
        assert_eq!(words.iter().collect::<HashSet<_>>().len(), 256);
        assert_eq!(WORDS.lines().count(), 256);
        assert!(words.iter().all(|word| (2..=9).contains(&word.len()) && word.chars().all(|c| c.is_ascii_lowercase())));
    }
}
