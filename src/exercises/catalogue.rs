//! The library of exercises: their steps and rules, without their texts.
//!
//! The data lies beside this file and is append-only: a changed exercise is a new version, and responses keep theirs.
//! `data/schema.json` describes the data and is published; a test validates the data by it.

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
    /// The guidance that it needs.
    pub guidance: Guidance,
    /// The evidence for it in the days after ketamine: `tested_related`, `general` or `conventional`.
    pub evidence_in_window: String,
    /// The cautions: flags that speak against it, each with an offer.
    pub cautions: Vec<Caution>,
    /// The step, a date, on which a response comes back to the patient.
    #[serde(default)]
    pub returns_on: Option<String>,
    /// The steps whose answers, all of them texts, a prompt may quote to the patient; none if there is no quote. The
    /// text `quote` says how.
    #[serde(default)]
    pub quote: Vec<String>,
    /// Its steps, in the order in which they are shown.
    pub steps: Vec<Step>,
}

/// The guidance that an exercise needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guidance {
    /// The patient does it alone.
    #[serde(rename = "self")]
    Alone,
    /// The patient may do it alone, and better with a therapist.
    Guided,
    /// The patient does it with a therapist only: an assignment opens it.
    TherapistOnly,
}

/// The offer of an exercise to a patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// It is offered.
    Yes,
    /// It is offered together with a therapist, who assigns it.
    WithTherapist,
    /// It is not offered for now.
    NotNow,
}

impl Availability {
    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::WithTherapist => "with_therapist",
            Self::NotNow => "not_now",
        }
    }
}

/// A caution: a flag, and the offer to patients who have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caution {
    /// The flag.
    pub flag: CautionFlag,
    /// The offer to patients who have it.
    pub offer: Availability,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Step {
    /// Its name within the exercise, and the key of its answer and texts.
    pub id: String,
    /// The question.
    #[serde(flatten)]
    pub ask: StepType,
    /// The hours after the others at which it is asked.
    #[serde(default)]
    pub defer_h: Option<u32>,
    /// Whether the exercise needs its answer to be done: a safety gate.
    #[serde(default)]
    pub required: bool,
}

/// The question of a step, with the bounds of its answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StepType {
    /// A text to read, without an answer.
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
        /// The lowest number at which the exercise stops.
        #[serde(default)]
        stop_at: Option<u8>,
    },
    /// One of the options.
    Single {
        /// Their keys.
        options: Vec<String>,
        /// The options at which the exercise stops.
        #[serde(default)]
        stop_on: Vec<String>,
        /// The safety rule that an option leads to.
        #[serde(default)]
        routes: BTreeMap<String, String>,
        /// The capability that the server needs to offer an option.
        #[serde(default)]
        needs: BTreeMap<String, Capability>,
    },
    /// Some of the options.
    Multi {
        /// Their keys.
        options: Vec<String>,
    },
    /// Cards of a pile, in an order.
    Rank {
        /// The largest number of them.
        max: usize,
        /// The source of the cards.
        from: CardPile,
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
    /// A timer.
    Timer {
        /// The duration in seconds.
        seconds: u32,
    },
    /// A recording.
    Audio,
    /// A drawing, or the words for it.
    Drawing,
    /// A person; initials are enough.
    Person,
    /// A date.
    Date,
    /// A time of the day.
    Time,
    /// Yes or no.
    Confirm,
    /// Pairs of short texts.
    Pair {
        /// The largest number of them.
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
pub struct CardPile {
    /// The step.
    pub step: String,
    /// The pile.
    pub pile: String,
}

impl StepType {
    /// Returns its name on the wire.
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

    /// Returns the options that this server may offer: those whose capability it has.
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
    /// Returns the step of that name.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// Returns the name of this version.
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

/// Returns every version of every exercise, in the order of the library.
pub fn every_version() -> &'static [Exercise] {
    &LIBRARY
}

/// Returns the newest version of each exercise, in the order of the library.
pub fn newest() -> impl Iterator<Item = &'static Exercise> {
    let all = every_version();
    let newer = |one: &&Exercise| !all.iter().any(|other| other.key == one.key && other.version > one.version);
    all.iter().filter(newer)
}

/// Finds the exercise of that name, in that version or the newest.
pub fn find(key: &str, version: Option<u32>) -> Option<&'static Exercise> {
    match version {
        Some(version) => every_version().iter().find(|one| one.key == key && one.version == version),
        None => newest().find(|one| one.key == key),
    }
}
