//! The outermost layer, which every response passes.
//!
//! It adds the request id and the security headers, turns every error into a problem (also the framework's, also a
//! panic), makes HEAD from GET, writes a line in the access log, and counts the metrics. The log and the metrics name
//! the matched route, never the address: ids and search words stay out of both.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use futures_util::FutureExt;
use tracing::Instrument;

use super::problem::{self, MEDIA_TYPE, Problem, Stored};
use super::{Cors, Settings, compression};
use crate::kernel::{Code, Entropy, Error};

/// The id of a request in the log, given by the client or made here.
#[derive(Clone, Debug)]
pub struct RequestId(String);

impl RequestId {
    /// Returns the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(headers: &HeaderMap, entropy: &Entropy) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        match given.filter(|text| (1..=64).contains(&text.len()) && text.chars().all(plain)) {
            Some(text) => Self(text.to_owned()),
            None => Self(entropy.opaque().to_string()),
        }
    }
}

impl FromRequest for RequestId {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.extensions().get::<Self>().cloned();
        ready(id.ok_or_else(|| Error::internal("the outer layer is not installed")))
    }
}

/// Wraps every request in the outermost layer. Install it last: `App::new()….wrap(from_fn(outer))`.
pub async fn outer(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let settings = request.app_data::<web::Data<Settings>>().cloned();
    let entropy = settings.as_ref().map_or(&Entropy::System, |settings| &settings.entropy);
    let visit = Visit {
        id: RequestId::of(request.headers(), entropy),
        trace: request.headers().get("traceparent").filter(|value| is_traceparent(value)).cloned(),
        method: known(request.method()),
        documents: settings.as_ref().is_some_and(|settings| below(request.path(), settings.docs)),
        cors: settings.as_ref().map(|settings| settings.cors.clone()).unwrap_or_default(),
        origin: settings.as_ref().and_then(|settings| settings.cors.allowed(request.headers()).cloned()),
        started,
    };
    request.extensions_mut().insert(visit.id.clone());

    let most = settings.as_ref().map_or(usize::MAX, |settings| settings.head_bytes);
    if head_bytes(&request) > most {
        let response =
            problem::response(&Error::Malformed(Code::HeadersTooLarge, format!("the limit is {most} bytes")));
        let response = visit.finish("unmatched", response);
        return Ok(request.into_response(response));
    }

    let head = request.method() == Method::HEAD;
    if head {
        request.head_mut().method = Method::GET;
    }
    let span = tracing::info_span!("request", request_id = %visit.id.0, trace_id = visit.trace_id());
    let answered = AssertUnwindSafe(async { next.call(request).await }.instrument(span)).catch_unwind().await;
    match answered {
        Ok(Ok(response)) => {
            let route = response.request().match_pattern();
            let (request, response) = response.into_parts();
            let mut response = visit.finish(route.as_deref().unwrap_or("unmatched"), response.map_into_boxed_body());
            if head {
                response = response.map_body(|_, body| BoxBody::new(Bodiless(body.size())));
            }
            Ok(ServiceResponse::new(request, response))
        }
        // The request is gone with the handler, so the response travels inside an error; the server sends it as it is.
        Ok(Err(error)) => Err(visit.bare(error.error_response())),
        Err(_) => Err(visit.bare(problem::response(&Error::internal("a handler panicked")))),
    }
}

/// The facts of a request that the log and the metrics need.
struct Visit {
    id: RequestId,
    trace: Option<HeaderValue>,
    method: &'static str,
    documents: bool,
    cors: Cors,
    /// The origin of the request, if its pages may talk to this server.
    origin: Option<HeaderValue>,
    started: Instant,
}

impl Visit {
    fn trace_id(&self) -> Option<&str> {
        self.trace.as_ref()?.to_str().ok()?.split('-').nth(1)
    }

    fn bare(&self, response: HttpResponse) -> actix_web::Error {
        InternalError::from_response("answered outside a handler", self.finish("unmatched", response)).into()
    }

    /// Completes a response: problem, headers, log, metrics.
    fn finish(&self, route: &str, response: HttpResponse) -> HttpResponse {
        let mut response = self.explain(route, response);
        compression::complete(response.headers_mut());
        self.dress(response.headers_mut());
        self.record(route, response.status());
        response
    }

    /// Gives a problem its request id, and turns another error into a problem.
    fn explain(&self, route: &str, mut response: HttpResponse) -> HttpResponse {
        let stored = response.extensions_mut().remove::<Stored>();
        let Some(Stored { mut problem, cause }) = stored.or_else(|| foreign(&response)) else { return response };
        if let Some(cause) = cause {
            tracing::error!(request_id = %self.id.0, method = self.method, route, cause, "a request failed");
        }
        problem.request_id.clone_from(&self.id.0);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.remove(header::CONTENT_LENGTH);
        if matches!(problem.status, 429 | 503 | 507) && !headers.contains_key(header::RETRY_AFTER) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response.set_body(BoxBody::new(problem::body(&problem)))
    }

    fn dress(&self, headers: &mut HeaderMap) {
        let policy = if self.documents {
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
             connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        } else if headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        } else {
            "default-src 'none'; frame-ancestors 'none'"
        };
        let fixed = [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        for (name, value) in fixed {
            headers.insert(name, HeaderValue::from_static(value));
        }
        self.cors.permit(self.origin.as_ref(), headers);
        if !headers.contains_key(header::CACHE_CONTROL) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if let Ok(id) = HeaderValue::from_str(&self.id.0) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        if let Some(trace) = &self.trace {
            headers.insert(HeaderName::from_static("traceparent"), trace.clone());
        }
    }

    fn record(&self, route: &str, status: StatusCode) {
        let took = self.started.elapsed();
        let labels =
            [("method", self.method.to_owned()), ("route", route.to_owned()), ("status", status.as_str().to_owned())];
        metrics::counter!("http_requests_total", &labels).increment(1);
        metrics::histogram!("http_request_duration_seconds", &labels).record(took.as_secs_f64());
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "access",
            request_id = %self.id.0, trace_id = self.trace_id(), method = self.method, route,
            status = status.as_u16(), micros, "request answered"
        );
    }
}

/// Makes a problem for an error response of the framework or of a vendored service.
fn foreign(response: &HttpResponse) -> Option<Stored> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let kind = response.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if kind.starts_with(b"application/") {
        return None;
    }
    let code = match status.as_u16() {
        422 => Code::Invalid,
        other => Code::ALL.iter().copied().find(|code| code.status() == other).unwrap_or(if status.is_server_error() {
            Code::Internal
        } else {
            Code::Malformed
        }),
    };
    let cause = (code == Code::Internal)
        .then(|| response.error().map_or_else(|| "an unexplained response".to_owned(), ToString::to_string));
    Some(Stored { problem: Problem::of(code), cause })
}

/// Returns the label of a method. The set is closed, so that made-up methods cannot grow the metrics.
fn known(method: &Method) -> &'static str {
    let all = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"];
    all.into_iter().find(|name| *name == method.as_str()).unwrap_or("OTHER")
}

fn below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn head_bytes(request: &ServiceRequest) -> usize {
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    headers + request.uri().path_and_query().map_or(0, |target| target.as_str().len())
}

/// Whether the value is a trace parent (W3C Trace Context): `version-trace-parent-flags` in lower hex, and a trace that
/// is not all zeros.
fn is_traceparent(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let hex = text.bytes().all(|b| matches!(b, b'-' | b'0'..=b'9' | b'a'..=b'f'));
    lengths == [2, 32, 16, 2] && hex && !text.starts_with("ff") && !text.contains("-00000000000000000000000000000000-")
}

/// The body of an answer to HEAD: a size without content.
struct Bodiless(BodySize);

impl MessageBody for Bodiless {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
