//! Whether the server lives, is ready, what it counts, and what its errors mean.

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use jiff::Timestamp;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::document::{PublicErrors, ReadErrors};
use crate::http::{PathOf, Reply};
use crate::kernel::page::Limit;
use crate::kernel::{Code, Error, Result};
use crate::state::State;

/// The counts of this process. One recorder for the process, however many servers it runs.
pub fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            // Buckets, so that a duration is counted and forgotten, and servers can be added up.
            let recorder = PrometheusBuilder::new()
                .set_buckets(&BUCKETS)
                .unwrap_or_else(|_empty| PrometheusBuilder::new())
                .build_recorder();
            let handle = recorder.handle();
            keep_up(handle.clone());
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another recorder counts already");
            }
            handle
        })
        .clone()
}

/// Upper bounds of durations, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Counts what was measured every few seconds. Without it every request would be kept until somebody asks for
/// `/metrics`, and where nobody does, for ever.
fn keep_up(handle: PrometheusHandle) {
    let work = move || {
        loop {
            std::thread::sleep(Duration::from_secs(5));
            handle.run_upkeep();
        }
    };
    if let Err(error) = std::thread::Builder::new().name("metrics".to_owned()).spawn(work) {
        tracing::warn!(%error, "measures are only counted when somebody asks for them");
    }
}

/// Whether something is well.
#[derive(Serialize, ToSchema)]
struct HealthView {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Does the process live?
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "It does", body = HealthView), PublicErrors))]
#[get("/healthz")]
pub(super) async fn get_health() -> Reply {
    Reply::ok(&HealthView { status: "ok" })
}

/// Can it do its work?
///
/// Asks the database and the keyring; 503 while one is away.
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "It can", body = HealthView), PublicErrors))]
#[get("/readyz")]
pub(super) async fn get_ready(state: web::Data<State>) -> Result<Reply> {
    state.db.read(|_| Ok(())).await?;
    state.vault.keys(uuid::Uuid::max()).await?;
    Ok(Reply::ok(&HealthView { status: "ok" }))
}

/// What the process counts
///
/// Prometheus text. Counts and durations by route; nothing about anybody.
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "The counts", body = String, content_type = "text/plain"), PublicErrors))]
#[get("/metrics")]
pub(super) async fn get_metrics(handle: web::Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(handle.render())
}

/// What an error means
///
/// The page that `type` of a problem points to.
#[utoipa::path(tag = "server", security(()),
    params(("code" = String, Path, description = "The `code` of the problem", example = "stale")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), ReadErrors))]
#[get("/problems/{code}")]
pub(super) async fn get_problem(code: PathOf<String>) -> Result<HttpResponse> {
    let code = Code::ALL.iter().find(|known| known.name() == code.0).ok_or(Error::NotFound)?;
    let (name, title, status, help) = (code.name(), code.title(), code.status(), code.help());
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <h1>{title}</h1><p><code>{name}</code>, status {status}</p><p>{help}</p></html>\n"
    );
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .body(page))
}

/// What the server takes.
#[derive(Serialize, ToSchema)]
struct MetaView {
    /// The server's time.
    #[schema(value_type = String, format = DateTime)]
    now: Timestamp,
    /// The version of the API.
    #[schema(example = "v1")]
    api: &'static str,
    /// The version of the server.
    server: &'static str,
    /// The oldest version of an app that may talk to it.
    #[schema(example = "0")]
    minimum_app: &'static str,
    /// Bounds on requests.
    limits: LimitsView,
}

/// Bounds on requests.
#[derive(Serialize, ToSchema)]
struct LimitsView {
    /// The largest body in bytes.
    body_bytes: usize,
    /// The largest text of an entry in bytes.
    text_bytes: usize,
    /// The most items of a page.
    page_items: u16,
    /// How long an idempotency key is remembered, in hours.
    idempotency_hours: u32,
    /// How long a deleted entry can be brought back, in days.
    undelete_days: u32,
}

/// Limits, versions and the server's time
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "What the server takes", body = MetaView), PublicErrors))]
#[get("/meta")]
pub(super) async fn get_meta(state: web::Data<State>, http: web::Data<crate::http::Settings>) -> Reply {
    Reply::ok(&MetaView {
        now: state.clock.now(),
        api: "v1",
        server: env!("CARGO_PKG_VERSION"),
        minimum_app: "0",
        limits: LimitsView {
            body_bytes: http.body.bytes,
            text_bytes: 262_144,
            page_items: Limit::MAX,
            idempotency_hours: 24,
            undelete_days: 30,
        },
    })
}
