//! The controls of a sandbox: clock, outbox, faults.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::guide;
use super::model::{Fault, FaultRequest, Faults, Move};
use super::outbox::{Outbox, OutboxPage};
use crate::app::{self, Server};
use crate::config::{Config, Listen};
use crate::db::Memory;
use crate::demo;
use crate::kernel::{Clock, Entropy, Error, Result};

/// A clinic in memory with its controls.
#[derive(Debug)]
pub struct Sandbox {
    server: Server,
    outbox: Outbox,
    faults: Mutex<Faults>,
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
    /// Opens a sandbox whose clock stands at `now`, filled with the demo's clinic. The places of data and keys in
    /// `config` are not used. Requests are not limited: limits go by the machine's clock.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] with words for the operator.
    pub async fn open(mut config: Config, now: Timestamp, entropy: Entropy) -> Result<Arc<Self>> {
        let memory = [Memory::new()?, Memory::new()?];
        let [data, keyring] = &memory;
        config.database = data.backend();
        config.keyring = Some(keyring.backend());
        config.root_key = Some(entropy.bytes::<32>().to_vec());
        config.cors_localhost = true;
        (config.auth_per_minute, config.requests_per_minute) = (None, None);
        let url = config.public_url.clone();
        let clock = Clock::manual(demo::beginning(now));
        let server = Server::open(config, clock.clone(), entropy).await?;
        let filled = demo::fill(&server, now).await?;
        Ok(Arc::new(Self {
            guide: guide::written(&filled, &url, now),
            outbox: Outbox::new(clock),
            server,
            faults: Mutex::default(),
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
        if let Err(error) = self.advance(Ok).await {
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

    /// Returns up to `limit` deliveries with numbers greater than `after`.
    pub fn delivered(&self, after: u64, limit: usize) -> OutboxPage {
        self.outbox.read(after, limit)
    }

    /// Empties the outbox.
    pub fn forget(&self) {
        self.outbox.clear();
    }

    /// Returns the pending faults.
    pub fn faults(&self) -> Faults {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds faults, and answers those that are pending now.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with each wrong field.
    pub fn request_faults(&self, request: &FaultRequest) -> Result<Faults> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *faults = faults.with(request)?;
        Ok(*faults)
    }

    /// Removes the pending faults.
    pub fn clear_faults(&self) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = Faults::default();
    }

    /// Takes the fault of the request that arrives now; this uses it up.
    pub fn next_fault(&self) -> Fault {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).take_next()
    }
}
