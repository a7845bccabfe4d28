//! Infusions in the window model.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::kernel::Id;
use crate::kernel::id::Infusion;

/// The route by which ketamine was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Infusion into a vein.
    IvInfusion,
    /// Injection into a muscle.
    Im,
    /// Injection or pump under the skin.
    Sc,
    /// Nasal spray of racemic ketamine.
    InRacemic,
    /// Nasal spray of esketamine.
    InEsketamine,
    /// Under the tongue.
    Sublingual,
    /// Swallowed.
    Oral,
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 7] =
        [Self::IvInfusion, Self::Im, Self::Sc, Self::InRacemic, Self::InEsketamine, Self::Sublingual, Self::Oral];

    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IvInfusion => "iv_infusion",
            Self::Im => "im",
            Self::Sc => "sc",
            Self::InRacemic => "in_racemic",
            Self::InEsketamine => "in_esketamine",
            Self::Sublingual => "sublingual",
            Self::Oral => "oral",
        }
    }

    /// Parses the name of a route.
    ///
    /// # Errors
    ///
    /// A sentence for the person who sent it, when there is no such route.
    pub fn parse(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|route| route.name() == name)
            .ok_or_else(|| "must be iv_infusion, im, sc, in_racemic, in_esketamine, sublingual or oral".to_owned())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The progress of an infusion that counts. Cancelled and missed ones open no window and are never passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoseStatus {
    /// Not begun: only its planned start counts.
    Planned,
    /// Begun and not ended: only its start counts.
    InProgress,
    /// Ended: its end opens a window.
    Completed,
}

/// One infusion, as far as the window needs it. The order in which infusions are passed does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dose {
    /// The infusion.
    pub infusion_id: Id<Infusion>,
    /// The route.
    pub route: Route,
    /// The start.
    pub started_at: Option<Timestamp>,
    /// The end.
    pub ended_at: Option<Timestamp>,
    /// The planned start.
    pub planned_start: Option<Timestamp>,
    /// Its state.
    pub status: DoseStatus,
}

impl Dose {
    /// The end, if it has ended.
    pub fn end(&self) -> Option<Timestamp> {
        self.ended_at.filter(|_| self.status == DoseStatus::Completed)
    }

    /// The start, if it has begun.
    pub(super) fn start(&self) -> Option<Timestamp> {
        self.started_at.filter(|_| self.status != DoseStatus::Planned)
    }

    /// Returns the start or the planned start. Windows are computed for past instants too, so an infusion that was to
    /// come then may have begun by now.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.status {
            DoseStatus::Planned => self.planned_start,
            DoseStatus::InProgress | DoseStatus::Completed => self.started_at.or(self.ended_at),
        }
    }

    /// Returns the start, if it was under way at `at`. `last_end` is the newest end by then: an infusion without a
    /// recorded end is over when another ends after its start.
    pub(super) fn under_way(&self, at: Timestamp, last_end: Option<Timestamp>) -> Option<Timestamp> {
        let start = self.start().filter(|start| *start <= at)?;
        let lasts = match (self.status, self.end()) {
            (_, Some(end)) => at < end,
            (DoseStatus::InProgress, None) => last_end.is_none_or(|end| end <= start),
            (DoseStatus::Planned | DoseStatus::Completed, None) => false,
        };
        lasts.then_some(start)
    }
}
