//! What an entry says.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize};

use crate::kernel::id::{Attachment, Infusion, Prompt};
use crate::kernel::{Id, Text, Zone, told};

/// How much Markdown a body holds, in bytes.
pub const BODY_BYTES: usize = 256 * 1024;
/// How many tags an entry has.
pub const TAGS: usize = 20;
/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Thinking about what was.
    Reflection,
    /// A scrap that may be joined to something later.
    Fragment,
    /// Anything.
    Note,
    /// A dream.
    Dream,
    /// What somebody wants to do, or to bring to a session.
    Intention,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Reflection, Self::Fragment, Self::Note, Self::Dream, Self::Intention];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reflection => "reflection",
            Self::Fragment => "fragment",
            Self::Note => "note",
            Self::Dream => "dream",
            Self::Intention => "intention",
        }
    }

    /// The kind of that name.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or("must be reflection, fragment, note, dream or intention")
    }
}

/// Markdown of at most [`BODY_BYTES`], free of NUL; prints its length, never its content.
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
        if text.len() > BODY_BYTES {
            return Err(format!("must have at most {BODY_BYTES} bytes"));
        }
        if text.contains('\0') {
            return Err("must not contain the NUL character".to_owned());
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Markdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Markdown({} bytes)", self.0.len())
    }
}

/// What was sealed once was checked then.
impl<'de> Deserialize<'de> for Markdown {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}

/// The section `text`; it has a title, a body, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSection {
    /// The title.
    pub title: Option<Text<200>>,
    /// The body.
    pub body: Option<Markdown>,
}

/// The section `mood`: dials from 0 to 10, at least one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mood {
    /// From unpleasant to pleasant.
    pub valence: Option<u8>,
    /// From drained to lively.
    pub energy: Option<u8>,
    /// From alone to connected.
    pub connection: Option<u8>,
    /// From none to unbearable.
    pub distress: Option<u8>,
}

/// What is neither written nor felt: kind, time, links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The kind.
    pub kind: Kind,
    /// Whether it is still being written.
    pub draft: bool,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The offset from UTC that the device gave with it, in seconds.
    pub offset: i32,
    /// The zone the device said it was in.
    pub zone: Option<Zone>,
    /// When the device took it down, by its own clock.
    pub recorded_at: Option<Timestamp>,
    /// The infusion that it is about.
    pub infusion_id: Option<Id<Infusion>>,
    /// The prompt that it answers.
    pub prompt_id: Option<Id<Prompt>>,
}

impl Header {
    /// The date on which it happened, where the patient was: in the zone the device named, else in `home`.
    pub fn local_date(&self, home: impl FnOnce(Timestamp) -> Zone) -> Date {
        match &self.zone {
            Some(zone) => zone.date(self.occurred_at),
            None => home(self.occurred_at).date(self.occurred_at),
        }
    }

    /// Whether its times are odd, seen from when it arrived.
    pub fn clock_suspect(&self, received_at: Timestamp) -> bool {
        told::is_odd(self.occurred_at, self.recorded_at, received_at)
    }
}

/// All that an entry says.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Kind, time, links.
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
