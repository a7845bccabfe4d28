//! A real server on a port of its own, and a client that holds every response against the API document.

use std::collections::HashMap;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use afterglow::app::{ExtraRoutes, Server};
use afterglow::channels::Channels;
use afterglow::config::{Config, PasskeySettings};
use afterglow::db::Memory;
use afterglow::kernel::{Clock, Entropy};
use afterglow::planning::{Protocol, Protocols};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::authenticator;
use super::contract;
use super::database::Database;
use super::people::Session;

/// When the tests begin: a Tuesday morning in Berlin.
pub const START: &str = "2026-03-10T08:00:00Z";

/// A server of this test's own, with a clock that the test moves.
pub struct TestApp {
    pub server: Server,
    pub database: Database,
    /// The keys, unless they lie in a folder.
    keyring: Option<Memory>,
    pub url: String,
    pub clock: Clock,
    http: reqwest::Client,
    handle: actix_web::dev::ServerHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// The protocol on which mechanisms are tested.
pub fn fixture() -> Protocol {
    serde_json::from_str(include_str!("../../../src/planning/tests/protocol.json")).unwrap()
}

/// What a server of a test has that the product's has not.
struct With {
    guest: Option<Arc<dyn ExtraRoutes>>,
    protocols: Protocols,
    channels: Option<Channels>,
}

impl Default for With {
    fn default() -> Self {
        Self { guest: None, protocols: Protocols::shipped(), channels: None }
    }
}

impl TestApp {
    pub async fn start() -> Arc<Self> {
        Self::start_with(|_| {}).await
    }

    /// With other settings.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Arc<Self> {
        let clock = Clock::manual(START.parse().unwrap());
        Self::serve(With::default(), Database::fresh(), clock, Some(Memory::new().unwrap()), change).await
    }

    /// Planning by the fixture of the tests of mechanisms, whatever the shipped protocol asks.
    pub async fn start_on_fixture() -> Arc<Self> {
        let clock = Clock::manual(START.parse().unwrap());
        let with = With { protocols: Protocols::new(fixture(), []), ..With::default() };
        Self::serve(with, Database::fresh(), clock, Some(Memory::new().unwrap()), |_| {}).await
    }

    /// Sending to the devices of patients by these channels.
    pub async fn start_with_channels(channels: Channels) -> Arc<Self> {
        let with = With { channels: Some(channels), ..With::default() };
        let clock = Clock::manual(START.parse().unwrap());
        Self::serve(with, Database::fresh(), clock, Some(Memory::new().unwrap()), |_| {}).await
    }

    /// With operations beside those of the product.
    pub async fn start_with_guest(guest: Arc<dyn ExtraRoutes>) -> Arc<Self> {
        let clock = Clock::manual(START.parse().unwrap());
        Self::serve(
            With { guest: Some(guest), ..With::default() },
            Database::fresh(),
            clock,
            Some(Memory::new().unwrap()),
            |_| {},
        )
        .await
    }

    /// With a key folder, which a server that is started again needs.
    pub async fn start_on_disk() -> Arc<Self> {
        Self::on(Database::fresh(), Clock::manual(START.parse().unwrap()), |_| {}).await
    }

    /// On a database that is there already, with the folder's keys.
    pub async fn on(database: Database, clock: Clock, change: impl FnOnce(&mut Config)) -> Arc<Self> {
        Self::serve(With::default(), database, clock, None, change).await
    }

    /// With other protocols than those that are shipped, and a key folder.
    pub async fn start_planning_by(protocols: Protocols) -> Arc<Self> {
        Self::planning_by(protocols, Database::fresh(), Clock::manual(START.parse().unwrap())).await
    }

    async fn planning_by(protocols: Protocols, database: Database, clock: Clock) -> Arc<Self> {
        Self::serve(With { protocols, ..With::default() }, database, clock, None, |_| {}).await
    }

    async fn serve(
        with: With,
        database: Database,
        clock: Clock,
        keyring: Option<Memory>,
        change: impl FnOnce(&mut Config),
    ) -> Arc<Self> {
        let With { guest, protocols, channels } = with;
        let mut config = Config::in_folder(database.folder.path().join("data"));
        config.database = database.backend.clone();
        if let Some(keyring) = &keyring {
            config.keyring = Some(keyring.backend());
            config.root_key = Some(Entropy::System.bytes::<32>().to_vec());
        }
        config.auth_per_minute = None;
        config.requests_per_minute = None;
        config.security_contact = Some("mailto:security@lakeside.example".to_owned());
        config.change_password_url = Some("https://app.lakeside.example/passphrase".to_owned());
        let origins = [authenticator::ORIGIN, authenticator::ANDROID].map(str::to_owned).to_vec();
        config.passkeys = Some(PasskeySettings { rp_id: authenticator::RP_ID.to_owned(), origins });
        // The least Argon2 allows: only tests of passphrases pay the real price.
        config.passphrase_cost = (8, 1, 1);
        change(&mut config);
        let server = Server::open_with(protocols, config, clock.clone(), Entropy::System).await.unwrap();
        let server = server.with_channels(channels.unwrap_or_default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (give, take) = tokio::sync::oneshot::channel();
        let listening = server.clone();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let running = listening.listen_with(guest, listener, 1).unwrap();
                let _ = give.send(running.handle());
                running.await.unwrap();
            });
        });
        let handle = take.await.unwrap();
        // There is no TLS on this way: the certificates of the system need not be read.
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        let http = http.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Arc::new(Self { server, database, keyring, url, clock, http, handle, thread: Some(thread) })
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock forward.
    pub fn wait(&self, time: SignedDuration) {
        self.clock.set(self.now().checked_add(time).unwrap());
    }

    pub fn set_clock(&self, at: &str) {
        self.clock.set(at.parse().unwrap());
    }

    /// A request without a log-in.
    pub fn request(self: &Arc<Self>, method: Method, path: &str) -> Call {
        Call {
            request: self.http.request(method.clone(), format!("{}{path}", self.url)),
            app: Arc::clone(self),
            method,
            path: path.to_owned(),
            session: None,
        }
    }

    pub fn get(self: &Arc<Self>, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    pub fn post(self: &Arc<Self>, path: &str, body: Value) -> Call {
        self.request(Method::POST, path).json(body)
    }
}

impl TestApp {
    /// Stops this server and starts another on what it leaves behind, at the same time of day.
    pub async fn restart(self: Arc<Self>) -> Arc<Self> {
        let clock = Clock::manual(self.now());
        Self::on(self.stop(), clock, |_| {}).await
    }

    /// [`TestApp::restart`], with other protocols.
    pub async fn restart_planning_by(self: Arc<Self>, protocols: Protocols) -> Arc<Self> {
        let clock = Clock::manual(self.now());
        Self::planning_by(protocols, self.stop(), clock).await
    }

    /// Stops this server; its database and its key folder stay.
    pub fn stop(self: Arc<Self>) -> Database {
        let mut app = Arc::try_unwrap(self).ok().expect("nobody else holds the server");
        assert!(app.keyring.is_none(), "its keys go with it: start it on disk");
        app.halt();
        app.database.take()
    }

    fn halt(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.server.close();
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.halt();
    }
}

/// A request that is being put together.
#[must_use]
pub struct Call {
    request: reqwest::RequestBuilder,
    app: Arc<TestApp>,
    method: Method,
    path: String,
    session: Option<Arc<Session>>,
}

impl Call {
    pub fn json(mut self, body: Value) -> Self {
        self.request = self.request.json(&body);
        self
    }

    pub fn bytes(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.request = self.request.header("content-type", content_type).body(body.into());
        self
    }

    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Within a session, whose token is good when the request is sent.
    pub fn within(mut self, session: &Arc<Session>) -> Self {
        self.session = Some(Arc::clone(session));
        self
    }

    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn if_match(self, tag: &str) -> Self {
        self.header("if-match", tag)
    }

    /// Sends it, and holds the response against the API document.
    pub async fn send(mut self) -> Answer {
        if let Some(session) = self.session.take() {
            let token = session.access(&self.app).await;
            self = self.bearer(&token);
        }
        self.transmit().await
    }

    /// Sends it, and returns the response before its body.
    pub async fn begin(mut self) -> reqwest::Response {
        if let Some(session) = self.session.take() {
            let token = session.access(&self.app).await;
            self = self.bearer(&token);
        }
        self.request.send().await.unwrap()
    }

    /// [`Call::send`] with the tokens that are there, also if they have expired.
    pub async fn transmit(self) -> Answer {
        let mut response = self.request.send().await.unwrap();
        let (status, headers) = (response.status(), contract::headers(&response));
        let endless = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        // Of a body without an end, the beginning.
        let body = if endless { response.chunk().await.unwrap().unwrap() } else { response.bytes().await.unwrap() };
        let bytes = unpacked(&headers, body.to_vec());
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        contract::check(&self.method, &self.path, status, &headers, &bytes, &body);
        Answer { status, headers, body, bytes, said: format!("{} {}", self.method, self.path) }
    }
}

/// The body as it was before the compression that its headers name.
fn unpacked(headers: &HashMap<String, String>, bytes: Vec<u8>) -> Vec<u8> {
    let mut plain = Vec::new();
    match headers.get("content-encoding").map(String::as_str) {
        None => return bytes,
        Some("gzip") => flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap(),
        Some("br") => brotli::Decompressor::new(bytes.as_slice(), 4096).read_to_end(&mut plain).unwrap(),
        Some(other) => panic!("{other}"),
    };
    plain
}

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HashMap<String, String>,
    pub body: Value,
    pub bytes: Vec<u8>,
    said: String,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.said, String::from_utf8_lossy(&self.bytes));
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect(200)
    }

    #[track_caller]
    pub fn created(self) -> Self {
        self.expect(201)
    }

    #[track_caller]
    pub fn no_content(self) -> Self {
        self.expect(204)
    }

    #[track_caller]
    pub fn not_found(self) -> Self {
        self.expect(404)
    }

    /// Refused with this code.
    #[track_caller]
    pub fn refused(self, code: &str) -> Self {
        assert_eq!(self.body["code"], json!(code), "{}: {}", self.said, String::from_utf8_lossy(&self.bytes));
        self
    }

    #[track_caller]
    pub fn etag(&self) -> String {
        self.headers.get("etag").unwrap_or_else(|| panic!("{}: no ETag", self.said)).clone()
    }

    #[track_caller]
    pub fn text(&self, pointer: &str) -> String {
        self.body
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{}: no {pointer} in {}", self.said, self.body))
            .to_owned()
    }

    /// The id of the object in the body.
    #[track_caller]
    pub fn id(&self) -> String {
        self.text("/id")
    }

    /// The items of the list in the body.
    #[track_caller]
    pub fn items(&self) -> &[Value] {
        self.body["items"].as_array().unwrap_or_else(|| panic!("{}: no list in {}", self.said, self.body))
    }
}

/// A new id, as an app makes it: of version 4, which does not tell the time.
pub fn new_id(app: &TestApp) -> String {
    app.server.state.entropy.opaque().to_string()
}

/// The id of an item.
#[track_caller]
pub fn id_of(item: &Value) -> String {
    item["id"].as_str().unwrap_or_else(|| panic!("no id in {item}")).to_owned()
}

/// The text of the committed document. Making it anew was seen in the profile of a test; that it is what the handlers
/// say, `openapi::the_committed_document_is_the_generated_one` proves.
pub fn committed() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
        std::fs::read_to_string(path).unwrap()
    })
}

/// The committed document, parsed once.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| committed().parse().unwrap())
}
