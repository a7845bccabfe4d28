//! Reads typed values from named texts: the parameters of an address and of a query.
//!
//! Own code, because the framework's readers do not say *which* parameter failed.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::wording;
use crate::kernel::fields::FieldError;
use crate::kernel::{Error, Result};

/// A `T` from `(name, text)` pairs; faults point to `place/name`.
pub(super) fn parse<T: DeserializeOwned>(place: &str, pairs: &[(String, String)]) -> Result<T> {
    T::deserialize(Pairs(pairs)).map_err(|fault| {
        let pointer = match &fault.name {
            Some(name) => format!("{place}/{name}").chars().take(200).collect(),
            None => place.to_owned(),
        };
        Error::Invalid(vec![FieldError { pointer, detail: fault.detail }])
    })
}

#[derive(Debug)]
struct Fault {
    name: Option<String>,
    detail: String,
}

impl Fault {
    fn at(mut self, name: &str) -> Self {
        self.name.get_or_insert_with(|| name.to_owned());
        self
    }
    fn named(name: &str, detail: &str) -> Self {
        Self { name: Some(name.to_owned()), detail: detail.to_owned() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
impl std::error::Error for Fault {}
impl de::Error for Fault {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self { name: None, detail: wording::value(&message.to_string()) }
    }
    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::named(field, "is not known")
    }
    fn missing_field(field: &'static str) -> Self {
        Self::named(field, "is required")
    }
    fn duplicate_field(field: &'static str) -> Self {
        Self::named(field, "is given twice")
    }
}

type Outcome<T> = std::result::Result<T, Fault>;

/// All parameters: a map by name, a tuple of the last ones in order, or the last one alone.
struct Pairs<'a>(&'a [(String, String)]);

impl<'a> Pairs<'a> {
    fn values(self, last: usize) -> impl Iterator<Item = Text<'a>> {
        self.0.iter().skip(self.0.len().saturating_sub(last)).map(|(name, text)| Text { name, text })
    }
    fn last(self) -> Outcome<Text<'a>> {
        self.values(1).next().ok_or_else(|| Fault { name: None, detail: "is required".to_owned() })
    }
}

macro_rules! of_the_last {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> { self.last()?.$method(visitor) }
    )* };
}

impl<'de> Deserializer<'de> for Pairs<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        self.deserialize_map(visitor)
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        visitor.visit_map(MapDeserializer::new(self.0.iter().map(|(name, text)| (name.as_str(), Text { name, text }))))
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Outcome<V::Value> {
        self.deserialize_map(visitor)
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        visitor.visit_seq(SeqDeserializer::new(self.values(usize::MAX)))
    }
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Outcome<V::Value> {
        visitor.visit_seq(SeqDeserializer::new(self.values(len)))
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, len: usize, visitor: V) -> Outcome<V::Value> {
        self.deserialize_tuple(len, visitor)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Outcome<V::Value> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        visitor.visit_unit()
    }
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Outcome<V::Value> {
        visitor.visit_unit()
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Outcome<V::Value> {
        self.last()?.deserialize_enum(name, variants, visitor)
    }
    of_the_last! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option deserialize_identifier
        deserialize_ignored_any
    }
}

/// One parameter.
struct Text<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'a> IntoDeserializer<'_, Fault> for Text<'a> {
    type Deserializer = Text<'a>;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $what:literal;)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
            let Ok(value) = self.text.parse() else { return Err(Fault::named(self.name, $what)) };
            visitor.$visit(value).map_err(|fault: Fault| fault.at(self.name))
        }
    )* };
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        visitor.visit_str(self.text).map_err(|fault: Fault| fault.at(self.name))
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Outcome<V::Value> {
        let name = self.name;
        visitor.visit_newtype_struct(self).map_err(|fault: Fault| fault.at(name))
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Outcome<V::Value> {
        let variant: StrDeserializer<'_, Fault> = self.text.into_deserializer();
        visitor.visit_enum(variant).map_err(|fault: Fault| fault.at(self.name))
    }
    parsed! {
        deserialize_bool visit_bool "must be true or false";
        deserialize_i8 visit_i8 "must be a whole number in range";
        deserialize_i16 visit_i16 "must be a whole number in range";
        deserialize_i32 visit_i32 "must be a whole number in range";
        deserialize_i64 visit_i64 "must be a whole number in range";
        deserialize_u8 visit_u8 "must be a whole number in range";
        deserialize_u16 visit_u16 "must be a whole number in range";
        deserialize_u32 visit_u32 "must be a whole number in range";
        deserialize_u64 visit_u64 "must be a whole number in range";
        deserialize_f32 visit_f32 "must be a number";
        deserialize_f64 visit_f64 "must be a number";
    }
    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
