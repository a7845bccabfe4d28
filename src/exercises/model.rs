//! What a response says.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::answers::Answers;
use super::catalogue::{Exercise, find};
use crate::kernel::id::{Assignment, Prompt};
use crate::kernel::{Error, Id, Result, Zone, told};

/// How much more distress at the end than at the beginning calls for something gentle.
const ROSE: u8 = 3;
/// So does this much at the end.
const HIGH: u8 = 8;

/// What is neither answered nor felt: which exercise, when, links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The exercise.
    pub exercise_key: String,
    /// In which version.
    pub exercise_version: u32,
    /// Whether it is still being worked on.
    pub draft: bool,
    /// When it was done.
    pub occurred_at: Timestamp,
    /// The offset from UTC that the device gave with it, in seconds.
    pub offset: i32,
    /// The zone the device said it was in.
    pub zone: Option<Zone>,
    /// When the device took it down, by its own clock.
    pub recorded_at: Option<Timestamp>,
    /// The prompt that suggested it.
    pub prompt_id: Option<Id<Prompt>>,
    /// The assignment that asked for it.
    pub assignment_id: Option<Id<Assignment>>,
}

impl Header {
    /// The exercise, in the version that was worked on.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when the library has lost it: versions are never taken out.
    pub fn exercise(&self) -> Result<&'static Exercise> {
        find(&self.exercise_key, Some(self.exercise_version))
            .ok_or_else(|| Error::internal("a response names an exercise that the library does not have"))
    }

    /// The date on which it was done, where the patient was: in the zone the device named, else in `home`.
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

/// How it felt: distress before and after (0 none to 10 as strong as it gets), and whether it was of use (0 to 4).
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distress {
    /// At the beginning.
    pub before: Option<u8>,
    /// At the end.
    pub after: Option<u8>,
    /// Whether it was of use.
    pub usefulness: Option<u8>,
}

impl std::fmt::Debug for Distress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Distress(***)")
    }
}

impl Distress {
    /// Whether something gentle is to be offered: distress is high at the end, or has risen.
    pub fn calls_for_grounding(self) -> bool {
        let rose = self.before.zip(self.after).is_some_and(|(before, after)| after >= before.saturating_add(ROSE));
        rose || self.after.is_some_and(|after| after >= HIGH)
    }
}

/// All that a response says.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Which exercise, when, links.
    pub header: Header,
    /// The answers to its steps.
    pub answers: Option<Answers>,
    /// How it felt.
    pub distress: Option<Distress>,
}
