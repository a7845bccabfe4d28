//! The fault of a value and its place, in the words of this API. The value itself is never quoted: it may be private.

use std::fmt::{self, Display};

use serde::de::{Error, Expected, Unexpected};

/// The place of a value.
pub(super) enum At<'n> {
    Root(&'n str),
    In(&'n At<'n>, Step<'n>),
}

#[derive(Clone, Copy)]
pub(super) enum Step<'n> {
    Key(&'n str),
    Index(usize),
}

impl At<'_> {
    /// Returns the JSON Pointer (RFC 6901), cut to a useful length.
    pub(super) fn pointer(&self) -> String {
        self.to_string().chars().take(200).collect()
    }
}

impl Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Root(place) => f.write_str(place),
            At::In(parent, Step::Key(key)) => write!(f, "{parent}/{}", key.replace('~', "~0").replace('/', "~1")),
            At::In(parent, Step::Index(index)) => write!(f, "{parent}/{index}"),
        }
    }
}

/// A fault, with its place as soon as that is known.
#[derive(Debug)]
pub(super) struct ReadFault {
    pub pointer: Option<String>,
    field: Option<String>,
    pub detail: String,
}

impl ReadFault {
    pub(super) fn of(detail: impl Into<String>) -> Self {
        Self { pointer: None, field: None, detail: detail.into() }
    }
    fn field(name: &str, detail: &str) -> Self {
        Self { field: Some(name.to_owned()), ..Self::of(detail) }
    }
    pub(super) fn located(mut self, at: &At<'_>) -> Self {
        let found = || self.field.as_ref().map_or_else(|| at.pointer(), |name| At::In(at, Step::Key(name)).pointer());
        self.pointer = Some(self.pointer.take().unwrap_or_else(found));
        self
    }
}

impl Display for ReadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
impl std::error::Error for ReadFault {}
impl Error for ReadFault {
    /// Passes on a type's own message if it starts as this API's details do: another may quote the value.
    fn custom<M: Display>(message: M) -> Self {
        let message = message.to_string();
        match message {
            _ if message.starts_with("must ") || message.starts_with("is ") => Self::of(message),
            _ if message.starts_with("UUID parsing failed") => Self::of("must be a UUID"),
            _ => Self::of("is not valid"),
        }
    }
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(format!("must be {}", plain(&expected.to_string())))
    }
    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(format!("must be {}", plain(&expected.to_string())))
    }
    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::of(format!("must be {}", plain(&expected.to_string())))
    }
    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::of(match known {
            [] => "is not one of the known values".to_owned(),
            [only] => format!("must be `{only}`"),
            [one, other] => format!("must be `{one}` or `{other}`"),
            all => format!("must be one of `{}`", all.join("`, `")),
        })
    }
    fn unknown_field(name: &str, _: &'static [&'static str]) -> Self {
        Self::field(name, "is not known")
    }
    fn missing_field(name: &'static str) -> Self {
        Self::field(name, "is required")
    }
    fn duplicate_field(name: &'static str) -> Self {
        Self::field(name, "is given twice")
    }
}

/// Translates Rust's words for a shape into those of JSON.
fn plain(expected: &str) -> &str {
    match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number in range",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other if other.starts_with("enum ") => "one of the known values",
        other if other.starts_with("a formatted UUID") || other.starts_with("UUID") => "a UUID",
        other => other,
    }
}
