//! The `afterglow` command.

mod log;

use std::net::TcpListener;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use actix_web::rt::System;
use base64::Engine as _;
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use self::log::LogFormat;
use crate::app::{Server, openapi};
use crate::audit;
use crate::config::{Config, beside};
use crate::db::migrate::{self, Family};
use crate::db::{Backend, Db};
use crate::delivery::LogChannel;
use crate::demo;
use crate::kernel::clock::seconds;
use crate::kernel::{Clock, Entropy, Error, Result};
use crate::onboarding::setup;
use crate::sandbox::{self, Sandbox};
use crate::vault::{Vault, VaultConfig};

/// Backend of a companion app for ketamine therapy.
#[derive(Debug, Parser)]
#[command(name = "afterglow", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Answer requests and do the background work (what happens without a command).
    Serve,
    /// Do the background work only, beside servers that share a PostgreSQL database.
    Worker,
    /// Fill a new database with a made-up clinic to look around in, and print the log-ins.
    ///
    /// The same seed and time give the same people, ids, entries and plans. Tokens and the keys that seal are new each time.
    Demo(DemoOptions),
    /// Serve a made-up clinic from memory for app developers, with a clock to move and faults to ask for.
    ///
    /// Nothing is written to disk, the folders of data and keys are not used, and requests are not limited.
    Sandbox(SandboxOptions),
    /// Bring the tables up to date and stop.
    Migrate,
    /// Print the OpenAPI document.
    Openapi,
    /// Check the configuration and print its faults.
    CheckConfig,
    /// Check the access log.
    Audit {
        #[command(subcommand)]
        what: Audit,
    },
}

#[derive(Args, Clone, Copy, Debug)]
struct DemoOptions {
    /// The seed of the ids, and with them of the minutes of the prompts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The last moment of the story, such as 2026-03-10T08:00:00Z [default: the machine's time].
    #[arg(long)]
    now: Option<Timestamp>,
}

#[derive(Args, Clone, Copy, Debug)]
struct SandboxOptions {
    /// The first time of its clock, such as 2026-03-10T08:00:00Z [default: the machine's time].
    #[arg(long)]
    at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Audit {
    /// Walk every chain and name the first row of each that does not fit.
    Verify,
}

#[derive(Args, Debug)]
struct Options {
    /// The folder of the data.
    #[arg(long, env = "AFTERGLOW_DATA_DIR", default_value = "afterglow-data", global = true)]
    data_dir: PathBuf,
    /// The folder of the keys; never below the data [default: the data folder with `-keys` after its name].
    #[arg(long, env = "AFTERGLOW_KEY_DIR", global = true)]
    key_dir: Option<PathBuf>,
    /// The root key: 32 bytes in base64, instead of a file in the key folder.
    #[arg(long, env = "AFTERGLOW_ROOT_KEY", hide_env_values = true, global = true)]
    root_key: Option<String>,
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
    /// The address to listen on.
    #[arg(long, env = "AFTERGLOW_LISTEN", default_value = "127.0.0.1:8080", global = true)]
    listen: String,
    /// The address that clients use [default: `http://` and the address to listen on].
    #[arg(long, env = "AFTERGLOW_PUBLIC_URL", global = true)]
    public_url: Option<String>,
    /// The contact for security reports, for `/.well-known/security.txt`: `mailto:…`, `https://…` or `tel:…`.
    #[arg(long, env = "AFTERGLOW_SECURITY_CONTACT", global = true)]
    security_contact: Option<String>,
    /// The page to change a passphrase, for `/.well-known/change-password`.
    #[arg(long, env = "AFTERGLOW_CHANGE_PASSWORD_URL", global = true)]
    change_password_url: Option<String>,
    /// The number of threads that answer requests [default: the number of cores].
    #[arg(long, env = "AFTERGLOW_WORKERS", global = true)]
    workers: Option<usize>,
    /// The log-in attempts a minute from one address; 0 for no limit.
    #[arg(long, env = "AFTERGLOW_AUTH_PER_MINUTE", default_value_t = 10, global = true)]
    auth_per_minute: u32,
    /// The requests a minute from one address; 0 for no limit.
    #[arg(long, env = "AFTERGLOW_REQUESTS_PER_MINUTE", default_value_t = 6000, global = true)]
    requests_per_minute: u32,
    /// The number of your proxies in front that set X-Forwarded-For.
    #[arg(long, env = "AFTERGLOW_TRUSTED_PROXIES", default_value_t = 0, global = true)]
    trusted_proxies: usize,
    /// The format of the log.
    #[arg(long, env = "AFTERGLOW_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    log_format: LogFormat,
    /// The filter of the log: a level, or targets with levels.
    #[arg(long, env = "AFTERGLOW_LOG", default_value = "info", global = true)]
    log: String,
}

impl Options {
    fn config(&self) -> Result<Config, String> {
        let port = self.listen.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
            return Err("the address to listen on is a host and a port, such as 127.0.0.1:8080".to_owned());
        }
        let mut config = self.without_places(&self.listen);
        config.key_dir = self.key_dir.clone().unwrap_or_else(|| beside(&self.data_dir));
        if let Some(key) = &self.root_key {
            let bytes = base64::engine::general_purpose::STANDARD.decode(key.trim());
            config.root_key = Some(bytes.or(Err("the root key is not base64"))?);
        }
        if let Some(url) = &self.database_url {
            config.database = Backend::parse(url)?;
        }
        if let Some(url) = &self.keyring_url {
            config.keyring = Some(Backend::parse(url)?);
        }
        let faults = config.faults();
        if faults.is_empty() { Ok(config) } else { Err(faults.join("\n")) }
    }

    /// Makes the configuration of a server that listens on `address`, without the places of data and keys.
    fn without_places(&self, address: &str) -> Config {
        let mut config = Config::in_folder(&self.data_dir);
        config.public_url = self.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        config.security_contact.clone_from(&self.security_contact);
        config.change_password_url.clone_from(&self.change_password_url);
        config.auth_per_minute = NonZeroU32::new(self.auth_per_minute);
        config.requests_per_minute = NonZeroU32::new(self.requests_per_minute);
        config.trusted_hops = self.trusted_proxies;
        config.database_plaintext = self.database_plaintext;
        config
    }

    /// Returns the number of threads that answer requests.
    fn workers(&self) -> usize {
        self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, std::num::NonZero::get))
    }
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let _log = log::start(cli.options.log_format, &cli.options.log);
    match execute(cli.command, &cli.options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let why = match &error {
                Error::Internal(source) | Error::Transient(source) => source.to_string(),
                other => other.to_string(),
            };
            tracing::error!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Option<Command>, options: &Options) -> Result<()> {
    let config = || options.config().map_err(Error::internal);
    match command {
        None | Some(Command::Serve) => System::new().block_on(serve(config()?, options)),
        Some(Command::Worker) => System::new().block_on(work(config()?)),
        Some(Command::Demo(how)) => System::new().block_on(fill_demo(config()?, how)),
        Some(Command::Sandbox(how)) => System::new().block_on(sandbox(options, how)),
        Some(Command::Migrate) => {
            let added = migrate::run(&config()?.database, Family::Main)?;
            print(&format!("{} migrations applied", added.len()))
        }
        Some(Command::Openapi) => print(openapi::json().trim_end()),
        Some(Command::Audit { what: Audit::Verify }) => System::new().block_on(verify_audit(config()?)),
        Some(Command::CheckConfig) => {
            config()?;
            print("the configuration is right")
        }
    }
}

/// Prints the result of a command.
///
/// # Errors
///
/// When it cannot be written: the command has then failed.
fn print(text: &str) -> Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{text}").map_err(|error| Error::internal(format!("standard output: {error}")))
}

/// Prints the greeting of a server. The server starts even if it cannot be written.
fn greet(text: &str) {
    if let Err(error) = print(text) {
        tracing::warn!(%error, "nobody reads the greeting");
    }
}

async fn serve(config: Config, options: &Options) -> Result<()> {
    let io = |error: std::io::Error| Error::internal(format!("{}: {error}", options.listen));
    let listener = TcpListener::bind(&options.listen).map_err(io)?;
    let server = Server::open(config, Clock::System, Entropy::System).await?;
    let running = server.listen(listener, options.workers())?;
    tracing::info!("listening on http://{}", options.listen);
    greet(&welcome(&server).await?);
    let worker = server.work(Arc::new(LogChannel));
    let answered = until_asked_to_stop(running).await.map_err(io);
    worker.stop().await;
    server.close();
    answered
}

/// Lets a server answer until Ctrl-C or SIGTERM.
async fn until_asked_to_stop(running: actix_web::dev::Server) -> std::io::Result<()> {
    let handle = running.handle();
    actix_web::rt::spawn(async move {
        stop_asked().await;
        tracing::info!("stopping: what is acknowledged is finished first");
        handle.stop(true).await;
    });
    running.await
}

/// Returns the greeting of a server, with the first-run code until there is a clinic.
async fn welcome(server: &Server) -> Result<String> {
    let url = &server.state.config.public_url;
    let docs = format!("API reference: {url}/docs");
    let Some(code) = setup::first_run_code(&server.state).await? else { return Ok(docs) };
    Ok(format!(
        r#"{docs}

There is no clinic yet. This makes the first one and its admin; it works once. Put in your own words:

curl {url}/v1/setup -H 'content-type: application/json' -d '{{"code":"{code}","clinic_name":"Lakeside Clinic","name":"Ada Keller","email":"ada@lakeside.example","passphrase":"a passphrase of your own"}}'
"#
    ))
}

/// Fills a new database. On SQLite no server may be using it.
async fn fill_demo(config: Config, how: DemoOptions) -> Result<()> {
    let (now, url) = (how.now.map_or_else(|| Clock::System.now(), seconds), config.public_url.clone());
    let server = Server::open(config, Clock::manual(demo::beginning(now)), demo::entropy(how.seed)).await?;
    let filled = demo::fill(&server, now).await;
    server.close();
    print(&filled?.guide(&url))
}

/// Serves the demo's clinic from memory.
async fn sandbox(options: &Options, how: SandboxOptions) -> Result<()> {
    let io = |error: std::io::Error| Error::internal(format!("{}: {error}", options.listen));
    let listener = sandbox::listener(&options.listen)?;
    let address = listener.local_addr().map_err(io)?;
    let config = options.without_places(&address.to_string());
    let at = how.at.map_or_else(|| Clock::System.now(), seconds);
    // The same ids at every start, so that the tests of an app can name them.
    let sandbox = Sandbox::open(config, at, Entropy::seeded(0)).await?;
    let hands = Arc::new(sandbox::SandboxRoutes(Arc::clone(&sandbox)));
    let running = sandbox.server().listen_with(Some(hands), listener, options.workers())?;
    tracing::info!("listening on http://{address}");
    greet(sandbox.guide());
    let answered = until_asked_to_stop(running).await.map_err(io);
    sandbox.server().close();
    answered
}

async fn work(config: Config) -> Result<()> {
    if matches!(config.database, Backend::Sqlite(_)) {
        return Err(Error::internal(
            "`worker` needs PostgreSQL: an SQLite file belongs to one server, and `serve` does its background work",
        ));
    }
    let server = Server::open(config, Clock::System, Entropy::System).await?;
    let worker = server.work(Arc::new(LogChannel));
    tracing::info!("doing the background work");
    stop_asked().await;
    tracing::info!("stopping: the round under way is finished first");
    worker.stop().await;
    server.close();
    Ok(())
}

/// Walks the audit chains. Reads only, so it may run beside a server.
async fn verify_audit(config: Config) -> Result<()> {
    let keys = VaultConfig { key_dir: config.key_dir, root_key: config.root_key, keyring: config.keyring };
    let vault = Vault::open(keys, Entropy::System).await?;
    let db = Db::open(config.database)?;
    let subjects = db.read(audit::subjects).await?;
    let count = subjects.len();
    let mut faults = 0;
    for (subject, last, head) in subjects {
        let vault = vault.clone();
        if let Some(fault) = db.read(move |tx| audit::verify(tx, &vault, subject, last, &head)).await? {
            print(&format!("{subject:?}: row {}: {}", fault.seq, fault.why))?;
            faults += 1;
        }
    }
    db.close();
    vault.close();
    if faults > 0 {
        return Err(Error::internal(format!("{faults} of {count} chains do not fit")));
    }
    print(&format!("{count} chains fit"))
}

/// Waits for Ctrl-C or SIGTERM.
async fn stop_asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}
