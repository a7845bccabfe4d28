//! The phases of an infusion.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The phase of an instant in relation to the infusions. The order is that in which an infusion passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No infusion has ended yet.
    None,
    /// During an infusion.
    InSession,
    /// Landing, under observation.
    Acute,
    /// Rest until the next day.
    Settling,
    /// The days in which practice is offered most.
    Peak,
    /// Repeating what felt useful.
    Consolidate,
    /// Carrying it into ordinary days.
    Closing,
    /// The time until the next infusion.
    Maintenance,
}

impl Phase {
    /// Every phase, in its order.
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::InSession,
        Self::Acute,
        Self::Settling,
        Self::Peak,
        Self::Consolidate,
        Self::Closing,
        Self::Maintenance,
    ];

    /// The phases that follow the end of an infusion, in their order.
    pub const AFTER: [Self; 6] =
        [Self::Acute, Self::Settling, Self::Peak, Self::Consolidate, Self::Closing, Self::Maintenance];

    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::InSession => "in_session",
            Self::Acute => "acute",
            Self::Settling => "settling",
            Self::Peak => "peak",
            Self::Consolidate => "consolidate",
            Self::Closing => "closing",
            Self::Maintenance => "maintenance",
        }
    }

    /// Parses the name of a phase.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it, when there is no such phase.
    pub fn parse(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|phase| phase.name() == name).ok_or_else(|| "is not a phase".to_owned())
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
