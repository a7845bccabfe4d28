//! Handles prompts that are due, also after an outage.
//!
//! A prompt found more than half an hour after its time comes from an outage. If a patient has such a prompt, at most
//! one of all their due prompts still goes out: a safety prompt if one is valid, else the latest valid one. The others
//! become due without a push and keep their expiry. Prompts that come due together without an outage
//! (two that were snoozed until the evening) all go out.
//!
//! What was put into the outbox before an outage and has not left goes only if nothing later of the patient is of use,
//! or if it is a safety prompt. That is judged when it is taken from the outbox.

use jiff::{SignedDuration, Timestamp};

use super::model::Outgoing;
use crate::planning::PromptKind;
use crate::prompts::model::StoredPrompt;

/// The delay after which a waiting prompt comes from an outage.
const OUTAGE: SignedDuration = SignedDuration::from_mins(30);

/// Returns the instant before which waiting prompts come from an outage.
pub fn cutoff(now: Timestamp) -> Timestamp {
    now.saturating_sub(OUTAGE).unwrap_or(now)
}

/// Handles prompts that are due.
#[derive(Clone, Debug, Default)]
pub struct DueDecisions {
    /// They go out: a part of those that are due.
    pub going: Vec<Outgoing>,
    /// The prompts that become due.
    pub due: Vec<Outgoing>,
    /// The prompts that lapse.
    pub lapsed: Vec<Outgoing>,
}

impl DueDecisions {
    /// Of prompts that are found in time: all that have not expired go out.
    pub fn on_time(list: &[Outgoing], now: Timestamp) -> Self {
        let (due, lapsed): (Vec<_>, Vec<_>) = list.iter().copied().partition(|one| one.expires_at > now);
        Self { going: due.clone(), due, lapsed }
    }

    /// Decides the fates of all waiting prompts of one patient after an outage. An entry without a prompt could not be
    /// opened, and lapses.
    pub fn after_outage(list: &[(Outgoing, Option<StoredPrompt>)], now: Timestamp) -> Self {
        let valid = |(one, prompt): &'_ (Outgoing, Option<StoredPrompt>)| {
            prompt.as_ref().filter(|_| one.expires_at > now).map(|prompt| prompt.doc.planned.push)
        };
        let rank = |(_, prompt): &&(Outgoing, Option<StoredPrompt>)| {
            prompt.as_ref().map(|prompt| (prompt.doc.planned.kind == PromptKind::Safety, prompt.due_at))
        };
        let going = list.iter().filter(|one| valid(one) == Some(true)).max_by_key(rank).map(|(one, _)| *one);
        let mut fates = Self { going: going.into_iter().collect(), ..Self::default() };
        for one in list {
            let fate = if valid(one).is_some() { &mut fates.due } else { &mut fates.lapsed };
            fate.push(one.0);
        }
        fates
    }
}
