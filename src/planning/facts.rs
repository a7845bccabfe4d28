//! Everything a plan depends on, as one plain struct.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::calendar::{PausePeriod, QuietHours, Weekday, ZoneSince};
use super::overrides::Override;
use super::protocol::{Capability, Prerequisite, Protocol, Rule};
use super::window::{Dose, DoseStatus, Rating, Route};
use crate::kernel::Id;
use crate::kernel::id::{Infusion, Patient, Prompt};

/// The facts of one infusion that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InfusionFact {
    /// Its id.
    pub id: Id<Infusion>,
    /// How ketamine is given: what follows takes longer after some routes.
    pub route: Route,
    /// Whether staff are there; if not, it is use at home.
    pub supervised: bool,
    /// The planned start, from which the preparation counts.
    pub planned_start: Option<Timestamp>,
    /// The start, if it has started.
    pub started_at: Option<Timestamp>,
    /// The end, from which the days after it count. `None` while it is only planned.
    pub ended_at: Option<Timestamp>,
    /// Whether the end is only the planned one.
    pub provisional: bool,
    /// The instant of the last change of its record.
    pub recorded_at: Timestamp,
    /// The patient's report that it took the place of: its prompts keep the ids they had by that name, so that nothing
    /// is asked twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_as: Option<Id<Infusion>>,
}

impl InfusionFact {
    /// The name that the ids of its prompts are made of.
    pub(super) fn name(&self) -> Id<Infusion> {
        self.reported_as.unwrap_or(self.id)
    }

    /// As the window sees it.
    pub(super) fn dose(&self) -> Dose {
        let Self { id, route, started_at, ended_at, planned_start, .. } = *self;
        let status = match (ended_at, started_at) {
            (Some(_), _) => DoseStatus::Completed,
            (None, Some(_)) => DoseStatus::InProgress,
            (None, None) => DoseStatus::Planned,
        };
        Dose { infusion_id: id, route, started_at, ended_at, planned_start, status }
    }
}

/// A prompt that went out or was answered: the past of its date, which a new plan counts and does not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// The prompt.
    pub id: Id<Prompt>,
    /// Its rule.
    pub rule_key: String,
    /// That rule, if the protocol that plans are made by has it otherwise or not at all: it counts as it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Box<Rule>>,
    /// The instant at which it was due.
    pub due_at: Timestamp,
    /// The instant of the answer, if there is one.
    pub answered_at: Option<Timestamp>,
    /// The start or end of the infusion that its time followed from.
    pub hangs_on: Option<Timestamp>,
    /// Whether nobody has answered or skipped it: what corrects an infusion may ask it again.
    pub unanswered: bool,
    /// Whether planning took it back after it went out. If the infusion turns out to have been right before, a check is
    /// asked again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_back: bool,
}

impl Settled {
    /// The rule that made it.
    pub(super) fn rule<'a>(&'a self, protocol: &'a Protocol) -> Option<&'a Rule> {
        self.rule.as_deref().or_else(|| protocol.rule(&self.rule_key))
    }
}

/// How the patient is, as far as their answers and open alerts say; what is not known holds nothing back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The instant of the last report of having slept.
    pub slept_at: Option<Timestamp>,
    /// The newest answer to how unreal things feel.
    pub dissociation: Option<Rating>,
    /// The newest answer to how drowsy they are.
    pub drowsiness: Option<Rating>,
    /// A time in which only safety is asked, because somebody has to look at an alert first.
    pub suspended: Option<PausePeriod>,
}

/// The facts of one patient. A change of any field calls for a new plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The patient; part of every prompt's id.
    pub patient: Id<Patient>,
    /// The start of care, from which recurring prompts count.
    pub care_start: Timestamp,
    /// The zones lived in, oldest first.
    pub zones: Vec<ZoneSince>,
    /// The hours in which nothing is delivered.
    pub quiet_hours: QuietHours,
    /// The day of the weekly prompt.
    pub weekly_day: Weekday,
    /// The infusions that count, in any order.
    pub infusions: Vec<InfusionFact>,
    /// The times in which only safety is asked.
    pub pauses: Vec<PausePeriod>,
    /// The prompts that went out or were answered in the last weeks: they keep their places.
    pub settled: Vec<Settled>,
    /// The changes of the protocol for this patient, by therapists.
    pub overrides: Vec<Override>,
    /// The prerequisites that hold for the patient.
    pub holds: BTreeSet<Prerequisite>,
    /// Exercises that are not offered to them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub withheld: BTreeSet<String>,
    /// How they are.
    pub condition: Condition,
    /// The instant of the last measure.
    pub last_measure_at: Option<Timestamp>,
    /// The capabilities of the server.
    pub capabilities: BTreeSet<Capability>,
}
