//! A plan: the prompts with the reasons for their times, and the dropped ones with the reasons for that.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use crate::kernel::id::{Infusion, Prompt, Response};
use crate::kernel::{Id, Zone};
use crate::planning::protocol::{PromptKind, Rule};

/// The reason for a prompt's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The start of its window and its jitter.
    Window,
    /// Its first window was taken.
    LaterWindow,
    /// The intended day was too close to an infusion.
    EarlierDay,
    /// The intended day was too soon after an infusion.
    LaterDay,
    /// Hours after the end of the infusion.
    AfterEnd,
    /// The session ended late.
    LateSession,
    /// Hours before the start of the session.
    BeforeStart,
    /// The distance to the prompt before.
    Spacing,
    /// The end of the quiet hours.
    QuietHours,
    /// The end of a session and its acute phase.
    AfterSession,
    /// The patient was not ready for its effort before.
    Readiness,
    /// The time of the infusion was corrected after the prompt had gone out.
    Corrected,
    /// It lapsed on the day before.
    CarriedOver,
    /// The patient has not been active for some time.
    Silence,
    /// It comes in the place of a prompt that would have asked too much.
    Lighter,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::Window,
        Self::LaterWindow,
        Self::EarlierDay,
        Self::LaterDay,
        Self::AfterEnd,
        Self::LateSession,
        Self::BeforeStart,
        Self::Spacing,
        Self::QuietHours,
        Self::AfterSession,
        Self::Readiness,
        Self::Corrected,
        Self::CarriedOver,
        Self::Silence,
        Self::Lighter,
    ];
}

/// One prompt of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// A keyed hash of patient, rule key, anchor and occurrence.
    pub id: Id<Prompt>,
    /// The key of the rule.
    pub rule_key: String,
    /// The key of the protocol.
    pub protocol: String,
    /// Its version.
    pub protocol_version: u32,
    /// The kind of task.
    pub kind: PromptKind,
    /// The priority, from 1 to 5.
    pub priority: u8,
    /// The infusion to which it is anchored; `None` for recurring prompts.
    pub anchor: Option<Id<Infusion>>,
    /// The number among those that the rule makes for its anchor.
    pub occurrence: u32,
    /// The day after (or, below 0, before) the infusion that it belongs to.
    pub day: Option<i32>,
    /// The local date for which it is planned.
    pub local_date: Date,
    /// The local time for which it is planned.
    pub local_time: Time,
    /// The zone of both.
    pub zone: Zone,
    /// Their instant.
    pub due_at: Timestamp,
    /// The instant at which it expires.
    pub expires_at: Timestamp,
    /// The instant of the reminder, if there is one.
    pub reminder_at: Option<Timestamp>,
    /// The duration in minutes.
    pub minutes: u32,
    /// Whether it is only a card in the app.
    pub optional: bool,
    /// Whether the phone may announce it.
    pub push: bool,
    /// The response that it brings back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<Id<Response>>,
    /// The number of the wording of its text, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub wording: u32,
    /// The start or end of the infusion from which its time is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hangs_on: Option<Timestamp>,
    /// The reason for its time.
    pub why: Why,
    /// The rule that made it, where a therapist wrote or reworded it for this patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Box<Rule>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_first(wording: &u32) -> bool {
    *wording == 0
}

/// The reason why a prompt that a rule calls for is not planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The server cannot serve it.
    Capability,
    /// A therapist has left it out for this patient.
    LeftOut,
    /// The exercises that it offers are not offered to the patient now.
    Withheld,
    /// A prerequisite is missing.
    Prerequisite,
    /// It falls into a pause.
    Paused,
    /// It falls into a time in which an open alert comes first.
    Suspended,
    /// It falls into a session or its acute phase, and has no place after it.
    InSession,
    /// It asks for effort, and the patient is not ready for it until its part of the day is over.
    NotReady,
    /// Another rule comes in its place.
    Replaced,
    /// The patient has answered or been active in these days.
    Answered,
    /// Several of its prompts lapsed in a row, and nothing has started it again.
    Stopped,
    /// The next infusion is on the same date.
    Merged,
    /// The next infusion follows so soon that only a part of the template is kept.
    Series,
    /// The next infusion comes first.
    Superseded,
    /// The end of the infusion is not confirmed.
    Provisional,
    /// The cap of the date is reached.
    Cap,
    /// There is no room between its neighbours.
    Spacing,
    /// The quiet hours last until it expires.
    QuietHours,
    /// The moment it prepares for comes first.
    TooLate,
    /// A measure too soon after an infusion or after the last one.
    TooSoon,
    /// It went out for a time that was corrected.
    Corrected,
    /// Its anchor is gone, or it lies beyond the horizon.
    Withdrawn,
    /// Its new time has passed already.
    Past,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 23] = [
        Self::Capability,
        Self::LeftOut,
        Self::Withheld,
        Self::Prerequisite,
        Self::Paused,
        Self::Suspended,
        Self::InSession,
        Self::NotReady,
        Self::Replaced,
        Self::Answered,
        Self::Stopped,
        Self::Merged,
        Self::Series,
        Self::Superseded,
        Self::Provisional,
        Self::Cap,
        Self::Spacing,
        Self::QuietHours,
        Self::TooLate,
        Self::TooSoon,
        Self::Corrected,
        Self::Withdrawn,
        Self::Past,
    ];
}

/// A prompt that a rule calls for and that is not planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// The id it would have.
    pub id: Id<Prompt>,
    /// The key of the rule.
    pub rule_key: String,
    /// The infusion to which it is anchored.
    pub anchor: Option<Id<Infusion>>,
    /// The reason.
    pub reason: DropReason,
}

/// A plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The planned prompts, by time.
    pub prompts: Vec<Planned>,
    /// The prompts that are not planned.
    pub dropped: Vec<Dropped>,
    /// Whether the next activity of the patient changes it: a silence or a stop ends with it.
    pub awaits_activity: bool,
}
