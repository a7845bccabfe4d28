//! The facts that a plan depends on, as one struct.

use std::collections::BTreeSet;
use std::fmt;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

use super::calendar::{PausePeriod, QuietHours, Weekday, ZoneSince};
use super::overrides::Override;
use super::protocol::{Capability, Prerequisite, Protocol, Rule};
use super::window::{Dose, DoseStatus, Rating, Route};
use crate::kernel::Id;
use crate::kernel::id::{Infusion, Patient, Prompt, Response};

/// The key with which the ids of a patient's prompts are made. Without it nobody can compute an id from a rule, or find
/// the rule of an id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PromptKey([u8; 32]);

impl PromptKey {
    /// The key for plans of nobody, which are not stored.
    pub const NOBODY: Self = Self([0; 32]);

    /// Wraps the patient's key.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Makes the id of an occurrence of `rule` at `anchor`. Planning it again gives the same id.
    pub(super) fn id(
        &self,
        patient: Id<Patient>,
        rule: &str,
        anchor: Option<Id<Infusion>>,
        occurrence: u32,
    ) -> Id<Prompt> {
        self.of(patient, rule, anchor.map_or(Uuid::nil(), Id::uuid), occurrence)
    }

    /// Makes the id of an occurrence of `rule` that brings back a response.
    pub fn of_response(&self, patient: Id<Patient>, rule: &str, response: Id<Response>, occurrence: u32) -> Id<Prompt> {
        self.of(patient, rule, response.uuid(), occurrence)
    }

    /// Makes the id of the prompt of `rule` that comes in the place of another.
    pub fn in_place_of(&self, patient: Id<Patient>, rule: &str, other: Id<Prompt>) -> Id<Prompt> {
        self.of(patient, rule, other.uuid(), 0)
    }

    fn of(&self, patient: Id<Patient>, rule: &str, anchor: Uuid, occurrence: u32) -> Id<Prompt> {
        let (patient, anchor, occurrence) = (patient.uuid(), anchor.as_bytes(), occurrence.to_be_bytes());
        // The rule's key stands last: all others have a fixed length.
        let text = [patient.as_bytes().as_slice(), anchor, &occurrence, rule.as_bytes()].concat();
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), &text).as_ref());
        Id::from_mac(&mac)
    }
}

impl fmt::Debug for PromptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PromptKey(***)")
    }
}

/// The length in minutes of a planned session without a known length.
pub const USUAL_MINUTES: u32 = 60;

/// The facts of one infusion that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InfusionFact {
    /// Its id.
    pub id: Id<Infusion>,
    /// The route. The acute phase lasts longer after some routes.
    pub route: Route,
    /// Whether staff are there; if not, it is use at home.
    pub supervised: bool,
    /// The planned duration in minutes.
    pub planned_minutes: u32,
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
    /// The patient's report that it replaced. Its prompts keep the ids made from the report, so that nothing is asked
    /// twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_as: Option<Id<Infusion>>,
}

impl InfusionFact {
    /// Returns the id from which the ids of its prompts are made.
    pub(super) fn name(&self) -> Id<Infusion> {
        self.reported_as.unwrap_or(self.id)
    }

    /// Converts it to a dose of the window model.
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

/// A prompt that went out or was answered. A new plan counts it and does not change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts, each on its own")]
pub struct PastPrompt {
    /// The prompt's id.
    pub id: Id<Prompt>,
    /// The key of its rule.
    pub rule_key: String,
    /// The rule as it was asked, if the current protocol has changed or removed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Box<Rule>>,
    /// The instant at which it was due.
    pub due_at: Timestamp,
    /// The local date of that, where it was planned for. A move that is told afterwards does not change it.
    pub date: Date,
    /// The instant of the answer, if there is one.
    pub answered_at: Option<Timestamp>,
    /// The infusion to which it was anchored.
    pub anchor: Option<Id<Infusion>>,
    /// The start or end of the infusion from which its time was computed.
    pub hangs_on: Option<Timestamp>,
    /// Whether it was neither answered nor skipped. A correction of the infusion may ask it again.
    pub unanswered: bool,
    /// Whether it left the server and expired without an answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lapsed: bool,
    /// Whether planning took it back after it went out. If the earlier time of the infusion proves right, a check is
    /// asked again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken_back: bool,
    /// Whether it expired before it left the server, in an outage, and the patient did nothing with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
    /// Whether it was only a card in the app, without a push.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub card: bool,
}

impl PastPrompt {
    /// Finds the rule that made it.
    pub(super) fn rule<'a>(&'a self, protocol: &'a Protocol) -> Option<&'a Rule> {
        self.rule.as_deref().or_else(|| protocol.rule(&self.rule_key))
    }
}

/// A response that comes back on a date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DatedResponse {
    /// The response.
    pub id: Id<Response>,
    /// Its exercise.
    pub exercise: String,
    /// The local date that the patient wrote in it.
    pub date: Date,
}

/// The patient's condition, from their answers and open alerts. Unknown values hold nothing back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// The instant of the last report of having slept.
    pub slept_at: Option<Timestamp>,
    /// The newest rating of dissociation.
    pub dissociation: Option<Rating>,
    /// The newest rating of drowsiness.
    pub drowsiness: Option<Rating>,
    /// The time in which only safety checks are asked, because an alert is open.
    pub suspended: Option<PausePeriod>,
}

/// The facts of one patient. A change of any field calls for a new plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The patient; part of every prompt's id.
    pub patient: Id<Patient>,
    /// The key of the prompts' ids.
    #[serde(skip)]
    pub prompt_key: PromptKey,
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
    /// The times in which only safety checks are asked.
    pub pauses: Vec<PausePeriod>,
    /// The prompts that went out or were answered in the last weeks: they keep their places.
    pub settled: Vec<PastPrompt>,
    /// The instant of the patient's last activity: an answer, something written, a prompt opened, put off or skipped; at
    /// the earliest the start of care. Where it is unknown, nothing follows from silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active_at: Option<Timestamp>,
    /// The changes of the protocol for this patient, by therapists.
    pub overrides: Vec<Override>,
    /// The prerequisites that hold for the patient.
    pub holds: BTreeSet<Prerequisite>,
    /// The exercises that are not offered to the patient.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub withheld: BTreeSet<String>,
    /// The responses that come back on a date.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dated: Vec<DatedResponse>,
    /// The patient's condition.
    pub condition: Condition,
    /// The instant of the last measure.
    pub last_measure_at: Option<Timestamp>,
    /// The capabilities of the server.
    pub capabilities: BTreeSet<Capability>,
}
