//! Languages and countries.

/// Checks the form of a language tag of BCP 47: 2 to 35 letters, digits and hyphens.
///
/// # Errors
///
/// A sentence for the person who sent it.
pub fn language(tag: String) -> Result<String, &'static str> {
    let right = (2..=35).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if right { Ok(tag) } else { Err("must be a BCP 47 language, such as en or de-AT") }
}

/// Checks the form of a country of ISO 3166: two capital letters.
///
/// # Errors
///
/// A sentence for the person who sent it.
pub fn country(code: String) -> Result<String, &'static str> {
    let right = code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase());
    if right { Ok(code) } else { Err("must be two capital letters of ISO 3166, such as DE") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_codes_have_their_form() {
        for right in ["en", "de-AT", "zh-Hant-TW"] {
            assert!(language(right.to_owned()).is_ok(), "{right}");
        }
        for wrong in ["e", "de_AT", "", &"a".repeat(36)] {
            assert!(language(wrong.to_owned()).is_err(), "{wrong}");
        }
        assert!(country("DE".to_owned()).is_ok());
        for wrong in ["de", "DEU", "D1", ""] {
            assert!(country(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
