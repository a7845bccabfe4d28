//! A stored prompt: its sealed document and the state that follows from it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::kernel::Id;
use crate::kernel::id::Prompt;
use crate::planning::{Existing, Hold, Planned, Settled};

/// How far delivery has come: in the clear, because workers scan for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It waits for its time.
    Planned,
    /// Its time has come.
    Due,
    /// It has left the server.
    Delivered,
    /// Nothing more is to be delivered.
    Settled,
}

impl Stage {
    /// The stored number.
    pub const fn number(self) -> i32 {
        match self {
            Self::Planned => 0,
            Self::Due => 1,
            Self::Delivered => 2,
            Self::Settled => 3,
        }
    }

    /// The stage of that number.
    pub const fn of(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Planned,
            1 => Self::Due,
            2 => Self::Delivered,
            3 => Self::Settled,
            _ => return None,
        })
    }
}

/// What somebody did with a prompt: sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// The patient looked at it.
    Opened,
    /// The patient answered it.
    Completed,
    /// The patient does not want it.
    Skipped,
    /// The patient wants it later.
    Snoozed,
    /// Planning withdrew it.
    Cancelled,
    /// Planning let it wait again.
    Revived,
    /// Planning moved it.
    Moved,
}

/// One step of a prompt's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub deed: Deed,
    /// The instant.
    pub at: Timestamp,
    /// Why: a reason of planning, or the patient's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The sealed document of a prompt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PromptDoc {
    /// What planning made of it.
    pub planned: Planned,
    /// What happened to it, oldest first.
    #[serde(default)]
    pub history: Vec<Event>,
    /// What answered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_id: Option<uuid::Uuid>,
    /// When it was answered, by the patient's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
}

/// A prompt with what its row says in the clear.
#[derive(Clone, Debug)]
pub struct StoredPrompt {
    /// Its id.
    pub id: Id<Prompt>,
    /// The sealed part, opened.
    pub doc: PromptDoc,
    /// How far delivery has come.
    pub stage: Stage,
    /// The instant at which it is due.
    pub due_at: Timestamp,
    /// The instant at which it expires.
    pub expires_at: Timestamp,
    /// When it became due.
    pub fired_at: Option<Timestamp>,
    /// The instant at which it was delivered.
    pub delivered_at: Option<Timestamp>,
    /// Its version.
    pub version: i64,
}

impl StoredPrompt {
    /// The last deed that decides the state; moves and revivals do not.
    fn deed(&self) -> Option<Deed> {
        let last = self.doc.history.iter().rev().find(|event| event.deed != Deed::Moved)?.deed;
        (!matches!(last, Deed::Revived | Deed::Snoozed)).then_some(last)
    }

    /// Whether it was answered.
    pub fn is_completed(&self) -> bool {
        self.doc.answered_at.is_some()
    }

    /// Whether something that was written at `at` answers it in time. That the server let it lapse, after an outage, is
    /// not the patient's fault: the expiry that the plan gave it counts, which their phone knows.
    pub fn is_answered_by(&self, at: Timestamp) -> bool {
        at < self.expires_at.max(self.doc.planned.expires_at)
    }

    /// Whether the patient looked at it last, though its time may have passed since.
    pub fn is_opened(&self) -> bool {
        self.deed() == Some(Deed::Opened)
    }

    /// Whether the patient moved it, and planning has not put it back since.
    fn is_snoozed(&self) -> bool {
        let moved = |event: &&Event| matches!(event.deed, Deed::Snoozed | Deed::Revived);
        self.doc.history.iter().rev().find(moved).is_some_and(|event| event.deed == Deed::Snoozed)
    }

    /// Whether it waits for the time to which the patient moved it.
    pub fn is_put_off(&self) -> bool {
        self.stage == Stage::Planned && self.deed().is_none() && self.is_snoozed()
    }

    /// Its state in words: `planned, due, delivered, opened, completed, skipped, lapsed, cancelled`.
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.is_completed() {
            return "completed";
        }
        match self.deed() {
            Some(Deed::Skipped) => return "skipped",
            Some(Deed::Cancelled) => return "cancelled",
            _ => {}
        }
        if self.expires_at <= now {
            return "lapsed";
        }
        match (self.deed(), self.stage) {
            (Some(Deed::Opened), _) => "opened",
            (_, Stage::Planned) if self.due_at <= now => "due",
            (_, Stage::Planned) => "planned",
            (_, Stage::Due) => "due",
            (_, Stage::Delivered | Stage::Settled) => "delivered",
        }
    }

    /// Why planning withdrew or moved it last, or why the patient skipped it, if that was the last that happened.
    pub fn cause(&self) -> Option<&str> {
        let last = self.doc.history.last()?;
        let told = matches!(last.deed, Deed::Cancelled | Deed::Skipped | Deed::Moved);
        last.cause.as_deref().filter(|_| told)
    }

    /// Adds to the history.
    pub fn note(&mut self, deed: Deed, at: Timestamp, cause: Option<String>) {
        self.doc.history.push(Event { deed, at, cause });
    }

    /// The prompt as the past of its date, if it went out, was answered or its time has come.
    pub fn settled(&self, now: Timestamp) -> Option<Settled> {
        let gone = match self.existing().hold {
            Hold::Out | Hold::Settled => true,
            Hold::Waiting => self.due_at <= now,
            Hold::Withdrawn => false,
        };
        gone.then(|| Settled {
            id: self.id,
            rule_key: self.doc.planned.rule_key.clone(),
            rule: None,
            due_at: self.due_at,
            answered_at: self.doc.answered_at,
            hangs_on: self.doc.planned.hangs_on,
            unanswered: !self.is_completed() && self.deed() != Some(Deed::Skipped),
            taken_back: !self.is_completed() && self.deed() == Some(Deed::Cancelled),
        })
    }

    /// The prompt as planning sees it.
    pub fn existing(&self) -> Existing {
        let withdrawn = self.deed() == Some(Deed::Cancelled) && self.fired_at.is_none();
        let over = self.is_completed() || matches!(self.deed(), Some(Deed::Skipped | Deed::Cancelled));
        let open = self.fired_at.is_some() || self.is_put_off() || self.is_opened();
        let hold = match self.stage {
            _ if withdrawn => Hold::Withdrawn,
            _ if open && !over => Hold::Out,
            Stage::Planned if self.deed().is_none() && !self.is_snoozed() => Hold::Waiting,
            _ => Hold::Settled,
        };
        Existing {
            id: self.id,
            hold,
            due_at: self.due_at,
            expires_at: self.expires_at,
            reminder_at: self.doc.planned.reminder_at,
            zone: self.doc.planned.zone.name().to_owned(),
            protocol_version: self.doc.planned.protocol_version,
            anchor: self.doc.planned.anchor,
            hangs_on: self.doc.planned.hangs_on,
            why: self.doc.planned.why,
        }
    }
}
