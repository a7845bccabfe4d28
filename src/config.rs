//! The configuration of a server: flags and environment, read once, checked before anything is opened.

use std::num::NonZeroU32;
use std::path::{Component, Path, PathBuf};

use crate::db::Backend;
use crate::kernel::{limits, origin};

/// The settings of a running server.
#[derive(Clone)]
pub struct Config {
    /// The folder of the data.
    pub data_dir: PathBuf,
    /// The folder of the keys: beside the data, never below it.
    pub key_dir: PathBuf,
    /// The root key, when it does not come from the key folder.
    pub root_key: Option<Vec<u8>>,
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
    /// The attempts a minute from one client where a secret may be guessed; `None` for no limit.
    pub auth_per_minute: Option<NonZeroU32>,
    /// The requests a minute from one client in all; `None` for no limit.
    pub requests_per_minute: Option<NonZeroU32>,
    /// The number of the operator's proxies in front.
    pub trusted_hops: usize,
    /// Whether a PostgreSQL that is neither on a socket nor on this machine may be used without TLS.
    pub database_plaintext: bool,
    /// The most sealed bytes of a patient's own words, and of the comments about them.
    pub text_bytes_of_patient: u64,
    /// The memory (KiB), passes and lanes of Argon2id.
    pub passphrase_cost: (u32, u32, u32),
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// The default memory in KiB, passes and lanes: OWASP's first choice, 16 ms on the reference machine.
pub const PASSPHRASE_COST: (u32, u32, u32) = (19_456, 2, 1);

impl Config {
    /// Makes the default settings of a server with its data in `data_dir` and its keys beside it.
    pub fn in_folder(data_dir: impl Into<PathBuf>) -> Self {
        let data_dir = data_dir.into();
        Self {
            key_dir: beside(&data_dir),
            database: Backend::Sqlite(data_dir.join("afterglow.sqlite")),
            data_dir,
            root_key: None,
            keyring: None,
            public_url: "http://127.0.0.1:8080".to_owned(),
            security_contact: None,
            change_password_url: None,
            cors_origins: Vec::new(),
            cors_localhost: false,
            auth_per_minute: NonZeroU32::new(10),
            requests_per_minute: NonZeroU32::new(6000),
            trusted_hops: 0,
            database_plaintext: false,
            text_bytes_of_patient: limits::QUOTA,
            passphrase_cost: PASSPHRASE_COST,
        }
    }

    /// Returns the most sealed bytes of a patient, as they are counted.
    pub fn quota(&self) -> i64 {
        i64::try_from(self.text_bytes_of_patient).unwrap_or(i64::MAX)
    }

    /// Returns the faults of the configuration, in words for the operator.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let (data, keys) = (absolute(&self.data_dir), absolute(&self.key_dir));
        if keys.starts_with(&data) {
            faults
                .push("the key folder lies below the data folder: a backup of the data would hold the keys".to_owned());
        }
        if !(self.public_url.starts_with("http://") || self.public_url.starts_with("https://"))
            || self.public_url.ends_with('/')
        {
            faults.push("the public URL starts with http:// or https:// and ends without a slash".to_owned());
        }
        let is_line = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.security_contact.as_deref().is_none_or(|contact| {
            is_line(contact) && ["mailto:", "https://", "tel:"].iter().any(|start| contact.starts_with(start))
        }) {
            faults.push("the security contact starts with mailto:, https:// or tel:".to_owned());
        }
        if !self.change_password_url.as_deref().is_none_or(|url| is_line(url) && url.starts_with("https://")) {
            faults.push("the address for changing a passphrase starts with https://".to_owned());
        }
        if let Some(wrong) = self.cors_origins.iter().find(|origin| origin::host(origin).is_none()) {
            faults.push(format!(
                "{wrong} is no origin: say scheme, host and port as browsers write them, such as https://app.example.org"
            ));
        }
        for backend in [Some(&self.database), self.keyring.as_ref()].into_iter().flatten() {
            if let Backend::Postgres(url) = backend
                && !cfg!(feature = "pg-tls")
                && !self.database_plaintext
                && !is_local(url)
            {
                faults.push(
                    "PostgreSQL is on another machine and this build has no TLS: build with --features pg-tls, or \
                     say --database-plaintext if the network between is private"
                        .to_owned(),
                );
            }
        }
        if self.keyring.as_ref() == Some(&self.database) {
            faults.push("the keyring and the database are one: a backup of the data would hold the keys".to_owned());
        }
        if self.root_key.as_ref().is_some_and(|key| key.len() != 32) {
            faults.push("the root key has 32 bytes, in base64".to_owned());
        }
        if self.root_key.as_ref().is_some_and(|key| key.windows(2).all(|pair| pair.first() == pair.last())) {
            faults.push("the root key is one byte over and over: take 32 random ones".to_owned());
        }
        faults
    }
}

/// Returns the default key folder of a data folder: its sibling.
pub fn beside(data_dir: &Path) -> PathBuf {
    let name = data_dir.file_name().map_or_else(|| "afterglow".into(), |name| name.to_string_lossy().into_owned());
    data_dir.with_file_name(format!("{name}-keys"))
}

/// Returns the path without links and `..`, as far as it exists already.
fn absolute(path: &Path) -> PathBuf {
    let mut real = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        if part == Component::ParentDir {
            real.pop();
            continue;
        }
        real.push(part);
        if let Ok(found) = real.canonicalize() {
            real = found;
        }
    }
    real
}

/// Whether the host of a PostgreSQL URL is a socket or this machine.
fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let local = |host: &str| {
        let host = host.trim();
        let host = host
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
            .unwrap_or_else(|| host.rsplit_once(':').map_or(host, |(name, _port)| name));
        matches!(host, "" | "localhost" | "::1")
            || host.starts_with("127.")
            || host.starts_with("%2F")
            || host.starts_with("%2f")
    };
    // A `host` or `hostaddr` in the query overrides the authority.
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let named = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| key.starts_with("host"));
    hosts.split(',').all(local)
        && named.into_iter().all(|(_, value)| value.split(',').all(|host| host.starts_with('/') || local(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for local in [
            "postgres://ann@127.0.0.1:5432/db",
            "postgres://localhost/db",
            "postgres:///db?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/db",
            "postgres://[::1]:5432/db",
        ] {
            assert!(is_local(local), "{local}");
        }
        for far in [
            "postgres://db.example.org/x",
            "postgres://127.0.0.1,db.example.org/x",
            "postgres:///x?host=10.0.0.1",
            "postgres://ann:p@10.1.2.3/x",
        ] {
            assert!(!is_local(far), "{far}");
        }
    }

    #[test]
    fn keys_below_the_data_are_refused() {
        let mut config = Config::in_folder("/somewhere/data");
        assert!(config.faults().is_empty());
        config.key_dir = "/somewhere/data/keys".into();
        assert_eq!(config.faults().len(), 1);
    }
}
