//! What therapists change in the protocol for one patient.

use serde::{Deserialize, Serialize};

use super::calendar::DayPart;

/// What a therapist has changed in the protocol for one patient.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Override {
    /// Which rule.
    pub rule_key: String,
    /// What became of it.
    pub change: RuleChange,
}

/// What becomes of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleChange {
    /// It is left out.
    LeftOut,
    /// It comes in this part of the day.
    MovedTo(DayPart),
}
