//! The real program in a process of its own, which can be killed.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use afterglow::app::Server;
use afterglow::config::Config;
use afterglow::db::Backend;
use afterglow::kernel::{Clock, Entropy};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::contract;
use super::database::Database;
use super::people::{PASSPHRASE, registration};

/// A server process on a database; killed when this is dropped.
pub struct Child {
    process: std::process::Child,
    pub url: String,
    pub log: PathBuf,
    pub ready_after: Duration,
}

pub fn command(database: &Database, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
    let url = match &database.backend {
        Backend::Sqlite(path) => format!("sqlite:{}", path.display()),
        Backend::Postgres(url) => url.clone(),
    };
    let data = database.folder.path().join("data");
    command.env_clear().arg("--data-dir").arg(data).arg("--database-url").arg(url);
    // Tokens name the public address: they stay good when the server comes back on another port.
    command.args(["--auth-per-minute", "0", "--requests-per-minute", "0", "--public-url", "http://afterglow.example"]);
    command.args(arguments);
    command
}

/// Runs another sub-command to its end; its status and what it printed.
pub fn run(database: &Database, arguments: &[&str]) -> (ExitStatus, String) {
    let output = command(database, arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&said).into_owned())
}

/// The first-run code of a new database, which also makes its keys.
pub async fn first_run_code(database: &Database) -> String {
    let mut config = Config::in_folder(database.folder.path().join("data"));
    config.database = database.backend.clone();
    let server = Server::open(config, Clock::System, Entropy::System).await.unwrap();
    let code = afterglow::onboarding::setup::first_run_code(&server.state).await.unwrap().unwrap();
    server.close();
    code
}

impl Child {
    /// Starts a server and waits until it is ready.
    pub async fn serve(database: &Database, arguments: &[&str]) -> Self {
        Self::serve_logging_to(None, database, arguments).await
    }

    /// Starts a server that logs to `sink`, or to a file.
    pub async fn serve_logging_to(sink: Option<Stdio>, database: &Database, arguments: &[&str]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let log = database.folder.path().join(format!("log-{port}"));
        let file = File::create(&log).unwrap();
        let started = Instant::now();
        let process = command(database, arguments)
            .args(["--listen", &listen, "serve"])
            .stdin(Stdio::null())
            // What is printed for the operator, such as the first-run code, is not the log.
            .stdout(std::process::Stdio::null())
            .stderr(sink.unwrap_or_else(|| file.into()))
            .spawn()
            .unwrap();
        let mut child = Self { process, url: format!("http://{listen}"), log, ready_after: Duration::ZERO };
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
        loop {
            let answer = client.get(format!("{}/readyz", child.url)).send().await;
            if answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                break;
            }
            let over = child.process.try_wait().unwrap().is_some() || started.elapsed() > Duration::from_secs(20);
            assert!(!over, "the server did not start: {}", child.logged());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child.ready_after = started.elapsed();
        child
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn logged(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// SIGKILL: the process gets no chance to tidy up.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM, as `systemctl stop` sends it.
    pub fn ask_to_stop(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self, most: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < most, "the server did not stop: {}", self.logged());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client without manners: it may lose its server at any time.
#[derive(Clone)]
pub struct Web {
    pub url: String,
    pub token: String,
    http: reqwest::Client,
    /// The bodies of all problems, with the request they answer.
    pub problems: Arc<Mutex<Vec<(String, String)>>>,
    /// Tokens and codes that were handed out.
    pub secrets: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub fn new(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().unwrap();
        let (problems, secrets) = Default::default();
        Self { url: url.to_owned(), token: String::new(), http, problems, secrets }
    }

    /// The same client, of another server.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// The same client, as somebody else.
    pub fn as_whom(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    pub fn call(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    /// Sends; remembers problems and whatever secret was handed out.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<(StatusCode, Value, String)> {
        let request = request.build()?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let said = format!("{method} {path}");
        let response = self.http.execute(request).await?;
        let (status, headers) = (response.status(), contract::headers(&response));
        let etag = headers.get("etag").cloned().unwrap_or_default();
        let retry = headers.contains_key("retry-after");
        let text = response.text().await?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        contract::check(&method, &path, status, &headers, text.as_bytes(), &body);
        if status.is_client_error() || status.is_server_error() {
            assert!(status != StatusCode::SERVICE_UNAVAILABLE || retry, "{said}: 503 without Retry-After");
            self.problems.lock().unwrap().push((said, text));
        }
        let mut secrets = self.secrets.lock().unwrap();
        for pointer in ["/access_token", "/refresh_token", "/tokens/access_token", "/tokens/refresh_token", "/code"] {
            if let Some(secret) = body.pointer(pointer).and_then(Value::as_str).filter(|_| status.is_success()) {
                secrets.push(secret.to_owned());
            }
        }
        drop(secrets);
        Ok((status, body, etag))
    }

    /// Sends and expects a status.
    #[track_caller]
    pub fn expect(
        &self,
        method: Method,
        path: &str,
        body: Value,
        status: u16,
    ) -> impl Future<Output = Value> + use<'_> {
        let place = std::panic::Location::caller();
        let said = format!("{method} {path} at {place}");
        let request = self.call(method, path);
        let request = if body.is_null() { request } else { request.json(&body) };
        async move {
            let (found, body, etag) = self.send(request).await.unwrap();
            assert_eq!(found.as_u16(), status, "{said}: {body}");
            let mut body = body;
            if let Some(object) = body.as_object_mut() {
                object.insert("etag".to_owned(), json!(etag));
            }
            body
        }
    }

    /// Sets a new server up, with one therapist and one patient who are linked: `(therapist, patient, patient's id)`.
    pub async fn found(&self, code: &str) -> (Self, Self, String) {
        let text = |body: &Value, pointer: &str| body.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let founder = json!({ "code": code, "clinic_name": "Lakeside", "name": "Ada", "email": "ada@lakeside.example",
            "passphrase": PASSPHRASE });
        let admin = self.expect(Method::POST, "/v1/setup", founder, 201).await;
        let admin = self.as_whom(&text(&admin, "/tokens/access_token"));
        let wish = json!({ "kind": "staff", "capabilities": ["care", "record"] });
        let code = text(&admin.expect(Method::POST, "/v1/invitations", wish, 201).await, "/code");
        let body = registration("Theo", &code);
        let therapist = self.expect(Method::POST, "/v1/auth/register", body, 201).await;
        let therapist = self.as_whom(&text(&therapist, "/tokens/access_token"));
        let wish = json!({ "kind": "patient" });
        let code = text(&therapist.expect(Method::POST, "/v1/invitations", wish, 201).await, "/code");
        let body = registration("Ann", &code);
        let patient = self.expect(Method::POST, "/v1/auth/register", body, 201).await;
        let id = text(&patient, "/account/patient_id");
        let patient = self.as_whom(&text(&patient, "/tokens/access_token"));
        let links = patient.expect(Method::GET, "/v1/care-links", Value::Null, 200).await;
        let link = text(&links, "/items/0/id");
        therapist.expect(Method::POST, &format!("/v1/care-links/{link}/confirm"), json!({}), 200).await;
        (therapist, patient, id)
    }
}
