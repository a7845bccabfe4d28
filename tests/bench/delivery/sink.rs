//! Where pushes end: a gateway and a push service in one, on this machine, in HTTP/2.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use afterglow::kernel::id::Prompt;
use afterglow::kernel::{Entropy, Id};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use uuid::Uuid;

/// The id of a prompt that is due at `due`: the sink reads from it how late a push is.
pub fn id_at(due: Timestamp) -> Id<Prompt> {
    let (time, random) = (due.as_microsecond().to_be_bytes(), Entropy::System.bytes::<8>());
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&time);
    bytes[8..].copy_from_slice(&random);
    Id::from_uuid(Uuid::from_bytes(bytes))
}

/// The pushes that came.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// How late each was, in ms.
    pub late: Vec<f64>,
    /// When the last one came.
    pub last: Timestamp,
}

/// The service, on a thread of its own that ends with the process.
pub struct Sink {
    /// Its port.
    pub port: u16,
    arrivals: Arc<Mutex<Arrivals>>,
}

impl Sink {
    /// Starts one.
    pub fn start() -> Self {
        let arrivals: Arc<Mutex<Arrivals>> = Arc::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (port, own) = (listener.local_addr().unwrap().port(), Arc::clone(&arrivals));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = stream.set_nodelay(true);
                    let arrivals = Arc::clone(&own);
                    let serve = service_fn(move |request| take(Arc::clone(&arrivals), request));
                    tokio::spawn(async move {
                        let builder = auto::Builder::new(TokioExecutor::new());
                        let _ = builder.serve_connection(TokioIo::new(stream), serve).await;
                    });
                }
            });
        });
        Self { port, arrivals }
    }

    /// How many pushes have come.
    pub fn count(&self) -> usize {
        self.arrivals.lock().unwrap().late.len()
    }

    /// Takes what has come.
    pub fn clear(&self) -> Arrivals {
        std::mem::take(&mut self.arrivals.lock().unwrap())
    }
}

async fn take(arrivals: Arc<Mutex<Arrivals>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let now = Timestamp::now();
    // Web Push has the prompt as its topic, a webhook in its body.
    let prompt = match head.headers.get("topic") {
        Some(topic) => Uuid::from_slice(&URL_SAFE_NO_PAD.decode(topic.as_bytes()).unwrap()).unwrap(),
        None => {
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            body["data"]["id"].as_str().unwrap().parse().unwrap()
        }
    };
    let [due @ .., _, _, _, _, _, _, _, _] = *prompt.as_bytes();
    let late = now.as_microsecond() - i64::from_be_bytes(due);
    let mut arrivals = arrivals.lock().unwrap();
    arrivals.late.push(late as f64 / 1000.0);
    arrivals.last = now;
    drop(arrivals);
    Ok(Response::builder().status(201).body(Full::new(Bytes::new())).unwrap())
}
