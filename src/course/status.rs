//! The status of an infusion, its source, and the kind of its course.

use serde::{Deserialize, Serialize};

/// The status of an infusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InfusionStatus {
    /// It is to take place.
    Planned,
    /// It took place.
    Completed,
    /// It will not take place, or was recorded by mistake.
    Cancelled,
    /// The patient did not come.
    NoShow,
}

impl InfusionStatus {
    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::NoShow => "no_show",
        }
    }

    /// Whether it counts: it took place or is to take place.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Planned | Self::Completed)
    }

    /// Whether an infusion of this status and `source` may change to `next`. A provisional one may become anything.
    pub fn may_become(self, next: Self, source: Source) -> bool {
        match self {
            Self::Planned => true,
            Self::Completed => source == Source::Provisional || matches!(next, Self::Completed | Self::Cancelled),
            Self::Cancelled | Self::NoShow => false,
        }
    }
}

/// The source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Staff of the clinic.
    Clinic,
    /// The patient.
    Patient,
    /// Neither: the planned end was taken for the end.
    Provisional,
}

/// The purpose of a course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CourseKind {
    /// The first infusions, days apart.
    Induction,
    /// Single infusions, weeks apart, that maintain the effect.
    Maintenance,
}

impl CourseKind {
    /// Reads the name of a kind.
    ///
    /// # Errors
    ///
    /// The required value.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        match name {
            "induction" => Ok(Self::Induction),
            "maintenance" => Ok(Self::Maintenance),
            _ => Err("must be induction or maintenance"),
        }
    }
}
