//! The content of an entry.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::care::grants::Sections;
use crate::changes::Entity;
use crate::items::{self, Circumstances, Section, section};
use crate::kernel::id::{Any, Attachment, Entry, Infusion, Prompt};
use crate::kernel::unicode::folded;
use crate::kernel::{Id, Result, Text, Zone};

/// The most characters of Markdown in a body. Even if each has four bytes, they fit into a request of 1 MiB with all
/// that stands beside them.
pub const BODY: usize = 256_000;
/// The most tags of an entry.
pub const TAGS: usize = 20;
/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A reflection on an experience.
    Reflection,
    /// A scrap that may be joined to something later.
    Fragment,
    /// A note on anything.
    Note,
    /// A dream.
    Dream,
    /// A thing to do, or to bring to a session.
    Intention,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Reflection, Self::Fragment, Self::Note, Self::Dream, Self::Intention];

    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reflection => "reflection",
            Self::Fragment => "fragment",
            Self::Note => "note",
            Self::Dream => "dream",
            Self::Intention => "intention",
        }
    }

    /// Parses the name of a kind.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or("must be reflection, fragment, note, dream or intention")
    }
}

/// Markdown of at most [`BODY`] characters, free of NUL. `Debug` prints its length, never its content.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Markdown(String);

impl Markdown {
    /// Takes `text` if it fits.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it.
    pub fn parse(text: String) -> Result<Self, String> {
        // A character is at least one byte: the count is only needed near the limit.
        if text.len() > BODY && text.chars().count() > BODY {
            return Err(format!("must have at most {BODY} characters"));
        }
        if text.contains('\0') {
            return Err("must not contain the NUL character".to_owned());
        }
        Ok(Self(text))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Markdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Markdown({} bytes)", self.0.len())
    }
}

/// Sealed text was checked before it was sealed.
impl<'de> Deserialize<'de> for Markdown {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}

/// The section `text`; it has a title, a body, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSection {
    /// The title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Text<200>>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Markdown>,
}

/// The section `mood`: dials from 0 to 10, at least one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mood {
    /// From unpleasant to pleasant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valence: Option<u8>,
    /// From drained to lively.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<u8>,
    /// From alone to connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<u8>,
    /// From none to unbearable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distress: Option<u8>,
}

/// The header: kind, time, links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredHeader")]
pub struct Header {
    /// The kind.
    pub kind: EntryKind,
    /// The circumstances.
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// The infusion that it is about.
    pub infusion_id: Option<Id<Infusion>>,
}

/// A header as it is read: one flat object, because `flatten` copies every field before it looks at one.
#[derive(Deserialize)]
struct StoredHeader {
    kind: EntryKind,
    draft: bool,
    occurred_at: Timestamp,
    zone: Option<Zone>,
    recorded_at: Option<Timestamp>,
    prompt_id: Option<Id<Prompt>>,
    infusion_id: Option<Id<Infusion>>,
}

impl From<StoredHeader> for Header {
    fn from(stored: StoredHeader) -> Self {
        let StoredHeader { kind, draft, occurred_at, zone, recorded_at, prompt_id, infusion_id } = stored;
        let circumstances = Circumstances { draft, occurred_at, zone, recorded_at, prompt_id };
        Self { kind, circumstances, infusion_id }
    }
}

impl items::Header for Header {
    fn circumstances(&self) -> &Circumstances {
        &self.circumstances
    }

    fn circumstances_mut(&mut self) -> &mut Circumstances {
        &mut self.circumstances
    }
}

/// The whole content, header included.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryContent {
    /// The header.
    pub header: Header,
    /// Title and body.
    pub text: Option<TextSection>,
    /// The dials.
    pub mood: Option<Mood>,
    /// The tags.
    pub tags: Vec<Text<40>>,
    /// The attachments.
    pub attachments: Vec<Id<Attachment>>,
}

impl EntryContent {
    /// Whether a tag marks it as a takeaway for the next session.
    pub fn is_takeaway(&self) -> bool {
        !self.header.circumstances.draft && self.tags.iter().any(|tag| is_takeaway(tag.as_str()))
    }
}

/// Whether a tag marks a takeaway for the next session.
pub fn is_takeaway(tag: &str) -> bool {
    folded(tag.trim()) == "takeaway"
}

/// Entries, as a kind of item.
#[derive(Debug)]
pub enum Entries {}

impl items::ItemKind for Entries {
    type Id = Entry;
    type Header = Header;
    type Content = EntryContent;

    const ENTITY: Entity = Entity::Entry;
    const TABLE: &'static str = "entries";
    const HEADER: i32 = 0;
    const SECTIONS: &'static [Section] = &[
        Section { number: 1, column: "text", grant: Some(Sections::TEXT) },
        Section { number: 2, column: "mood", grant: Some(Sections::MOOD) },
        Section { number: 3, column: "tags", grant: Some(Sections::TAGS) },
        Section { number: 4, column: "attachments", grant: Some(Sections::ATTACHMENTS) },
    ];

    fn header(content: &EntryContent) -> &Header {
        &content.header
    }

    fn header_mut(content: &mut EntryContent) -> &mut Header {
        &mut content.header
    }

    fn differ_for_readers(before: &Header, after: &Header) -> bool {
        before.kind != after.kind
    }

    fn sections(content: &EntryContent) -> Result<Vec<Option<Box<RawValue>>>> {
        let EntryContent { text, mood, tags, attachments, .. } = content;
        Ok(vec![section(text)?, section(mood)?, section(tags)?, section(attachments)?])
    }

    fn content(header: Header, sections: &[Option<&RawValue>]) -> serde_json::Result<EntryContent> {
        Ok(EntryContent {
            header,
            text: items::read(sections, 0)?,
            mood: items::read(sections, 1)?,
            tags: items::read(sections, 2)?,
            attachments: items::read(sections, 3)?,
        })
    }

    fn links(header: &Header) -> Vec<Option<Id<Any>>> {
        vec![header.infusion_id.map(Id::any), header.circumstances.prompt_id.map(Id::any)]
    }
}
