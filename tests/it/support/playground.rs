//! A sandbox in this process, and what a client does with it.

use std::sync::Arc;

use afterglow::config::Config;
use afterglow::demo::PASSPHRASE;
use afterglow::kernel::Entropy;
use afterglow::sandbox::{Sandbox, SandboxRoutes, Start, listener};
use reqwest::Method;
use serde_json::{Value, json};

use super::child::Web;

/// Where its clock stands at first.
pub const NOW: &str = "2026-03-10T08:00:00Z";
/// A patient.
pub const MARA: &str = "mara@example.org";
/// The therapist.
pub const TESS: &str = "tess@lakeside.example";

/// A sandbox in this process, and a client of its own.
pub struct Playground {
    pub sandbox: Arc<Sandbox>,
    pub web: Web,
    handle: actix_web::dev::ServerHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Playground {
    pub async fn open() -> Self {
        Self::start(0, false).await
    }

    /// A sandbox with another seed, or with a clock that runs.
    pub async fn start(seed: u64, ticking: bool) -> Self {
        let listener = listener(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let mut config = Config::in_folder("/nowhere/at/all");
        config.public_url = format!("http://{}", listener.local_addr().unwrap());
        config.passphrase_cost = (8, 1, 1);
        let web = Web::new(&config.public_url);
        let sandbox = Sandbox::open(config, Start { at: NOW.parse().unwrap(), seed, ticking }).await.unwrap();
        let (give, take) = tokio::sync::oneshot::channel();
        let hands = Arc::new(SandboxRoutes(Arc::clone(&sandbox)));
        let server = sandbox.installation().server().clone();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let running = server.listen_with(Some(hands), listener, 1).unwrap();
                let _ = give.send(running.handle());
                running.await.unwrap();
            });
        });
        Self { sandbox, web, handle: take.await.unwrap(), thread: Some(thread) }
    }

    pub async fn log_in(&self, email: &str) -> Web {
        log_in(&self.web, email).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.web.expect(Method::GET, path, Value::Null, 200).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.web.expect(Method::POST, path, body, 200).await
    }

    pub async fn advance(&self, time: &str) -> Value {
        self.post("/sandbox/clock", json!({ "advance": time })).await
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.sandbox.installation().server().close();
    }
}

pub async fn log_in(web: &Web, email: &str) -> Web {
    let body = json!({ "email": email, "passphrase": PASSPHRASE });
    let answer = web.expect(Method::POST, "/v1/auth/login", body, 200).await;
    web.as_whom(answer["tokens"]["access_token"].as_str().unwrap())
}

pub async fn list(who: &Web, path: &str) -> Vec<Value> {
    who.expect(Method::GET, path, Value::Null, 200).await["items"].as_array().unwrap().clone()
}

pub fn entry() -> (String, Value) {
    let id = Entropy::System.opaque();
    let body = json!({ "kind": "note", "occurred_at": NOW, "text": { "body": "It was quiet." } });
    (format!("/v1/patients/me/entries/{id}"), body)
}

/// Sends a PUT with an idempotency key; its status and body, or nothing if no answer came.
pub async fn put(who: &Web, path: &str, body: &Value, key: &str) -> Option<(u16, Value)> {
    let request = who.call(Method::PUT, path).json(body).header("idempotency-key", key);
    match who.send(request).await {
        Ok((status, body, _)) => Some((status.as_u16(), body)),
        Err(error) => {
            assert!(!error.is_timeout() && !error.is_connect(), "the connection ends without an answer: {error:?}");
            None
        }
    }
}
