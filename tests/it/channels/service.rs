//! A local server that answers as it is told, in HTTP/1.1 and HTTP/2, and keeps what was asked.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::net::TcpListener;

/// What a service does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It answers.
    Answer(u16, Vec<(String, String)>, String),
    /// It answers with this status after a time.
    Late(Duration, u16),
    /// It never answers.
    Never,
    /// It closes the connection.
    Break,
    /// It answers 503, with a body that has no end.
    Endless,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), String::new())
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, Vec::new(), body.to_string())
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer(_, headers, _) = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Script = Box<dyn FnMut(&Asked) -> Reply + Send>;

struct Inner {
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    endless: AtomicUsize,
}

pub struct Service {
    inner: Arc<Inner>,
    port: u16,
}

impl Service {
    /// Starts a server that answers everything alike.
    pub async fn start(reply: Reply) -> Self {
        Self::scripted(move |_| reply.clone()).await
    }

    /// Starts a server that answers as the script says.
    pub async fn scripted(script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            script: Mutex::new(Box::new(script)),
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
            endless: AtomicUsize::new(0),
        });
        let own = Arc::clone(&inner);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.connections.fetch_add(1, Ordering::SeqCst);
                let inner = Arc::clone(&own);
                let serve = service_fn(move |request| answer(Arc::clone(&inner), request));
                tokio::spawn(async move {
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), serve).await;
                });
            }
        });
        Self { inner, port }
    }

    /// Answers so from now on.
    pub fn answer(&self, reply: Reply) {
        *self.inner.script.lock().unwrap() = Box::new(move |_| reply.clone());
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::SeqCst)
    }

    /// The bytes that left in bodies without an end.
    pub fn endless_bytes(&self) -> usize {
        self.inner.endless.load(Ordering::SeqCst)
    }

    /// Takes what was asked.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.inner.asked.lock().unwrap())
    }

    /// Takes the only request that came.
    pub fn only(&self) -> Asked {
        let [one] = <[Asked; 1]>::try_from(self.asked()).unwrap();
        one
    }
}

async fn answer(
    inner: Arc<Inner>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes().to_vec();
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        version: head.version,
        headers: head.headers,
        body,
    };
    let reply = (inner.script.lock().unwrap())(&asked);
    inner.asked.lock().unwrap().push(asked);
    match reply {
        Reply::Answer(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(Bytes::from(body)).boxed()).unwrap())
        }
        Reply::Late(time, status) => {
            tokio::time::sleep(time).await;
            Ok(Response::builder().status(status).body(Full::new(Bytes::new()).boxed()).unwrap())
        }
        Reply::Never => std::future::pending().await,
        Reply::Break => Err(std::io::Error::other("as told")),
        Reply::Endless => {
            let frames = futures_util::stream::repeat_with(move || {
                inner.endless.fetch_add(16 << 10, Ordering::SeqCst);
                Ok(Frame::data(Bytes::from_static(&[b'x'; 16 << 10])))
            });
            Ok(Response::builder().status(503).body(BodyExt::boxed(StreamBody::new(frames))).unwrap())
        }
    }
}
