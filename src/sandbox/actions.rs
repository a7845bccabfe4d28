//! What can be done with a sandbox besides asking its server.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::guide;
use super::model::{Fault, Faults, Move, Wish};
use super::outbox::{Outbox, Part};
use crate::app::{self, Server};
use crate::config::Config;
use crate::db::Memory;
use crate::demo;
use crate::kernel::{Clock, Entropy, Error, Result};

/// A clinic in memory and the hands on it.
#[derive(Debug)]
pub struct Sandbox {
    server: Server,
    outbox: Outbox,
    faults: Mutex<Faults>,
    guide: String,
    /// Held by whoever does background work, so that one move is done before the next begins.
    turn: tokio::sync::Mutex<()>,
    /// Database and keyring.
    _memory: [Memory; 2],
}

/// Where the clock stands after a move, and what happened on the way.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// Where the clock stands.
    pub now: Timestamp,
    /// How many deliveries were made.
    pub delivered: usize,
}

/// Opens the address that a sandbox listens on: of this machine only, for whoever reaches it can do anything.
///
/// # Errors
///
/// [`Error::Internal`] with words for the operator.
pub fn listener(address: &str) -> Result<TcpListener> {
    let failed = |error: std::io::Error| Error::internal(format!("{address}: {error}"));
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
    if !addresses.iter().all(|address| address.ip().is_loopback()) {
        return Err(Error::internal(format!(
            "a sandbox listens on this machine only, such as on 127.0.0.1:8080, and not on {address}: it asks for no \
             log-in where it moves the clock, and its passphrases are printed"
        )));
    }
    TcpListener::bind(addresses.as_slice()).map_err(failed)
}

impl Sandbox {
    /// A sandbox whose clock stands at `now`, filled with the demo's clinic. Where `config` would keep data and keys
    /// does not matter. Requests are not limited: limits go by the machine's clock.
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

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// How to use it, for people.
    pub fn guide(&self) -> &str {
        &self.guide
    }

    /// Where the clock stands.
    pub fn now(&self) -> Timestamp {
        self.server.state.clock.now()
    }

    /// Moves the clock, and does what falls due on the way, each at its time.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a move back or too far.
    pub async fn move_clock(self: Arc<Self>, step: Move) -> Result<Moved> {
        self.pass(move |now| step.target(now)).await
    }

    /// Does what is due where the clock stands.
    pub async fn settle(self: Arc<Self>) {
        if let Err(error) = self.pass(Ok).await {
            tracing::error!(%error, "what is due could not be done");
        }
    }

    async fn pass(
        self: Arc<Self>,
        target: impl FnOnce(Timestamp) -> Result<Timestamp> + Send + 'static,
    ) -> Result<Moved> {
        // A task of its own: a client that goes away does not leave the clock on the way.
        let moved = tokio::spawn(async move {
            let _turn = self.turn.lock().await;
            let to = target(self.now())?;
            let delivered = app::pass(&self.server.state, &self.outbox, to).await?;
            Ok(Moved { now: self.now(), delivered })
        });
        moved.await.unwrap_or_else(|error| Err(Error::Internal(Box::new(error))))
    }

    /// Up to `limit` deliveries with numbers greater than `after`.
    pub fn delivered(&self, after: u64, limit: usize) -> Part {
        self.outbox.read(after, limit)
    }

    /// Forgets what was delivered.
    pub fn forget(&self) {
        self.outbox.clear();
    }

    /// The faults that are waiting.
    pub fn faults(&self) -> Faults {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for faults; answers those that are waiting now.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with each wrong field.
    pub fn wish(&self, wish: &Wish) -> Result<Faults> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *faults = faults.with(wish)?;
        Ok(*faults)
    }

    /// Asks for no more faults.
    pub fn mend(&self) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = Faults::default();
    }

    /// What happens to a request that has arrived.
    pub fn strike(&self) -> Fault {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).strike()
    }
}
