//! Changes of the protocol for one patient, by therapists.

use serde::{Deserialize, Serialize};

use super::calendar::DayPart;

/// A therapist's change of the protocol for one patient.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Override {
    /// The rule's key.
    pub rule_key: String,
    /// The result.
    pub change: RuleChange,
}

/// The change of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleChange {
    /// The rule is left out.
    LeftOut,
    /// The rule moves to this part of the day.
    MovedTo(DayPart),
}
