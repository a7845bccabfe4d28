//! The controls of a sandbox: clock, outbox, faults.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;

use super::guide;
use super::model::{FaultRequest, Faults, InjectedFault, Move, Start};
use super::outbox::{Outbox, OutboxPage};
use crate::app::{self, Server};
use crate::channels::MailSettings;
use crate::config::{Config, Listen, Registration};
use crate::db::Memory;
use crate::demo;
use crate::kernel::{Clock, Entropy, Error, Result};
use crate::sync::renewal::{self, Renewed};

/// The step of a clock that runs with real time: it shows whole seconds.
const BEAT: Duration = Duration::from_secs(1);

/// A clinic in memory with its controls.
#[derive(Debug)]
pub struct Sandbox {
    config: Config,
    start: Start,
    present: Mutex<Present>,
    /// The number of resets, locked so that one is done before the next begins.
    resets: tokio::sync::Mutex<u64>,
}

/// What a reset replaces.
#[derive(Debug)]
struct Present {
    installation: Arc<Installation>,
    faults: Faults,
}

/// A filled clinic with its clock and outbox, from the start or a reset to the next.
#[derive(Debug)]
pub struct Installation {
    server: Server,
    outbox: Outbox,
    guide: String,
    /// The lock on the background work, so that one move is done before the next begins.
    turn: tokio::sync::Mutex<()>,
    /// Database and keyring.
    _memory: [Memory; 2],
}

/// The outcome of a move of the clock.
#[derive(Clone, Copy, Debug)]
pub struct MoveReport {
    /// The time of the clock after it.
    pub now: Timestamp,
    /// The number of deliveries made on the way.
    pub delivered: usize,
}

/// Opens the address that a sandbox listens on. It is of this machine only: every client can do anything.
///
/// # Errors
///
/// [`Error::Internal`] with words for the operator.
pub fn listener(listen: &Listen) -> Result<TcpListener> {
    let failed = |error: std::io::Error| Error::internal(format!("{listen}: {error}"));
    if !listen.is_this_machine().map_err(failed)? {
        return Err(Error::internal(format!(
            "a sandbox listens on this machine only, such as on 127.0.0.1:8080, and not on {listen}: it asks for no \
             log-in where it moves the clock, and its passphrases are printed"
        )));
    }
    listen.bind().map_err(failed)
}

impl Sandbox {
    /// Opens a sandbox that is filled with the demo's clinic. The places of data and keys in `config` are not used.
    /// Requests are not limited: limits go by the machine's clock. No letter leaves, so nobody registers without an
    /// invitation. A ticking clock runs on the runtime of the caller, until the sandbox is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] with words for the operator.
    pub async fn open(config: Config, start: Start) -> Result<Arc<Self>> {
        let installation = Box::pin(Installation::filled(config.clone(), start, 0)).await?;
        let present = Mutex::new(Present { installation, faults: Faults::default() });
        let sandbox = Arc::new(Self { config, start, present, resets: tokio::sync::Mutex::default() });
        if start.ticking {
            tokio::spawn(tick(Arc::downgrade(&sandbox)));
        }
        Ok(sandbox)
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the clinic as it is now, until the next reset.
    pub fn installation(&self) -> Arc<Installation> {
        Arc::clone(&self.present().installation)
    }

    /// Returns what answers the request that arrives now at `path`. This uses up its fault, if faults can hit it.
    pub(super) fn arrival(&self, path: &str) -> (Arc<Installation>, InjectedFault) {
        let mut present = self.present();
        (Arc::clone(&present.installation), present.faults.take_next(path))
    }

    /// Puts a new clinic in the place of the present one: the same people, ids and time as at the start, without
    /// the sessions and the faults. Requests that have begun are finished by the clinic in which they began.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when the clinic cannot be made; the present one then stays.
    pub async fn reset(self: Arc<Self>) -> Result<Arc<Installation>> {
        // A task of its own: the reset is completed even if the client goes away.
        let reset = tokio::spawn(async move {
            let mut resets = self.resets.lock().await;
            *resets += 1;
            let installation = Box::pin(Installation::filled(self.config.clone(), self.start, *resets)).await?;
            let fresh = Present { installation: Arc::clone(&installation), faults: Faults::default() };
            let before = std::mem::replace(&mut *self.present(), fresh);
            before.installation.server.end_streams();
            drop(before);
            Ok(installation)
        });
        reset.await.unwrap_or_else(|error| Err(Error::Internal(Box::new(error))))
    }

    /// Returns the pending faults.
    pub fn faults(&self) -> Faults {
        self.present().faults.clone()
    }

    /// Adds faults, and answers those that are pending now.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with each wrong field.
    pub fn request_faults(&self, request: &FaultRequest) -> Result<Faults> {
        let mut present = self.present();
        present.faults = present.faults.clone().with(request)?;
        Ok(present.faults.clone())
    }

    /// Removes the pending faults.
    pub fn clear_faults(&self) {
        self.present().faults = Faults::default();
    }
}

/// Lets the clock run with real time as long as there is a sandbox. Steps that work delays are made up for.
async fn tick(sandbox: Weak<Sandbox>) {
    let mut beats = tokio::time::interval(BEAT);
    beats.tick().await;
    loop {
        beats.tick().await;
        let Some(sandbox) = sandbox.upgrade() else { return };
        sandbox.installation().pass(BEAT).await;
    }
}

impl Installation {
    async fn filled(mut config: Config, start: Start, resets: u64) -> Result<Arc<Self>> {
        let Start { at, seed, ticking } = start;
        let memory = [Memory::new()?, Memory::new()?];
        let [data, keyring] = &memory;
        let entropy = Entropy::seeded(seed);
        config.database = data.backend();
        config.keyring = Some(keyring.backend());
        config.root_key = Some(entropy.bytes::<32>().to_vec());
        config.cors_localhost = true;
        (config.auth_per_minute, config.requests_per_minute) = (None, None);
        // Its people are made up, and their letters would leave for addresses of others.
        (config.mail, config.registration) = (MailSettings::Log, Registration::Invited);
        let url = config.public_url.clone();
        let clock = Clock::manual(demo::beginning(at));
        let mut server = Server::open(config, clock.clone(), entropy).await?;
        let filled = demo::fill(&server, at).await?;
        if resets > 0 {
            // The keys repeat with the ids, and what is drawn from here on does not: a token from before a reset is of
            // a session that there never is.
            server.state.entropy = Entropy::seeded(seed.wrapping_add(resets << 32));
        }
        Ok(Arc::new(Self {
            guide: guide::sandbox_guide(&filled, &url, at, ticking),
            outbox: Outbox::new(clock),
            server,
            turn: tokio::sync::Mutex::default(),
            _memory: memory,
        }))
    }

    /// Returns the server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the guide.
    pub fn guide(&self) -> &str {
        &self.guide
    }

    /// The time of the clock.
    pub fn now(&self) -> Timestamp {
        self.server.state.clock.now()
    }

    /// Moves the clock, and does the work that becomes due on the way, each at its time.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a move back or too far.
    pub async fn move_clock(self: Arc<Self>, step: Move) -> Result<MoveReport> {
        self.advance(move |now| step.target(now)).await
    }

    /// Does the work that is due at the time of the clock.
    pub async fn settle(self: Arc<Self>) {
        self.pass(Duration::ZERO).await;
    }

    /// Moves the clock by a time that has passed. What goes wrong is logged.
    async fn pass(self: Arc<Self>, time: Duration) {
        let target = move |now: Timestamp| now.checked_add(time).map_err(|error| Error::Internal(Box::new(error)));
        if let Err(error) = self.advance(target).await {
            tracing::error!(%error, "what is due could not be done");
        }
    }

    async fn advance(
        self: Arc<Self>,
        target: impl FnOnce(Timestamp) -> Result<Timestamp> + Send + 'static,
    ) -> Result<MoveReport> {
        // A task of its own: the move is completed even if the client goes away.
        let moved = tokio::spawn(async move {
            let _turn = self.turn.lock().await;
            let to = target(self.now())?;
            let delivered = app::advance(&self.server.state, &self.outbox, to).await?;
            Ok(MoveReport { now: self.now(), delivered })
        });
        moved.await.unwrap_or_else(|error| Err(Error::Internal(Box::new(error))))
    }

    /// Begins a new epoch: all sessions end, and cursors and batches of before are refused.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn begin_epoch(self: Arc<Self>) -> Result<Renewed> {
        // A task of its own: it is completed even if the client goes away.
        let renewed = tokio::spawn(async move {
            let _turn = self.turn.lock().await;
            renewal::renew(&self.server.state).await
        });
        renewed.await.unwrap_or_else(|error| Err(Error::Internal(Box::new(error))))
    }

    /// Returns up to `limit` deliveries with numbers greater than `after`.
    pub fn delivered(&self, after: u64, limit: usize) -> OutboxPage {
        self.outbox.read(after, limit)
    }

    /// Empties the outbox.
    pub fn forget(&self) {
        self.outbox.clear();
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        // Closing blocks, and the last to hold it may be a request.
        let server = self.server.clone();
        std::thread::spawn(move || server.close());
    }
}
