//! The sealed parts of a response: which there are, where they lie, how they are sealed, opened and put together again.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::model::{Content, Header};
use crate::care::grants::Sections;
use crate::kernel::id::{Patient, Response};
use crate::kernel::{Error, Id, Result};
pub use crate::revisions::Part;
use crate::revisions::{self, Parts as _, Section as Named, Stamped};
use crate::vault::{Keys, Place, Purpose};

/// One part of a response. The numbers are stored, beside those of an entry's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Which exercise, when, links.
    Header,
    /// The answers.
    Answers,
    /// How it felt.
    Distress,
}

impl Named for Section {
    const ALL: &'static [Self] = &[Self::Header, Self::Answers, Self::Distress];

    fn number(self) -> i32 {
        match self {
            Self::Header => 10,
            Self::Answers => 11,
            Self::Distress => 12,
        }
    }
}

impl Section {
    const fn column(self) -> &'static str {
        match self {
            Self::Header => "meta",
            Self::Answers => "answers",
            Self::Distress => "distress",
        }
    }
}

/// The parts of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Which exercise, when, links.
    pub header: Part,
    /// The answers.
    pub answers: Part,
    /// How it felt.
    pub distress: Part,
}

impl revisions::Parts for Parts {
    type Section = Section;

    fn get(&self, section: Section) -> &Part {
        match section {
            Section::Header => &self.header,
            Section::Answers => &self.answers,
            Section::Distress => &self.distress,
        }
    }

    fn get_mut(&mut self, section: Section) -> &mut Part {
        match section {
            Section::Header => &mut self.header,
            Section::Answers => &mut self.answers,
            Section::Distress => &mut self.distress,
        }
    }
}

/// The header, with what the server thought of its times.
#[derive(Serialize, Deserialize)]
struct Judged {
    #[serde(flatten)]
    header: Header,
    clock_suspect: bool,
}

/// Whose response it is, and which.
#[derive(Clone, Copy, Debug)]
pub struct Of {
    /// Whose.
    pub patient: Id<Patient>,
    /// Which.
    pub response: Id<Response>,
}

impl Of {
    fn place(self, section: Section, revision: i64) -> Place {
        let (subject, row) = (self.patient.uuid(), self.response.uuid());
        Place { table: "exercise_responses", column: section.column(), subject, row, revision }
    }

    fn seal(self, keys: &Keys, section: Section, rev: i64, at: Timestamp, content: &Content) -> Result<Part> {
        let place = self.place(section, rev);
        let sealed = match section {
            Section::Header => {
                let value = Judged { header: content.header.clone(), clock_suspect: content.header.clock_suspect(at) };
                keys.seal_json(Purpose::Journal, &place, &Stamped { at, value })
            }
            Section::Answers => keys.seal_json(Purpose::Journal, &place, &Stamped { at, value: &content.answers }),
            Section::Distress => keys.seal_json(Purpose::Journal, &place, &Stamped { at, value: &content.distress }),
        };
        Ok(Part { rev, sealed: Some(sealed?) })
    }

    /// The parts of a new response. What it does not have is not there.
    pub fn fresh(self, keys: &Keys, content: &Content, now: Timestamp) -> Result<Parts> {
        let nothing = Content { header: content.header.clone(), answers: None, distress: None };
        let (mut parts, _) = self.revised(keys, &Parts::default(), (&nothing, content), 1, now)?;
        parts.header = self.seal(keys, Section::Header, 1, now, content)?;
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
        let (mut parts, mut changed) = (parts.clone(), Vec::new());
        for section in Section::ALL.iter().copied() {
            let same = match section {
                Section::Header => old.header == new.header,
                Section::Answers => old.answers == new.answers,
                Section::Distress => old.distress == new.distress,
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
        Ok(self.judged(keys, part)?.value.header)
    }

    /// Opens the header and those of `sections`; the others stay closed and look empty.
    pub fn open(self, keys: &Keys, parts: &Parts, sections: Sections) -> Result<Opened> {
        let header = self.judged(keys, &parts.header)?;
        let nothing = Part::default();
        let of = |section, part| if sections.has(section) { part } else { &nothing };
        let answers = self.opened(keys, Section::Answers, of(Sections::ANSWERS, &parts.answers))?;
        let distress = self.opened(keys, Section::Distress, of(Sections::DISTRESS, &parts.distress))?;
        let times = [answers.as_ref().map(|part| part.at), distress.as_ref().map(|part| part.at)];
        Ok(Opened {
            clock_suspect: header.value.clock_suspect,
            sections_at: times.into_iter().flatten().max(),
            content: Content {
                header: header.value.header,
                answers: answers.and_then(|part| part.value),
                distress: distress.and_then(|part| part.value),
            },
        })
    }

    fn judged(self, keys: &Keys, part: &Part) -> Result<Stamped<Judged>> {
        let header = self.opened(keys, Section::Header, part)?;
        header.ok_or_else(|| Error::corrupt("exercise_responses", self.response))
    }

    fn opened<T: DeserializeOwned>(self, keys: &Keys, section: Section, part: &Part) -> Result<Option<Stamped<T>>> {
        let open = |sealed: &Vec<u8>| keys.open_json(&self.place(section, part.rev), sealed);
        part.sealed.as_ref().map(open).transpose()
    }
}

/// An opened response, or what of it was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What it says.
    pub content: Content,
    /// Whether its times were odd when it arrived.
    pub clock_suspect: bool,
    /// When one of the opened sections last changed.
    pub sections_at: Option<Timestamp>,
}
