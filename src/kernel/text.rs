//! Bounded text that never shows itself in a log.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::unicode;

/// A text of 1 to `MAX` characters without NUL. It prints its length, never its content.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes `text` if it fits.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it, when the text is empty, too long or holds a NUL character.
    pub fn parse(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err("must not be empty".to_owned());
        }
        Self::check(&text)?;
        Ok(Self(text))
    }

    /// Takes a text that may be absent, as an empty field of a form is: one of nothing but white space is none.
    ///
    /// # Errors
    ///
    /// As [`Text::parse`].
    pub fn optional(text: &str) -> Result<Option<Self>, String> {
        if text.trim().is_empty() { Ok(None) } else { Self::parse(text).map(Some) }
    }

    /// Takes a line that others are shown, such as a name: composed, without spaces around it.
    ///
    /// # Errors
    ///
    /// As [`Text::parse`]; also for controls, line breaks, characters that are invisible or turn the direction of
    /// others, and a line in which nothing can be seen.
    pub fn line(text: &str) -> Result<Self, String> {
        unicode::check_line(text)?;
        let text = unicode::composed(text.trim());
        if !text.is_empty() && !unicode::is_visible(&text) {
            return Err("must have something that can be seen".to_owned());
        }
        Self::parse(text)
    }

    /// Takes `text` if it fits; the empty text is allowed.
    pub fn parse_or_empty(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        Self::check(&text)?;
        Ok(Self(text))
    }

    fn check(text: &str) -> Result<(), String> {
        if text.contains('\0') {
            return Err("must not contain the NUL character".to_owned());
        }
        // A character is at least one byte: the count is only needed near the limit.
        if text.len() > MAX && text.chars().count() > MAX {
            return Err(format!("must have at most {MAX} characters"));
        }
        Ok(())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the text out.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// Takes the string without a check: sealed text was checked before it was sealed.
impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}
