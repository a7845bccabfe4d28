//! Fields of a merge patch (RFC 7396).

use serde::de::{Deserialize, Deserializer};

use super::Fields;

/// What a patch says of one field: nothing, `null`, or a value.
///
/// In a DTO: `#[serde(default)] #[schema(value_type = Option<String>)] title: Change<String>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Absent: the field stays as it is.
    #[default]
    Keep,
    /// `null`: the field is cleared.
    Clear,
    /// The field gets this value.
    Set(T),
}

impl<T> Change<T> {
    /// The field after the patch.
    pub fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The change with its value turned into another.
    pub fn map<U>(self, with: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(with(value)),
        }
    }

    /// The new value of a field that cannot be cleared; `null` is a fault.
    pub fn value(self, pointer: &str, fields: &mut Fields) -> Option<T> {
        match self {
            Self::Keep => None,
            Self::Clear => {
                fields.fault(pointer, "cannot be cleared");
                None
            }
            Self::Set(value) => Some(value),
        }
    }

    /// The value parsed; a value that does not parse is a fault.
    pub fn parse<U, E: Into<String>>(
        self,
        pointer: &str,
        fields: &mut Fields,
        parse: impl FnOnce(T) -> Result<U, E>,
    ) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => fields.take(pointer, parse(value)).map_or(Change::Keep, Change::Set),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(from)?.map_or(Self::Clear, Self::Set))
    }
}
