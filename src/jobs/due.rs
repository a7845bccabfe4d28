//! Prompts whose time has come.

use futures_util::{FutureExt as _, StreamExt as _};
use jiff::{SignedDuration, Timestamp};

use super::store;
use crate::care::Access;
use crate::changes;
use crate::db::Tx;
use crate::delivery::actions::keys_of;
use crate::delivery::store::{self as outbox, Outgoing};
use crate::kernel::id::Patient;
use crate::kernel::{Id, Result};
use crate::planning::Kind;
use crate::prompts::model::StoredPrompt;
use crate::prompts::store::{Mark, mark};
use crate::state::State;
use crate::vault::Keys;

/// Prompts marked due in one unit.
const BATCH: i64 = 500;
/// Who finds a prompt waiting longer than this after its time comes back from an outage.
const OUTAGE: SignedDuration = SignedDuration::from_mins(30);
/// Prompts whose patients are caught up with in one round.
const LATE: i64 = 500;
/// Patients caught up with at once.
const AT_ONCE: usize = 16;

/// Marks what is due: a delivery for what is still of use, nothing for the rest. Answers how many prompts.
///
/// `oldest` is the earliest time that a prompt waits for.
pub(super) async fn mark_due(state: &State, channel: &'static str, oldest: Timestamp, now: Timestamp) -> Result<usize> {
    let cutoff = now.saturating_sub(OUTAGE).unwrap_or(now);
    let any_late = oldest < cutoff;
    let caught_up = if any_late {
        let (late, _) = state.db.read(move |tx| store::list_late(tx, cutoff, LATE)).await?;
        catch_up(state, channel, late, now).await?
    } else {
        0
    };
    let on_time = state.db.write(move |tx| on_time(tx, channel, any_late, cutoff, now)).await?;
    Ok(caught_up + on_time)
}

fn on_time(tx: &mut Tx<'_>, channel: &'static str, any_late: bool, cutoff: Timestamp, now: Timestamp) -> Result<usize> {
    // Patients with something late are caught up with as a whole, by whoever comes first.
    let (late, all) = if any_late { store::list_late(tx, cutoff, LATE)? } else { (Vec::new(), true) };
    if !all {
        return Ok(0);
    }
    let claimed = store::claim(tx, (cutoff, now), &late, BATCH)?;
    let (valid, expired): (Vec<_>, Vec<_>) = claimed.iter().copied().partition(|one| one.expires_at > now);
    settle(tx, channel, &valid, &valid, &expired, now)?;
    Ok(claimed.len())
}

/// Marks `due` due and lets `lapsed` lapse, and puts `going` into the outbox.
fn settle(
    tx: &mut Tx<'_>,
    channel: &'static str,
    going: &[Outgoing],
    due: &[Outgoing],
    lapsed: &[Outgoing],
    now: Timestamp,
) -> Result<()> {
    let ids = |list: &[Outgoing]| list.iter().map(|one| (one.patient, one.prompt)).collect::<Vec<_>>();
    mark(tx, &ids(due), Mark::Due, now)?;
    mark(tx, &ids(lapsed), Mark::Lapsed, now)?;
    outbox::insert(tx, channel, going, now)
}

/// Catches up with patients after an outage, each in a unit of their own.
async fn catch_up(state: &State, channel: &'static str, late: Vec<Id<Patient>>, now: Timestamp) -> Result<usize> {
    let keys = keys_of(state, late.clone()).await?;
    let units: Vec<_> = late
        .into_iter()
        .map(|patient| {
            let keys = keys.get(&patient).cloned().flatten();
            let unit = state.db.write_bulk(move |tx| catch_up_one(tx, channel, patient, keys.as_ref(), now));
            unit.map(move |done| (patient, done)).boxed()
        })
        .collect();
    let mut units = futures_util::stream::iter(units).buffer_unordered(AT_ONCE);
    let mut count = 0;
    while let Some((patient, done)) = units.next().await {
        match done {
            Ok(marked) => count += marked,
            Err(error) => tracing::error!(%patient, %error, "what was due in an outage could not be caught up with"),
        }
    }
    Ok(count)
}

fn catch_up_one(
    tx: &mut Tx<'_>,
    channel: &'static str,
    patient: Id<Patient>,
    keys: Option<&Keys>,
    now: Timestamp,
) -> Result<usize> {
    let access = Access::<crate::care::Write>::for_server(patient, keys.cloned(), now);
    // No number is taken: this locks the head, so that two workers do not choose twice.
    changes::take(tx, patient, 0)?;
    let list = store::list_waiting(tx, &access)?;
    let count = list.len();
    let (mut cards, mut pushes, mut lapsed) = (Vec::new(), Vec::new(), Vec::new());
    for (outgoing, opened) in list {
        match opened {
            Ok(prompt) if outgoing.expires_at > now => {
                if prompt.doc.planned.push {
                    pushes.push((outgoing, prompt));
                } else {
                    cards.push(outgoing);
                }
            }
            // Expired, or nobody can read it: it lapses.
            _ => lapsed.push(outgoing),
        }
    }
    let going: Vec<Outgoing> = chosen(&pushes).into_iter().collect();
    lapsed.extend(
        pushes.iter().map(|(one, _)| *one).filter(|one| going.iter().all(|chosen| chosen.prompt != one.prompt)),
    );
    cards.extend(going.iter().copied());
    settle(tx, channel, &going, &cards, &lapsed, now)?;
    Ok(count)
}

/// The one prompt that goes out after an outage: a safety prompt before any other, then the latest.
fn chosen(valid: &[(Outgoing, StoredPrompt)]) -> Option<Outgoing> {
    let best = valid.iter().max_by_key(|(_, prompt)| (prompt.doc.planned.kind == Kind::Safety, prompt.due_at));
    best.map(|(outgoing, _)| *outgoing)
}
