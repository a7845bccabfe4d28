//! The strict reading of JSON, before any type sees it: UTF-8, depth, no key twice.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::kernel::{Code, Error, Result};

/// The deepest nesting of a body.
const DEPTH: u8 = 64;

/// Refuses bytes that are not one JSON value in UTF-8, nested at most 64 deep, without a key twice in one object.
///
/// Numbers beyond a double and lone surrogates are refused by the parser itself. Nothing is kept, so the memory is
/// that of the keys of the open objects.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    let malformed = |detail: String| Error::Malformed(Code::Malformed, detail);
    if bytes.is_empty() {
        return Err(malformed("the body is empty".to_owned()));
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(malformed(format!("not UTF-8 after byte {}", error.valid_up_to())));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // The parser's syntax messages quote nothing; ours below neither.
    Walk(DEPTH).deserialize(&mut reader).and_then(|()| reader.end()).map_err(|error| malformed(error.to_string()))
}

/// Walks over a value with so many levels to go.
#[derive(Clone, Copy)]
struct Walk(u8);

impl Walk {
    fn deeper<E: serde::de::Error>(self) -> std::result::Result<Self, E> {
        self.0.checked_sub(1).map(Walk).ok_or_else(|| E::custom(format_args!("nested deeper than {DEPTH}")))
    }
}

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        let inside = self.deeper()?;
        while items.next_element_seed(inside)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> std::result::Result<(), A::Error> {
        let inside = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = pairs.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(A::Error::custom("the same key twice in one object"));
            }
            pairs.next_value_seed(inside)?;
        }
        Ok(())
    }
}
