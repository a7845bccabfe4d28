//! The strict reading of JSON, before any type sees it: UTF-8, depth, no key twice, whole numbers as integers.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::faults::{At, Step};
use crate::kernel::{Error, FieldError, Result};

/// The deepest nesting of a body.
const DEPTH: u8 = 64;

/// Parses one JSON value in UTF-8, nested at most 64 deep, without a key twice in one object. A whole number is an
/// integer however it is written: `7.0` and `7e0` are 7.
///
/// Numbers beyond a double and lone surrogates are refused by the parser itself.
///
/// # Errors
///
/// [`Error::Unreadable`] with the innermost field that could be read no further. It does not quote the body.
pub(super) fn parse(bytes: &[u8]) -> Result<Value> {
    if bytes.is_empty() {
        return Err(unreadable(String::new(), "is empty"));
    }
    let (mut reader, place) = (serde_json::Deserializer::from_slice(bytes), RefCell::new(None));
    let value = Level { left: DEPTH, at: &At::Root(""), place: &place }.deserialize(&mut reader);
    value
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| unreadable(place.take().unwrap_or_default(), cause(&error, bytes)))
}

/// Replaces each escaped lone surrogate by NUL, which no text may hold: who takes the words tells of it. An app that
/// cuts a text by UTF-16 code units leaves such halves of pairs.
pub(super) fn mend_surrogates(bytes: &[u8]) -> Cow<'_, [u8]> {
    let unit = |at: usize| {
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (high, low) = (0xD800..0xDC00_u16, 0xDC00..0xE000_u16);
    let (mut mended, mut copied, mut at) = (Vec::new(), 0, 0);
    while let Some(step) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += step;
        let length = match unit(at) {
            None => 2,
            Some(first) if high.contains(&first) && unit(at + 6).is_some_and(|next| low.contains(&next)) => 12,
            Some(half) if high.contains(&half) || low.contains(&half) => {
                mended.extend_from_slice(bytes.get(copied..at).unwrap_or_default());
                mended.extend_from_slice(b"\\u0000");
                copied = at + 6;
                6
            }
            Some(_) => 6,
        };
        at += length;
    }
    if copied == 0 {
        return Cow::Borrowed(bytes);
    }
    mended.extend_from_slice(bytes.get(copied..).unwrap_or_default());
    Cow::Owned(mended)
}

fn unreadable(pointer: String, detail: impl Into<String>) -> Error {
    Error::Unreadable(FieldError { pointer, detail: detail.into() })
}

/// Returns the cause in the words of this API, with its place in the body.
fn cause(error: &serde_json::Error, bytes: &[u8]) -> String {
    let message = error.to_string();
    let (message, _) = message.rsplit_once(" at line ").unwrap_or((&message, ""));
    let place = format!("at line {} column {}", error.line(), error.column());
    match message {
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            format!("holds half of a surrogate pair {place}")
        }
        "invalid unicode code point" => {
            let valid = std::str::from_utf8(bytes).err().map_or(bytes.len(), |error| error.valid_up_to());
            format!("is not UTF-8 after byte {valid}, {place}")
        }
        _ if bytes.starts_with(b"\xef\xbb\xbf") => "begins with a byte order mark".to_owned(),
        "number out of range" => format!("is a number that is out of range {place}"),
        _ if message.starts_with("control character") => {
            format!("holds a control character that is not escaped {place}")
        }
        _ if message.starts_with(TWICE) || message.starts_with(DEEPER) => format!("{message} {place}"),
        _ => format!("is not JSON {place}: {message}"),
    }
}

const TWICE: &str = "is given twice";
const DEEPER: &str = "is nested deeper than 64";

/// A value at a place, which may hold so many more levels.
#[derive(Clone, Copy)]
struct Level<'l> {
    left: u8,
    at: &'l At<'l>,
    /// The pointer of the innermost value that could not be read.
    place: &'l RefCell<Option<String>>,
}

impl<'l> Level<'l> {
    fn within<'i>(self, at: &'i At<'i>) -> Level<'i>
    where
        'l: 'i,
    {
        Level { left: self.left.saturating_sub(1), at, place: self.place }
    }

    fn note(self, at: &At<'_>) {
        self.place.borrow_mut().get_or_insert_with(|| at.pointer());
    }

    fn deeper<E: serde::de::Error>(self) -> std::result::Result<(), E> {
        if self.left == 0 { Err(E::custom(DEEPER)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> std::result::Result<Value, D::Error> {
        from.deserialize_any(self).inspect_err(|_| self.note(self.at))
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(whole(value).map_or_else(|| value.into(), Value::from))
    }
    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.within(&At::In(self.at, Step::Index(list.len()))))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> std::result::Result<Value, A::Error> {
        self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = pairs.next_key::<String>()? {
            let at = At::In(self.at, Step::Key(&key));
            if object.contains_key(&key) {
                self.note(&at);
                return Err(A::Error::custom(TWICE));
            }
            let value = pairs.next_value_seed(self.within(&at)).inspect_err(|_| self.note(&at))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Returns the integer that `value` is, if a double holds every integer up to it.
pub(super) fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    // A number of no fraction is printed as an integer, and minus zero is zero.
    (value.fract() == 0.0 && value.abs() <= EXACT).then(|| format!("{value:.0}").parse().ok()).flatten()
}
