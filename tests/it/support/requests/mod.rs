//! A request for each operation of the document, one file a slice.

pub mod calendar;
mod care;
mod consents;
pub mod devices;
mod exercises;
mod grants;
mod identity;
mod infusions;
mod journal;
mod prompts;
mod protocols;
mod server;
mod sync;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::app::{Answer, Call, TestApp, document};
use super::people::Session;
use super::world::World;

/// POST operations that change nothing: what they ask for does not belong into an address.
pub const READING: [&str; 4] = ["begin_passkey", "check_integrity", "preview_protocol", "search_entries"];

/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// An operation of the document.
#[derive(Clone, Debug)]
pub struct Operation {
    pub id: String,
    pub method: Method,
    pub public: bool,
    pub takes_key: bool,
    pub takes_body: bool,
}

/// Every operation of the document, by id.
pub fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    for item in document()["paths"].as_object().unwrap().values() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(id) = operation["operationId"].as_str() else { continue };
            let empty = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&empty);
            all.push(Operation {
                id: id.to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                public: operation["security"] == json!([{}]),
                takes_key: parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key"),
                // A form is no document: what it does not know is ignored.
                takes_body: operation.get("requestBody").is_some_and(|body| body["content"][FORM].is_null()),
            });
        }
    }
    all.sort_by(|one, two| one.id.cmp(&two.id));
    all
}

/// A request that is ready to be sent, again and again.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
    pub if_match: Option<String>,
    /// Whether the body is sent as a form.
    pub form: bool,
    /// Nothing for a request without a token.
    pub session: Option<Arc<Session>>,
}

impl Ask {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, if_match: None, form: false, session: None }
    }

    fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    fn with(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    fn into_form(mut self) -> Self {
        self.form = true;
        self
    }

    fn when(mut self, tag: String) -> Self {
        self.if_match = Some(tag);
        self
    }

    pub fn call(&self, app: &Arc<TestApp>) -> Call {
        let mut call = app.request(self.method.clone(), &self.path);
        if let Some(session) = &self.session {
            call = call.within(session);
        }
        if let Some(tag) = &self.if_match {
            call = call.if_match(tag);
        }
        match &self.body {
            Some(body) if self.form => {
                let members = body.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
                let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(members).finish();
                call.bytes(FORM, form.into_bytes())
            }
            Some(body) if self.method == Method::PATCH => {
                call.bytes("application/merge-patch+json", body.to_string().into_bytes())
            }
            Some(body) => call.json(body.clone()),
            None => call,
        }
    }

    pub async fn send(&self, app: &Arc<TestApp>) -> Answer {
        self.call(app).send().await
    }
}

/// Somebody who asks.
pub struct Asker<'w> {
    world: &'w World,
    who: &'w str,
    /// How many requests were made before: it makes them differ.
    n: u64,
}

impl Asker<'_> {
    fn owner(&self) -> bool {
        self.who == "owner"
    }

    /// The address of something of Ann's.
    fn of_ann(&self, rest: &str) -> String {
        self.world.ann().of_theirs(rest)
    }
}

impl World {
    /// A request for `operation` as `who` would send it, about Ann's things. Whoever may make a difference gets an
    /// object of their own to make it to, so that requests do not get in each other's way.
    pub async fn ask(&self, operation: &str, who: &str) -> Ask {
        let asker = Asker { world: self, who, n: self.asked.fetch_add(1, Ordering::Relaxed) };
        let Some(mut ask) = asker.ask(operation).await else {
            panic!("the document has an operation that no test knows: add {operation} to tests/it/support/requests")
        };
        if ask.session.is_none() && who != "anonymous" {
            ask.session = Some(Arc::clone(&self.person(who).session));
        }
        ask
    }
}

impl Asker<'_> {
    async fn ask(&self, operation: &str) -> Option<Ask> {
        if let Some(ask) = server::ask(operation) {
            return Some(ask);
        }
        if let Some(ask) = sync::ask(self, operation).await {
            return Some(ask);
        }
        if let Some(ask) = devices::ask(self, operation).await {
            return Some(ask);
        }
        if let Some(ask) = calendar::ask(self, operation).await {
            return Some(ask);
        }
        if let Some(ask) = consents::ask(self, operation).await {
            return Some(ask);
        }
        if let Some(ask) = identity::ask(self, operation).await {
            return Some(ask);
        }
        if let Some(ask) = care::ask(self, operation).await {
            return Some(ask);
        }
        if let Some(ask) = grants::ask(self, operation).await {
            return Some(ask);
        }
        if let Some(ask) = journal::ask(self, operation).await {
            return Some(ask);
        }
        if let Some(ask) = infusions::ask(self, operation).await {
            return Some(ask);
        }
        if let Some(ask) = protocols::ask(self, operation).await {
            return Some(ask);
        }
        if let Some(ask) = prompts::ask(self, operation).await {
            return Some(ask);
        }
        exercises::ask(self, operation).await
    }
}
