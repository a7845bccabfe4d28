//! Codes that people read to each other and type.

use std::fmt;

/// Crockford's base 32, without letters that look like another letter or a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The characters of a code: 80 bits.
const LENGTH: usize = 16;
/// The characters between two hyphens.
const GROUP: usize = 4;

/// A code of 80 bits, written as four groups of four characters.
///
/// ```
/// # use afterglow::kernel::JoinCode;
/// let code = JoinCode::of([0xFF; 32]);
/// assert_eq!(code.to_string(), "ZZZZ-ZZZZ-ZZZZ-ZZZZ");
/// assert_eq!(JoinCode::parse("zzzz zzzz zzzzzzzz"), Some(code));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct JoinCode([u8; 10]);

impl JoinCode {
    /// Makes a code of the first 80 bits of a keyed hash.
    pub fn of(mac: [u8; 32]) -> Self {
        let mut bytes = [0; 10];
        for (to, from) in bytes.iter_mut().zip(mac) {
            *to = from;
        }
        Self(bytes)
    }

    /// Reads a typed code. Case, spaces, hyphens and all else that is no letter or digit do not matter; `O` is read as
    /// 0, `I` and `L` as 1.
    pub fn parse(typed: &str) -> Option<Self> {
        let (mut value, mut count) = (0_u128, 0);
        for c in typed.chars().filter(|c| c.is_alphanumeric()) {
            let c = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            let digit = ALPHABET.iter().position(|known| char::from(*known) == c)?;
            count += 1;
            if count > LENGTH {
                return None;
            }
            value = (value << 5) | u128::try_from(digit).ok()?;
        }
        let bytes = value.to_be_bytes();
        if count == LENGTH { bytes.last_chunk().copied().map(Self) } else { None }
    }

    /// Returns the bits, for hashing.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for JoinCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0.iter().fold(0_u128, |value, byte| (value << 8) | u128::from(*byte));
        for place in 0..LENGTH {
            if place > 0 && place % GROUP == 0 {
                f.write_str("-")?;
            }
            let digit = (value >> (5 * (LENGTH - 1 - place))) & 31;
            let byte = usize::try_from(digit).ok().and_then(|digit| ALPHABET.get(digit)).ok_or(fmt::Error)?;
            write!(f, "{}", char::from(*byte))?;
        }
        Ok(())
    }
}

impl fmt::Debug for JoinCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinCode(***)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(mac: [u8; 32]) {
            let code = JoinCode::of(mac);
            let text = code.to_string();
            prop_assert_eq!(text.len(), 19);
            prop_assert_eq!(JoinCode::parse(&text), Some(code));
            prop_assert_eq!(JoinCode::parse(&text.to_lowercase().replace('-', " ")), Some(code));
            prop_assert_eq!(JoinCode::parse(&text.replace('0', "o").replace('1', "l")), Some(code));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _code = JoinCode::parse(&text);
        }
    }

    #[test]
    fn a_code_has_sixteen_characters_of_the_alphabet() {
        assert!(JoinCode::parse("0123-4567-89AB-CDEF").is_some());
        for right in
            ["0123\u{2011}4567\u{2011}89ab\u{2011}cdef", "0123–4567–89AB–CDEF", "\u{200b} 0123 4567 89AB CDEF."]
        {
            assert!(JoinCode::parse(right).is_some(), "{right}");
        }
        for wrong in ["", "0123-4567-89AB-CDE", "0123-4567-89AB-CDEF-0", "0123-4567-89AB-CDEU", "0123-4567-89AB-CDEé"]
        {
            assert_eq!(JoinCode::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_code_does_not_show_itself_in_a_log() {
        assert_eq!(format!("{:?}", JoinCode::of([1; 32])), "JoinCode(***)");
    }
}
