//! The changes of therapists to the protocol for one patient.

use serde::{Deserialize, Serialize};

use super::calendar::DayPart;

/// A therapist's change to a rule for one patient.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Override {
    /// The key of the rule.
    pub rule_key: String,
    /// The change.
    pub change: RuleChange,
}

/// The kind of change to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleChange {
    /// The rule is left out.
    LeftOut,
    /// The rule moves to this part of the day.
    MovedTo(DayPart),
}
