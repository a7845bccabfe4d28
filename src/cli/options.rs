//! The settings of the command line: read whole, and checked whole before anything is opened.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use base64::Engine as _;
use clap::{ArgAction, Args, ValueEnum};

use super::channels;
use super::log::{self, LogFormat};
use crate::channels::{Address, Channels, MailSettings};
use crate::config::{Config, Listen, PasskeySettings, Registration, beside, environment, url_at};
use crate::db::Backend;

/// The most threads that answer requests.
const MOST_WORKERS: usize = 256;

#[derive(Args, Debug)]
#[command(
    after_help = "AFTERGLOW_ROOT_KEY: the root key, 32 bytes in base64, instead of `root.key` in the key folder."
)]
pub(super) struct Options {
    /// The folder of the data.
    #[arg(long, env = "AFTERGLOW_DATA_DIR", default_value = "afterglow-data", global = true)]
    data_dir: PathBuf,
    /// The folder of the keys; never below the data [default: the data folder with `-keys` after its name].
    #[arg(long, env = "AFTERGLOW_KEY_DIR", global = true)]
    key_dir: Option<PathBuf>,
    /// The file of the revocation ledger; never below the data [default: revocations.ledger in the key folder].
    #[arg(long, env = "AFTERGLOW_REVOCATION_LEDGER", global = true)]
    revocation_ledger: Option<PathBuf>,
    /// The database: `postgres://…` or `sqlite:<path>` [default: an SQLite file in the data folder].
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, global = true)]
    database_url: Option<String>,
    /// The database of the wrapped keys [default: an SQLite file in the key folder]. Servers that share a database
    /// share it.
    #[arg(long, env = "AFTERGLOW_KEYRING_URL", hide_env_values = true, global = true)]
    keyring_url: Option<String>,
    /// Speak to a PostgreSQL on another machine without TLS.
    #[arg(long, env = "AFTERGLOW_DATABASE_PLAINTEXT", global = true)]
    database_plaintext: bool,
    /// The address to listen on. With port 0 the system chooses one, which is printed.
    #[arg(long, env = "AFTERGLOW_LISTEN", default_value = "127.0.0.1:8080", global = true)]
    listen: String,
    /// The address on which `/metrics` is answered, and then nowhere else [default: the address to listen on].
    #[arg(long, env = "AFTERGLOW_METRICS_ADDRESS", global = true)]
    metrics_address: Option<String>,
    /// The address that clients use [default: `http://` and the address to listen on].
    #[arg(long, env = "AFTERGLOW_PUBLIC_URL", global = true)]
    public_url: Option<String>,
    /// The contact for security reports, for `/.well-known/security.txt`: `mailto:…`, `https://…` or `tel:…`.
    #[arg(long, env = "AFTERGLOW_SECURITY_CONTACT", global = true)]
    security_contact: Option<String>,
    /// The page to change a passphrase, for `/.well-known/change-password`.
    #[arg(long, env = "AFTERGLOW_CHANGE_PASSWORD_URL", global = true)]
    change_password_url: Option<String>,
    /// An origin whose pages may talk to this server in a browser, such as `https://app.example.org` [default: none].
    /// Give it once for each, or separate them by commas.
    #[arg(long = "cors-origin", env = "AFTERGLOW_CORS_ORIGINS", value_delimiter = ',', global = true)]
    cors_origins: Vec<String>,
    /// The file of the channels by which pushes reach devices, JSON, readable by nobody else [default: none; what is due
    /// is written to the log].
    #[arg(long, env = "AFTERGLOW_CHANNELS", global = true)]
    channels: Option<PathBuf>,
    /// A channel of that file by which this process sends, such as `fcm` [default: all]. Give it once for each, or
    /// separate them by commas. Pushes by the others wait for other processes, which have the same file, until they
    /// expire.
    #[arg(long, env = "AFTERGLOW_ONLY", value_delimiter = ',', global = true)]
    only: Vec<String>,
    /// The way of letters to the owners of accounts: the mail server in the file of the channels, a folder for
    /// development, or none but a line in the log. A sandbox sends none.
    #[arg(long, env = "AFTERGLOW_MAIL", value_enum, default_value_t = MailName::Log, global = true)]
    mail: MailName,
    /// The folder of the letters, with `--mail file` [default: `letters` in the data folder].
    #[arg(long, env = "AFTERGLOW_MAIL_DIR", global = true)]
    mail_dir: Option<PathBuf>,
    /// Let patients register without an invitation. Everybody, also with one, shows first that the address is theirs.
    #[arg(long, env = "AFTERGLOW_OPEN_REGISTRATION", global = true)]
    open_registration: bool,
    /// The domain of passkeys, their relying party id, such as `example.org` [default: none; passkeys are off].
    #[arg(long, env = "AFTERGLOW_PASSKEY_RP_ID", global = true)]
    passkey_rp_id: Option<String>,
    /// An origin that may ask for passkeys, beside `https://` with that domain: one below it, or that of an Android
    /// app, `android:apk-key-hash:…`. Give it once for each, or separate them by commas.
    #[arg(long = "passkey-origin", env = "AFTERGLOW_PASSKEY_ORIGINS", value_delimiter = ',', global = true)]
    passkey_origins: Vec<String>,
    /// The folder of the time zones, compiled, such as `/usr/share/zoneinfo` [default: those of this build].
    #[arg(long, env = "AFTERGLOW_ZONEINFO", global = true)]
    zoneinfo: Option<PathBuf>,
    /// The number of threads that answer requests, 1 to 256 [default: the number of cores].
    #[arg(long, env = "AFTERGLOW_WORKERS", global = true)]
    workers: Option<usize>,
    /// The log-ins a minute from one network that fail; 0 for no limit.
    #[arg(long, env = "AFTERGLOW_AUTH_PER_MINUTE", default_value_t = 10, global = true)]
    auth_per_minute: u32,
    /// The requests a minute from one address; 0 for no limit.
    #[arg(long, env = "AFTERGLOW_REQUESTS_PER_MINUTE", default_value_t = 6000, global = true)]
    requests_per_minute: u32,
    /// The number of your proxies in front that set X-Forwarded-For, 0 to 16.
    #[arg(long, env = "AFTERGLOW_TRUSTED_PROXIES", default_value_t = 0, global = true)]
    trusted_proxies: usize,
    /// The most megabytes of what a patient writes, 1 to 1000000; comments about it may be as many.
    #[arg(long, env = "AFTERGLOW_TEXT_MB_PER_PATIENT", default_value_t = 256, global = true)]
    text_mb_per_patient: u32,
    /// The minutes for which a patient can take a new share back before its reader sees it, 0 to 1440; 0 for none. A
    /// sandbox has none.
    #[arg(long, env = "AFTERGLOW_SHARE_DELAY_MINUTES", default_value_t = 10, global = true)]
    share_delay_minutes: u32,
    /// Whether a patient shares only after they agreed to it: `true` or `false`. A sandbox asks for nothing.
    #[arg(long, env = "AFTERGLOW_REQUIRE_CONSENTS", default_value_t = true, action = ArgAction::Set, global = true)]
    require_consents: bool,
    /// The most streams that tell apps of changes, open at once in this process, 1 to 1000000.
    #[arg(long, env = "AFTERGLOW_MOST_STREAMS", default_value_t = 5000, global = true)]
    most_streams: usize,
    /// The format of the log.
    #[arg(long, env = "AFTERGLOW_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub(super) log_format: LogFormat,
    /// The filter of the log: a level, or targets with levels.
    #[arg(long, env = "AFTERGLOW_LOG", default_value = "info", global = true)]
    pub(super) log: String,
}

/// The way of letters, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MailName {
    /// The mail server in the file of the channels.
    Smtp,
    /// A folder: each letter is a file.
    File,
    /// None: a line in the log.
    Log,
}

/// The checked settings of a command.
pub(super) struct Settings {
    pub config: Config,
    pub listen: Listen,
    /// The address of `/metrics`, if it is another one.
    pub metrics: Option<Listen>,
    /// The number of threads that answer requests.
    pub workers: usize,
    /// The channels to devices.
    pub channels: Channels,
    /// Whether the operator gave the address that clients use.
    has_public_url: bool,
}

impl Settings {
    /// Notes the address on which the server listens, which clients use unless the operator named another one.
    pub(super) fn listening_on(&mut self, address: SocketAddr) {
        if !self.has_public_url {
            self.config.public_url = url_at(address);
        }
    }
}

impl Options {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// All faults, each in words that name the setting.
    pub(super) fn settings(&self) -> Result<Settings, Vec<String>> {
        self.read(true)
    }

    /// Reads the settings of a server whose data and keys have no places.
    ///
    /// # Errors
    ///
    /// As [`Options::settings`].
    pub(super) fn settings_without_places(&self) -> Result<Settings, Vec<String>> {
        self.read(false)
    }

    fn read(&self, with_places: bool) -> Result<Settings, Vec<String>> {
        let mut faults = Vec::new();
        let mut config = if with_places { Config::in_folder(&self.data_dir) } else { Config::default() };
        if with_places {
            self.read_places(&mut config, &mut faults);
        }
        let listen = self.listen.parse().map_err(|fault| format!("the address to listen on (--listen) {fault}"));
        let listen: Option<Listen> = listen.map_err(|fault| faults.push(fault)).ok();
        let metrics = self.metrics_address.as_deref().map(str::parse::<Listen>).transpose();
        let metrics = metrics.unwrap_or_else(|fault| {
            faults.push(format!("the address of /metrics (--metrics-address) {fault}"));
            None
        });
        if listen.as_ref().zip(metrics.as_ref()).is_some_and(|(listen, metrics)| metrics.is_taken_by(listen)) {
            faults.push("the address of /metrics (--metrics-address) is another one than that to listen on".to_owned());
        }
        config.metrics_apart = metrics.is_some();
        if let Some(url) = self.public_url.clone().or_else(|| listen.as_ref().map(Listen::url)) {
            config.public_url = url;
        }
        config.security_contact.clone_from(&self.security_contact);
        config.change_password_url.clone_from(&self.change_password_url);
        config.cors_origins.clone_from(&self.cors_origins);
        config.auth_per_minute = NonZeroU32::new(self.auth_per_minute);
        config.requests_per_minute = NonZeroU32::new(self.requests_per_minute);
        config.trusted_hops = self.trusted_proxies;
        config.database_plaintext = self.database_plaintext;
        config.text_bytes_of_patient = u64::from(self.text_mb_per_patient) * 1024 * 1024;
        config.zoneinfo.clone_from(&self.zoneinfo);
        config.streams.most = self.most_streams;
        if self.open_registration {
            config.registration = Registration::Open;
        }
        config.mail = self.read_mail(&mut faults);
        let origins = self.passkey_origins.clone();
        if self.passkey_rp_id.is_none() && !origins.is_empty() {
            faults.push("origins of passkeys (--passkey-origin) need their domain (--passkey-rp-id)".to_owned());
        }
        config.passkeys = self.passkey_rp_id.clone().map(|rp_id| PasskeySettings { rp_id, origins });
        config.share_delay_minutes = if with_places { self.share_delay_minutes } else { 0 };
        config.require_consents = with_places && self.require_consents;
        if self.share_delay_minutes > 1440 {
            faults.push("the delay of shares (--share-delay-minutes) is 0 to 1440".to_owned());
        }
        let cores = || std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(MOST_WORKERS);
        let workers = self.workers.unwrap_or_else(cores);
        if !(1..=MOST_WORKERS).contains(&workers) {
            faults.push(format!("the threads that answer requests (--workers) are 1 to {MOST_WORKERS}"));
        }
        if !(1..=1_000_000).contains(&self.text_mb_per_patient) {
            faults.push("the text of a patient (--text-mb-per-patient) is 1 to 1000000 MB".to_owned());
        }
        if !(1..=1_000_000).contains(&self.most_streams) {
            faults.push("the streams (--most-streams) are 1 to 1000000".to_owned());
        }
        let channels = self.read_channels(&mut faults);
        if let Err(fault) = log::check(&self.log) {
            faults.push(format!("the filter of the log (--log) is a level, or targets with levels: {fault}"));
        }
        faults.extend(if with_places { config.faults() } else { config.faults_but_places() });
        match listen {
            Some(listen) if faults.is_empty() => {
                let has_public_url = self.public_url.is_some();
                Ok(Settings { config, listen, metrics, workers, channels, has_public_url })
            }
            _ => Err(faults),
        }
    }

    /// Reads the way of letters.
    fn read_mail(&self, faults: &mut Vec<String>) -> MailSettings {
        match (self.mail, &self.channels) {
            (MailName::Log, _) => MailSettings::Log,
            (MailName::File, _) => {
                MailSettings::Folder(self.mail_dir.clone().unwrap_or_else(|| self.data_dir.join("letters")))
            }
            (MailName::Smtp, None) => {
                faults.push("letters by a mail server (--mail smtp) need its settings (--channels)".to_owned());
                MailSettings::Log
            }
            (MailName::Smtp, Some(path)) => match channels::read_mail_server(path) {
                Ok(server) => MailSettings::Smtp(server),
                Err(fault) => {
                    faults.push(fault);
                    MailSettings::Log
                }
            },
        }
    }

    /// Reads the channels, and which of them this process sends by.
    fn read_channels(&self, faults: &mut Vec<String>) -> Channels {
        let configured = match self.channels.as_deref().map(channels::read).transpose() {
            Ok(list) => Channels::new(list.unwrap_or_default()),
            Err(found) => {
                faults.extend(found);
                return Channels::default();
            }
        };
        for name in &self.only {
            if !Address::CHANNELS.contains(&name.as_str()) {
                let known = Address::CHANNELS.join(", ");
                faults.push(format!("{name:?} is no channel (--only): they are {known}"));
            } else if !configured.has(name) {
                faults.push(format!("the channel {name} (--only) is not in the file of the channels (--channels)"));
            }
        }
        if self.only.is_empty() { configured } else { configured.only(&self.only) }
    }

    fn read_places(&self, config: &mut Config, faults: &mut Vec<String>) {
        config.key_dir = self.key_dir.clone().unwrap_or_else(|| beside(&self.data_dir));
        config.revocation_ledger.clone_from(&self.revocation_ledger);
        if let Some(text) = environment::root_key() {
            match base64::engine::general_purpose::STANDARD.decode(text.trim_ascii()) {
                Ok(bytes) => config.root_key = Some(bytes),
                Err(_) => faults.push(format!("the root key ({}) is not base64", environment::ROOT_KEY)),
            }
        }
        let mut backend = |url: &Option<String>, name: &str| {
            let parsed = url.as_deref().map(Backend::parse).transpose();
            parsed.map_err(|fault| faults.push(format!("the {name}: {fault}"))).ok().flatten()
        };
        if let Some(database) = backend(&self.database_url, "database (--database-url)") {
            config.database = database;
        }
        config.keyring = backend(&self.keyring_url, "keyring (--keyring-url)");
    }
}
