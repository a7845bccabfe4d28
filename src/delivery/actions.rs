//! One round of delivery: lease, judge, send, note.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::channel::Channel;
use super::model::{ATTEMPTS, Repeat, TASK, Verdict, is_late, judge, judge_repeat};
use super::outage::cutoff;
use super::sending::{About, Devices};
use super::store::{self, Leased, Left, Outcomes, SealedPrompt};
use super::storing::Round;
use super::{lighter, sending};
use crate::care::{Access, Read};
use crate::course::{self, InfusionRow, PauseRow};
use crate::db::Tx;
use crate::kernel::id::{Delivery, Patient};
use crate::kernel::{Error, Id, Result};
use crate::planning::protocol::Effort;
use crate::planning::{PromptKind, Protocols, unready_until};
use crate::prompts::model::StoredPrompt;
use crate::state::State;
use crate::tasks::{KeyRing, keys_of};

/// The deliveries of one round.
const ROUND: i64 = 448;
/// The deliveries of a part of a round. While one part is judged, the database reads and stores another.
const PART: usize = 112;
/// The longest that a round waits for its pushes to devices. What is still under way then goes on by itself, so that a
/// push service that hangs does not hold what comes due meanwhile.
const HOLDS: Duration = Duration::from_secs(1);
/// The longest that pushes go on after their round. Each has a time-out of five seconds, after which its channel soon
/// rests; one that also waits for a place in its channel may take longer. With the round before it, and the unit that
/// stores the outcomes, this is shorter than the lease: until then no other worker takes these deliveries.
const TAIL: Duration = Duration::from_secs(20);
/// The most rounds whose pushes go on at once. Beyond it a round waits for its own.
const TAILS: u16 = 8;
/// The time after which a delivery is looked at again of which a fact cannot be known now.
const WITHHELD: SignedDuration = SignedDuration::from_hours(1);
/// The time for which a change of an infusion may have come after its prompts became due. Later ones are late.
const JUST_CHANGED: SignedDuration = SignedDuration::from_mins(5);

/// The result of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliverySummary {
    /// The number of deliveries that have left.
    pub sent: usize,
    /// The number of deliveries that were looked at. With none, nothing more waits.
    pub seen: usize,
    /// The instant at which the one that waited longest was to leave.
    pub oldest: Option<Timestamp>,
    /// Whether it has taken all that waited.
    pub is_last: bool,
}

/// The pushes that go on after the rounds that began them, at most those of eight rounds.
#[derive(Debug)]
pub struct Tails {
    places: Arc<Semaphore>,
    holds: Duration,
    lasts: Duration,
}

impl Default for Tails {
    fn default() -> Self {
        Self::lasting(HOLDS, TAIL)
    }
}

impl Tails {
    /// Makes room for the pushes of rounds that each wait for `holds`, and go on for `lasts` at most. A server takes the
    /// default; tests are quicker with less.
    pub fn lasting(holds: Duration, lasts: Duration) -> Self {
        Self { places: Arc::new(Semaphore::new(usize::from(TAILS))), holds, lasts }
    }

    /// Returns the place of one more; `None` if there are too many.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Waits until all have ended.
    pub async fn end(&self) {
        // All places are free when none goes on. A closed semaphore is never seen: nothing closes it.
        drop(self.places.acquire_many(u32::from(TAILS)).await);
    }
}

/// Leases a round of deliveries, sends those that may still be sent, and notes the outcome of each. Pushes that take
/// long go on in `tails`, and are noted when they are done.
///
/// # Errors
///
/// When database or keyring cannot be reached. The deliveries are taken again when their lease has run out.
pub async fn deliver(state: &State, channel: &dyn Channel, tails: &Tails, now: Timestamp) -> Result<DeliverySummary> {
    // A name for this round alone, because only the holder of a lease may finish it.
    let holder = state.entropy.opaque();
    let left = state.channels.left_to_others();
    let leased = state.db.write(move |tx| store::lease(tx, holder, now, ROUND, &left)).await?;
    let (parts, place) = (parts_of(&leased), OnceLock::new());
    let part = |part| deliver_part(state, channel, (tails, &place), (holder, part), now).boxed();
    let under_way: Vec<_> = parts.iter().map(|of| part(of.as_slice())).collect();
    let (mut sent, mut done, mut fault, mut apart) = (0, false, None, Vec::<&[Leased]>::new());
    // Each part is stored, whatever becomes of the others.
    for (of, stored) in parts.iter().zip(join_all(under_way).await) {
        match stored {
            Ok(stored) => (sent, done) = (sent + stored, true),
            Err(error) if error.is_outage() => fault = Some(error),
            // Nothing of it has left. What fails for one patient is no attempt for the others.
            Err(_) => apart.extend(of.chunk_by(|one, next| one.patient == next.patient)),
        }
    }
    let under_way: Vec<_> = apart.iter().copied().map(part).collect();
    let mut failed = Vec::new();
    for (of, stored) in apart.iter().copied().zip(join_all(under_way).await) {
        match stored {
            Ok(stored) => (sent, done) = (sent + stored, true),
            Err(error) if error.is_outage() => fault = Some(error),
            Err(error) => failed.push((of, error)),
        }
    }
    for (of, error) in failed {
        // What fails for everybody is no fault of a patient's rows: the leases run out, and the deliveries are tried again.
        fault = if done { withhold(state, (holder, of), &error, now).await.err().or(fault) } else { Some(error) };
    }
    if let Some(error) = fault {
        return Err(error);
    }
    let seen = leased.len();
    let is_last = i64::try_from(seen).is_ok_and(|seen| seen < ROUND);
    let oldest = leased.iter().map(|one| one.due_at).min();
    Ok(DeliverySummary { sent, seen, oldest, is_last })
}

/// Withholds the deliveries of a patient of whom a row cannot be read.
async fn withhold(state: &State, (holder, leased): (Uuid, &[Leased]), error: &Error, now: Timestamp) -> Result<()> {
    metrics::counter!("afterglow_task_failures_total", "task" => TASK).increment(1);
    let mut outcomes = Outcomes::default();
    for one in leased {
        tracing::error!(delivery = %one.id, %error, "a delivery is withheld: a row of its patient cannot be read");
        put_back(&mut outcomes, *one, withheld(one.expires_at, now));
    }
    let vault = state.vault.clone();
    state.db.write(move |tx| store::finish(tx, &vault, holder, &outcomes, now)).await
}

/// Decides about a delivery of which a fact cannot be known now: it might fall into quiet hours, a pause or the hours
/// after an infusion.
fn withheld(expires_at: Timestamp, now: Timestamp) -> Verdict {
    let later = now.saturating_add(WITHHELD).unwrap_or(now);
    if later < expires_at { Verdict::Wait(later) } else { Verdict::Lapse }
}

/// Notes the verdict on a delivery that does not go.
fn put_back(outcomes: &mut Outcomes, one: Leased, verdict: Verdict) {
    match (verdict, one.device) {
        (Verdict::Send, _) => {}
        (Verdict::Wait(until), None) => outcomes.again.push((one.id, until, 0)),
        (Verdict::Lapse, None) => outcomes.lapsed.push(one.id),
        (Verdict::Wait(until), Some(_)) => outcomes.of_device.push((one, Left::Again(until, 0))),
        (Verdict::Lapse, Some(_)) => outcomes.of_device.push((one, Left::Lapsed)),
    }
}

/// Divides the deliveries of a round into parts of about one size. Those of a patient stay together, in their order:
/// what is judged of one rests on the others.
fn parts_of(leased: &[Leased]) -> Vec<Vec<Leased>> {
    let (mut leased, mut parts) = (leased.to_vec(), Vec::<Vec<Leased>>::new());
    leased.sort_by_key(|one| one.patient);
    for of_patient in leased.chunk_by(|one, next| one.patient == next.patient) {
        match parts.last_mut() {
            Some(part) if part.len() < PART => part.extend_from_slice(of_patient),
            _ => parts.push(of_patient.to_vec()),
        }
    }
    parts
}

/// The place of the pushes of a round that go on after it, which its parts share; `None` inside when there is none.
type TailPlace = OnceLock<Option<Arc<OwnedSemaphorePermit>>>;

/// Judges and sends a part of the deliveries that `holder` has leased, and returns the number of pushes that have left.
async fn deliver_part(
    state: &State,
    channel: &dyn Channel,
    (tails, place): (&Tails, &TailPlace),
    (holder, leased): (Uuid, &[Leased]),
    now: Timestamp,
) -> Result<usize> {
    let keys = keys_of(state, leased.iter().map(|one| one.patient).collect()).await?;
    let held = leased.to_vec();
    let protocols = state.protocols.known();
    let wary = state.vault.unreadable_rows() > 0;
    let to_devices = !state.channels.is_empty();
    let mut facts = state.db.read(move |tx| facts(tx, &held, (wary, to_devices), now)).await?;
    let felt = leased.iter().filter(|one| facts.prompts.get(&one.id).is_some_and(|sealed| sealed.dials));
    let felt = felt.filter_map(|one| Some((one.patient, keys.get(&one.patient)?.clone()?))).collect();
    let (mut prompts, mut abouts) = (HashMap::new(), HashMap::new());
    let mut turns = Vec::with_capacity(leased.len());
    for one in leased {
        let judged = verdict(one, facts.prompts.remove(&one.id), &facts, &keys, (&protocols, now));
        let Some(Judged { verdict, prompt, about }) = judged else {
            turns.push((*one, Verdict::Lapse));
            continue;
        };
        turns.push((*one, verdict));
        prompts.insert(one.id, prompt);
        abouts.extend(about.map(|about| (one.id, about)));
    }
    lighter::judge_again(state, channel.name(), (&prompts, felt), &mut turns, now).await?;
    let (mut outcomes, mut going) = (Outcomes::default(), Vec::new());
    for (one, verdict) in turns {
        let mut known = || Some((one, keys.get(&one.patient)?.clone()?, abouts.remove(&one.id)?));
        match verdict {
            Verdict::Send => going.extend(known()),
            Verdict::Wait(_) | Verdict::Lapse => put_back(&mut outcomes, one, verdict),
        }
    }
    let (leased, name) = (leased.to_vec(), channel.name());
    let round = Arc::new(Round { state: state.clone(), holder, channel: name, leased, prompts, now });
    let mut under_way = sending::send(state, channel, going, &facts.devices, &mut outcomes, now).await;
    if tokio::time::timeout(tails.holds, under_way.note(&mut outcomes)).await.is_err() {
        if let Some(place) = place.get_or_init(|| tails.place().map(Arc::new)) {
            tokio::spawn(Arc::clone(&round).go_on(under_way, (Arc::clone(place), tails.lasts)));
        } else {
            under_way.note(&mut outcomes).await;
        }
    }
    round.store(outcomes).await
}

/// The sealed facts of the deliveries of a round.
struct Facts {
    /// Prompt and settings of each delivery.
    prompts: HashMap<Id<Delivery>, SealedPrompt>,
    /// Infusions of the patients who are looked at.
    infusions: Vec<(Id<Patient>, InfusionRow)>,
    /// Pauses of the patients who are looked at.
    pauses: Vec<(Id<Patient>, PauseRow)>,
    /// The devices of all of them, in a process with channels to devices.
    devices: Devices,
    /// The deliveries from before an outage that it leaves out.
    left_out: HashSet<Id<Delivery>>,
}

/// Reads the facts of deliveries. Infusions and pauses are in the plan already: they are looked at for late deliveries,
/// for patients one of whose infusions has changed since the prompt became due, and for all (`wary`) since something
/// did not open, after which a plan may have been made without it.
fn facts(tx: &mut Tx<'_>, leased: &[Leased], (wary, to_devices): (bool, bool), now: Timestamp) -> Result<Facts> {
    let ids: Vec<_> = leased.iter().map(|one| one.id).collect();
    let before = |time: SignedDuration| now.saturating_sub(time).unwrap_or(now);
    let prompts: HashMap<_, _> =
        store::list_sealed(tx, &ids, (before(JUST_CHANGED), before(lighter::DIALS)))?.into_iter().collect();
    let late = |sealed: &SealedPrompt| sealed.changed || is_late(sealed.due_at, now);
    let looked_at = |one: &&Leased| wary || one.device.is_some() || prompts.get(&one.id).is_some_and(late);
    let patients = patients_of(leased.iter().filter(looked_at));
    let devices = if to_devices { Devices::of(tx, &patients_of(leased.iter()), now)? } else { Devices::default() };
    let is_stale = |one: &&Leased| one.sent_at.is_none() && one.due_at < cutoff(now);
    let stale: Vec<_> = leased.iter().filter(is_stale).copied().collect();
    let left_out = store::list_left_out(tx, &stale, now)?;
    if patients.is_empty() {
        return Ok(Facts { prompts, infusions: Vec::new(), pauses: Vec::new(), devices, left_out });
    }
    let infusions = course::list_infusions_of(tx, &patients)?;
    Ok(Facts { prompts, infusions, pauses: course::list_pauses_of(tx, &patients)?, devices, left_out })
}

/// Returns the patients of these deliveries, each once.
fn patients_of<'l>(deliveries: impl Iterator<Item = &'l Leased>) -> Vec<Id<Patient>> {
    let patients: BTreeSet<_> = deliveries.map(|one| one.patient).collect();
    patients.into_iter().collect()
}

/// Those of `rows` that are the patient's.
fn of<T>(rows: &[(Id<Patient>, T)], patient: Id<Patient>) -> impl Iterator<Item = &T> {
    rows.iter().filter(move |(of, _)| *of == patient).map(|(_, row)| row)
}

fn access(keys: &KeyRing, patient: Id<Patient>, now: Timestamp) -> Option<Access<Read>> {
    let keys = keys.get(&patient)?.clone()?;
    Some(Access::<Read>::for_server(patient, Some(keys), now))
}

/// A decision about a delivery.
struct Judged {
    verdict: Verdict,
    prompt: StoredPrompt,
    /// What a push to a device needs; `None` if the settings of the patient do not open.
    about: Option<About>,
}

/// Decides about a delivery; `None` for one that lapses whatever its prompt is: the account of its patient is disabled,
/// or the prompt cannot be opened.
fn verdict(
    one: &Leased,
    sealed: Option<SealedPrompt>,
    facts: &Facts,
    keys: &KeyRing,
    (protocols, now): (&Protocols, Timestamp),
) -> Option<Judged> {
    // As in a pause, the prompt stays in the app until it expires. A safety check does not go either: nobody is asked
    // who cannot answer.
    let sealed = sealed.filter(|sealed| !sealed.shut_out)?;
    // Without keys the patient cannot answer it either.
    let access = access(keys, one.patient, now)?;
    if one.attempts > ATTEMPTS {
        tracing::warn!(delivery = %one.id, "a delivery is given up: no attempt came to an end");
        return None;
    }
    let settings = sealed.open_settings(&access);
    let updated_at = sealed.updated_at;
    let prompt = match sealed.open(&access) {
        Ok(prompt) => prompt,
        Err(error) => {
            tracing::error!(delivery = %one.id, %error, "a delivery lapses: its prompt cannot be opened");
            return None;
        }
    };
    let about = settings.as_ref().ok().map(|settings| About::new(&prompt, updated_at, settings));
    // A late safety check goes, whatever else does.
    if facts.left_out.contains(&one.id) && prompt.doc.planned.kind != PromptKind::Safety {
        return Some(Judged { verdict: Verdict::Lapse, prompt, about });
    }
    let judged = settings.and_then(|settings| {
        let pauses = course::open_periods(of(&facts.pauses, one.patient), &access)?;
        let params = &protocols.current().window;
        let infusions = || of(&facts.infusions, one.patient);
        let silence = course::silence(infusions(), &access, params)?;
        let rule = protocols.rule_of(&prompt.doc.planned);
        // Use at home is looked after while it lasts.
        let silence = silence.filter(|_| !rule.is_some_and(|rule| rule.at_home));
        let not_before = match rule.filter(|rule| rule.effort == Effort::Effortful) {
            // A session that goes on has no end from which readiness could be told: it is judged after the silence.
            Some(_) if silence.is_none() => {
                let doses = course::open_doses(infusions(), access.keys()?, one.patient)?;
                unready_until(params, &doses, &settings.zones, (now, prompt.expires_at))
            }
            _ => silence,
        };
        Ok(match repeat(one) {
            Some(repeat) => judge_repeat(&prompt, &settings, &pauses, not_before, (repeat, now)),
            None => judge(&prompt, &settings, &pauses, not_before, now),
        })
    });
    let verdict = judged.unwrap_or_else(|error| {
        tracing::error!(delivery = %one.id, %error, "a delivery is withheld: a fact of its patient cannot be opened");
        withheld(prompt.expires_at, now)
    });
    Some(Judged { verdict, prompt, about })
}

/// Returns what a delivery to one device is an attempt at.
fn repeat(one: &Leased) -> Option<Repeat> {
    one.device?;
    Some(match one.sent_at {
        _ if one.received => Repeat::Received,
        Some(_) => Repeat::Resend(one.due_at),
        None => Repeat::Retry,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::LEASE;

    #[test]
    fn what_goes_on_after_a_round_ends_before_another_worker_may_take_it() {
        let lease = Duration::try_from(LEASE).unwrap();
        // The rest is for the two units of the round and for the one that stores what became of its pushes.
        assert!(HOLDS + TAIL + Duration::from_secs(5) <= lease, "{HOLDS:?} {TAIL:?} {lease:?}");
    }

    /// A round of 448 deliveries to so many patients, one after the other.
    fn round_to(patients: u128) -> Vec<Leased> {
        let one = |turn: u128| Leased {
            id: Id::from_uuid(Uuid::from_u128(turn)),
            patient: Id::from_uuid(Uuid::from_u128(turn % patients)),
            prompt: Id::from_uuid(Uuid::nil()),
            ordinal: 0,
            attempts: 1,
            device: None,
            due_at: Timestamp::UNIX_EPOCH,
            sent_at: None,
            resends: 0,
            received: false,
            expires_at: Timestamp::UNIX_EPOCH,
            lane: 0,
        };
        (0..448).map(one).collect()
    }

    #[test]
    fn the_deliveries_of_a_patient_stay_in_one_part_of_a_round() {
        let leased = round_to(300);
        let parts = parts_of(&leased);
        let ids = |list: &[Leased]| list.iter().map(|one| one.id).collect::<HashSet<_>>();
        assert_eq!(parts.iter().flat_map(|part| ids(part)).collect::<HashSet<_>>(), ids(&leased));
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), leased.len());
        for patient in leased.iter().map(|one| one.patient) {
            let of = parts.iter().filter(|part| part.iter().any(|one| one.patient == patient));
            assert_eq!(of.count(), 1);
        }
    }

    #[test]
    fn a_round_has_parts_of_one_size_also_when_a_few_patients_have_many_deliveries_each() {
        let sizes = |patients| parts_of(&round_to(patients)).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(448), [PART; 4]);
        assert_eq!(sizes(64), [PART; 4]);
        assert_eq!(sizes(1), [448]);
        assert!(parts_of(&[]).is_empty());
    }
}
