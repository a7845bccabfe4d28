//! Reads a type from a JSON document, or from the parameters of a request, and says which field is wrong and why.
//!
//! serde derives the types; this hands them their values. It knows where each value is and which fields each struct has.
//! So every fault has a pointer, unknown fields are found all at once and may be ignored, and a struct is read from an
//! object only: what serde derives would also take a list of its fields.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::iter::Enumerate;
use std::marker::PhantomData;
use std::slice;

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Value, map};

use super::faults::{At, Fault, Step};
use crate::kernel::fields::FieldError;
use crate::kernel::{Error, Result};

/// The most faults that are told, and the most unknown fields that a lenient request may have.
const MOST: usize = 64;

/// How many bytes are read again to find more faults: the work stays linear in what was sent.
const AGAIN: usize = 256 * 1024;

/// A `T` from a document of `bytes`, and what was ignored of it if the client is lenient.
///
/// # Errors
///
/// [`Error::Invalid`] with every unknown field and every value of a wrong type; of the fields that one object lacks,
/// with the first.
pub(super) fn document<T: DeserializeOwned>(
    mut document: Value,
    bytes: usize,
    lenient: bool,
) -> Result<(T, Vec<FieldError>)> {
    let most = (AGAIN / bytes.max(1)).clamp(1, MOST);
    let unknown = Unknown::default();
    let mut faults: Vec<FieldError> = Vec::new();
    let value = loop {
        let fault = match read(Source::Json(&document), "", &unknown) {
            Ok(value) => break Some(value),
            Err(fault) => fault,
        };
        // What is wrong is taken out, which shows the next fault. That it is missing then is none.
        let pointer = fault.pointer.clone();
        if !faults.iter().any(|known| is_within(&known.pointer, &pointer)) {
            faults.push(fault);
        }
        if faults.len() >= most || !take_out(&mut document, &pointer) {
            break None;
        }
    };
    let unknown = unknown.into_inner();
    let ignored = lenient && unknown.len() <= MOST;
    let detail = if ignored { "is not known and was ignored" } else { "is not known" };
    let mut strangers: Vec<FieldError> = unknown.into_iter().map(|pointer| told(pointer, detail)).collect();
    match value {
        Some(value) if faults.is_empty() && (ignored || strangers.is_empty()) => Ok((value, strangers)),
        _ if ignored => Err(Error::Invalid(faults)),
        _ => {
            strangers.append(&mut faults);
            Err(Error::Invalid(strangers))
        }
    }
}

/// Takes the fields that a `T` does not have out of a document that may lack others, and answers them as warnings.
///
/// # Errors
///
/// [`Error::Invalid`] with all of them, unless the client is lenient.
pub(super) fn without_unknown<T: DeserializeOwned>(document: &mut Value, lenient: bool) -> Result<Vec<FieldError>> {
    let unknown = Unknown::default();
    // What it lacks, or has of a wrong type, is found when it is whole.
    let _value = read::<T>(Source::Json(document), "", &unknown);
    let unknown = unknown.into_inner();
    let ignored = lenient && unknown.len() <= MOST;
    let detail = if ignored { "is not known and was ignored" } else { "is not known" };
    let strangers: Vec<FieldError> = unknown.into_iter().map(|pointer| told(pointer, detail)).collect();
    if !ignored && !strangers.is_empty() {
        return Err(Error::Invalid(strangers));
    }
    for stranger in &strangers {
        take_out(document, &stranger.pointer);
    }
    Ok(strangers)
}

/// A `T` from `(name, text)` pairs; faults point to `place/name`.
///
/// A struct takes them by name, a tuple takes the last ones in their order, anything else takes the last one.
///
/// # Errors
///
/// [`Error::Invalid`] with every unknown name and the first other fault.
pub(super) fn parameters<T: DeserializeOwned>(place: &str, pairs: &[(String, String)]) -> Result<T> {
    let unknown = Unknown::default();
    let value = read(Source::Pairs(pairs), place, &unknown);
    let mut faults: Vec<_> = unknown.into_inner().into_iter().map(|pointer| told(pointer, "is not known")).collect();
    match value {
        Ok(value) if faults.is_empty() => return Ok(value),
        Ok(_) => {}
        Err(fault) => faults.push(fault),
    }
    Err(Error::Invalid(faults))
}

/// The pointers of the unknown fields, one more than are tolerated at most.
type Unknown = RefCell<BTreeSet<String>>;

fn told(pointer: String, detail: &str) -> FieldError {
    FieldError { pointer, detail: detail.to_owned() }
}

fn read<T: DeserializeOwned>(source: Source<'_>, place: &str, unknown: &Unknown) -> std::result::Result<T, FieldError> {
    let root = At::Root(place);
    Node { source, at: &root, unknown }
        .read(PhantomData)
        .map_err(|fault| FieldError { pointer: fault.pointer.unwrap_or_default(), detail: fault.detail })
}

/// Whether a pointer leads to what is at, or below, another.
fn is_within(pointer: &str, other: &str) -> bool {
    pointer.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Takes out what is at a pointer; what is not in an object, together with what it is in.
fn take_out(document: &mut Value, pointer: &str) -> bool {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return false };
    let key = key.replace("~1", "/").replace("~0", "~");
    let holder = document.pointer_mut(parent);
    let taken = holder.and_then(Value::as_object_mut).and_then(|object| object.remove(&key));
    taken.is_some() || take_out(document, parent)
}

type Outcome<T> = std::result::Result<T, Fault>;

/// What a value is read from.
#[derive(Clone, Copy)]
enum Source<'de> {
    Json(&'de Value),
    Text(&'de str),
    Pairs(&'de [(String, String)]),
}

/// A value in its place.
#[derive(Clone, Copy)]
struct Node<'de, 'n> {
    source: Source<'de>,
    at: &'n At<'n>,
    unknown: &'n Unknown,
}

impl<'de, 'n> Node<'de, 'n> {
    fn read<S: DeserializeSeed<'de>>(self, seed: S) -> Outcome<S::Value> {
        seed.deserialize(self).map_err(|fault| fault.located(self.at))
    }

    /// What the value holds.
    fn items(self) -> Items<'de, 'n> {
        let list = match self.source {
            Source::Json(Value::Object(object)) => List::Object(object.iter()),
            Source::Json(Value::Array(list)) => List::Array(list.iter().enumerate()),
            Source::Json(_) | Source::Text(_) => List::Pairs([].iter()),
            Source::Pairs(pairs) => List::Pairs(pairs.iter()),
        };
        Items { list, held: None, fields: None, node: self }
    }

    /// Of parameters, the last one.
    fn one(self) -> Outcome<Self> {
        let Source::Pairs(pairs) = self.source else { return Ok(self) };
        let Some((_, text)) = pairs.last() else { return Err(Fault::of("is required")) };
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
    fn value<S: DeserializeSeed<'de>>(&self, (step, source): (Step<'de>, Source<'de>), seed: S) -> Outcome<S::Value> {
        Node { source, at: &At::In(self.node.at, step), unknown: self.node.unknown }.read(seed)
    }
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Fault;
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Outcome<Option<S::Value>> {
        self.list.next().map(|item| self.value(item, seed)).transpose()
    }
}

impl<'de> MapAccess<'de> for Items<'de, '_> {
    type Error = Fault;
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Outcome<Option<S::Value>> {
        for (step, source) in self.list.by_ref() {
            let Step::Key(key) = step else { continue };
            if self.fields.is_none_or(|fields| fields.contains(&key)) {
                self.held = Some((step, source));
                return seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some);
            }
        }
        Ok(None)
    }
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Outcome<S::Value> {
        let held = self.held.take().ok_or_else(|| Fault::of("is required"))?;
        self.value(held, seed)
    }
}

macro_rules! scalars {
    ($($method:ident $visit:ident $parse:ty, $detail:literal;)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
            let node = self.one()?;
            let Source::Text(text) = node.source else { return node.deserialize_any(visitor) };
            visitor.$visit(text.parse::<$parse>().or(Err(Fault::of($detail)))?)
        }
    )* };
}

impl<'de> Deserializer<'de> for Node<'de, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
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
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        if matches!(self.source, Source::Json(Value::Null)) { visitor.visit_none() } else { visitor.visit_some(self) }
    }
    /// Of parameters: none of them.
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        if let Source::Pairs(_) = self.source { visitor.visit_unit() } else { self.deserialize_any(visitor) }
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Outcome<V::Value> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        if let Source::Pairs(_) = self.source { visitor.visit_map(self.items()) } else { self.deserialize_any(visitor) }
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Outcome<V::Value> {
        if !matches!(self.source, Source::Json(Value::Object(_)) | Source::Pairs(_)) {
            return Err(Fault::of("must be an object"));
        }
        for (step, _) in self.items().list {
            let mut unknown = self.unknown.borrow_mut();
            if matches!(step, Step::Key(key) if !fields.contains(&key)) && unknown.len() <= MOST {
                unknown.insert(At::In(self.at, step).pointer());
            }
        }
        visitor.visit_map(Items { fields: Some(fields), ..self.items() })
    }
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Outcome<V::Value> {
        let Source::Pairs(pairs) = self.source else { return self.deserialize_any(visitor) };
        let (_, last) = pairs.split_at(pairs.len().saturating_sub(len));
        visitor.visit_seq(Self { source: Source::Pairs(last), ..self }.items())
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, len: usize, visitor: V) -> Outcome<V::Value> {
        self.deserialize_tuple(len, visitor)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Outcome<V::Value> {
        let node = self.one()?;
        match node.source {
            Source::Json(Value::String(name)) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Source::Text(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Source::Json(Value::Object(_)) => visitor.visit_enum(MapAccessDeserializer::new(node.items())),
            _ => node.deserialize_any(visitor),
        }
    }
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Outcome<V::Value> {
        visitor.visit_unit()
    }
    scalars! {
        deserialize_bool visit_bool bool, "must be true or false";
        deserialize_i8 visit_i64 i64, "must be a whole number in range";
        deserialize_i16 visit_i64 i64, "must be a whole number in range";
        deserialize_i32 visit_i64 i64, "must be a whole number in range";
        deserialize_i64 visit_i64 i64, "must be a whole number in range";
        deserialize_u8 visit_u64 u64, "must be a whole number in range";
        deserialize_u16 visit_u64 u64, "must be a whole number in range";
        deserialize_u32 visit_u64 u64, "must be a whole number in range";
        deserialize_u64 visit_u64 u64, "must be a whole number in range";
        deserialize_f32 visit_f64 f64, "must be a number";
        deserialize_f64 visit_f64 f64, "must be a number";
    }
    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit_struct seq identifier
    }
}
