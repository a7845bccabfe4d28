//! What stands for the relying party in a build without passkeys: there is none.

use serde_json::Value;

use super::model::{Beginning, KeyOwner, NamedKey, NewKey, Verdict};
use crate::config::Config;
use crate::kernel::{Code, Error, Result};

/// A relying party that no configuration makes.
pub(super) enum RelyingParty {}

impl RelyingParty {
    /// Returns none.
    ///
    /// # Errors
    ///
    /// [`Code::PasskeysOff`].
    pub(super) fn of(_: &Config) -> Result<Self> {
        Err(Error::conflict(Code::PasskeysOff))
    }

    /// Is never called.
    pub(super) fn begin_registration(&self, _: &KeyOwner<'_>, _: Vec<Vec<u8>>) -> Result<Beginning> {
        match *self {}
    }

    /// Is never called.
    pub(super) fn finish_registration(&self, _: &str, _: Value) -> Result<Option<NewKey>> {
        match *self {}
    }

    /// Is never called.
    pub(super) fn begin_log_in(&self) -> Result<Beginning> {
        match *self {}
    }

    /// Names nothing.
    pub(super) fn named(_: &Value) -> Option<NamedKey> {
        None
    }

    /// Is never called.
    pub(super) fn finish_log_in(&self, _: &str, _: Value, _: &str) -> Result<Verdict> {
        match *self {}
    }
}
