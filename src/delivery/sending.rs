//! Sends the pushes of a round: to each device of a patient, or, in a process without channels to devices, by the
//! channel of the process. What goes to a device by a channel that is left to other processes waits for them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::{SignedDuration, Timestamp};

use super::channel::{Channel, ChannelError};
use super::model::{Push, TEXT, resend_at, retry_at};
use super::plan::is_in_plans;
use super::store::{FannedOut, Leased, Left, Outcomes};
use super::texts;
use crate::channels::{Address, Channels, Notice, SendError, Sending};
use crate::db::Tx;
use crate::devices::{DeviceRow, Notifications, store as device_rows};
use crate::identity::live_sessions;
use crate::kernel::id::{Device, Patient, Session};
use crate::kernel::{Id, Result};
use crate::prompts::model::StoredPrompt;
use crate::settings::Settings;
use crate::state::State;
use crate::vault::{Keys, Vault};

/// The number of sends under way at once by the channel of the process, for each part of a round.
const AT_ONCE: usize = 64;
/// The longest that the channel of the process may take for one push. A part of a round takes at most 10 seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time after which a push is tried again that failed by the settings of the operator.
const KEPT: SignedDuration = SignedDuration::from_mins(10);

/// The devices of some patients, sealed, and which of their sessions are live.
#[derive(Debug, Default)]
pub(super) struct Devices {
    rows: HashMap<Id<Patient>, Vec<DeviceRow>>,
    live: HashSet<Id<Session>>,
}

impl Devices {
    /// Reads the devices of these patients.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub(super) fn of(tx: &mut Tx<'_>, patients: &[Id<Patient>], now: Timestamp) -> Result<Self> {
        let all = device_rows::list_of(tx, patients)?;
        let sessions: Vec<_> = all.iter().map(|row| row.key.session_id).collect();
        let live = live_sessions(tx, &sessions, now)?;
        let mut rows: HashMap<_, Vec<_>> = HashMap::new();
        for row in all {
            rows.entry(row.key.patient_id).or_default().push(row);
        }
        Ok(Self { rows, live })
    }

    /// Opens the devices of a patient that pushes go to. One that does not open is passed over.
    fn reached(
        &self,
        patient: Id<Patient>,
        keys: &Keys,
        about: &About,
        (channels, now): (&Channels, Timestamp),
    ) -> Vec<Reached> {
        let rows = self.rows.get(&patient).map(Vec::as_slice).unwrap_or_default();
        let live = rows.iter().filter(|row| row.retired_at.is_none() && self.live.contains(&row.key.session_id));
        live.filter_map(|row| Reached::open(row, keys, about, now))
            .filter(|to| channels.has(to.address.channel()))
            .collect()
    }
}

/// What is known of a prompt that goes out.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// The instants at which it is due and at which it last changed.
    at: (Timestamp, Timestamp),
    /// Whether it stands in the plans of devices.
    in_plans: bool,
    /// The language of the patient.
    locale: String,
}

impl About {
    pub(super) fn new(prompt: &StoredPrompt, updated_at: Timestamp, settings: &Settings) -> Self {
        let at = (prompt.due_at, updated_at);
        Self { at, in_plans: is_in_plans(prompt), locale: settings.locale.clone() }
    }
}

/// A device that a push goes to.
#[derive(Clone, Debug)]
struct Reached {
    device: Id<Device>,
    version: i64,
    address: Address,
    acknowledges: bool,
    text: Option<&'static str>,
}

impl Reached {
    fn open(row: &DeviceRow, keys: &Keys, about: &About, now: Timestamp) -> Option<Self> {
        let doc = match row.open(keys) {
            Ok(doc) => doc,
            Err(error) => {
                tracing::error!(device = %row.key.id, %error, "a device is passed over: it cannot be opened");
                return None;
            }
        };
        // A device that shows the prompt by itself would ring twice.
        let by_itself = about.in_plans && row.plan.is_some_and(|plan| plan.shows(about.at, now));
        let silent = by_itself || doc.notifications == Notifications::Silent;
        let languages = doc.locale.as_deref().into_iter().chain([about.locale.as_str()]);
        let text = (!silent).then(|| texts::sentence(languages));
        let wanted = doc.notifications != Notifications::Off;
        let (device, version, acknowledges) = (row.key.id, row.key.version, doc.acknowledges);
        let address = doc.push.filter(|_| wanted)?.address().ok()?;
        Some(Self { device, version, address, acknowledges, text })
    }
}

/// What became of the push to one device.
struct Pushed {
    to: Reached,
    left: Left,
    /// Whether its address is dead.
    dead: bool,
}

/// Pushes to devices that are under way. Those of one delivery are one future, so that a delivery is noted once, with
/// all of its devices. A round bounds their number, and every channel that of its sends.
#[derive(Default)]
pub(super) struct UnderWay(FuturesUnordered<BoxFuture<'static, (Leased, Vec<Pushed>)>>);

impl UnderWay {
    /// Waits for all of them, and notes each delivery in `outcomes` when its pushes are done. Whoever stops waiting
    /// loses none of the others: they are still under way.
    pub(super) async fn note(&mut self, outcomes: &mut Outcomes) {
        while let Some((one, pushed)) = self.0.next().await {
            note(one, &pushed, outcomes);
        }
    }
}

/// Sends what is to go out by the channel of the process, or returns the pushes to devices, which begin when they are
/// waited for. `outcomes` has the rest of the round.
pub(super) async fn send(
    state: &State,
    local: &dyn Channel,
    going: Vec<(Leased, Keys, About)>,
    devices: &Devices,
    outcomes: &mut Outcomes,
    now: Timestamp,
) -> UnderWay {
    if state.channels.is_empty() {
        send_here(local, going.into_iter().map(|(one, ..)| one), outcomes, now).await;
        return UnderWay::default();
    }
    let under_way = UnderWay::default();
    for (one, keys, about) in going {
        let mut reached = devices.reached(one.patient, &keys, &about, (&state.channels, now));
        if let Some(device) = one.device {
            reached.retain(|to| to.device == device);
        }
        match one.device {
            _ if !reached.is_empty() => {
                let (channels, vault) = (Arc::clone(&state.channels), state.vault.clone());
                under_way.0.push(push_all(channels, vault, one, reached, now).boxed());
            }
            Some(_) => outcomes.of_device.push((one, Left::Lapsed)),
            None => outcomes.lapsed.push(one.id),
        }
    }
    under_way
}

/// Notes what became of the pushes of a delivery.
fn note(one: Leased, pushed: &[Pushed], outcomes: &mut Outcomes) {
    let dead = pushed.iter().filter(|push| push.dead);
    outcomes.dead.extend(dead.map(|push| (one.patient, push.to.device, push.to.version)));
    if one.device.is_some() {
        outcomes.of_device.extend(pushed.iter().map(|push| (one, push.left)));
    } else {
        let devices = pushed.iter().map(|push| (push.to.device, push.to.address.channel(), push.left)).collect();
        outcomes.fanned_out.push(FannedOut { one, devices });
    }
}

/// Sends the pushes of one delivery, all at once.
async fn push_all(
    channels: Arc<Channels>,
    vault: Vault,
    one: Leased,
    reached: Vec<Reached>,
    now: Timestamp,
) -> (Leased, Vec<Pushed>) {
    let pushes: Vec<_> = reached.into_iter().map(|to| push(&channels, &vault, &one, to, now)).collect();
    let done = join_all(pushes).await;
    (one, done)
}

/// Sends one push to one device, unless another process serves its channel.
async fn push(channels: &Channels, vault: &Vault, one: &Leased, to: Reached, now: Timestamp) -> Pushed {
    let channel = to.address.channel();
    if !channels.serves(channel) {
        return Pushed { to, left: Left::Elsewhere(channel), dead: false };
    }
    let delivery = super::model::device_delivery_id(vault, one.prompt, one.ordinal, to.device);
    let notice = Notice { delivery, prompt: one.prompt, text: to.text, expires_at: one.expires_at };
    let sending = channels.send(&to.address, &notice, now).await;
    let (left, dead) = (left(one, &to, &sending, now), sending == Sending::Failed(SendError::Gone));
    Pushed { to, left, dead }
}

/// Decides what becomes of a push.
fn left(one: &Leased, to: &Reached, sending: &Sending, now: Timestamp) -> Left {
    let attempts = if one.device.is_some() { one.attempts } else { 1 };
    let delivery = one.id;
    match *sending {
        Sending::Sent => {
            let resends = one.resends + i32::from(one.sent_at.is_some());
            let again = resend_at(resends, one.expires_at, now).filter(|_| to.acknowledges);
            again.map_or(Left::Sent, Left::Unconfirmed)
        }
        // Nothing was tried, so nothing counts.
        Sending::Resting(until) if until < one.expires_at => Left::Again(spread(one, until), attempts - 1),
        Sending::Resting(_) => Left::Lapsed,
        Sending::Failed(SendError::Later { after, reason }) => {
            let asked = after.and_then(|after| now.checked_add(after).ok());
            let at = retry_at(attempts, one.expires_at, now).map(|at| spread(one, at.max(asked.unwrap_or(at))));
            let Some(at) = at.filter(|at| *at < one.expires_at) else {
                tracing::warn!(%delivery, reason, "a push is given up");
                return Left::Lapsed;
            };
            tracing::warn!(%delivery, reason, "a push failed and is tried again");
            Left::Again(at, attempts)
        }
        Sending::Failed(SendError::Refused { reason }) => {
            tracing::error!(%delivery, reason, "a push is refused by its service");
            Left::Lapsed
        }
        // Whatever the operator mends in time still reaches the device, so this is no attempt that counts.
        Sending::Failed(SendError::Misconfigured { reason } | SendError::Mismatched { reason }) => {
            tracing::error!(%delivery, device = %to.device, reason, "a push is kept until the settings are mended");
            let at = spread(one, now.saturating_add(KEPT).unwrap_or(now));
            if at < one.expires_at { Left::Again(at, attempts - 1) } else { Left::Lapsed }
        }
        Sending::Failed(SendError::Gone) => {
            tracing::info!(%delivery, device = %to.device, "the address of a device is dead and is retired");
            Left::Lapsed
        }
    }
}

/// Moves `at` by less than ten seconds, by the delivery, so that what failed together does not come back together.
fn spread(one: &Leased, at: Timestamp) -> Timestamp {
    let [first, ..] = *one.id.uuid().as_bytes();
    at.saturating_add(SignedDuration::from_millis(i64::from(first) * 39)).unwrap_or(at)
}

/// Sends by the channel of the process.
async fn send_here(
    channel: &dyn Channel,
    going: impl Iterator<Item = Leased>,
    outcomes: &mut Outcomes,
    now: Timestamp,
) {
    let sends: Vec<_> = going.map(|one| send_one(channel, one).boxed()).collect();
    let mut done = futures_util::stream::iter(sends).buffer_unordered(AT_ONCE);
    while let Some((one, sent)) = done.next().await {
        match (sent, retry_at(one.attempts, one.expires_at, now)) {
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
}

async fn send_one(channel: &dyn Channel, one: Leased) -> (Leased, std::result::Result<(), ChannelError>) {
    let Leased { id: delivery, patient, prompt, expires_at, .. } = one;
    let push = Push { delivery, patient, prompt, expires_at, text: TEXT };
    let sent = tokio::time::timeout(PATIENCE, channel.send(&push)).await;
    (one, sent.unwrap_or(Err(ChannelError("took too long"))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;

    /// A delivery whose id, a keyed hash, begins with this byte.
    fn leased(first: u8) -> Leased {
        let id = Uuid::from_u128((u128::from(first) << 120) | 0x8000_8000_0000_0000_0001);
        Leased {
            id: Id::from_uuid(id),
            patient: Id::from_uuid(Uuid::nil()),
            prompt: Id::from_uuid(Uuid::nil()),
            ordinal: 0,
            attempts: 1,
            device: None,
            due_at: Timestamp::UNIX_EPOCH,
            sent_at: None,
            resends: 0,
            received: false,
            expires_at: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1),
            lane: 0,
        }
    }

    #[test]
    fn what_failed_together_comes_back_apart_within_ten_seconds() {
        let at = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(5);
        let all: BTreeSet<_> = (0..=u8::MAX).map(|first| spread(&leased(first), at)).collect();
        assert_eq!(all.len(), 256, "each at an instant of its own");
        let latest = at + SignedDuration::from_secs(10);
        assert!(all.iter().all(|moved| at <= *moved && *moved < latest), "{all:?}");
        let seconds: BTreeSet<_> = all.iter().map(|moved| moved.as_second()).collect();
        assert_eq!(seconds.len(), 10, "over all of the ten seconds");
        let again: BTreeSet<_> = (0..=u8::MAX).map(|first| spread(&leased(first), at)).collect();
        assert_eq!(again, all, "the same for the same delivery");
        let later = at + SignedDuration::from_secs(30);
        let moved = |at| spread(&leased(77), at).duration_since(at);
        assert_eq!(moved(later), moved(at), "whenever it fails");
    }
}
