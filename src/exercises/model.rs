//! The content of a response.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answers::Answers;
use super::catalogue::{Exercise, find};
use crate::care::grants::Sections;
use crate::changes::Entity;
use crate::items::{self, Circumstances, Section, section};
use crate::kernel::id::{Any, Assignment, Prompt, Response};
use crate::kernel::{Error, Fields, Id, Result, Zone};

/// The rise of distress from which grounding is offered.
pub const ROSE: u8 = 3;
/// The distress at the end from which grounding is offered.
pub const HIGH: u8 = 8;

/// The header: exercise, time, links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredHeader")]
pub struct Header {
    /// The exercise.
    pub exercise_key: String,
    /// The version of the exercise.
    pub exercise_version: u32,
    /// The circumstances.
    #[serde(flatten)]
    pub circumstances: Circumstances,
    /// The assignment that asked for it.
    pub assignment_id: Option<Id<Assignment>>,
}

/// A header as it is read: one flat object, because `flatten` copies every field before it looks at one.
#[derive(Deserialize)]
struct StoredHeader {
    exercise_key: String,
    exercise_version: u32,
    draft: bool,
    occurred_at: Timestamp,
    zone: Option<Zone>,
    recorded_at: Option<Timestamp>,
    prompt_id: Option<Id<Prompt>>,
    assignment_id: Option<Id<Assignment>>,
}

impl From<StoredHeader> for Header {
    fn from(stored: StoredHeader) -> Self {
        let StoredHeader {
            exercise_key,
            exercise_version,
            draft,
            occurred_at,
            zone,
            recorded_at,
            prompt_id,
            assignment_id,
        } = stored;
        let circumstances = Circumstances { draft, occurred_at, zone, recorded_at, prompt_id };
        Self { exercise_key, exercise_version, circumstances, assignment_id }
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

impl Header {
    /// Finds the exercise, in the version that was worked on.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when the library does not have it; versions are never removed.
    pub fn exercise(&self) -> Result<&'static Exercise> {
        find(&self.exercise_key, Some(self.exercise_version))
            .ok_or_else(|| Error::internal("a response names an exercise that the library does not have"))
    }
}

/// Distress before and after (0 none to 10 as strong as it gets), and usefulness (0 to 4).
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distress {
    /// At the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u8>,
    /// At the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u8>,
    /// The usefulness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usefulness: Option<u8>,
}

impl std::fmt::Debug for Distress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Distress(***)")
    }
}

impl Distress {
    /// Whether grounding is to be offered: distress is high at the end, or has risen.
    pub fn calls_for_grounding(self) -> bool {
        let rose = self.before.zip(self.after).is_some_and(|(before, after)| after >= before.saturating_add(ROSE));
        rose || self.after.is_some_and(|after| after >= HIGH)
    }
}

/// The whole content, header included.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseContent {
    /// The header.
    pub header: Header,
    /// The answers to its steps.
    pub answers: Option<Answers>,
    /// Distress before and after, and usefulness.
    pub distress: Option<Distress>,
}

impl ResponseContent {
    /// Refuses a change of the exercise.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`].
    pub fn may_become(&self, new: &Self) -> Result<()> {
        let same = |header: &Header| (header.exercise_key.clone(), header.exercise_version);
        let mut fields = Fields::new();
        fields.check(same(&self.header) == same(&new.header), "/exercise_key", "does not change");
        fields.done()
    }

    /// Returns the date on which it comes back to the patient, if its exercise has one and it is answered.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when the library does not have its exercise.
    pub fn returns_on(&self) -> Result<Option<Date>> {
        let exercise = self.header.exercise()?;
        Ok(exercise.returns_on.as_ref().and_then(|step| self.answers.as_ref()?.date(step)))
    }

    /// Whether the exercise is only begun: it has no answers and no distress yet.
    pub fn begins(&self) -> bool {
        self.header.circumstances.draft && self.answers.is_none() && self.distress.is_none()
    }
}

/// Exercise responses, as a kind of item.
#[derive(Debug)]
pub enum Responses {}

impl items::ItemKind for Responses {
    type Id = Response;
    type Header = Header;
    type Content = ResponseContent;

    const ENTITY: Entity = Entity::Response;
    const TABLE: &'static str = "exercise_responses";
    const HEADER: i32 = 10;
    const SECTIONS: &'static [Section] = &[
        Section { number: 11, column: "answers", grant: Some(Sections::ANSWERS) },
        Section { number: 12, column: "distress", grant: Some(Sections::DISTRESS) },
    ];

    fn header(content: &ResponseContent) -> &Header {
        &content.header
    }

    fn header_mut(content: &mut ResponseContent) -> &mut Header {
        &mut content.header
    }

    fn differ_for_readers(before: &Header, after: &Header) -> bool {
        (&before.exercise_key, before.exercise_version) != (&after.exercise_key, after.exercise_version)
    }

    fn sections(content: &ResponseContent) -> Result<Vec<Option<Box<RawValue>>>> {
        Ok(vec![section(&content.answers)?, section(&content.distress)?])
    }

    fn content(header: Header, sections: &[Option<&RawValue>]) -> serde_json::Result<ResponseContent> {
        Ok(ResponseContent { header, answers: items::read(sections, 0)?, distress: items::read(sections, 1)? })
    }

    fn links(header: &Header) -> Vec<Option<Id<Any>>> {
        vec![header.circumstances.prompt_id.map(Id::any), header.assignment_id.map(Id::any)]
    }
}
