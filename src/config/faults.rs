//! The check of a whole configuration, before anything is opened: each fault names its setting.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;

use url::Url;

use super::environment::names_a_database_host;
use super::places::{are_one, is_below};
use super::{Config, PasskeySettings, Registration};
use crate::channels::MailSettings;
use crate::db::{Backend, PostgresUrl};
use crate::kernel::origin;
use crate::kernel::zone_data::ZoneFolder;

/// The most requests a minute that a limit may allow. Without a limit it is 0.
const MOST_A_MINUTE: u32 = 1_000_000;
/// The most proxies that may stand in front.
const MOST_PROXIES: usize = 16;

impl Config {
    /// Returns the faults of the configuration, in words for the operator.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.faults_but_places();
        faults.extend(self.faults_of_places());
        faults
    }

    /// Returns the faults of all settings but the places of data and keys.
    pub fn faults_but_places(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |right: bool, words: &str| {
            if !right {
                faults.push(words.to_owned());
            }
        };
        check(
            is_base(&self.public_url),
            "the public URL (--public-url) starts with http:// or https://, names a host, \
             and ends without a slash, user, query or fragment",
        );
        let starts = |text: &str, schemes: &[&str]| {
            Url::parse(text).is_ok_and(|url| {
                is_line(text) && schemes.contains(&url.scheme()) && (url.has_host() || !url.path().is_empty())
            })
        };
        check(
            self.security_contact.as_deref().is_none_or(|contact| starts(contact, &["mailto", "https", "tel"])),
            "the security contact (--security-contact) starts with mailto:, https:// or tel:",
        );
        check(
            self.change_password_url.as_deref().is_none_or(|url| starts(url, &["https"])),
            "the address for changing a passphrase (--change-password-url) starts with https://",
        );
        for wrong in self.cors_origins.iter().filter(|origin| origin::host(origin).is_none()) {
            check(
                false,
                &format!(
                    "{wrong} (--cors-origin) is no origin: say scheme, host and port as browsers write them, \
                     such as https://app.example.org"
                ),
            );
        }
        let bounded = |limit: Option<NonZeroU32>| limit.is_none_or(|limit| limit.get() <= MOST_A_MINUTE);
        check(bounded(self.auth_per_minute), "the log-ins a minute (--auth-per-minute) are 0 to 1000000");
        check(bounded(self.requests_per_minute), "the requests a minute (--requests-per-minute) are 0 to 1000000");
        check(self.trusted_hops <= MOST_PROXIES, "the proxies in front (--trusted-proxies) are 0 to 16");
        if let MailSettings::Folder(folder) = &self.mail {
            let usable = !folder.as_os_str().is_empty() && fs::metadata(folder).map_or(true, |meta| meta.is_dir());
            check(usable, "the folder of the letters (--mail-dir) is a folder, or nothing yet");
        }
        check(
            self.registration != Registration::Open || self.sends_letters(),
            "open registration (--open-registration) sends letters: say by which way (--mail)",
        );
        for fault in self.passkeys.iter().flat_map(PasskeySettings::faults) {
            check(false, &fault);
        }
        if let Some(Err(fault)) = self.zoneinfo.as_deref().map(ZoneFolder::read) {
            check(false, &format!("the time zones (--zoneinfo): {fault}"));
        }
        faults
    }

    /// Returns the faults of the places of data and keys.
    fn faults_of_places(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |right: bool, words: &str| {
            if !right {
                faults.push(words.to_owned());
            }
        };
        let keyring = self.vault().keyring();
        for (path, words) in [
            (&self.data_dir, "the data folder (--data-dir) is a folder, or nothing yet"),
            (&self.key_dir, "the key folder (--key-dir) is a folder, or nothing yet"),
        ] {
            let usable = !path.as_os_str().is_empty() && fs::metadata(path).map_or(true, |meta| meta.is_dir());
            check(usable || self.database.in_memory(), words);
        }
        for (backend, name) in [(&self.database, "database (--database-url)"), (&keyring, "keyring (--keyring-url)")] {
            match backend {
                Backend::Postgres(url) => {
                    if let Err(fault) = self.check_encryption(url) {
                        check(false, &format!("the {name}: {fault}"));
                    }
                }
                Backend::Sqlite(path) => {
                    let words = format!("the path of the {name} is a file, and its name UTF-8");
                    check(path.to_str().is_some() && !path.is_dir(), &words);
                }
            }
        }
        if let Some(ledger) = &self.revocation_ledger {
            check(
                !ledger.as_os_str().is_empty() && !ledger.is_dir(),
                "the revocation ledger (--revocation-ledger) is a file, or nothing yet",
            );
            check(
                !is_below(ledger, &self.data_dir),
                "the revocation ledger (--revocation-ledger) lies below the data folder: a restore of the data would \
                 put it back too",
            );
        }
        check(
            !is_below(&self.key_dir, &self.data_dir),
            "the key folder lies below the data folder: a backup of the data would hold the keys",
        );
        let file = |backend: &Backend, folder: &Path| match backend {
            Backend::Sqlite(path) => !backend.in_memory() && is_below(path, folder),
            Backend::Postgres(_) => false,
        };
        check(
            !file(&keyring, &self.data_dir) || is_below(&self.key_dir, &self.data_dir),
            "the keyring lies below the data folder: a backup of the data would hold the keys",
        );
        check(
            !file(&self.database, &self.key_dir) || is_below(&self.key_dir, &self.data_dir),
            "the database lies below the key folder: a backup of the data would hold the keys",
        );
        check(
            !are_one(&self.database, &keyring),
            "the keyring and the database are one: a backup of the data would hold the keys",
        );
        if let Some(key) = &self.root_key {
            check(key.len() == 32, "the root key (AFTERGLOW_ROOT_KEY) has 32 bytes, in base64");
            check(
                key.is_empty() || key.windows(2).any(|pair| pair.first() != pair.last()),
                "the root key (AFTERGLOW_ROOT_KEY) is one byte over and over: take 32 random ones",
            );
        }
        faults
    }

    /// Checks that what is said to a PostgreSQL on another machine is encrypted, or that the operator wants it plain.
    fn check_encryption(&self, url: &str) -> Result<(), String> {
        let url = PostgresUrl::parse(url)?;
        if self.database_plaintext || url.is_on_this_machine() || (url.has_no_host() && !names_a_database_host()) {
            return Ok(());
        }
        if !cfg!(feature = "pg-tls") {
            return Err(
                "PostgreSQL is on another machine and this build has no TLS: build with --features pg-tls, or \
                        say --database-plaintext if the network between is private"
                    .to_owned(),
            );
        }
        if !url.requires_tls() {
            return Err(
                "PostgreSQL is on another machine and may be spoken to without TLS: add sslmode=verify-full to \
                        its URL, or say --database-plaintext if the network between is private"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

fn is_line(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a text is a URL to which paths can be added.
fn is_base(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        is_line(text)
            && matches!(url.scheme(), "http" | "https")
            && text.starts_with(&format!("{}://", url.scheme()))
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && !text.contains(['?', '#', '\\'])
            && !text.ends_with('/')
    })
}
