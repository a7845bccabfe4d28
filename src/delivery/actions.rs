//! One round of delivery: lease, judge, send, note.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use super::channel::{Channel, ChannelError};
use super::model::{ATTEMPTS, Outgoing, Push, TEXT, Verdict, is_late, judge, remind_at, retry_at};
use super::store::{self, Leased, Outcomes, SealedPrompt};
use crate::care::{Access, Read};
use crate::course::{self, PauseRow};
use crate::db::Tx;
use crate::kernel::id::{Delivery, Patient};
use crate::kernel::{Id, Result};
use crate::prompts::model::StoredPrompt;
use crate::state::State;
use crate::tasks::{KeyRing, keys_of};

/// The deliveries of one round. With the two numbers below a round takes at most 20 seconds, less than a lease.
const ROUND: i64 = 256;
/// The number of sends under way at once.
const AT_ONCE: usize = 64;
/// The longest that a channel may take for one push.
const PATIENCE: Duration = Duration::from_secs(5);

/// The result of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliverySummary {
    /// The number of deliveries that have left.
    pub sent: usize,
    /// The number of deliveries that were looked at. With none, nothing more waits.
    pub seen: usize,
}

/// Leases a round of deliveries, sends those that may still be sent, and notes the outcome of each.
///
/// # Errors
///
/// When database or keyring cannot be reached. The deliveries are taken again when their lease has run out.
pub async fn deliver(state: &State, channel: &dyn Channel, now: Timestamp) -> Result<DeliverySummary> {
    // A name for this round alone, because only the holder of a lease may finish it.
    let holder = state.entropy.opaque();
    let leased = state.db.write(move |tx| store::lease(tx, holder, now, ROUND)).await?;
    if leased.is_empty() {
        return Ok(DeliverySummary::default());
    }
    let keys = keys_of(state, leased.iter().map(|one| one.patient).collect()).await?;
    let (held, ring) = (leased.clone(), Arc::clone(&keys));
    let mut facts = state.db.read(move |tx| facts(tx, &held, &ring, now)).await?;
    let mut prompts = HashMap::new();
    let mut turns = Vec::with_capacity(leased.len());
    for one in &leased {
        let Some((verdict, prompt)) = verdict(one, facts.remove(&one.id), &keys, now) else {
            turns.push((*one, (Verdict::Lapse, now)));
            continue;
        };
        turns.push((*one, (verdict, prompt.expires_at)));
        prompts.insert(one.id, prompt);
    }
    let mut outcomes = send(channel, turns, now).await;
    outcomes.reminders = outcomes.sent.iter().filter_map(|one| reminder(one, prompts.get(&one.id)?, now)).collect();
    let (round, name) = (DeliverySummary { sent: outcomes.sent.len(), seen: leased.len() }, channel.name());
    let vault = state.vault.clone();
    let unit = state.db.write(move |tx| {
        store::insert(tx, &vault, name, &outcomes.reminders, now)?;
        store::finish(tx, holder, &outcomes, now)
    });
    unit.await?;
    Ok(round)
}

type Facts = HashMap<Id<Delivery>, (SealedPrompt, Vec<PauseRow>)>;

/// Reads the facts of deliveries: prompt and settings, and the pauses of late ones.
fn facts(tx: &mut Tx<'_>, leased: &[Leased], keys: &KeyRing, now: Timestamp) -> Result<Facts> {
    let ids: Vec<_> = leased.iter().map(|one| one.id).collect();
    let owners: HashMap<_, _> = leased.iter().map(|one| (one.id, one.patient)).collect();
    let mut facts = Facts::new();
    for (id, sealed) in store::list_sealed(tx, &ids)? {
        let pauses = match owners.get(&id).and_then(|patient| access(keys, *patient, now)) {
            Some(access) if is_late(sealed.due_at, now) => course::list_pauses(tx, &access)?,
            _ => Vec::new(),
        };
        facts.insert(id, (sealed, pauses));
    }
    Ok(facts)
}

fn access(keys: &KeyRing, patient: Id<Patient>, now: Timestamp) -> Option<Access<Read>> {
    let keys = keys.get(&patient)?.clone()?;
    Some(Access::<Read>::for_server(patient, Some(keys), now))
}

/// Decides about a delivery, with its prompt; `None` for one that lapses because its prompt cannot be opened.
fn verdict(
    one: &Leased,
    facts: Option<(SealedPrompt, Vec<PauseRow>)>,
    keys: &KeyRing,
    now: Timestamp,
) -> Option<(Verdict, StoredPrompt)> {
    // Without keys the patient cannot answer it either.
    let ((sealed, pauses), access) = (facts?, access(keys, one.patient, now)?);
    if one.attempts > ATTEMPTS {
        tracing::warn!(delivery = %one.id, "a delivery is given up: no attempt came to an end");
        return None;
    }
    let opened = sealed.open(&access).and_then(|opened| Ok((opened, course::open_periods(&pauses, &access)?)));
    match opened {
        Ok(((prompt, settings), pauses)) => Some((judge(&prompt, &settings.unwrap_or_default(), &pauses, now), prompt)),
        Err(error) => {
            tracing::error!(delivery = %one.id, %error, "a delivery lapses: its prompt cannot be opened");
            None
        }
    }
}

/// Makes the reminder of a delivery that has just left, if it has one.
fn reminder(one: &Leased, prompt: &StoredPrompt, now: Timestamp) -> Option<Outgoing> {
    let due_at = remind_at(prompt, one.ordinal, now)?;
    let Leased { patient, prompt: id, ordinal, .. } = *one;
    Some(Outgoing { patient, prompt: id, ordinal: ordinal + 1, due_at, expires_at: prompt.expires_at })
}

async fn send(channel: &dyn Channel, turns: Vec<(Leased, (Verdict, Timestamp))>, now: Timestamp) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let mut going = Vec::new();
    for (one, (verdict, expires_at)) in turns {
        match verdict {
            Verdict::Send => going.push((one, expires_at)),
            Verdict::Wait(until) => outcomes.again.push((one.id, until, 0)),
            Verdict::Lapse => outcomes.lapsed.push(one.id),
        }
    }
    let sends: Vec<_> = going.into_iter().map(|(one, expires_at)| send_one(channel, one, expires_at).boxed()).collect();
    let mut done = futures_util::stream::iter(sends).buffer_unordered(AT_ONCE);
    while let Some((one, expires_at, sent)) = done.next().await {
        match (sent, retry_at(one.attempts, expires_at, now)) {
            (Ok(()), _) => outcomes.sent.push(one),
            (Err(error), Some(at)) => {
                tracing::warn!(delivery = %one.id, %error, "a delivery failed and is tried again");
                outcomes.again.push((one.id, at, one.attempts));
            }
            (Err(error), None) => {
                tracing::warn!(delivery = %one.id, %error, "a delivery is given up");
                outcomes.lapsed.push(one.id);
            }
        }
    }
    outcomes
}

async fn send_one(
    channel: &dyn Channel,
    one: Leased,
    expires_at: Timestamp,
) -> (Leased, Timestamp, Result<(), ChannelError>) {
    let Leased { id: delivery, patient, prompt, .. } = one;
    let push = Push { delivery, patient, prompt, expires_at, text: TEXT };
    let sent = tokio::time::timeout(PATIENCE, channel.send(&push)).await;
    (one, expires_at, sent.unwrap_or(Err(ChannelError("took too long"))))
}
