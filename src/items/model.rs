//! The parts of an item.

use std::fmt;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::care::grants::Sections;
use crate::changes::Entity;
use crate::kernel::id::{Any, Prompt};
use crate::kernel::page::SMALL;
use crate::kernel::{Error, Fields, Id, Result, Zone, device_time};

/// The time for which a deleted item can be undeleted.
pub const UNDO: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A section of an item: one sealed column.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The number that is stored with replaced revisions: no two sections of all kinds share one. Entries have 0 to 4,
    /// responses 10 to 12; the next kind begins at 20.
    pub number: i32,
    /// The column, to which the seal is bound.
    pub column: &'static str,
    /// The bit that opens the section in a grant, used by no other kind; `None` for a section that only its owner
    /// reads.
    pub grant: Option<Sections>,
}

/// A kind of item: its header, its content and its sections.
pub trait ItemKind: fmt::Debug + Sized + Send + Sync + 'static {
    /// The marker type of its ids.
    type Id: 'static;
    /// The header: times and links.
    type Header: Header;
    /// The whole content, header included.
    type Content: Clone + PartialEq + fmt::Debug + Send + Sync + 'static;

    /// The kind in the change sequence.
    const ENTITY: Entity;
    /// The table.
    const TABLE: &'static str;
    /// The number of the header among the sections.
    const HEADER: i32;
    /// The sections besides the header, in the order of the columns.
    const SECTIONS: &'static [Section];

    /// Returns the header.
    fn header(content: &Self::Content) -> &Self::Header;
    /// Returns the header, mutable.
    fn header_mut(content: &mut Self::Content) -> &mut Self::Header;
    /// Whether a reader sees a difference between two headers of an item, apart from its date and its phase.
    fn differ_for_readers(before: &Self::Header, after: &Self::Header) -> bool;
    /// Returns the sections as they are stored, in the order of [`Self::SECTIONS`]; `None` for an empty one
    /// ([`section`]).
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when one is not representable as JSON.
    fn sections(content: &Self::Content) -> Result<Vec<Option<Box<RawValue>>>>;
    /// Builds the content from its header and the opened sections.
    ///
    /// # Errors
    ///
    /// [`serde_json::Error`] when a section does not have its shape.
    fn content(header: Self::Header, sections: &[Option<&RawValue>]) -> serde_json::Result<Self::Content>;
    /// Returns the links that stand in the clear, in the order of the columns; none by default.
    fn links(_: &Self::Header) -> Vec<Option<Id<Any>>> {
        Vec::new()
    }

    /// Returns the sections that can be opened to a reader.
    fn grants() -> Sections {
        Self::SECTIONS.iter().filter_map(|section| section.grant).fold(Sections::default(), Sections::or)
    }
}

/// Returns the stored form of a section; `None` when it is empty.
///
/// # Errors
///
/// [`Error::Internal`] when it is not representable as JSON.
pub fn section<S: Serialize>(value: &S) -> Result<Option<Box<RawValue>>> {
    let raw = to_raw_value(value).map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(if matches!(raw.get(), "null" | "[]" | "{}") { None } else { Some(raw) })
}

/// Reads a section from its stored form, by its place among [`ItemKind::SECTIONS`]; an empty one is the default.
///
/// # Errors
///
/// [`serde_json::Error`] when it does not have its shape.
pub fn read<S: Default + DeserializeOwned>(sections: &[Option<&RawValue>], place: usize) -> serde_json::Result<S> {
    let section = sections.get(place).copied().flatten();
    section.map_or_else(|| Ok(S::default()), |raw| serde_json::from_str(raw.get()))
}

/// The circumstances of an item: status, time, zone and prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Whether it is still being worked on.
    pub draft: bool,
    /// The instant at which it happened.
    pub occurred_at: Timestamp,
    /// The zone of the device.
    pub zone: Option<Zone>,
    /// The instant of writing, by the clock of the device.
    pub recorded_at: Option<Timestamp>,
    /// The prompt that it answers.
    pub prompt_id: Option<Id<Prompt>>,
}

impl Circumstances {
    /// Returns the date on which it happened, in the zone that the device named, else in `home`.
    pub fn local_date(&self, home: impl FnOnce(Timestamp) -> Zone) -> Date {
        match &self.zone {
            Some(zone) => zone.date(self.occurred_at),
            None => home(self.occurred_at).date(self.occurred_at),
        }
    }

    /// Whether its times are odd for an arrival at `received_at`. Such times are kept and flagged.
    pub fn clock_suspect(&self, received_at: Timestamp) -> bool {
        device_time::is_odd(self.occurred_at, self.recorded_at, received_at)
    }
}

/// The circumstances in a body, not yet checked.
#[derive(Clone, Debug)]
pub struct CircumstancesFields {
    /// `done` (the default) or `draft`.
    pub status: Option<String>,
    /// The instant at which it happened, with an offset.
    pub occurred_at: String,
    /// The IANA zone of the device.
    pub zone: Option<String>,
    /// The instant of writing, by the clock of the device.
    pub recorded_at: Option<String>,
    /// The prompt that it answers.
    pub prompt_id: Option<Uuid>,
}

impl CircumstancesFields {
    /// Parses the circumstances; faults go to `fields`.
    pub fn parse(self, fields: &mut Fields) -> Option<Circumstances> {
        let draft = match self.status.as_deref() {
            None | Some("done") => false,
            Some("draft") => true,
            Some(_) => {
                fields.fault("/status", "must be `draft` or `done`");
                false
            }
        };
        let occurred = fields.take("/occurred_at", device_time::instant(&self.occurred_at));
        let zone = self.zone.and_then(|name| fields.take("/zone", Zone::parse(&name)));
        let recorded = self.recorded_at.and_then(|text| fields.take("/recorded_at", device_time::instant(&text)));
        Some(Circumstances {
            draft,
            occurred_at: occurred?,
            zone,
            recorded_at: recorded,
            prompt_id: self.prompt_id.map(Id::from_uuid),
        })
    }

    /// Returns the raw form that would parse to these circumstances.
    pub fn of(circumstances: &Circumstances) -> Self {
        Self {
            status: Some(if circumstances.draft { "draft" } else { "done" }.to_owned()),
            occurred_at: circumstances.occurred_at.to_string(),
            zone: circumstances.zone.as_ref().map(|zone| zone.name().to_owned()),
            recorded_at: circumstances.recorded_at.map(|at| at.to_string()),
            prompt_id: circumstances.prompt_id.map(Id::uuid),
        }
    }
}

/// The header of a kind of item.
pub trait Header: Clone + PartialEq + fmt::Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Returns the part that every header has.
    fn circumstances(&self) -> &Circumstances;
    /// Returns the same part, mutable.
    fn circumstances_mut(&mut self) -> &mut Circumstances;
}

/// Refuses to make a draft of a done item.
///
/// # Errors
///
/// [`Error::Invalid`].
pub fn stays_done<T: ItemKind>(old: &T::Content, new: &T::Content) -> Result<()> {
    let draft = |content| T::header(content).circumstances().draft;
    let mut fields = Fields::new();
    fields.check(draft(old) || !draft(new), "/status", "what is done does not become a draft again");
    fields.done()
}

/// The header of a kind without fields of its own.
impl Header for Circumstances {
    fn circumstances(&self) -> &Circumstances {
        self
    }

    fn circumstances_mut(&mut self) -> &mut Circumstances {
        self
    }
}

/// A sealed section or header, and the version of the row that last changed it; 0 and nothing when it never was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its revision.
    pub rev: i64,
    /// The sealed document.
    pub sealed: Option<Vec<u8>>,
}

/// An item as it is stored.
#[derive(Clone, Debug)]
pub struct ItemRow {
    /// Its id.
    pub id: Id<Any>,
    /// Its version.
    pub version: i64,
    /// The sealed header, then the sealed sections.
    pub parts: Vec<Part>,
    /// The instant at which it happened, by which it stands in the owner's list.
    pub occurred_at: Timestamp,
    /// The instant at which it reached the server.
    pub received_at: Timestamp,
    /// The instant of the last change.
    pub updated_at: Timestamp,
    /// The instant of the deletion.
    pub deleted_at: Option<Timestamp>,
}

impl ItemRow {
    /// Returns the number of its sealed bytes.
    pub fn bytes(&self) -> usize {
        self.parts.iter().filter_map(|part| part.sealed.as_ref()).map(Vec::len).sum()
    }

    /// Returns the number of its sealed bytes for a reader of the `shared` sections. What is not open to them does not
    /// count: its length would show in the place where a page ends.
    pub fn shared_bytes<T: ItemKind>(&self, shared: Sections) -> usize {
        let sections = T::SECTIONS.iter().zip(self.parts.iter().skip(1));
        let open = sections.filter(|(section, _)| section.grant.is_some_and(|grant| shared.has(grant)));
        SMALL + open.filter_map(|(_, part)| part.sealed.as_ref()).map(Vec::len).sum::<usize>()
    }

    /// Returns the parts as of `version`, from the present ones and those that were replaced after it. `kept` holds, by
    /// number, the one with `rev <= version < replaced at` of each, if there is one.
    pub fn back_to<T: ItemKind>(&self, version: i64, kept: &[(i32, Part)]) -> Vec<Part> {
        let numbers = std::iter::once(T::HEADER).chain(T::SECTIONS.iter().map(|section| section.number));
        let part = |(number, part): (i32, &Part)| match kept.iter().find(|(kept, _)| *kept == number) {
            Some((_, old)) => old.clone(),
            None if part.rev > version => Part::default(),
            None => part.clone(),
        };
        numbers.zip(&self.parts).map(part).collect()
    }

    /// Whether it was deleted so long ago that it cannot be undeleted.
    pub fn is_gone(&self, now: Timestamp) -> bool {
        self.deleted_at.is_some_and(|at| now.duration_since(at) >= UNDO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Entries;

    #[test]
    fn a_revision_is_put_together_from_what_is_left_and_what_was_replaced() {
        let part = |rev| match rev {
            0 => Part::default(),
            _ => Part { rev, sealed: Some(rev.to_be_bytes().to_vec()) },
        };
        let parts = |revs: [i64; 5]| revs.map(part).to_vec();
        let at = Timestamp::UNIX_EPOCH;
        // Version 1 had a text; 2 changed it; 3 added a mood; 4 changed the text again.
        let (id, version, parts_now) = (Id::from_uuid(Uuid::nil()), 4, parts([1, 4, 3, 0, 0]));
        let now = ItemRow {
            id,
            version,
            parts: parts_now,
            occurred_at: at,
            received_at: at,
            updated_at: at,
            deleted_at: None,
        };
        let text = Entries::SECTIONS[0].number;
        assert_eq!(now.back_to::<Entries>(2, &[(text, part(2))]), parts([1, 2, 0, 0, 0]), "no mood yet");
        assert_eq!(now.back_to::<Entries>(3, &[(text, part(2))]), parts([1, 2, 3, 0, 0]));
        assert_eq!(now.back_to::<Entries>(4, &[]), now.parts);
    }
}
