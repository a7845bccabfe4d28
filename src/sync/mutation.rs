//! A mutation: a change that a phone made offline.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::model::Kind;
use crate::kernel::id::Any;
use crate::kernel::{Code, Error, FieldError, Fields, Id, Result, limits};

/// What a mutation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It writes sections.
    Put,
    /// It deletes a thing.
    Delete,
    /// It undoes a deletion.
    Undelete,
    /// It is an act on a prompt, of this name.
    Prompt(&'static str),
}

impl Act {
    fn parse(name: Option<&str>) -> Result<Self, &'static str> {
        Ok(match name {
            None | Some("put") => Self::Put,
            Some("delete") => Self::Delete,
            Some("undelete") => Self::Undelete,
            Some("open") => Self::Prompt("open"),
            Some("snooze") => Self::Prompt("snooze"),
            Some("skip") => Self::Prompt("skip"),
            Some("complete") => Self::Prompt("complete"),
            Some(_) => return Err("must be put, delete, undelete, open, snooze, skip or complete"),
        })
    }
}

/// A mutation, read as far as it is the same for every kind of thing.
#[derive(Clone)]
pub struct Mutation {
    /// Its id, by which it is known again.
    pub id: Id<Any>,
    /// The patient whose thing it changes.
    pub patient: Uuid,
    /// The kind of thing.
    pub kind: Kind,
    /// The thing.
    pub thing: Id<Any>,
    /// The version that the phone began with; 0 for a new thing.
    pub base: i64,
    /// What it does.
    pub act: Act,
    /// Whether the phone wants both of two texts that are in conflict.
    pub keep_both: bool,
    /// The sections and what else its kind has.
    pub members: Map<String, Value>,
    /// What was wrong about its texts, and was mended.
    pub mended: Vec<FieldError>,
}

impl std::fmt::Debug for Mutation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mutation({} of {} {})", self.id, self.kind.name(), self.thing)
    }
}

/// Puts U+FFFD in the place of each NUL, which no text may hold: words are never refused for a character. A lone
/// surrogate was made a NUL when the body was read. Each text at fault is noted, with its place in the mutation.
fn mend(value: &mut Value, place: &str, mended: &mut Vec<FieldError>) {
    match value {
        Value::String(text) if text.contains('\0') => {
            *text = text.replace('\0', "\u{FFFD}");
            let detail = "held a character that no text may hold; U+FFFD stands in its place".to_owned();
            mended.push(FieldError { pointer: place.to_owned(), detail });
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                mend(item, &format!("{place}/{at}"), mended);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                mend(member, &format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), mended);
            }
        }
        _ => {}
    }
}

/// Makes the warning of a member that a kind does not have.
pub fn unknown(name: &str) -> FieldError {
    FieldError { pointer: format!("/{name}"), detail: "is not a member of this kind".to_owned() }
}

fn uuid(fields: &mut Fields, members: &mut Map<String, Value>, name: &str) -> Option<Uuid> {
    let found = members.remove(name).and_then(|value| value.as_str().and_then(|text| text.parse().ok()));
    fields.take(&format!("/{name}"), found.ok_or("must be a UUID"))
}

fn text(fields: &mut Fields, members: &mut Map<String, Value>, name: &str) -> Option<String> {
    match members.remove(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => fields.take(&format!("/{name}"), Err("must be a text")),
    }
}

impl Mutation {
    /// Returns a warning of each member that its kind does not have.
    pub fn unknown(&self, known: &[&str]) -> Vec<FieldError> {
        let others = self.members.keys().filter(|name| !known.contains(&name.as_str()));
        others.map(|name| unknown(name)).collect()
    }

    /// Returns the fields of a thing without sections of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when there are none.
    pub fn fields(&self) -> Result<&Map<String, Value>> {
        let fields = self.members.get("fields").and_then(Value::as_object);
        fields.ok_or_else(|| Error::field("/fields", "must be an object"))
    }

    /// Reads a mutation.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with every fault; [`Code::TooLarge`] for a section that is larger than one may be.
    pub fn parse(value: &Value) -> Result<Self> {
        let mut fields = Fields::new();
        let (mut value, mut mended) = (value.clone(), Vec::new());
        mend(&mut value, "", &mut mended);
        let Value::Object(mut members) = value else { return Err(Error::field("", "must be an object")) };
        if let Some((name, _)) = members.iter().find(|(_, section)| section.to_string().len() > limits::SECTION_BYTES) {
            let detail = format!("`{name}` has more than {} bytes", limits::SECTION_BYTES);
            return Err(Error::Malformed(Code::TooLarge, detail));
        }
        let id = uuid(&mut fields, &mut members, "mutation_id");
        let patient = uuid(&mut fields, &mut members, "patient_id");
        let thing = uuid(&mut fields, &mut members, "id");
        let kind = text(&mut fields, &mut members, "kind");
        let act = text(&mut fields, &mut members, "op");
        let act = fields.take("/op", Act::parse(act.as_deref()));
        let on_conflict = text(&mut fields, &mut members, "on_conflict");
        let known = matches!(on_conflict.as_deref(), None | Some("keep_both"));
        fields.check(known, "/on_conflict", "must be keep_both or absent");
        let base = match members.remove("base_version") {
            None | Some(Value::Null) => Some(0),
            Some(value) => value.as_i64().filter(|base| *base >= 0),
        };
        let base = fields.take("/base_version", base.ok_or("must be 0 or a version"));
        let kind = kind.as_deref().map_or(Err("is required"), |name| Kind::named(name).ok_or("is not a kind of thing"));
        let kind = fields.take("/kind", kind);
        let all = id.zip(patient).zip(thing).zip(kind).zip(act).zip(base);
        fields.finish(all.map(|(((((id, patient), thing), kind), act), base)| Self {
            id: Id::from_uuid(id),
            patient,
            kind,
            thing: Id::from_uuid(thing),
            base,
            act,
            keep_both: on_conflict.is_some(),
            members,
            mended,
        }))
    }
}

/// Returns a result of reading the fields of a mutation, with the faults where they stand in it.
///
/// # Errors
///
/// The error of `read`.
pub fn in_fields<T>(read: Result<T>) -> Result<T> {
    read.map_err(|error| match error {
        Error::Invalid(faults) => Error::Invalid(of_fields(faults)),
        other => other,
    })
}

/// Returns faults of the fields of a mutation with the places where they stand in it.
pub fn of_fields(faults: Vec<FieldError>) -> Vec<FieldError> {
    let placed = |fault: FieldError| FieldError { pointer: format!("/fields{}", fault.pointer), ..fault };
    faults.into_iter().map(placed).collect()
}

/// What is remembered of a mutation.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// A keyed hash of the mutation.
    pub fingerprint: Vec<u8>,
    /// What came of it.
    pub came: Came,
}

/// What came of a mutation for good.
#[derive(Clone, Copy, Debug)]
pub enum Came {
    /// It was stored.
    Stored(Kept),
    /// It was in conflict, for this reason. A conflict is answered with a new mutation; what was told of one is not
    /// done later, when it comes again by chance.
    Conflict(Option<&'static str>),
    /// It was refused, with this code. The person was told so: it is not done later, when it comes again by chance.
    Refused(Code),
}

/// What came of a mutation that was stored.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Whether the thing is something else now than what was sent.
    pub merged: bool,
    /// The thing.
    pub item: Id<Any>,
    /// The version in which the mutation left it; 0 if there is none.
    pub version: i64,
    /// The draft that holds what was in conflict.
    pub sibling: Option<Id<Any>>,
}
