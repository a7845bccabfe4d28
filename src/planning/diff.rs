//! Computes the changes that turn the stored prompts into the plan.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::plan::{DropReason, Dropped, Plan, Planned, Why};
use super::protocol::Rule;
use crate::kernel::Id;
use crate::kernel::id::{Infusion, Prompt};

/// The changes that planning may make to a stored prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// It waits for its time.
    Waiting,
    /// Planning withdrew it before it went out; it may come back.
    Withdrawn,
    /// The patient has it and has not answered: it went out, was opened or was put off. Only a correction, a merge or
    /// the withdrawal of an infusion takes it back.
    Out,
    /// It was answered, skipped or taken back.
    Settled,
}

/// A stored prompt, as far as planning may change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Its id.
    pub id: Id<Prompt>,
    /// The changes that planning may make to it.
    pub hold: Hold,
    /// The instant at which it is due.
    pub due_at: Timestamp,
    /// The instant at which it expires.
    pub expires_at: Timestamp,
    /// The instant of the reminder.
    pub reminder_at: Option<Timestamp>,
    /// The name of the zone in which it was planned.
    pub zone: String,
    /// The key and the version of the protocol by which it was planned.
    pub protocol: (String, u32),
    /// The rule that made it, where a therapist wrote or reworded it.
    pub own: Option<Box<Rule>>,
    /// The infusion to which it is anchored.
    pub anchor: Option<Id<Infusion>>,
    /// The start or end of the infusion from which its time is computed.
    pub hangs_on: Option<Timestamp>,
    /// The number of the wording of its text.
    pub wording: u32,
    /// The reason for its time.
    pub why: Why,
}

/// The reason why a waiting prompt moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveReason {
    /// The patient lives in another zone.
    Zone,
    /// The time of the infusion changed, or another record of it counts.
    Infusion,
    /// There is a new version of the protocol.
    Protocol,
    /// Its reminder or expiry changed. Its own time stays.
    Reminder,
    /// Another reason gives it this time.
    #[serde(untagged)]
    Placed(Why),
}

/// One change of the stored prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Store a new prompt.
    Insert(Planned),
    /// Move a waiting prompt.
    Move {
        /// The prompt.
        id: Id<Prompt>,
        /// The new state.
        to: Planned,
        /// The reason.
        reason: MoveReason,
    },
    /// Let a withdrawn prompt wait again, under the same id.
    Revive {
        /// The prompt.
        id: Id<Prompt>,
        /// The new state.
        to: Planned,
    },
    /// Delay a prompt that the patient put off.
    Delay {
        /// The prompt.
        id: Id<Prompt>,
        /// The new time.
        due_at: Timestamp,
        /// The reason.
        why: Why,
    },
    /// Withdraw a waiting prompt.
    Cancel {
        /// The prompt.
        id: Id<Prompt>,
        /// The reason.
        reason: DropReason,
    },
}

impl Step {
    /// Returns the id of the prompt that it changes.
    pub fn id(&self) -> Id<Prompt> {
        match self {
            Self::Insert(to) => to.id,
            Self::Move { id, .. } | Self::Revive { id, .. } | Self::Delay { id, .. } | Self::Cancel { id, .. } => *id,
        }
    }
}

/// Computes the changes at `now` that turn the stored prompts into the plan. They touch only prompts that are still to
/// come and have not gone out, except those that a correction takes back. No prompt appears in the past. Once the
/// changes are applied, a second call finds none.
pub fn diff(existing: &[Existing], plan: &Plan, now: Timestamp) -> Vec<Step> {
    let stored: HashMap<_, _> = existing.iter().map(|prompt| (prompt.id, prompt)).collect();
    let planned: HashMap<_, _> = plan.prompts.iter().map(|prompt| (prompt.id, prompt)).collect();
    let mut steps = Vec::new();
    for prompt in existing.iter().filter(|prompt| prompt.hold == Hold::Waiting && prompt.due_at > now) {
        let id = prompt.id;
        match planned.get(&id) {
            Some(to) if to.due_at <= now => steps.push(Step::Cancel { id, reason: DropReason::Past }),
            Some(to) => {
                let reason = prompt.moves(to);
                steps.extend(reason.map(|reason| Step::Move { id, to: (*to).clone(), reason }));
            }
            None => {
                let dropped = plan.dropped.iter().find(|dropped| dropped.id == id);
                let reason = dropped.map_or(DropReason::Withdrawn, |dropped| dropped.reason);
                steps.push(Step::Cancel { id, reason });
            }
        }
    }
    for prompt in existing.iter().filter(|prompt| prompt.hold == Hold::Out && prompt.expires_at > now) {
        let taken_back = |dropped: &&Dropped| {
            let reasons = [DropReason::Merged, DropReason::Corrected, DropReason::Withdrawn];
            dropped.id == prompt.id && reasons.contains(&dropped.reason)
        };
        if let Some(dropped) = plan.dropped.iter().find(taken_back) {
            steps.push(Step::Cancel { id: prompt.id, reason: dropped.reason });
        }
    }
    for to in plan.prompts.iter().filter(|prompt| prompt.due_at > now) {
        match stored.get(&to.id).map(|prompt| prompt.hold) {
            None => steps.push(Step::Insert(to.clone())),
            Some(Hold::Withdrawn) => steps.push(Step::Revive { id: to.id, to: to.clone() }),
            Some(Hold::Waiting | Hold::Out | Hold::Settled) => {}
        }
    }
    steps
}

impl Existing {
    /// Returns the reason to move it to `to`; `None` if nothing changed.
    fn moves(&self, to: &Planned) -> Option<MoveReason> {
        let times = (self.due_at, self.expires_at, self.reminder_at);
        let moved = times != (to.due_at, to.expires_at, to.reminder_at);
        match () {
            () if self.zone != to.zone.name() => Some(MoveReason::Zone),
            () if self.anchor != to.anchor || self.wording != to.wording => Some(MoveReason::Infusion),
            () if moved && self.hangs_on != to.hangs_on => Some(MoveReason::Infusion),
            () if self.is_of_another(to) => Some(MoveReason::Protocol),
            () if self.due_at != to.due_at => Some(MoveReason::Placed(to.why)),
            () if moved => Some(MoveReason::Reminder),
            () => None,
        }
    }

    /// Whether it was planned by another protocol, another version, or a rule in other words.
    fn is_of_another(&self, to: &Planned) -> bool {
        let (key, version) = &self.protocol;
        *key != to.protocol || *version != to.protocol_version || self.own != to.own
    }
}
