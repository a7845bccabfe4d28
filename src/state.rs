//! The parts of a server that every handler and worker shares.

use std::sync::Arc;

use crate::changes::Planner;
use crate::channels::{Channels, Mail};
use crate::config::Config;
use crate::db::Db;
use crate::kernel::{Clock, Entropy};
use crate::planning::ProtocolLibrary;
use crate::vault::Vault;

/// The server's parts. Cheap to clone. They hold nothing that another server process would have to know.
#[derive(Clone, Debug)]
pub struct State {
    /// The database.
    pub db: Db,
    /// The vault: keys and sealing.
    pub vault: Vault,
    /// The injected clock.
    pub clock: Clock,
    /// The injected source of randomness.
    pub entropy: Entropy,
    /// The protocols, by key and version.
    pub protocols: ProtocolLibrary,
    /// The planner, which plans again after a change.
    pub planner: Arc<dyn Planner>,
    /// The channels to devices; with none, what is due goes out by the channel that the worker was given.
    pub channels: Arc<Channels>,
    /// The way of letters to the owners of accounts.
    pub mail: Arc<Mail>,
    /// The configuration of the server.
    pub config: Arc<Config>,
}
