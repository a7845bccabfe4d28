//! The `afterglow` command.

mod accounts;
mod channels;
mod log;
mod options;

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use self::accounts::AccountCommand;
use self::options::{Options, Settings};
use crate::app::{self, Server, openapi};
use crate::audit;
use crate::care::model::Capabilities;
use crate::config::{Config, Listen};
use crate::db::{Backend, Db};
use crate::delivery::LogChannel;
use crate::demo;
use crate::kernel::clock::seconds;
use crate::kernel::{Clock, Entropy, Error, Result, Text};
use crate::onboarding::operator::{self, NewClinic};
use crate::onboarding::setup;
use crate::sandbox::{self, Sandbox, Start};
use crate::sync::renewal::Renewed;
use crate::vault::{Rotation, Vault};

/// Backend of a companion app for ketamine therapy.
#[derive(Debug, Parser)]
#[command(name = "afterglow", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Answer requests and do the background work (what happens without a command).
    Serve,
    /// Do the background work only, beside servers that share a PostgreSQL database.
    Worker,
    /// Fill a new database with a made-up clinic to look around in, and print the log-ins.
    ///
    /// The same seed and time give the same people, ids, entries and plans. Tokens and the keys that seal are new each
    /// time.
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
    /// Begin a new epoch after the database went back.
    Epoch {
        #[command(subcommand)]
        what: EpochCommand,
    },
    /// Make clinics.
    Clinic {
        #[command(subcommand)]
        what: ClinicCommand,
    },
    /// Look at an account, enable it again, or take lost second factors away, for an owner who has proved who they are.
    Account {
        #[command(subcommand)]
        what: AccountCommand,
    },
    /// Check the access log.
    Audit {
        #[command(subcommand)]
        what: Audit,
    },
    /// Rotate keys of the server.
    Keys {
        #[command(subcommand)]
        what: KeysCommand,
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
    /// The seed of the ids, and with them of the minutes of the prompts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Let its clock run with real time. It can still be moved.
    #[arg(long)]
    ticking: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum ClinicCommand {
    /// Make another clinic, and print the code of its first admin, which works once within 72 hours.
    ///
    /// An SQLite file belongs to one server: stop it first.
    Create {
        /// The name of the clinic.
        #[arg(long)]
        name: String,
        /// Give the first admin every capability, for a practice of one person.
        #[arg(long)]
        one_person: bool,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum EpochCommand {
    /// Begin a new epoch in place, after the database was restored from a backup, or a standby that lagged took over.
    ///
    /// Versions go on above all that were ever given, apps compare what they hold with the database, and everybody logs
    /// in again. Stop all servers first.
    New,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Audit {
    /// Walk every chain and name the first row of each that does not fit.
    Verify,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum KeysCommand {
    /// Begin to sign access tokens with a new key, beside running servers.
    ///
    /// The new key is published at once and signs five minutes later; the old one is accepted for a quarter of an hour
    /// after that. Nobody has to log in again.
    RotateSigning,
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
    let listed = |faults: Vec<String>| Error::internal(faults.join("\n"));
    let settings = || options.settings().map_err(listed);
    let config = || settings().map(|settings| settings.config);
    match command {
        None | Some(Command::Serve) => System::new().block_on(serve(settings()?)),
        Some(Command::Worker) => System::new().block_on(work(settings()?)),
        Some(Command::Demo(how)) => System::new().block_on(fill_demo(settings()?, how)),
        Some(Command::Sandbox(how)) => {
            System::new().block_on(sandbox(options.settings_without_places().map_err(listed)?, how))
        }
        Some(Command::Migrate) => {
            let added = System::new().block_on(app::migrate(&config()?))?;
            print(&format!("{added} migrations applied"))
        }
        Some(Command::Openapi) => print(openapi::json().trim_end()),
        Some(Command::Audit { what: Audit::Verify }) => System::new().block_on(verify_audit(config()?)),
        Some(Command::Keys { what: KeysCommand::RotateSigning }) => System::new().block_on(rotate_signing(config()?)),
        Some(Command::Epoch { what: EpochCommand::New }) => {
            let renewed = System::new().block_on(Server::renew(config()?, Clock::System, Entropy::System))?;
            let Renewed { epoch, floor, sessions } = renewed;
            print(&format!("epoch {epoch} has begun; versions go on above {floor}; {sessions} sessions have ended"))
        }
        Some(Command::Clinic { what: ClinicCommand::Create { name, one_person } }) => {
            System::new().block_on(create_clinic(config()?, &name, one_person))
        }
        Some(Command::Account { what }) => print(&System::new().block_on(accounts::run(config()?, &what))?),
        Some(Command::CheckConfig) => {
            let warning = app::check(&config()?)?;
            print(warning.as_deref().unwrap_or("the configuration is right"))
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

async fn serve(mut settings: Settings) -> Result<()> {
    let listen = settings.listen.clone();
    let io = |error: std::io::Error| Error::internal(format!("{listen}: {error}"));
    let listener = settings.listen.bind().map_err(io)?;
    let address = listener.local_addr().map_err(io)?;
    settings.listening_on(address);
    let metrics = bind_metrics(&settings)?;
    let server = Server::open(settings.config, Clock::System, Entropy::System).await?.with_channels(settings.channels);
    let metrics = metrics.map(answer_metrics).transpose()?;
    let running = server.listen(listener, settings.workers)?;
    tracing::info!("listening on http://{address}");
    greet(&welcome(&server).await?);
    let (worker, streams) = (server.work(Arc::new(LogChannel)), server.clone());
    let answered = until_asked_to_stop(running, move || streams.end_streams()).await.map_err(io);
    worker.stop().await;
    stop_metrics(metrics).await;
    close(&server).await;
    answered
}

/// Destroys the keys that no unit has used, which only this process knows of, and closes the server.
async fn close(server: &Server) {
    server.state.vault.tend().await;
    server.close();
}

/// Opens the address of `/metrics`, if it is another than that of the operations.
fn bind_metrics(settings: &Settings) -> Result<Option<TcpListener>> {
    let bind = |listen: &Listen| {
        listen.bind().map_err(|error| Error::internal(format!("{listen} (--metrics-address): {error}")))
    };
    settings.metrics.as_ref().map(bind).transpose()
}

/// Answers `/metrics` on an address of its own.
fn answer_metrics(listener: TcpListener) -> Result<ServerHandle> {
    if let Ok(address) = listener.local_addr() {
        tracing::info!("metrics on http://{address}/metrics");
    }
    let running = Server::listen_for_metrics(listener)?;
    let handle = running.handle();
    actix_web::rt::spawn(running);
    Ok(handle)
}

async fn stop_metrics(handle: Option<ServerHandle>) {
    if let Some(handle) = handle {
        handle.stop(false).await;
    }
}

/// Lets a server answer until Ctrl-C or SIGTERM. What has no end of its own is ended first.
async fn until_asked_to_stop(running: actix_web::dev::Server, end: impl FnOnce() + 'static) -> std::io::Result<()> {
    let handle = running.handle();
    actix_web::rt::spawn(async move {
        stop_asked().await;
        tracing::info!("stopping: what is acknowledged is finished first");
        end();
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

/// Makes a clinic, and prints the code of its first admin. On SQLite no server may be using the database.
async fn create_clinic(config: Config, name: &str, one_person: bool) -> Result<()> {
    let name = Text::line(name).map_err(|fault| Error::internal(format!("the name of the clinic (--name) {fault}")))?;
    let (may, url) = (if one_person { Capabilities::ALL } else { Capabilities::ADMIN_ONLY }, config.public_url.clone());
    let server = Server::open(config, Clock::System, Entropy::System).await?;
    let made = operator::create_clinic(&server.state, name, may).await;
    close(&server).await;
    let NewClinic { clinic, code, expires_at } = made?;
    print(&format!(
        r#"clinic {clinic} is there. This makes its first admin; it works once, until {expires_at}. Put in your own words:

curl {url}/v1/auth/register -H 'content-type: application/json' -d '{{"code":"{code}","name":"Ada Keller","email":"ada@hillside.example","passphrase":"a passphrase of your own"}}'
"#
    ))
}

/// Fills a new database. On SQLite no server may be using it.
async fn fill_demo(settings: Settings, how: DemoOptions) -> Result<()> {
    let Settings { config, listen, .. } = settings;
    if listen.has_open_port() && config.public_url == listen.url() {
        return Err(Error::internal(
            "the demo prints requests to the server that will answer: give its port (--listen) or --public-url",
        ));
    }
    let (now, url) = (how.now.map_or_else(|| Clock::System.now(), seconds), config.public_url.clone());
    let server = Server::open(config, Clock::manual(demo::beginning(now)), demo::entropy(how.seed)).await?;
    let filled = demo::fill(&server, now).await;
    close(&server).await;
    print(&filled?.guide(&url))
}

/// Serves the demo's clinic from memory.
async fn sandbox(mut settings: Settings, how: SandboxOptions) -> Result<()> {
    let listen = settings.listen.clone();
    let io = |error: std::io::Error| Error::internal(format!("{listen}: {error}"));
    let listener = sandbox::listener(&settings.listen)?;
    let address = listener.local_addr().map_err(io)?;
    settings.listening_on(address);
    let at = how.at.map_or_else(|| Clock::System.now(), seconds);
    // The same ids at every start, so that the tests of an app can name them.
    let start = Start { at, seed: how.seed, ticking: how.ticking };
    let sandbox = Sandbox::open(settings.config, start).await?;
    let stopping = Arc::clone(&sandbox);
    let hands = Arc::new(sandbox::SandboxRoutes(Arc::clone(&sandbox)));
    let first = sandbox.installation();
    let running = first.server().listen_with(Some(hands), listener, settings.workers)?;
    tracing::info!("listening on http://{address}");
    greet(first.guide());
    drop(first);
    let answered =
        until_asked_to_stop(running, move || stopping.installation().server().end_streams()).await.map_err(io);
    sandbox.installation().server().close();
    answered
}

async fn work(settings: Settings) -> Result<()> {
    if matches!(settings.config.database, Backend::Sqlite(_)) {
        return Err(Error::internal(
            "`worker` needs PostgreSQL: an SQLite file belongs to one server, and `serve` does its background work",
        ));
    }
    let metrics = bind_metrics(&settings)?;
    let server = Server::open(settings.config, Clock::System, Entropy::System).await?.with_channels(settings.channels);
    let metrics = metrics.map(answer_metrics).transpose()?;
    let worker = server.work_beside_servers(Arc::new(LogChannel));
    tracing::info!("doing the background work");
    stop_asked().await;
    tracing::info!("stopping: the round under way is finished first");
    worker.stop().await;
    stop_metrics(metrics).await;
    close(&server).await;
    Ok(())
}

/// Adds a key that signs access tokens. It may run beside servers.
async fn rotate_signing(config: Config) -> Result<()> {
    if Vault::check(&config.vault(), &config.database)?.refuse()?.is_new {
        return Err(Error::internal(format!(
            "{} holds no installation: there is no key to rotate",
            config.database.place()
        )));
    }
    let vault = Vault::open(config.vault(), Some(config.database), Entropy::System).await?;
    let rotated = vault.rotate_signing_key(Clock::System.now()).await;
    vault.close();
    let Rotation { kid, from, until } = rotated?;
    print(&format!("the key {kid} signs from {from}; the one before is accepted until {until}"))
}

/// Walks the audit chains. Reads only, so it may run beside a server.
async fn verify_audit(config: Config) -> Result<()> {
    if Vault::check(&config.vault(), &config.database)?.refuse()?.is_new {
        return Err(Error::internal(format!(
            "{} holds no installation: there is nothing to verify",
            config.database.place()
        )));
    }
    let vault = Vault::open(config.vault(), Some(config.database.clone()), Entropy::System).await?;
    let db = Db::open(config.database)?;
    // Anchors are read first: chains only grow, so a chain that is sound is never behind them.
    let mut anchors = vault.anchors(None).await?;
    let subjects = db.read(audit::subjects).await?;
    let count = subjects.len();
    let mut faults = 0;
    for (subject, ..) in subjects {
        let (vault, anchor) = (vault.clone(), anchors.remove(&subject.uuid()));
        let verified = db.read(move |tx| {
            let (last, head) = audit::head(tx, subject)?;
            audit::verify(tx, &vault, subject, last, &head, anchor.as_ref())
        });
        if let Some(fault) = verified.await? {
            print(&format!("{subject:?}: row {}: {}", fault.seq, fault.why))?;
            faults += 1;
        }
    }
    for subject in anchors.keys() {
        print(&format!("{subject}: the whole chain is missing"))?;
        faults += 1;
    }
    db.close();
    vault.close();
    if faults > 0 {
        return Err(Error::internal(format!("{faults} chains do not fit, of {count} in the database")));
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
