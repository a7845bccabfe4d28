//! How the server was started: flags and environment, read once.

use std::path::PathBuf;

use crate::db::Backend;

/// The settings of a running server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the data lives.
    pub data_dir: PathBuf,
    /// Where the keys live: beside the data, never below it.
    pub key_dir: PathBuf,
    /// The database.
    pub database: Backend,
    /// The address clients use, without a slash at the end. Issuer of tokens.
    pub public_url: String,
    /// The largest body in bytes.
    pub body_limit: usize,
}
