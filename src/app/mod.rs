//! The one list of mounted slices, the one list of background work, and the server around them.

pub mod folder;
mod extra_routes;
pub mod guide;
pub mod health;
mod mount;
pub mod openapi;
pub mod pages;
mod tasks;
mod wellknown;

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use actix_web::body::BoxBody;
use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::http::Method;
use actix_web::middleware::{Compress, Condition, Next, from_fn};
use actix_web::web::Bytes;
use actix_web::{App, HttpServer, web};
use futures_util::future::join;
use utoipa_swagger_ui::SwaggerUi;

pub use extra_routes::{ExtraResponse, ExtraRoutes};
pub use tasks::{advance, tasks, tick, worker_tasks};

use self::mount::mount;
use crate::care::revocations::Ledger;
use crate::channels::{Channels, Mail};
use crate::config::Config;
use crate::db::migrate::{self, Family};
use crate::db::{Backend, Db, FollowUp};
use crate::delivery::Channel;
use crate::http::{self, Cors, HourlyLimit, LimitSettings, Limits, Methods, Operations, Settings};
use crate::identity::{Directory, Passwords, Tokens};
use crate::jobs::{self, Worker};
use crate::kernel::zone_data::ZoneFolder;
use crate::kernel::{Clock, Entropy, Error, Result};
use crate::planning::{ProtocolLibrary, Protocols};
use crate::schedule::Plans;
use crate::state::State;
use crate::sync::Streams;
use crate::vault::{LedgerFile, Vault};
use crate::{feed, sync};

/// The addresses where a secret may be guessed, or a letter asked for.
pub const GUARDED: [&str; 15] = [
    "/v1/auth/login",
    "/v1/auth/register",
    "/v1/auth/passphrase-reset",
    "/v1/auth/passphrase-reset/confirm",
    "/v1/auth/staff-reset",
    "/v1/auth/verify-email",
    "/v1/setup",
    "/v1/invitations/accept",
    "/v1/me/passphrase",
    "/v1/me/email",
    "/v1/me/email/verification",
    "/v1/me/disable",
    "/v1/auth/step-up",
    "/v1/auth/passkey/finish",
    "/v1/me/factors/totp/confirm",
];

/// A server that is ready to listen.
#[derive(Clone)]
pub struct Server {
    /// The parts that every handler shares.
    pub state: State,
    /// The issuer and verifier of tokens.
    pub tokens: Arc<Tokens>,
    /// The hasher of passphrases.
    pub passwords: Passwords,
    /// The patients of accounts.
    pub directory: Directory,
    /// The open streams.
    pub streams: Streams,
    http: Settings,
    /// The OpenAPI document in version 3.0, made when it is first asked for.
    older_document: Arc<OnceLock<Bytes>>,
    /// The mutations that each patient pushes in an hour.
    pushes: Arc<HourlyLimit>,
    /// The pages of HTML and their addresses, written once for all workers.
    pages: Vec<(&'static str, Bytes)>,
    /// The lock of the data folder, held while the server runs: one server for an SQLite file.
    _lock: Option<Arc<std::fs::File>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl Server {
    /// Checks the configuration, makes the folders, brings the tables up to date, and opens database and keys.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] with a sentence for the operator.
    pub async fn open(config: Config, clock: Clock, entropy: Entropy) -> Result<Self> {
        Self::open_with(Protocols::shipped(), config, clock, entropy).await
    }

    /// Opens a server like [`Server::open`], with other protocols than the built-in ones.
    ///
    /// # Errors
    ///
    /// As [`Server::open`].
    pub async fn open_with(protocols: Protocols, config: Config, clock: Clock, entropy: Entropy) -> Result<Self> {
        let server = Self::open_any(protocols, config, clock, entropy).await?;
        match sync::renewal::refuse_older(&server.state.db, &server.state.vault).await {
            Ok(()) => Ok(server),
            Err(error) => {
                server.close();
                Err(error)
            }
        }
    }

    /// Begins a new epoch of the data of a server that is not running, also of data that are older than the keyring
    /// knows them.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] with a sentence for the operator.
    pub async fn renew(config: Config, clock: Clock, entropy: Entropy) -> Result<sync::renewal::Renewed> {
        let (keys, data) = (config.vault(), config.database.clone());
        if blocking(move || Vault::check(&keys, &data)?.refuse()).await?.is_new {
            return Err(Error::internal(format!("{} holds no installation", config.database.place())));
        }
        let server = Self::open_any(Protocols::shipped(), config, clock, entropy).await?;
        let renewed = sync::renewal::renew(&server.state).await;
        server.close();
        renewed
    }

    async fn open_any(protocols: Protocols, config: Config, clock: Clock, entropy: Entropy) -> Result<Self> {
        let protocols = ProtocolLibrary::new(protocols);
        let faults = config.faults();
        if !faults.is_empty() {
            return Err(Error::internal(faults.join("\n")));
        }
        health::recorder();
        if let Some(folder) = &config.zoneinfo {
            ZoneFolder::read(folder).and_then(ZoneFolder::install).map_err(Error::internal)?;
        }
        let Prepared { lock, is_new } = prepare(&config).await?;
        let (data, keys) = (config.database.clone(), config.vault());
        let opened = Box::pin(Vault::open(keys, Some(data.clone()), entropy.clone()));
        let migrated = blocking(move || migrate::run(&data, Family::Main));
        // Tables that are in use wait until their keys are there; new ones are made beside new keys.
        let (vault, added) = if is_new {
            let (vault, added) = join(opened, migrated).await;
            (vault?, added?)
        } else {
            (opened.await?, migrated.await?)
        };
        if !added.is_empty() {
            tracing::info!(count = added.len(), "migrations applied");
        }
        let db = Db::open(config.database.clone())?
            .with_row_key(vault.row_key())
            .with_last_step(Arc::new(feed::Step::new(vault.clone())));
        let ledger = config.ledger().map(|path| Arc::new(Ledger::new(LedgerFile::new(path, vault.clone()))));
        let db = db.with_follow_up(ledger.clone().map(|ledger| -> Arc<dyn FollowUp> { ledger }));
        vault.bind(&db).await?;
        sync::epoch::begin(&db, &entropy).await?;
        if let Some(ledger) = ledger {
            ledger.begin(&db).await?;
        }
        db.share_signals()?;
        let limits = Limits::new(LimitSettings {
            auth_per_minute: config.auth_per_minute,
            general_per_minute: config.requests_per_minute,
            guarded: GUARDED.to_vec(),
            trusted_hops: config.trusted_hops,
        });
        let methods = Methods::of(openapi::OPERATIONS)?
            .with("/", &[Method::GET])
            .with("/problems", &[Method::GET])
            .with("/openapi.json", &[Method::GET])
            .with("/openapi-3.0.json", &[Method::GET])
            .with("/docs", &[Method::GET])
            .with("/docs/{rest:.*}", &[Method::GET])
            .ignoring_query("/v1/calendar/{file}");
        let mut http = Settings::new(entropy.clone(), Arc::new(limits), Arc::new(methods));
        http.cors = Cors { origins: config.cors_origins.clone(), localhost: config.cors_localhost };
        let pushes = Arc::new(HourlyLimit::new(config.mutations_per_hour, clock.clone()));
        let mail = Mail::new(&config.mail, clock.clone()).map_err(Error::internal)?;
        let state = State {
            db,
            vault: vault.clone(),
            clock,
            entropy,
            planner: Arc::new(Plans(protocols.clone())),
            protocols,
            channels: Arc::default(),
            mail: Arc::new(mail),
            config: Arc::new(config),
        };
        Ok(Self {
            tokens: Tokens::new(vault, state.config.public_url.clone()),
            passwords: Passwords::with_cost(state.config.passphrase_cost),
            directory: Directory::default(),
            streams: Streams::new(state.clone()),
            pushes,
            http,
            state,
            older_document: Arc::default(),
            pages: pages::all(""),
            _lock: lock.map(Arc::new),
        })
    }

    /// Lets this server answer `request`, instead of the one that it came to.
    pub fn answer(&self, request: &mut ServiceRequest) {
        let mut parts = Extensions::new();
        parts.insert(web::Data::new(self.state.clone()));
        parts.insert(web::Data::new(Arc::clone(&self.tokens)));
        parts.insert(web::Data::new(self.passwords.clone()));
        parts.insert(web::Data::new(self.directory.clone()));
        parts.insert(web::Data::new(self.streams.clone()));
        parts.insert(web::Data::from(Arc::clone(&self.pushes)));
        request.add_data_container(Rc::new(parts));
    }

    /// Answers requests on `listener` until the returned server is stopped.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when the listener cannot be used.
    pub fn listen(&self, listener: TcpListener, workers: usize) -> Result<actix_web::dev::Server> {
        self.listen_with(None, listener, workers)
    }

    /// Answers requests like [`Server::listen`], with operations beside those of the product.
    ///
    /// # Errors
    ///
    /// As [`Server::listen`].
    pub fn listen_with(
        &self,
        extra: Option<Arc<dyn ExtraRoutes>>,
        listener: TcpListener,
        workers: usize,
    ) -> Result<actix_web::dev::Server> {
        let mut server = self.clone();
        if let Some(extra) = &extra {
            server.http.methods = Arc::new(extra.methods(Methods::clone(&server.http.methods)));
            server.pages = pages::all(extra.welcome());
        }
        let metrics = health::recorder();
        let factory = move || {
            let app = App::new()
                .app_data(web::Data::new(server.state.clone()))
                .app_data(web::Data::new(Arc::clone(&server.tokens)))
                .app_data(web::Data::new(server.passwords.clone()))
                .app_data(web::Data::new(server.directory.clone()))
                .app_data(web::Data::new(server.streams.clone()))
                .app_data(web::Data::from(Arc::clone(&server.pushes)))
                .app_data(web::Data::new(metrics.clone()))
                .configure(|config| mount(&mut Operations::served(config)));
            let settings = server.http.clone();
            let (present, mounted, around) = (extra.is_some(), extra.clone(), extra.clone());
            let around = move |request: ServiceRequest, next: Next<BoxBody>| {
                let extra = around.clone();
                async move {
                    match extra {
                        Some(extra) => extra.around(request, next).await,
                        None => next.call(request).await,
                    }
                }
            };
            app.service(web::redirect("/docs", "/docs/"))
                .route("/openapi.json", openapi::route())
                .route("/openapi-3.0.json", openapi::older_route(Arc::clone(&server.older_document)))
                .configure(|config| pages::configure(config, &server.pages))
                .service(SwaggerUi::new("/docs/{_:.*}").config(
                    utoipa_swagger_ui::Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true),
                ))
                .configure(|config| http::configure(config, &settings))
                .configure(|config| mounted.iter().for_each(|extra| extra.mount(config)))
                .wrap(from_fn(crate::protocols::before_request))
                .wrap(Condition::new(present, from_fn(around)))
                .wrap(from_fn(http::guard::methods))
                .wrap(from_fn(http::limits::throttle))
                .wrap(from_fn(http::compression::choose))
                .wrap(Compress::default())
                .wrap(from_fn(http::layers::outer))
        };
        let server = HttpServer::new(factory)
            .workers(workers)
            .shutdown_timeout(15)
            .client_request_timeout(std::time::Duration::from_secs(15))
            .keep_alive(std::time::Duration::from_secs(75))
            .listen(listener)
            .map_err(|error| Error::Internal(Box::new(error)))?;
        Ok(server.disable_signals().run())
    }

    /// Answers `/metrics` and nothing else on `listener`, until the returned server is stopped.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when the listener cannot be used.
    pub fn listen_for_metrics(listener: TcpListener) -> Result<actix_web::dev::Server> {
        let page = || {
            let handle = health::recorder();
            web::get().to(move || std::future::ready(health::metrics_page(&handle)))
        };
        let server = HttpServer::new(move || App::new().route("/metrics", page())).workers(1);
        let server = server.listen(listener).map_err(|error| Error::Internal(Box::new(error)))?;
        Ok(server.disable_signals().run())
    }

    /// Sends what is due to the devices of patients, by these channels.
    #[must_use]
    pub fn with_channels(mut self, channels: Channels) -> Self {
        self.state.channels = Arc::new(channels);
        self
    }

    /// Starts the background work on the runtime of the caller.
    pub fn work(&self, channel: Arc<dyn Channel>) -> Worker {
        jobs::start(self.state.clone(), tasks(channel))
    }

    /// Starts the background work of a process that answers no requests, beside servers that do.
    pub fn work_beside_servers(&self, channel: Arc<dyn Channel>) -> Worker {
        jobs::start(self.state.clone(), worker_tasks(&self.state, channel))
    }

    /// Ends the streams, so that a stop that waits for requests does not wait for them.
    pub fn end_streams(&self) {
        self.streams.close();
    }

    /// Finishes the waiting units and closes the databases. Blocks.
    pub fn close(&self) {
        self.state.db.close();
        self.state.vault.close();
    }
}

/// A database that is ready for its tables.
struct Prepared {
    /// The lock on an SQLite file.
    lock: Option<std::fs::File>,
    /// Whether the data are of no installation yet.
    is_new: bool,
}

/// Checks that data and keys belong together, before anything is made: what is missing beside what is in use was lost.
/// Then makes the folder and the file of an SQLite database, and takes the lock on it.
async fn prepare(config: &Config) -> Result<Prepared> {
    let (data, keys, folder) = (config.database.clone(), config.vault(), config.data_dir.clone());
    blocking(move || {
        let is_new = Vault::check(&keys, &data)?.refuse()?.is_new;
        let lock = match &data {
            Backend::Sqlite(path) if !data.in_memory() => Some(folder::prepare(&folder, path)?),
            Backend::Sqlite(_) | Backend::Postgres(_) => None,
        };
        Ok(Prepared { lock, is_new })
    })
    .await
}

/// Brings the tables up to date, as a server does when it starts, and answers the number of migrations it took.
///
/// # Errors
///
/// [`Error::Internal`] with a sentence for the operator.
pub async fn migrate(config: &Config) -> Result<usize> {
    let _prepared = prepare(config).await?;
    let data = config.database.clone();
    Ok(blocking(move || migrate::run(&data, Family::Main)).await?.len())
}

/// Looks at data and keys as a server does that starts, and makes nothing. Returns what is not refused and the operator
/// should know. Blocks.
///
/// # Errors
///
/// [`Error::Internal`] with a sentence for the operator.
pub fn check(config: &Config) -> Result<Option<String>> {
    let keys = config.vault();
    let checked = Vault::check(&keys, &config.database)?.refuse()?;
    migrate::check(&keys.keyring(), Family::Keyring)?;
    migrate::check(&config.database, Family::Main)?;
    Ok(checked.warning)
}

/// Does work that blocks on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(Box::new(error)))?
}
