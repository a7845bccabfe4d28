//! The library: what the exercises are made of, without words for people.
//!
//! The data lies beside this file and is append-only: a changed exercise is a new version, and responses keep theirs.
//! `data/schema.json` describes it, is published, and a test holds the data to it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::planning::Capability;
use crate::planning::window::Phase;
use crate::settings::CautionFlag;

/// The JSON Schema of the data, as it is published.
pub const SCHEMA: &str = include_str!("data/schema.json");

/// One version of an exercise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// Its name.
    pub key: String,
    /// Its version; versions are never changed.
    pub version: u32,
    /// The school it comes from.
    pub modality: String,
    /// The minutes it takes.
    pub minutes: u32,
    /// The phases it was made for, in their order.
    pub phases: Vec<Phase>,
    /// Whether patients do it alone.
    pub guidance: Guidance,
    /// The evidence for it in the days after ketamine: `tested_related`, `general` or `conventional`.
    pub evidence_in_window: String,
    /// The caution flags that speak against it, and what is offered instead.
    pub cautions: Vec<Caution>,
    /// Its steps, in the order in which they are shown.
    pub steps: Vec<Step>,
}

/// Whether somebody does an exercise alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guidance {
    /// Alone.
    #[serde(rename = "self")]
    Alone,
    /// Alone, and better with a therapist.
    Guided,
    /// With a therapist only: an assignment opens it.
    TherapistOnly,
}

/// Whether an exercise is offered to a patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offer {
    /// It is.
    Yes,
    /// Together with a therapist, who assigns it.
    WithTherapist,
    /// Not for now.
    NotNow,
}

impl Offer {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::WithTherapist => "with_therapist",
            Self::NotNow => "not_now",
        }
    }
}

/// A caution: a flag, and what is offered to patients who have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caution {
    /// The flag.
    pub flag: CautionFlag,
    /// The offer to patients who have it.
    pub offer: Offer,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Step {
    /// Its name within the exercise: answers and words are found by it.
    pub id: String,
    /// The question.
    #[serde(flatten)]
    pub ask: Ask,
    /// Asked so many hours after the others.
    #[serde(default)]
    pub defer_h: Option<u32>,
    /// Without it the exercise cannot be done: a gate that keeps somebody safe.
    #[serde(default)]
    pub required: bool,
}

/// The question of a step, with the bounds of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Ask {
    /// Nothing: something to read.
    Info,
    /// A text of a few words.
    TextShort,
    /// A longer text.
    TextLong,
    /// Some short texts.
    List {
        /// The number of fields shown.
        items: usize,
    },
    /// A whole number from 0 to 10.
    Scale {
        /// From here on the exercise stops.
        #[serde(default)]
        stop_at: Option<u8>,
    },
    /// One of some options.
    Single {
        /// Their keys.
        options: Vec<String>,
        /// Those at which the exercise stops.
        #[serde(default)]
        stop_on: Vec<String>,
        /// The safety rule that an option leads to.
        #[serde(default)]
        routes: BTreeMap<String, String>,
        /// The capability that the server needs before it may offer an option.
        #[serde(default)]
        needs: BTreeMap<String, Capability>,
    },
    /// Some of some options.
    Multi {
        /// Their keys.
        options: Vec<String>,
    },
    /// Cards of a pile, in an order.
    Rank {
        /// The most that there may be.
        max: usize,
        /// The source of the cards.
        from: Pile,
    },
    /// Cards, sorted into piles.
    CardSort {
        /// The piles.
        piles: Vec<String>,
        /// The cards.
        cards: Vec<String>,
        /// The most cards of their own that a patient may add.
        own_cards: usize,
    },
    /// Some time to stay with something.
    Timer {
        /// The time.
        seconds: u32,
    },
    /// Something said.
    Audio,
    /// Something drawn, or the words for it.
    Drawing,
    /// Somebody; initials are enough.
    Person,
    /// A date.
    Date,
    /// A time of the day.
    Time,
    /// Yes or no.
    Confirm,
    /// Pairs of short texts.
    Pair {
        /// The most that there may be.
        #[serde(default = "one")]
        repeat: usize,
    },
}

fn one() -> usize {
    1
}

/// A pile of a step that sorts cards.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pile {
    /// The step.
    pub step: String,
    /// The pile.
    pub pile: String,
}

impl Ask {
    /// Its name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::TextShort => "text_short",
            Self::TextLong => "text_long",
            Self::List { .. } => "list",
            Self::Scale { .. } => "scale",
            Self::Single { .. } => "single",
            Self::Multi { .. } => "multi",
            Self::Rank { .. } => "rank",
            Self::CardSort { .. } => "card_sort",
            Self::Timer { .. } => "timer",
            Self::Audio => "audio",
            Self::Drawing => "drawing",
            Self::Person => "person",
            Self::Date => "date",
            Self::Time => "time",
            Self::Confirm => "confirm",
            Self::Pair { .. } => "pair",
        }
    }

    /// The options that this server may offer: none that leads to something it cannot answer.
    pub fn options(&self) -> Vec<&str> {
        let (options, needs) = match self {
            Self::Single { options, needs, .. } => (options, Some(needs)),
            Self::Multi { options } => (options, None),
            _ => return Vec::new(),
        };
        let served = |option: &&String| needs.and_then(|needs| needs.get(*option)).is_none_or(|need| need.is_served());
        options.iter().filter(served).map(String::as_str).collect()
    }
}

impl Exercise {
    /// The step of that name.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// The name of this version.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.key, self.version)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    #[expect(dead_code, reason = "the schema holds it to 1")]
    format: u32,
    exercises: Vec<Exercise>,
}

static LIBRARY: LazyLock<Vec<Exercise>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "embedded at build time; a test parses it")]
    let data: Data = serde_json::from_str(include_str!("data/exercises.json")).expect("the embedded library is right");
    data.exercises
});

/// Every version of every exercise, in the order of the library.
pub fn every_version() -> &'static [Exercise] {
    &LIBRARY
}

/// The newest version of each exercise, in the order of the library.
pub fn newest() -> impl Iterator<Item = &'static Exercise> {
    let all = every_version();
    let newer = |one: &&Exercise| !all.iter().any(|other| other.key == one.key && other.version > one.version);
    all.iter().filter(newer)
}

/// The exercise of that name, in that version or the newest.
pub fn find(key: &str, version: Option<u32>) -> Option<&'static Exercise> {
    match version {
        Some(version) => every_version().iter().find(|one| one.key == key && one.version == version),
        None => newest().find(|one| one.key == key),
    }
}
