//! The configuration of a server: flags and environment, read once, checked before anything is opened.

pub mod environment;
mod faults;
mod listen;
mod passkeys;
mod places;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
pub use listen::{Listen, url_at};
pub use passkeys::PasskeySettings;
pub use places::beside;

use crate::channels::MailSettings;
use crate::db::Backend;
use crate::kernel::limits;
use crate::vault::VaultConfig;

/// The settings of a running server.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Config {
    /// The folder of the data.
    pub data_dir: PathBuf,
    /// The folder of the keys: beside the data, never below it.
    pub key_dir: PathBuf,
    /// The root key, when it does not come from the key folder.
    pub root_key: Option<Vec<u8>>,
    /// The file of the revocation ledger, when it is not in the key folder.
    pub revocation_ledger: Option<PathBuf>,
    /// The database.
    pub database: Backend,
    /// The keyring, when it is not a file in the key folder.
    pub keyring: Option<Backend>,
    /// The address that clients use, without a slash at the end. It is the issuer of tokens.
    pub public_url: String,
    /// The contact for security reports: `mailto:` or `https:`.
    pub security_contact: Option<String>,
    /// The page of the app to change a passphrase.
    pub change_password_url: Option<String>,
    /// The origins whose pages may talk to this server in a browser.
    pub cors_origins: Vec<String>,
    /// Whether every origin of the reader's own machine may, as in a sandbox.
    pub cors_localhost: bool,
    /// The failures a minute from one network where a secret may be guessed; `None` for no limit.
    pub auth_per_minute: Option<NonZeroU32>,
    /// The requests a minute from one client in all; `None` for no limit.
    pub requests_per_minute: Option<NonZeroU32>,
    /// The number of the operator's proxies in front.
    pub trusted_hops: usize,
    /// Whether a PostgreSQL that is neither on a socket nor on this machine may be used without TLS.
    pub database_plaintext: bool,
    /// The most sealed bytes of a patient's own words, and of the comments about them.
    pub text_bytes_of_patient: u64,
    /// The mutations that a patient pushes in an hour; `None` for no limit.
    pub mutations_per_hour: Option<NonZeroU32>,
    /// Whether `/metrics` is answered on an address of its own, and not among the operations.
    pub metrics_apart: bool,
    /// The folder of the time zones, when they are not those of the binary.
    pub zoneinfo: Option<PathBuf>,
    /// The way of letters to the owners of accounts.
    pub mail: MailSettings,
    /// Who may register.
    pub registration: Registration,
    /// The streams that tell apps of changes.
    pub streams: StreamSettings,
    /// The minutes for which a new share can be taken back before its reader sees it.
    pub share_delay_minutes: u32,
    /// Whether what a required document covers needs a consent that was given, and not only none that was withdrawn.
    pub require_consents: bool,
    /// The passkeys; `None` where they are off.
    pub passkeys: Option<PasskeySettings>,
    /// The memory (KiB), passes and lanes of Argon2id.
    pub passphrase_cost: (u32, u32, u32),
}

/// Who may register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Who has the code of an invitation.
    Invited,
    /// Patients without one, too. Everybody shows first that the address is theirs.
    Open,
}

/// The settings of the streams of a process. Only the number is the operator's; tests change the times.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// The most that are open at once.
    pub most: usize,
    /// The time between two comment lines of a stream, and between two looks at what may have changed.
    pub heartbeat: Duration,
    /// The least time between two events of a stream.
    pub gap: Duration,
    /// The time after which a stream ends.
    pub lifetime: Duration,
    /// Whether signals wake the streams. Without them they notice everything with the next heartbeat.
    pub signals: bool,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            most: 5000,
            heartbeat: Duration::from_secs(25),
            gap: Duration::from_secs(1),
            lifetime: Duration::from_secs(3600),
            signals: true,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// The default memory in KiB, passes and lanes: OWASP's first choice, 16 ms on the reference machine.
pub const PASSPHRASE_COST: (u32, u32, u32) = (19_456, 2, 1);

impl Default for Config {
    fn default() -> Self {
        Self::in_folder("afterglow-data")
    }
}

impl Config {
    /// Whether letters leave; otherwise a line in the log says that there was one.
    pub const fn sends_letters(&self) -> bool {
        !matches!(self.mail, MailSettings::Log)
    }

    /// Makes the default settings of a server with its data in `data_dir` and its keys beside it.
    pub fn in_folder(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            key_dir: beside(&data_dir),
            database: Backend::Sqlite(data_dir.join("afterglow.sqlite")),
            data_dir,
            root_key: None,
            revocation_ledger: None,
            keyring: None,
            public_url: "http://127.0.0.1:8080".to_owned(),
            security_contact: None,
            change_password_url: None,
            cors_origins: Vec::new(),
            cors_localhost: false,
            auth_per_minute: NonZeroU32::new(10),
            requests_per_minute: NonZeroU32::new(6000),
            trusted_hops: 0,
            text_bytes_of_patient: limits::QUOTA,
            mutations_per_hour: NonZeroU32::new(limits::MUTATIONS_AN_HOUR),
            database_plaintext: false,
            metrics_apart: false,
            zoneinfo: None,
            mail: MailSettings::default(),
            registration: Registration::Invited,
            streams: StreamSettings::default(),
            passphrase_cost: PASSPHRASE_COST,
            share_delay_minutes: 0,
            require_consents: false,
            passkeys: None,
        }
    }

    /// Returns the time for which a new share can be taken back before its reader sees it.
    pub fn share_delay(&self) -> SignedDuration {
        SignedDuration::from_mins(i64::from(self.share_delay_minutes))
    }

    /// Returns the most sealed bytes of a patient, as they are counted.
    pub fn quota(&self) -> i64 {
        i64::try_from(self.text_bytes_of_patient).unwrap_or(i64::MAX)
    }

    /// Returns the place of the revocation ledger. A database in memory has none: nothing of it is ever restored.
    pub fn ledger(&self) -> Option<PathBuf> {
        let place = || self.revocation_ledger.clone().unwrap_or_else(|| self.key_dir.join("revocations.ledger"));
        (!self.database.in_memory()).then(place)
    }

    /// Returns the places of the keys.
    pub fn vault(&self) -> VaultConfig {
        VaultConfig { key_dir: self.key_dir.clone(), root_key: self.root_key.clone(), keyring: self.keyring.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_below_the_data_are_refused() {
        let mut config = Config::in_folder("/somewhere/data");
        assert!(config.faults().is_empty());
        config.key_dir = "/somewhere/data/keys".into();
        assert_eq!(config.faults().len(), 1);
    }
}
