//! The acts of a patient on a prompt.

use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::model::{AnswerId, DeliveryStage, PromptEvent, StoredPrompt};
use super::store;
use crate::care::{Access, Write};
use crate::changes::{Change, Entity, Op};
use crate::db::Tx;
use crate::kernel::id::Prompt;
use crate::kernel::{Error, Id, Result};
use crate::settings::settings_or_default;

fn shift(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

/// An act of a patient on a prompt.
#[derive(Clone, Debug)]
pub enum PromptAction {
    /// The patient looks at it.
    Open,
    /// The patient answers it, with an entry or response or without one.
    Complete {
        /// The instant of the answer, by the patient's clock.
        occurred_at: Timestamp,
        /// The entry or response.
        answer: Option<AnswerId>,
    },
    /// The patient does not want it.
    Skip {
        /// The reason, in a word.
        reason: Option<String>,
    },
    /// The patient wants it later.
    Snooze(SnoozeOption),
}

/// The time at which a snoozed prompt comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnoozeOption {
    /// In an hour.
    Hour,
    /// This evening.
    Evening,
    /// Tomorrow, at the same time of the day.
    Tomorrow,
}

impl SnoozeOption {
    /// Parses a name.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        match name {
            "hour" => Ok(Self::Hour),
            "evening" => Ok(Self::Evening),
            "tomorrow" => Ok(Self::Tomorrow),
            _ => Err("must be hour, evening or tomorrow"),
        }
    }

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Evening => "evening",
            Self::Tomorrow => "tomorrow",
        }
    }
}

/// Applies `act` to a prompt. A repeated act changes nothing and returns the prompt as it is. Any other act feeds the
/// plan, which may change the prompt again at the end of the unit, so it returns `None`.
///
/// # Errors
///
/// [`Error::NotFound`] when the patient has no such prompt; [`Error::State`] when its state does not allow it.
pub fn act(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Prompt>,
    act: &PromptAction,
) -> Result<Option<StoredPrompt>> {
    access.lock(tx)?;
    let mut prompt = store::find(tx, access, id)?.ok_or(Error::NotFound)?;
    let now = access.now();
    let state = prompt.state(now);
    let refusal = Error::state(state, prompt.steps(now));
    match act {
        PromptAction::Open if matches!(state, "opened" | "completed") || prompt.is_opened() => return Ok(Some(prompt)),
        PromptAction::Open if matches!(state, "planned" | "due" | "delivered" | "lapsed") => {
            prompt.note(PromptEvent::Opened, now, None);
            prompt.stage = DeliveryStage::Settled;
        }
        PromptAction::Complete { .. } if prompt.is_completed() => return Ok(Some(prompt)),
        // An answer in time counts, however late it arrives and whatever became of the prompt meanwhile.
        PromptAction::Complete { occurred_at, answer } if prompt.is_answered_by(*occurred_at) => {
            prompt.note(PromptEvent::Completed, now, (state == "lapsed").then(|| "late_sync".to_owned()));
            prompt.doc.answered_at = Some(*occurred_at);
            prompt.doc.answer_id = *answer;
            prompt.stage = DeliveryStage::Settled;
        }
        PromptAction::Skip { .. } if state == "skipped" => return Ok(Some(prompt)),
        PromptAction::Skip { reason } if prompt.is_open(now) => {
            prompt.note(PromptEvent::Skipped, now, reason.clone());
            prompt.stage = DeliveryStage::Settled;
        }
        PromptAction::Snooze(later) if prompt.may_wait(now) => {
            if prompt.was_just_snoozed(later.name(), now) {
                return Ok(Some(prompt));
            }
            let mut due = later_than(tx, access, now, *later)?;
            if due <= prompt.due_at {
                // It is not wanted sooner: the time counts from the one that it has.
                due = later_than(tx, access, prompt.due_at, *later)?;
            }
            prompt.note(PromptEvent::Snoozed, now, Some(later.name().to_owned()));
            prompt.due_at = due;
            prompt.expires_at = prompt.expires_at.max(shift(due, SignedDuration::from_hours(2)));
            prompt.stage = DeliveryStage::Planned;
            prompt.fired_at = None;
        }
        _ => return Err(refusal),
    }
    prompt.version = tx.version_after(prompt.version);
    store::update(tx, access, &prompt)?;
    access.record(tx, Change::new(Entity::Prompt, id, prompt.version, Op::Update))?;
    Ok(None)
}

/// Finds the time that an option means at `now`, outside the quiet hours.
fn later_than(tx: &mut Tx<'_>, access: &Access<Write>, now: Timestamp, later: SnoozeOption) -> Result<Timestamp> {
    let settings = settings_or_default(tx, access)?;
    let zone = settings.zone_at(now);
    let local = zone.local(now);
    let wanted = match later {
        SnoozeOption::Hour => shift(now, SignedDuration::from_hours(1)),
        SnoozeOption::Evening => {
            zone.instant(local.date(), Time::constant(18, 30, 0, 0)).max(shift(now, SignedDuration::from_hours(1)))
        }
        SnoozeOption::Tomorrow => zone.instant(local.date().saturating_add(1.day()), local.time()),
    };
    Ok(settings.quiet_hours.next_allowed(&zone, wanted))
}

/// Completes the prompt that an entry or response answers, in the same unit. An answer after the prompt's time keeps
/// its link and changes nothing, and so does one to a prompt that does not open. Returns `false` when the patient has
/// no such prompt.
pub fn answered(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Prompt>,
    occurred_at: Timestamp,
    answer: AnswerId,
) -> Result<bool> {
    let Some(found) = Error::skip_damaged(store::find(tx, access, id))? else { return Ok(true) };
    match found {
        None => Ok(false),
        Some(prompt) if prompt.is_completed() || !prompt.is_answered_by(occurred_at) => Ok(true),
        Some(_) => act(tx, access, id, &PromptAction::Complete { occurred_at, answer: Some(answer) }).map(|_| true),
    }
}
