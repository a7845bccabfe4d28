//! Reads a type from a JSON document, or from the parameters of a request, and says which fields are wrong and why.
//!
//! A document is read again after each fault, without the wrong value, so that all faults are found. Unknown fields are
//! found all at once and may be ignored.

mod deserializer;

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::deserializer::{MOST, Node, Reads, Source, Unknown};
use super::faults::At;
use crate::kernel::{Error, FieldError, Result};

/// The number of bytes that are read again to find more faults, so that the work stays linear in the size of the body.
const AGAIN: usize = 256 * 1024;

/// Reads a `T` from a document of `bytes`, and answers the ignored fields if the client is lenient. Wrong values are
/// taken out of the document.
///
/// # Errors
///
/// [`Error::Invalid`] with every unknown field and every value of a wrong type, and with the first of the missing
/// fields of each object.
pub(super) fn document<T: DeserializeOwned>(
    document: &mut Value,
    bytes: usize,
    lenient: bool,
) -> Result<(T, Vec<FieldError>)> {
    let (unknown, mut faults) = (Unknown::default(), Faults::new(bytes));
    let value = loop {
        match read(Source::Json(document), "", Reads { unknown: &unknown, patch: false }) {
            Ok(value) => break Some(value),
            Err(fault) => {
                if !faults.go_on(document, fault) {
                    break None;
                }
            }
        }
    };
    let ignored = told_or_ignored(unknown, lenient, faults.list)?;
    let value = value.ok_or_else(|| Error::internal("a field failed without a fault"))?;
    Ok((value, ignored))
}

/// Reads the members of a merge patch on a `T`, and answers the ignored fields if the client is lenient. A patch may
/// lack any member, and `null` takes a member away; `faults` are those that are known already.
///
/// # Errors
///
/// [`Error::Invalid`] with all of `faults`, every unknown field and every value of a wrong type.
pub(super) fn patch<T: DeserializeOwned>(
    mut patch: Value,
    bytes: usize,
    lenient: bool,
    faults: Vec<FieldError>,
) -> Result<(Map<String, Value>, Vec<FieldError>)> {
    let (unknown, mut faults) = (Unknown::default(), Faults { list: faults, ..Faults::new(bytes) });
    let mut seen = patch.clone();
    // An object that lacks a field is no fault of a patch: it is taken out, and the reading goes on.
    let mut lacking = 0;
    while let Err(fault) = read::<T>(Source::Json(&seen), "", Reads { unknown: &unknown, patch: true }) {
        let goes_on = match lacks(&seen, &fault.pointer) {
            Some(object) if lacking < faults.most => {
                lacking += 1;
                take_out(&mut seen, &object)
            }
            Some(_) => false,
            None => faults.go_on(&mut seen, fault),
        };
        if !goes_on {
            break;
        }
    }
    let ignored = told_or_ignored(unknown, lenient, faults.list)?;
    for stranger in &ignored {
        take_out(&mut patch, &stranger.pointer);
    }
    match patch {
        Value::Object(members) => Ok((members, ignored)),
        _ => Err(Error::field("", "must be an object")),
    }
}

/// The faults found in a document that is read until nothing new is found.
struct Faults {
    list: Vec<FieldError>,
    most: usize,
}

impl Faults {
    fn new(bytes: usize) -> Self {
        Self { list: Vec::new(), most: (AGAIN / bytes.max(1)).clamp(1, MOST) }
    }

    /// Notes a fault and takes the wrong value out, so that the next reading finds the next fault. The value's absence
    /// is then no fault. Answers `false` when enough was found.
    fn go_on(&mut self, document: &mut Value, fault: FieldError) -> bool {
        let pointer = fault.pointer.clone();
        if !self.list.iter().any(|known| is_within(&known.pointer, &pointer)) {
            self.list.push(fault);
        }
        self.list.len() < self.most && take_out(document, &pointer)
    }
}

/// Answers the unknown fields that are ignored.
///
/// # Errors
///
/// [`Error::Invalid`] with `faults`, and with the unknown fields if they are not ignored.
fn told_or_ignored(unknown: Unknown, lenient: bool, faults: Vec<FieldError>) -> Result<Vec<FieldError>> {
    let unknown = unknown.into_inner();
    let ignored = lenient && unknown.len() <= MOST;
    let detail = if ignored { "is not known and was ignored" } else { "is not known" };
    let strangers: Vec<FieldError> = unknown.into_iter().map(|pointer| told(pointer, detail)).collect();
    match (ignored, faults.is_empty() && (ignored || strangers.is_empty())) {
        (_, true) => Ok(strangers),
        (true, false) => Err(Error::Invalid(faults)),
        (false, false) => Err(Error::Invalid(strangers.into_iter().chain(faults).collect())),
    }
}

/// Returns the pointer of the object that lacks the field at `pointer`, if the field is missing and a patch may lack
/// it. An object in a list lacks nothing: lists are replaced as a whole.
fn lacks(document: &Value, pointer: &str) -> Option<String> {
    let (object, _) = pointer.rsplit_once('/')?;
    let within_list = pointer.match_indices('/').any(|(at, _)| {
        let (parent, _) = pointer.split_at(at);
        document.pointer(parent).is_some_and(Value::is_array)
    });
    (document.pointer(pointer).is_none() && !within_list).then(|| object.to_owned())
}

/// Reads a `T` from `(name, text)` pairs; faults point to `place/name`.
///
/// A struct takes them by name, a tuple takes the last ones in their order, anything else takes the last one.
///
/// # Errors
///
/// [`Error::Invalid`] with every unknown name and the first other fault.
pub(super) fn parameters<T: DeserializeOwned>(place: &str, pairs: &[(String, String)]) -> Result<T> {
    let unknown = Unknown::default();
    let value = read(Source::Pairs(pairs), place, Reads { unknown: &unknown, patch: false });
    let mut faults: Vec<_> = unknown.into_inner().into_iter().map(|pointer| told(pointer, "is not known")).collect();
    match value {
        Ok(value) if faults.is_empty() => return Ok(value),
        Ok(_) => {}
        Err(mut fault) => {
            if let Some((name, _)) = pairs.last().filter(|_| fault.pointer == place) {
                fault.pointer = format!("{place}/{name}");
            }
            faults.push(fault);
        }
    }
    Err(Error::Invalid(faults))
}

fn told(pointer: String, detail: &str) -> FieldError {
    FieldError { pointer, detail: detail.to_owned() }
}

fn read<T: DeserializeOwned>(source: Source<'_>, place: &str, reads: Reads<'_>) -> std::result::Result<T, FieldError> {
    let root = At::Root(place);
    Node { source, at: &root, reads }
        .read(PhantomData)
        .map_err(|fault| FieldError { pointer: fault.pointer.unwrap_or_default(), detail: fault.detail })
}

/// Whether a pointer leads to the place of another, or below it.
fn is_within(pointer: &str, other: &str) -> bool {
    pointer.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Takes out the value at a pointer. A value in a list is taken out together with the list.
fn take_out(document: &mut Value, pointer: &str) -> bool {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return false };
    let key = key.replace("~1", "/").replace("~0", "~");
    let holder = document.pointer_mut(parent);
    let taken = holder.and_then(Value::as_object_mut).and_then(|object| object.remove(&key));
    taken.is_some() || take_out(document, parent)
}
