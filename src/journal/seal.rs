//! The sealed parts of an entry: which there are, where they lie, how they are sealed, opened and put together again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::model::{Content, Header};
use crate::care::grants::Sections;
use crate::kernel::id::{Entry, Patient};
use crate::kernel::{Error, Id, Result};
pub use crate::revisions::Part;
use crate::revisions::{self, Parts as _, Section as Named, Stamped};
use crate::vault::{Keys, Place, Purpose};

/// One part of an entry. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Kind, time, links.
    Header,
    /// Title and body.
    Text,
    /// The dials.
    Mood,
    /// The tags.
    Tags,
    /// The attachments.
    Attachments,
}

impl Named for Section {
    const ALL: &'static [Self] = &[Self::Header, Self::Text, Self::Mood, Self::Tags, Self::Attachments];

    fn number(self) -> i32 {
        match self {
            Self::Header => 0,
            Self::Text => 1,
            Self::Mood => 2,
            Self::Tags => 3,
            Self::Attachments => 4,
        }
    }
}

impl Section {
    const fn column(self) -> &'static str {
        match self {
            Self::Header => "meta",
            Self::Text => "text",
            Self::Mood => "mood",
            Self::Tags => "tags",
            Self::Attachments => "attachments",
        }
    }
}

/// The parts of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Kind, time, links.
    pub header: Part,
    /// Title and body.
    pub text: Part,
    /// The dials.
    pub mood: Part,
    /// The tags.
    pub tags: Part,
    /// The attachments.
    pub attachments: Part,
}

impl revisions::Parts for Parts {
    type Section = Section;

    fn get(&self, section: Section) -> &Part {
        match section {
            Section::Header => &self.header,
            Section::Text => &self.text,
            Section::Mood => &self.mood,
            Section::Tags => &self.tags,
            Section::Attachments => &self.attachments,
        }
    }

    fn get_mut(&mut self, section: Section) -> &mut Part {
        match section {
            Section::Header => &mut self.header,
            Section::Text => &mut self.text,
            Section::Mood => &mut self.mood,
            Section::Tags => &mut self.tags,
            Section::Attachments => &mut self.attachments,
        }
    }
}

/// The header, with what the server thought of its times.
#[derive(Serialize, Deserialize)]
struct Judged {
    #[serde(flatten)]
    header: Header,
    #[serde(default)]
    clock_suspect: bool,
}

/// Whose entry it is, and which.
#[derive(Clone, Copy, Debug)]
pub struct Of {
    /// Whose.
    pub patient: Id<Patient>,
    /// Which.
    pub entry: Id<Entry>,
}

impl Of {
    fn place(self, section: Section, revision: i64) -> Place {
        let (subject, row) = (self.patient.uuid(), self.entry.uuid());
        Place { table: "entries", column: section.column(), subject, row, revision }
    }

    fn seal(self, keys: &Keys, section: Section, rev: i64, at: Timestamp, content: &Content) -> Result<Part> {
        let place = self.place(section, rev);
        let sealed = match section {
            Section::Header => {
                let value = Judged { header: content.header.clone(), clock_suspect: content.header.clock_suspect(at) };
                keys.seal_json(Purpose::Journal, &place, &Stamped { at, value })
            }
            Section::Text => keys.seal_json(Purpose::Journal, &place, &Stamped { at, value: &content.text }),
            Section::Mood => keys.seal_json(Purpose::Journal, &place, &Stamped { at, value: &content.mood }),
            Section::Tags => keys.seal_json(Purpose::Journal, &place, &Stamped { at, value: &content.tags }),
            Section::Attachments => {
                keys.seal_json(Purpose::Journal, &place, &Stamped { at, value: &content.attachments })
            }
        };
        Ok(Part { rev, sealed: Some(sealed?) })
    }

    /// The parts of a new entry. What it does not have is not there.
    pub fn fresh(self, keys: &Keys, content: &Content, now: Timestamp) -> Result<Parts> {
        let mut parts = Parts::default();
        for section in Section::ALL.iter().copied() {
            let there = match section {
                Section::Header => true,
                Section::Text => content.text.is_some(),
                Section::Mood => content.mood.is_some(),
                Section::Tags => !content.tags.is_empty(),
                Section::Attachments => !content.attachments.is_empty(),
            };
            if there {
                *parts.get_mut(section) = self.seal(keys, section, 1, now, content)?;
            }
        }
        Ok(parts)
    }

    /// The parts after a change from `old` to `new` that makes the row `version`, and which of them changed.
    pub fn revised(
        self,
        keys: &Keys,
        parts: &Parts,
        (old, new): (&Content, &Content),
        version: i64,
        now: Timestamp,
    ) -> Result<(Parts, Vec<Section>)> {
        let mut parts = parts.clone();
        let mut changed = Vec::new();
        for section in Section::ALL.iter().copied() {
            let same = match section {
                Section::Header => old.header == new.header,
                Section::Text => old.text == new.text,
                Section::Mood => old.mood == new.mood,
                Section::Tags => old.tags == new.tags,
                Section::Attachments => old.attachments == new.attachments,
            };
            if !same {
                *parts.get_mut(section) = self.seal(keys, section, version, now, new)?;
                changed.push(section);
            }
        }
        Ok((parts, changed))
    }

    /// Opens the header alone.
    pub fn open_header(self, keys: &Keys, part: &Part) -> Result<Header> {
        Ok(self.opened::<Judged>(keys, Section::Header, part)?.ok_or_else(|| self.corrupt())?.value.header)
    }

    /// Opens the header and those of `sections`; the others stay closed and look empty.
    pub fn open(self, keys: &Keys, parts: &Parts, sections: Sections) -> Result<Opened> {
        let header = self.opened::<Judged>(keys, Section::Header, &parts.header)?.ok_or_else(|| self.corrupt())?;
        let nothing = Part::default();
        let of = |section, part| if sections.has(section) { part } else { &nothing };
        let text = self.opened(keys, Section::Text, of(Sections::TEXT, &parts.text))?;
        let mood = self.opened(keys, Section::Mood, of(Sections::MOOD, &parts.mood))?;
        let tags = self.opened(keys, Section::Tags, of(Sections::TAGS, &parts.tags))?;
        let attachments = self.opened(keys, Section::Attachments, of(Sections::ATTACHMENTS, &parts.attachments))?;
        let times = [at(text.as_ref()), at(mood.as_ref()), at(tags.as_ref()), at(attachments.as_ref())];
        Ok(Opened {
            clock_suspect: header.value.clock_suspect,
            sections_at: times.into_iter().flatten().max(),
            content: Content {
                header: header.value.header,
                text: text.and_then(|part| part.value),
                mood: mood.and_then(|part| part.value),
                tags: tags.map(|part| part.value).unwrap_or_default(),
                attachments: attachments.map(|part| part.value).unwrap_or_default(),
            },
        })
    }

    fn opened<T: serde::de::DeserializeOwned>(
        self,
        keys: &Keys,
        section: Section,
        part: &Part,
    ) -> Result<Option<Stamped<T>>> {
        let open = |sealed: &Vec<u8>| keys.open_json(&self.place(section, part.rev), sealed);
        part.sealed.as_ref().map(open).transpose()
    }

    fn corrupt(self) -> Error {
        Error::corrupt("entries", self.entry)
    }
}

fn at<T>(part: Option<&Stamped<T>>) -> Option<Timestamp> {
    part.map(|part| part.at)
}

/// An opened entry, or what of it was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What it says.
    pub content: Content,
    /// Whether its times were odd when it arrived.
    pub clock_suspect: bool,
    /// When one of the opened sections last changed.
    pub sections_at: Option<Timestamp>,
}
