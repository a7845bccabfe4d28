//! Effortful prompts that come due, with a push or without one: what comes in their place when the newest dials are
//! heavy. Whether the patient is ready for them is judged with the other reasons to wait ([`super::model::judge`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, ToSpan};

use super::model::{Outgoing, Verdict};
use super::store::{self as outbox, Leased};
use crate::care::write_scope::WriteScope;
use crate::care::{Access, Read, Write};
use crate::changes::{Change, Entity, Op};
use crate::db::Tx;
use crate::exercises;
use crate::journal;
use crate::kernel::id::{Delivery, Patient, Prompt};
use crate::kernel::{Id, Result, Zone};
use crate::planning::protocol::{Effort, Expiry};
use crate::planning::{Dials, Planned, Protocol, Protocols, Rule, Why};
use crate::prompts::model::{DeliveryStage, PromptDoc, PromptEvent, StoredPrompt};
use crate::prompts::store::{self as prompts, Mark};
use crate::settings::settings_or_default;
use crate::state::State;
use crate::vault::Keys;

/// The age of the oldest dial that is read.
pub(super) const DIALS: SignedDuration = SignedDuration::from_hours(24);
/// The cause of the end of a prompt in whose place another comes, as planning names it.
const REPLACED: &str = "replaced";
/// The delay after which a prompt that could not be replaced is judged again.
const AGAIN: SignedDuration = SignedDuration::from_mins(5);

/// Judges the effortful prompts among `turns` of the patients who have set a dial lately, with their keys in `felt`.
/// Replaces those that ask too much by the newest dials, and drops the reminders of such prompts.
///
/// # Errors
///
/// When the database cannot be reached.
pub(super) async fn judge_again(
    state: &State,
    channel: &'static str,
    (found, felt): (&HashMap<Id<Delivery>, StoredPrompt>, BTreeMap<Id<Patient>, Keys>),
    turns: &mut [(Leased, Verdict)],
    now: Timestamp,
) -> Result<()> {
    let protocols = state.protocols.known();
    let effortful = |one: &Leased, verdict: Verdict| {
        let prompt = found.get(&one.id).filter(|prompt| asks_now(prompt, verdict, now))?;
        protocols.rule_of(&prompt.doc.planned).filter(|rule| rule.effort == Effort::Effortful)
    };
    let asked = turns.iter().filter(|(one, verdict)| effortful(one, *verdict).is_some());
    let patients: BTreeMap<_, _> =
        asked.filter_map(|(one, _)| Some((one.patient, felt.get(&one.patient)?.clone()))).collect();
    if patients.is_empty() {
        return Ok(());
    }
    let looked_at = patients.clone();
    let read = state.db.read(move |tx| {
        let of = |(patient, keys): (&Id<Patient>, &Keys)| {
            Ok((*patient, dials(tx, &Access::<Read>::for_server(*patient, Some(keys.clone()), now))?))
        };
        looked_at.iter().map(of).collect::<Result<HashMap<_, _>>>()
    });
    let dials = read.await?;
    for (one, verdict) in turns.iter_mut() {
        let Some((rule, dials)) = effortful(one, *verdict).zip(dials.get(&one.patient)) else { continue };
        let protocol = found.get(&one.id).map(|prompt| protocols.of(&prompt.doc.planned));
        let Some(lighter) = protocol.and_then(|of| of.lighter_than(rule, *dials, now)) else { continue };
        let announced = *verdict == Verdict::Send;
        *verdict = match found.get(&one.id).map(|prompt| prompt.stage) {
            Some(DeliveryStage::Due) => {
                replace(state, channel, one, (lighter, announced), patients.get(&one.patient).cloned(), now).await
            }
            _ => Verdict::Lapse,
        };
    }
    Ok(())
}

/// Finds those of `cards` that ask too much by the newest dials, each with the rule of what comes in its place. The
/// patient sees them in the app from now on, without a delivery.
///
/// # Errors
///
/// When the database cannot be reached.
pub(super) async fn too_much(
    state: &State,
    access: Access<Read>,
    cards: impl Iterator<Item = &StoredPrompt>,
) -> Result<Vec<(Id<Prompt>, Rule)>> {
    let protocols = state.protocols.known();
    let of = |card: &StoredPrompt| {
        let planned = &card.doc.planned;
        Some((card.id, protocols.of(planned), protocols.rule_of(planned)?.clone()))
    };
    let rules = cards.filter_map(of);
    let effortful: Vec<_> = rules.filter(|(.., rule)| rule.effort == Effort::Effortful).collect();
    if effortful.is_empty() {
        return Ok(Vec::new());
    }
    let now = access.now();
    let dials = state.db.read(move |tx| dials(tx, &access)).await?;
    let lighter =
        |(id, protocol, rule): (_, &Protocol, Rule)| Some((id, protocol.lighter_than(&rule, dials, now)?.clone()));
    Ok(effortful.into_iter().filter_map(lighter).collect())
}

/// Whether the patient is asked by this delivery, or sees its prompt in the app from now on without one.
fn asks_now(prompt: &StoredPrompt, verdict: Verdict, now: Timestamp) -> bool {
    match verdict {
        Verdict::Send => true,
        Verdict::Wait(_) => false,
        Verdict::Lapse => prompt.stage == DeliveryStage::Due && prompt.state(now) == "due",
    }
}

/// Reads the newest dials, opened in the unit. Those that do not open count as none.
fn dials(tx: &mut Tx<'_>, access: &Access<Read>) -> Result<Dials> {
    let since = access.now().saturating_sub(DIALS).unwrap_or(access.now());
    let written = journal::store::newest_dials(tx, access, since)?;
    let worked = exercises::store::newest_distress(tx, access, since)?;
    let distress = written.distress.into_iter().chain(worked).max_by_key(|rating| rating.answered_at);
    Ok(Dials { mood: written.mood, distress })
}

/// Puts a prompt of `lighter` in the place of the one that is being delivered. The verdict is on the latter.
async fn replace(
    state: &State,
    channel: &'static str,
    one: &Leased,
    (lighter, announced): (&Rule, bool),
    keys: Option<Keys>,
    now: Timestamp,
) -> Verdict {
    let (planner, vault, protocols) = (Arc::clone(&state.planner), state.vault.clone(), state.protocols.known());
    let (Leased { patient, prompt, lane, .. }, lighter) = (*one, lighter.clone());
    let unit = state.db.write(move |tx| {
        WriteScope::for_server(patient, keys.clone(), now).run(tx, planner.as_ref(), |tx, access| {
            let next = put_in_place(tx, access, &protocols, (prompt, &lighter), announced)?;
            let next = next.map(|next| Outgoing { lane, ..next });
            outbox::insert(tx, &vault, channel, next.as_slice(), now)
        })
    });
    match unit.await {
        Ok(()) => Verdict::Lapse,
        Err(error) => {
            tracing::error!(delivery = %one.id, %error, "a prompt that asks too much could not be replaced");
            Verdict::Wait(now.saturating_add(AGAIN).unwrap_or(now))
        }
    }
}

/// Takes back a prompt that has come due, and stores one of `lighter` in its place, which is due now. There is none
/// while an earlier one of `lighter` waits for the patient. Returns the delivery of the lighter one, if the one that it
/// replaces was to be `announced`, in the first lane; an earlier one is announced too if it was not before.
///
/// # Errors
///
/// When the database cannot be read or written.
pub(super) fn put_in_place(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    protocols: &Protocols,
    (id, lighter): (Id<Prompt>, &Rule),
    announced: bool,
) -> Result<Option<Outgoing>> {
    access.lock(tx)?;
    let (patient, now) = (access.patient(), access.now());
    let Some(mut prompt) = prompts::find(tx, access, id)? else { return Ok(None) };
    if prompt.stage != DeliveryStage::Due || prompt.state(now) != "due" {
        return Ok(None);
    }
    prompt.note(PromptEvent::Cancelled, now, Some(REPLACED.to_owned()));
    prompt.stage = DeliveryStage::Settled;
    prompt.version = tx.version_after(prompt.version);
    prompts::update(tx, access, &prompt)?;
    access.record(tx, Change::new(Entity::Prompt, id, prompt.version, Op::Update))?;
    let since = now.saturating_sub(DIALS).unwrap_or(now);
    // The end of the range does not belong to it, and one that came a moment ago in the same round is due now.
    let until = now.saturating_add(SignedDuration::from_micros(1)).unwrap_or(now);
    let recent = prompts::list_opened(tx, access, (since, until))?.list;
    let earlier = recent.into_iter().find(|other| other.doc.planned.rule_key == lighter.key && other.is_open(now));
    let next = match earlier {
        Some(mut card) if announced && !card.doc.planned.push && card.state(now) == "due" => {
            card.doc.planned.push = lighter.push;
            card.version = tx.version_after(card.version);
            // Not `update`: a worker may mark this card as due at the same moment, and the unit then decides again.
            prompts::update_all(tx, access, &[&prompts::seal(access, &card)?])?;
            access.record(tx, Change::new(Entity::Prompt, card.id, card.version, Op::Update))?;
            card
        }
        Some(_) => return Ok(None),
        None => {
            let zone = settings_or_default(tx, access)?.zone_at(now);
            let key = prompts::id_key(access)?.in_place_of(patient, &lighter.key, id);
            let protocol = protocols.of(&prompt.doc.planned);
            let planned = in_its_place(&prompt.doc.planned, protocol, (lighter, announced), (now, zone));
            insert_due(tx, access, Planned { id: key, ..planned })?
        }
    };
    let push = Outgoing { patient, prompt: next.id, ordinal: 0, due_at: now, expires_at: next.expires_at, lane: 0 };
    Ok(next.doc.planned.push.then_some(push))
}

/// Stores a prompt that is due now.
fn insert_due(tx: &mut Tx<'_>, access: &Access<Write>, planned: Planned) -> Result<StoredPrompt> {
    let prompt = StoredPrompt {
        id: planned.id,
        due_at: planned.due_at,
        expires_at: planned.expires_at,
        doc: PromptDoc { planned, history: Vec::new(), answer_id: None, answered_at: None },
        stage: DeliveryStage::Planned,
        fired_at: None,
        delivered_at: None,
        version: tx.first_version(),
    };
    prompts::insert(tx, access, &prompt)?;
    prompts::mark(tx, &[(access.patient(), prompt.id)], Mark::Due, access.now())?;
    access.record(tx, Change::new(Entity::Prompt, prompt.id, prompt.version, Op::Create))?;
    Ok(prompt)
}

/// Makes the prompt of `lighter` that comes now, in the place of `replaced`.
fn in_its_place(
    replaced: &Planned,
    protocol: &Protocol,
    (lighter, announced): (&Rule, bool),
    (now, zone): (Timestamp, Zone),
) -> Planned {
    let local = zone.local(now);
    let expires_at = match lighter.expires {
        Expiry::Hours(hours) => now.saturating_add(SignedDuration::from_hours(hours)).unwrap_or(now),
        Expiry::Until { days, time } => zone.instant(local.date().saturating_add(days.days()), time),
    };
    Planned {
        rule_key: lighter.key.clone(),
        protocol: protocol.key.clone(),
        protocol_version: protocol.version,
        kind: lighter.kind,
        priority: lighter.priority,
        local_date: local.date(),
        local_time: local.time(),
        zone,
        due_at: now,
        expires_at,
        reminder_at: None,
        minutes: lighter.minutes,
        push: lighter.push && announced,
        returns: None,
        wording: 0,
        hangs_on: None,
        why: Why::Lighter,
        own: None,
        ..replaced.clone()
    }
}
