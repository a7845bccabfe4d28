//! The open streams of a process, and the watcher that wakes them.
//!
//! A stream holds no thread, no connection and no unit. One task reads, for all streams that a signal named, the numbers
//! that they watch and whether their sessions live, and tells each its present state. With each heartbeat it does so for
//! all streams, so that a lost signal is late and nothing worse.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use uuid::Uuid;

use super::epoch;
use crate::changes;
use crate::config::StreamSettings;
use crate::db::{Listener, Signal, Topic, Tx};
use crate::kernel::id::{Account, Patient, Session};
use crate::kernel::{Error, Id, Result, limits};
use crate::state::State;
use crate::vault::{MacLabel, Vault};
use crate::{feed, identity};

/// The most streams that one query reads for.
const AT_ONCE: usize = 500;
/// The time between two attempts to read, while the database is away.
const RETRY: Duration = Duration::from_secs(1);

/// The caller of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pub account: Id<Account>,
    pub session: Id<Session>,
    /// The patient of the account; `None` for staff.
    pub patient: Option<Id<Patient>>,
}

/// The numbers that an account watches, which only grow within an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    /// The number of the last change of the account's patient.
    own: i64,
    /// The last number of the account's feed.
    feed: i64,
}

/// Reads the positions of accounts, in their order.
fn positions(tx: &mut Tx<'_>, watched: &[Watched]) -> Result<Vec<Position>> {
    let patients: Vec<_> = watched.iter().filter_map(|one| one.patient).collect();
    let heads = if patients.is_empty() { HashMap::new() } else { changes::heads(tx, &patients)? };
    let own = |one: &Watched| one.patient.and_then(|patient| heads.get(&patient)).copied().unwrap_or(0);
    let staff: Vec<_> = watched.iter().filter(|one| one.patient.is_none()).map(|one| one.account).collect();
    let feeds = if staff.is_empty() { HashMap::new() } else { feed::store::heads(tx, &staff)? };
    let position =
        |one: &Watched| Position { own: own(one), feed: feeds.get(&one.account).copied().unwrap_or_default() };
    Ok(watched.iter().map(position).collect())
}

/// The `id:` of an event: it says that something is new, and no number.
type Tag = Arc<str>;

fn tag(vault: &Vault, account: Id<Account>, epoch: epoch::Epoch, position: Position) -> Tag {
    let numbers = [position.own.to_be_bytes(), position.feed.to_be_bytes()];
    let mac = vault.mac(MacLabel::Stream, &[account.uuid().as_bytes(), &epoch.bytes(), numbers.as_flattened()]);
    let (short, _) = mac.split_at(12);
    URL_SAFE_NO_PAD.encode(short).into()
}

/// The state of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StreamState {
    /// It was not read yet.
    Unknown,
    /// The newest that there is.
    At(Tag),
    /// The session has ended, another stream took its place, or the server stops.
    Ended,
}

/// The open streams of a process. Cheap to clone.
#[derive(Clone)]
pub struct Streams(Arc<Hub>);

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Streams")
    }
}

struct Hub {
    state: State,
    settings: StreamSettings,
    permits: Arc<Semaphore>,
    table: Mutex<Table>,
    /// Wakes the watcher. It holds no more of the hub than this.
    stale: Arc<Notify>,
}

#[derive(Default)]
struct Table {
    /// One for each session.
    open: BTreeMap<Id<Session>, Entry>,
    /// The sessions whose streams watch a patient or an account.
    watchers: HashMap<Uuid, BTreeSet<Id<Session>>>,
    /// The sessions whose streams are to be read for.
    stale: BTreeSet<Id<Session>>,
    /// The number of streams that were ever open, which names each.
    opened: u64,
    watched: bool,
    closed: bool,
}

struct Entry {
    number: u64,
    watched: Watched,
    tell: watch::Sender<StreamState>,
}

impl Entry {
    fn watches(&self) -> impl Iterator<Item = Uuid> + use<> {
        [Some(self.watched.account.uuid()), self.watched.patient.map(Id::uuid)].into_iter().flatten()
    }
}

impl Table {
    fn remove(&mut self, session: Id<Session>) -> Option<Entry> {
        let entry = self.open.remove(&session)?;
        self.stale.remove(&session);
        for watched in entry.watches() {
            if let Some(sessions) = self.watchers.get_mut(&watched) {
                sessions.remove(&session);
                if sessions.is_empty() {
                    self.watchers.remove(&watched);
                }
            }
        }
        metrics::gauge!("streams_open").decrement(1);
        Some(entry)
    }

    /// Ends a stream.
    fn end(&mut self, session: Id<Session>) {
        if let Some(entry) = self.remove(session) {
            entry.tell.send_replace(StreamState::Ended);
        }
    }

    /// Makes room for another stream of an account.
    fn end_oldest(&mut self, account: Id<Account>) {
        let own = || self.watchers.get(&account.uuid()).into_iter().flatten().copied();
        if limits::STREAMS.admit(i64::try_from(own().count()).unwrap_or(i64::MAX)).is_err()
            && let Some(oldest) = own().min_by_key(|session| self.open.get(session).map(|entry| entry.number))
        {
            self.end(oldest);
        }
    }
}

impl Streams {
    /// Makes the streams of a server, of which none is open.
    pub fn new(state: State) -> Self {
        let settings = state.config.streams;
        let permits = Arc::new(Semaphore::new(settings.most));
        let hub = Arc::new(Hub { state, settings, permits, table: Mutex::default(), stale: Arc::default() });
        let listener: Weak<Hub> = Arc::downgrade(&hub);
        hub.state.db.signals().set_listener(listener);
        Self(hub)
    }

    /// Returns the times of streams.
    pub(super) fn settings(&self) -> StreamSettings {
        self.0.settings
    }

    /// Reserves a place for a stream.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when there are too many, or the server stops.
    pub(super) fn admit(&self) -> Result<OwnedSemaphorePermit> {
        if self.0.table().closed {
            return Err(Error::Unavailable("the server is stopping"));
        }
        let permit = Arc::clone(&self.0.permits).try_acquire_owned();
        permit.ok().ok_or(Error::Unavailable("too many streams are open"))
    }

    /// Opens a stream, and ends another one of the same session. The watcher then tells its first state.
    pub(super) fn open(&self, watched: Watched, permit: OwnedSemaphorePermit) -> OpenStream {
        let hub = &self.0;
        let (tell, state) = watch::channel(StreamState::Unknown);
        let mut table = hub.table();
        table.end(watched.session);
        table.end_oldest(watched.account);
        table.opened += 1;
        let (number, session) = (table.opened, watched.session);
        if table.closed {
            tell.send_replace(StreamState::Ended);
        } else {
            let entry = Entry { number, watched, tell };
            for id in entry.watches() {
                table.watchers.entry(id).or_default().insert(session);
            }
            table.open.insert(session, entry);
            table.stale.insert(session);
            metrics::gauge!("streams_open").increment(1);
        }
        let watch_now = !table.watched;
        table.watched = true;
        drop(table);
        if watch_now {
            // On the runtime of the first stream, which lives as long as the server answers.
            tokio::spawn(watch_all(Arc::downgrade(hub), Arc::clone(&hub.stale), hub.settings.heartbeat));
        }
        hub.stale.notify_one();
        hub.state.db.signals().tell_others(Signal { topic: Topic::Stream, id: session.uuid() });
        OpenStream { hub: Arc::clone(hub), number, session, state, _permit: permit }
    }

    /// Returns the number of streams that are open.
    pub fn count(&self) -> usize {
        self.0.table().open.len()
    }

    /// Ends all streams, and lets none be opened: the server stops.
    pub fn close(&self) {
        let mut table = self.0.table();
        table.closed = true;
        for session in table.open.keys().copied().collect::<Vec<_>>() {
            table.end(session);
        }
        drop(table);
        self.0.stale.notify_one();
    }
}

/// A stream that is open until it is dropped.
pub(super) struct OpenStream {
    hub: Arc<Hub>,
    number: u64,
    session: Id<Session>,
    pub state: watch::Receiver<StreamState>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut table = self.hub.table();
        if table.open.get(&self.session).is_some_and(|entry| entry.number == self.number) {
            table.remove(self.session);
        }
    }
}

impl Listener for Hub {
    fn heard(&self, Signal { topic, id }: Signal) {
        let mut table = self.table();
        if topic == Topic::Stream {
            return table.end(Id::from_uuid(id));
        }
        if !self.settings.signals {
            return;
        }
        let sessions: Vec<Id<Session>> = match topic {
            Topic::Session => {
                table.open.contains_key(&Id::from_uuid(id)).then(|| Id::from_uuid(id)).into_iter().collect()
            }
            _ => table.watchers.get(&id).into_iter().flatten().copied().collect(),
        };
        if !sessions.is_empty() {
            table.stale.extend(sessions);
            self.stale.notify_one();
        }
    }

    fn missed(&self) {
        if self.settings.signals {
            self.all_stale();
        }
    }
}

impl Hub {
    fn table(&self) -> MutexGuard<'_, Table> {
        // The lock is only held to move entries.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_stale(&self) {
        let mut table = self.table();
        table.stale = table.open.keys().copied().collect();
        self.stale.notify_one();
    }

    /// Takes the streams to read for: some, or `None` when the server stops.
    fn take_stale(&self) -> Option<Vec<Watched>> {
        let mut table = self.table();
        let mut some = Vec::new();
        while some.len() < AT_ONCE
            && let Some(session) = table.stale.pop_first()
        {
            some.extend(table.open.get(&session).map(|entry| entry.watched));
        }
        (!table.closed).then_some(some)
    }

    /// Reads for some streams and tells them.
    async fn look(&self, some: &[Watched]) -> Result<()> {
        let (watched, now) = (some.to_vec(), self.state.clock.now());
        let read = self.state.db.read(move |tx| {
            let sessions: Vec<_> = watched.iter().map(|one| one.session).collect();
            let live = identity::live_sessions(tx, &sessions, now)?;
            Ok((epoch::current(tx)?, live, positions(tx, &watched)?))
        });
        let (epoch, live, positions) = read.await?;
        let tags: Vec<_> = some
            .iter()
            .zip(positions)
            .map(|(one, position)| (one.session, tag(&self.state.vault, one.account, epoch, position)))
            .collect();
        let mut table = self.table();
        for (session, tag) in tags {
            if !live.contains(&session) {
                table.end(session);
            } else if let Some(entry) = table.open.get(&session) {
                let present = StreamState::At(tag);
                entry.tell.send_if_modified(|state| {
                    let new = *state != present;
                    if new {
                        *state = present;
                    }
                    new
                });
            }
        }
        Ok(())
    }
}

/// Wakes streams until there is no hub, or it is closed.
async fn watch_all(hub: Weak<Hub>, stale: Arc<Notify>, heartbeat: Duration) {
    let mut beats = tokio::time::interval(heartbeat);
    loop {
        let beat = tokio::select! {
            () = stale.notified() => false,
            _ = beats.tick() => true,
        };
        let Some(hub) = hub.upgrade() else { return };
        if beat {
            hub.all_stale();
        }
        loop {
            let Some(some) = hub.take_stale() else { return };
            if some.is_empty() {
                break;
            }
            if let Err(error) = hub.look(&some).await {
                tracing::warn!(%error, "streams cannot be told of changes");
                hub.table().stale.extend(some.iter().map(|one| one.session));
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stale.notify_one();
    }
}
