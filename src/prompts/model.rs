//! A stored prompt: its sealed document and the state that follows from it.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kernel::id::{Entry, Prompt, Response};
use crate::kernel::{Id, Zone};
use crate::planning::{Existing, Hold, PastPrompt, Planned, PromptKind};

/// The number of times that a patient may put a prompt off.
const SNOOZES: usize = 3;
/// A snooze that comes again within this time is one that was sent twice.
const REPEATED: SignedDuration = SignedDuration::from_mins(5);

/// The most events of planning that a history keeps. Whoever begins and ends a pause again and again has prompts
/// withdrawn and brought back each time, and every plan opens their whole history.
const OF_PLANNING: usize = 64;

/// The cause that a patient is not told: a therapist's caution.
const WITHHELD: &str = "withheld";

/// The stage of delivery. It stands in the clear, because workers scan for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryStage {
    /// It waits for its time.
    Planned,
    /// Its time has come.
    Due,
    /// It was sent.
    Delivered,
    /// There is nothing more to deliver.
    Settled,
}

impl DeliveryStage {
    /// Returns the stored number.
    pub const fn number(self) -> i32 {
        match self {
            Self::Planned => 0,
            Self::Due => 1,
            Self::Delivered => 2,
            Self::Settled => 3,
        }
    }

    /// Returns the stage of a stored number.
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

/// A kind of event in a prompt's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptEvent {
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

impl PromptEvent {
    /// Whether planning does it, not the patient.
    const fn is_of_planning(self) -> bool {
        match self {
            Self::Cancelled | Self::Revived | Self::Moved => true,
            Self::Opened | Self::Completed | Self::Skipped | Self::Snoozed => false,
        }
    }
}

/// An event of a prompt's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The kind of event.
    pub deed: PromptEvent,
    /// The instant.
    pub at: Timestamp,
    /// The cause: a reason of planning, or the patient's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The id of the thing that answered a prompt, with its kind: an entry and a response may have the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerId {
    /// An entry.
    Entry(Id<Entry>),
    /// An exercise response.
    ExerciseResponse(Id<Response>),
}

impl AnswerId {
    /// Returns its id, without its kind.
    pub const fn uuid(self) -> Uuid {
        match self {
            Self::Entry(id) => id.uuid(),
            Self::ExerciseResponse(id) => id.uuid(),
        }
    }

    /// Returns the entry, if it is one.
    pub const fn entry(self) -> Option<Id<Entry>> {
        match self {
            Self::Entry(id) => Some(id),
            Self::ExerciseResponse(_) => None,
        }
    }
}

/// The sealed document of a prompt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PromptDoc {
    /// The prompt as planned.
    pub planned: Planned,
    /// Its history, oldest first.
    #[serde(default)]
    pub history: Vec<Event>,
    /// The entry or response that answered it. Documents from before it had a kind have it under another name.
    #[serde(default, rename = "answer", skip_serializing_if = "Option::is_none")]
    pub answer_id: Option<AnswerId>,
    /// The instant of the answer, by the patient's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
}

/// A prompt, opened, with the clear columns of its row.
#[derive(Clone, Debug)]
pub struct StoredPrompt {
    /// Its id.
    pub id: Id<Prompt>,
    /// The sealed part, opened.
    pub doc: PromptDoc,
    /// The stage of delivery.
    pub stage: DeliveryStage,
    /// The instant at which it is due.
    pub due_at: Timestamp,
    /// The instant at which it expires.
    pub expires_at: Timestamp,
    /// The instant at which it was marked due.
    pub fired_at: Option<Timestamp>,
    /// The instant at which it was delivered.
    pub delivered_at: Option<Timestamp>,
    /// Its version.
    pub version: i64,
}

/// The states of a prompt by name, as [`StoredPrompt::state`] returns them.
pub const STATES: [&str; 8] = ["planned", "due", "delivered", "opened", "completed", "skipped", "cancelled", "lapsed"];

impl StoredPrompt {
    /// Returns the last deed that decides the state. Moves are passed over; after a revival or a snooze there is none.
    fn deed(&self) -> Option<PromptEvent> {
        let last = self.doc.history.iter().rev().find(|event| event.deed != PromptEvent::Moved)?.deed;
        (!matches!(last, PromptEvent::Revived | PromptEvent::Snoozed)).then_some(last)
    }

    /// Whether it was answered.
    pub fn is_completed(&self) -> bool {
        self.doc.answered_at.is_some()
    }

    /// Whether an answer written at `at` is in time. The planned expiry counts even if the server let the prompt lapse
    /// earlier, after an outage: the patient's phone knows only the planned one.
    pub fn is_answered_by(&self, at: Timestamp) -> bool {
        at < self.expires_at.max(self.doc.planned.expires_at)
    }

    /// Whether the patient opened it and nothing followed. Its time may have passed since.
    pub fn is_opened(&self) -> bool {
        self.deed() == Some(PromptEvent::Opened)
    }

    /// Whether the patient snoozed it, and planning has not revived it since.
    fn is_snoozed(&self) -> bool {
        let moved = |event: &&Event| matches!(event.deed, PromptEvent::Snoozed | PromptEvent::Revived);
        self.doc.history.iter().rev().find(moved).is_some_and(|event| event.deed == PromptEvent::Snoozed)
    }

    /// Whether the patient snoozed it a moment ago with this option: the request was sent again.
    pub fn was_just_snoozed(&self, option: &str, now: Timestamp) -> bool {
        let last = self.doc.history.iter().rev().find(|event| event.deed != PromptEvent::Moved);
        last.is_some_and(|last| {
            last.deed == PromptEvent::Snoozed
                && last.cause.as_deref() == Some(option)
                && now.duration_since(last.at) < REPEATED
        })
    }

    /// Returns the zone of its local date and time: that for which it was planned, or `here`, where the patient is now,
    /// if they put it off: they chose a time of that place.
    pub fn zone<'z>(&'z self, here: Option<&'z Zone>) -> &'z Zone {
        here.filter(|_| self.is_put_off()).unwrap_or(&self.doc.planned.zone)
    }

    /// Returns the local date on which it is due, where it was planned for; a snooze may have changed it.
    pub fn date(&self) -> Date {
        self.doc.planned.zone.date(self.due_at)
    }

    /// Whether it waits for the time to which the patient snoozed it.
    pub fn is_put_off(&self) -> bool {
        self.stage == DeliveryStage::Planned && self.deed().is_none() && self.is_snoozed()
    }

    /// Returns the instant at which the patient last opened, answered, skipped or snoozed it.
    pub fn touched_at(&self) -> Option<Timestamp> {
        self.doc.history.iter().rev().find(|event| !event.deed.is_of_planning()).map(|event| event.at)
    }

    /// Whether it is outside the template and its time has not come: it may still turn out not to be called for, so it
    /// is not shown.
    pub fn is_foreseen(&self) -> bool {
        self.doc.planned.kind == PromptKind::OnDemand && self.fired_at.is_none() && self.touched_at().is_none()
    }

    /// Returns the instant at which the patient snoozed it last.
    pub fn snoozed_at(&self) -> Option<Timestamp> {
        self.doc.history.iter().rev().find(|event| event.deed == PromptEvent::Snoozed).map(|event| event.at)
    }

    /// Returns its state at `now`: `planned, due, delivered, opened, completed, skipped, lapsed, cancelled`.
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.is_completed() {
            return "completed";
        }
        match self.deed() {
            Some(PromptEvent::Skipped) => return "skipped",
            Some(PromptEvent::Cancelled) => return "cancelled",
            _ => {}
        }
        if self.expires_at <= now {
            return "lapsed";
        }
        match (self.deed(), self.stage) {
            (Some(PromptEvent::Opened), _) => "opened",
            (_, DeliveryStage::Planned) if self.due_at <= now => "due",
            (_, DeliveryStage::Planned) => "planned",
            (_, DeliveryStage::Due) => "due",
            (_, DeliveryStage::Delivered | DeliveryStage::Settled) => "delivered",
        }
    }

    /// Returns the part of its state that its version covers: `planned, opened, snoozed, completed, skipped, cancelled`.
    /// Whether it is due, was delivered or has lapsed follows from the clock.
    pub fn recorded_state(&self) -> &'static str {
        if self.is_completed() {
            return "completed";
        }
        match self.deed() {
            Some(PromptEvent::Completed) => "completed",
            Some(PromptEvent::Skipped) => "skipped",
            Some(PromptEvent::Cancelled) => "cancelled",
            Some(PromptEvent::Opened) => "opened",
            _ if self.is_snoozed() => "snoozed",
            _ => "planned",
        }
    }

    /// Whether it left the server and expired, and the patient neither answered nor skipped it.
    pub fn is_lapsed(&self, now: Timestamp) -> bool {
        self.fired_at.is_some() && self.state(now) == "lapsed"
    }

    /// Whether it expired before it left the server, in an outage, and the patient did nothing with it.
    pub fn is_missed(&self, now: Timestamp) -> bool {
        self.fired_at.is_none() && self.touched_at().is_none() && self.state(now) == "lapsed"
    }

    /// Whether it waits for the patient.
    pub fn is_open(&self, now: Timestamp) -> bool {
        matches!(self.state(now), "planned" | "due" | "delivered" | "opened")
    }

    /// Whether the patient may put it off. A prompt that was put off three times is not wanted.
    pub fn may_wait(&self, now: Timestamp) -> bool {
        let times = self.doc.history.iter().filter(|event| event.deed == PromptEvent::Snoozed).count();
        self.is_open(now) && times < SNOOZES
    }

    /// Returns the operations that its state allows.
    pub fn steps(&self, now: Timestamp) -> Vec<&'static str> {
        [
            ("open_prompt", self.is_open(now) || self.state(now) == "lapsed"),
            ("complete_prompt", self.is_completed() || self.is_answered_by(now)),
            ("snooze_prompt", self.may_wait(now)),
            ("skip_prompt", self.is_open(now)),
        ]
        .into_iter()
        .filter_map(|(step, allowed)| allowed.then_some(step))
        .collect()
    }

    /// Returns the cause of its last event, if that is a withdrawal or move by planning, or a skip by the patient.
    pub fn cause(&self) -> Option<&str> {
        let last = self.doc.history.last()?;
        let told = matches!(last.deed, PromptEvent::Cancelled | PromptEvent::Skipped | PromptEvent::Moved);
        last.cause.as_deref().filter(|_| told)
    }

    /// Returns the cause as the patient is told it: without that of a therapist's caution.
    pub fn cause_for_patient(&self) -> Option<&str> {
        self.cause().filter(|cause| *cause != WITHHELD)
    }

    /// Adds an event to the history, which keeps all that the patient did and the newest that planning did.
    pub fn note(&mut self, deed: PromptEvent, at: Timestamp, cause: Option<String>) {
        self.doc.history.push(Event { deed, at, cause });
        shorten(&mut self.doc.history);
    }

    /// Returns the prompt as a part of the past of its date, if it went out, was answered or its time has come.
    pub fn settled(&self, now: Timestamp) -> Option<PastPrompt> {
        let gone = match self.existing().hold {
            Hold::Out | Hold::Settled => true,
            Hold::Waiting => self.due_at <= now,
            Hold::Withdrawn => false,
        };
        gone.then(|| PastPrompt {
            id: self.id,
            rule_key: self.doc.planned.rule_key.clone(),
            rule: None,
            due_at: self.due_at,
            date: self.date(),
            answered_at: self.doc.answered_at,
            anchor: self.doc.planned.anchor,
            hangs_on: self.doc.planned.hangs_on,
            unanswered: !self.is_completed() && self.deed() != Some(PromptEvent::Skipped),
            lapsed: self.is_lapsed(now),
            taken_back: !self.is_completed() && self.deed() == Some(PromptEvent::Cancelled),
            missed: self.is_missed(now),
            card: !self.doc.planned.push,
        })
    }

    /// Returns the prompt as planning sees it.
    pub fn existing(&self) -> Existing {
        let withdrawn = self.deed() == Some(PromptEvent::Cancelled) && self.fired_at.is_none();
        let over = self.is_completed() || matches!(self.deed(), Some(PromptEvent::Skipped | PromptEvent::Cancelled));
        let open = self.fired_at.is_some() || self.is_put_off() || self.is_opened();
        let hold = match self.stage {
            _ if withdrawn => Hold::Withdrawn,
            _ if open && !over => Hold::Out,
            DeliveryStage::Planned if self.deed().is_none() && !self.is_snoozed() => Hold::Waiting,
            _ => Hold::Settled,
        };
        Existing {
            id: self.id,
            hold,
            due_at: self.due_at,
            expires_at: self.expires_at,
            reminder_at: self.doc.planned.reminder_at,
            zone: self.doc.planned.zone.name().to_owned(),
            protocol: (self.doc.planned.protocol.clone(), self.doc.planned.protocol_version),
            own: self.doc.planned.own.clone(),
            anchor: self.doc.planned.anchor,
            wording: self.doc.planned.wording,
            hangs_on: self.doc.planned.hangs_on,
            why: self.doc.planned.why,
        }
    }
}

/// Drops the oldest events of planning if there are too many. The last one of each kind stays: the state of the prompt
/// follows from the last events.
fn shorten(history: &mut Vec<Event>) {
    let of_planning = history.iter().filter(|event| event.deed.is_of_planning()).count();
    let mut surplus = of_planning.saturating_sub(OF_PLANNING);
    let last = [PromptEvent::Cancelled, PromptEvent::Revived, PromptEvent::Moved]
        .map(|deed| history.iter().rposition(|event| event.deed == deed));
    let mut place = 0;
    history.retain(|event| {
        let goes = surplus > 0 && event.deed.is_of_planning() && !last.contains(&Some(place));
        surplus -= usize::from(goes);
        place += 1;
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(deeds: impl IntoIterator<Item = PromptEvent>) -> Vec<PromptEvent> {
        let mut history = Vec::new();
        for deed in deeds {
            history.push(Event { deed, at: Timestamp::UNIX_EPOCH, cause: None });
            shorten(&mut history);
        }
        history.into_iter().map(|event| event.deed).collect()
    }

    #[test]
    fn a_patient_who_pauses_again_and_again_makes_no_history_without_end() {
        use PromptEvent::{Cancelled, Opened, Revived, Snoozed};
        let pauses = || std::iter::repeat_n([Cancelled, Revived], 500).flatten();
        let history = after([Snoozed].into_iter().chain(pauses()).chain([Opened]).chain(pauses()));
        assert_eq!(history.len(), OF_PLANNING + 2);
        assert_eq!(history.iter().filter(|deed| [Snoozed, Opened].contains(deed)).count(), 2, "what she did stays");
        assert!(history.ends_with(&[Cancelled, Revived]), "and so does what planning did last");
    }

    #[test]
    fn a_prompt_that_was_brought_back_is_not_put_off_again_by_moves() {
        use PromptEvent::{Moved, Revived, Snoozed};
        let history = after([Snoozed, Revived].into_iter().chain(std::iter::repeat_n(Moved, 500)));
        assert_eq!(history.len(), OF_PLANNING + 1);
        assert!(history.starts_with(&[Snoozed, Revived]), "the last of its kind stays, however long ago it was");
    }
}
