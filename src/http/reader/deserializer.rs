//! A deserializer that knows the place of each value, and the fields of each struct.
//!
//! serde derives the types; this hands them their values. So every fault has a pointer. A struct is read from an object
//! only: serde's derived code would also take a list of its fields.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::iter::Enumerate;
use std::slice;
use std::str::FromStr;

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Value, map};

use crate::http::faults::{At, ReadFault, Step};
use crate::http::strict_json::whole;

/// The most faults in one answer, and the most unknown fields that a lenient request may have.
pub(super) const MOST: usize = 64;

/// The pointers of the unknown fields, one more than are tolerated at most.
pub(super) type Unknown = RefCell<BTreeSet<String>>;

type ReadResult<T> = std::result::Result<T, ReadFault>;

/// The source of a value.
#[derive(Clone, Copy)]
pub(super) enum Source<'de> {
    Json(&'de Value),
    Text(&'de str),
    Pairs(&'de [(String, String)]),
}

/// A value in its place.
#[derive(Clone, Copy)]
pub(super) struct Node<'de, 'n> {
    pub source: Source<'de>,
    pub at: &'n At<'n>,
    pub reads: Reads<'n>,
}

/// The settings of a reading.
#[derive(Clone, Copy)]
pub(super) struct Reads<'n> {
    /// The unknown fields found so far.
    pub unknown: &'n Unknown,
    /// Whether `null` in an object takes something away, and stands for no value.
    pub patch: bool,
}

impl<'de, 'n> Node<'de, 'n> {
    pub(super) fn read<S: DeserializeSeed<'de>>(self, seed: S) -> ReadResult<S::Value> {
        seed.deserialize(self).map_err(|fault| fault.located(self.at))
    }

    /// Returns the values in this value.
    fn items(self) -> Items<'de, 'n> {
        let list = match self.source {
            Source::Json(Value::Object(object)) => List::Object(object.iter()),
            Source::Json(Value::Array(list)) => List::Array(list.iter().enumerate()),
            Source::Json(_) | Source::Text(_) => List::Pairs([].iter()),
            Source::Pairs(pairs) => List::Pairs(pairs.iter()),
        };
        Items { list, held: None, fields: None, node: self }
    }

    /// Returns the value itself; of parameters, the last one.
    fn one(self) -> ReadResult<Self> {
        let Source::Pairs(pairs) = self.source else { return Ok(self) };
        let Some((_, text)) = pairs.last() else { return Err(ReadFault::of("is required")) };
        Ok(Self { source: Source::Text(text), ..self })
    }
}

enum List<'de> {
    Object(map::Iter<'de>),
    Array(Enumerate<slice::Iter<'de, Value>>),
    Pairs(slice::Iter<'de, (String, String)>),
}

impl<'de> Iterator for List<'de> {
    type Item = (Step<'de>, Source<'de>);
    fn next(&mut self) -> Option<Self::Item> {
        Some(match self {
            Self::Object(object) => object.next().map(|(key, value)| (Step::Key(key), Source::Json(value)))?,
            Self::Array(list) => list.next().map(|(index, value)| (Step::Index(index), Source::Json(value)))?,
            Self::Pairs(pairs) => pairs.next().map(|(name, text)| (Step::Key(name), Source::Text(text)))?,
        })
    }
}

/// The values of an object, a list or parameters. Of a struct, only its fields.
struct Items<'de, 'n> {
    list: List<'de>,
    held: Option<(Step<'de>, Source<'de>)>,
    fields: Option<&'static [&'static str]>,
    node: Node<'de, 'n>,
}

impl<'de> Items<'de, '_> {
    fn value<S: DeserializeSeed<'de>>(
        &self,
        (step, source): (Step<'de>, Source<'de>),
        seed: S,
    ) -> ReadResult<S::Value> {
        // Lists are replaced as a whole, so their objects are complete.
        let patch = self.node.reads.patch && matches!(step, Step::Key(_));
        Node { source, at: &At::In(self.node.at, step), reads: Reads { patch, ..self.node.reads } }.read(seed)
    }
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = ReadFault;
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> ReadResult<Option<S::Value>> {
        self.list.next().map(|item| self.value(item, seed)).transpose()
    }
}

impl<'de> MapAccess<'de> for Items<'de, '_> {
    type Error = ReadFault;
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> ReadResult<Option<S::Value>> {
        for (step, source) in self.list.by_ref() {
            let Step::Key(key) = step else { continue };
            // A member that is null is absent: of what is put, and of what a patch leaves.
            let absent =
                (self.node.reads.patch || self.fields.is_some()) && matches!(source, Source::Json(Value::Null));
            if !absent && self.fields.is_none_or(|fields| fields.contains(&key)) {
                self.held = Some((step, source));
                return seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some);
            }
        }
        Ok(None)
    }
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> ReadResult<S::Value> {
        let held = self.held.take().ok_or_else(|| ReadFault::of("is required"))?;
        self.value(held, seed)
    }
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// Reads an integer, which may be written `7.0`.
fn integer(text: &str) -> Option<i64> {
    parsed(text).or_else(|| whole(parsed(text)?))
}

fn natural(text: &str) -> Option<u64> {
    parsed(text).or_else(|| integer(text)?.try_into().ok())
}

macro_rules! scalars {
    ($($method:ident $visit:ident $parse:expr, $detail:literal;)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> ReadResult<V::Value> {
            let node = self.one()?;
            let Source::Text(text) = node.source else { return node.deserialize_any(visitor) };
            visitor.$visit($parse(text).ok_or_else(|| ReadFault::of($detail))?)
        }
    )* };
}

impl<'de> Deserializer<'de> for Node<'de, '_> {
    type Error = ReadFault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> ReadResult<V::Value> {
        match self.one()?.source {
            Source::Json(Value::Null) => visitor.visit_unit(),
            Source::Json(Value::Bool(value)) => visitor.visit_bool(*value),
            Source::Json(Value::Number(number)) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (.., number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
            Source::Json(Value::String(text)) => visitor.visit_borrowed_str(text),
            Source::Json(Value::Array(_)) => visitor.visit_seq(self.items()),
            Source::Json(Value::Object(_)) | Source::Pairs(_) => visitor.visit_map(self.items()),
            Source::Text(text) => visitor.visit_borrowed_str(text),
        }
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> ReadResult<V::Value> {
        if matches!(self.source, Source::Json(Value::Null)) { visitor.visit_none() } else { visitor.visit_some(self) }
    }
    /// Reads no parameters.
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> ReadResult<V::Value> {
        if let Source::Pairs(_) = self.source { visitor.visit_unit() } else { self.deserialize_any(visitor) }
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> ReadResult<V::Value> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> ReadResult<V::Value> {
        if let Source::Pairs(_) = self.source { visitor.visit_map(self.items()) } else { self.deserialize_any(visitor) }
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> ReadResult<V::Value> {
        if !matches!(self.source, Source::Json(Value::Object(_)) | Source::Pairs(_)) {
            return Err(ReadFault::of("must be an object"));
        }
        for (step, _) in self.items().list {
            let mut unknown = self.reads.unknown.borrow_mut();
            if matches!(step, Step::Key(key) if !fields.contains(&key)) && unknown.len() <= MOST {
                unknown.insert(At::In(self.at, step).pointer());
            }
        }
        visitor.visit_map(Items { fields: Some(fields), ..self.items() })
    }
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> ReadResult<V::Value> {
        let Source::Pairs(pairs) = self.source else { return self.deserialize_any(visitor) };
        let (_, last) = pairs.split_at(pairs.len().saturating_sub(len));
        visitor.visit_seq(Self { source: Source::Pairs(last), ..self }.items())
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> ReadResult<V::Value> {
        self.deserialize_tuple(len, visitor)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> ReadResult<V::Value> {
        let node = self.one()?;
        match node.source {
            Source::Json(Value::String(name)) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Source::Text(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Source::Json(Value::Object(_)) => visitor.visit_enum(MapAccessDeserializer::new(node.items())),
            _ => node.deserialize_any(visitor),
        }
    }
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> ReadResult<V::Value> {
        visitor.visit_unit()
    }
    scalars! {
        deserialize_bool visit_bool parsed, "must be true or false";
        deserialize_i8 visit_i64 integer, "must be a whole number in range";
        deserialize_i16 visit_i64 integer, "must be a whole number in range";
        deserialize_i32 visit_i64 integer, "must be a whole number in range";
        deserialize_i64 visit_i64 integer, "must be a whole number in range";
        deserialize_u8 visit_u64 natural, "must be a whole number in range";
        deserialize_u16 visit_u64 natural, "must be a whole number in range";
        deserialize_u32 visit_u64 natural, "must be a whole number in range";
        deserialize_u64 visit_u64 natural, "must be a whole number in range";
        deserialize_f32 visit_f64 parsed, "must be a number";
        deserialize_f64 visit_f64 parsed, "must be a number";
    }
    /// Reads a text. Some types would also take a list of its bytes.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> ReadResult<V::Value> {
        let node = self.one()?;
        match node.source {
            Source::Json(Value::String(_)) | Source::Text(_) => node.deserialize_any(visitor),
            _ => Err(ReadFault::invalid_type(Unexpected::Other("no text"), &visitor)),
        }
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> ReadResult<V::Value> {
        self.deserialize_str(visitor)
    }
    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit_struct seq identifier
    }
}
