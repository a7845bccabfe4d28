//! Health, readiness, metrics, versions, and the pages of the errors.

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::{HttpResponse, get, web};
use jiff::Timestamp;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use utoipa::ToSchema;

use super::pages;
use crate::http::document::{PublicErrors, ReadErrors};
use crate::http::{PathOf, Reply};
use crate::kernel::page::Limit;
use crate::kernel::{Code, Error, Result};
use crate::state::State;

/// Returns the recorder of this process. There is one, however many servers the process runs.
pub fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            // With buckets a duration is counted and not kept, and the counts of servers can be added up.
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

/// The upper bounds of the buckets, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Counts the measured durations every few seconds. Otherwise each would be kept until the next request of `/metrics`,
/// which may never come.
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

/// The health of the server.
#[derive(Serialize, ToSchema)]
struct HealthView {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Check that the process lives
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "The process lives", body = HealthView), PublicErrors))]
#[get("/healthz")]
pub(super) async fn get_health() -> Reply {
    Reply::ok(&HealthView { status: "ok" })
}

/// Check that the server is ready
///
/// It is when database and keyring answer; 503 while one is away.
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "The server is ready", body = HealthView), PublicErrors))]
#[get("/readyz")]
pub(super) async fn get_ready(state: web::Data<State>) -> Result<Reply> {
    state.db.read(|_| Ok(())).await?;
    state.vault.keys(uuid::Uuid::max()).await?;
    Ok(Reply::ok(&HealthView { status: "ok" }))
}

/// Get the metrics
///
/// Prometheus text. Counts and durations by route; nothing about persons.
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain"), PublicErrors))]
#[get("/metrics")]
pub(super) async fn get_metrics(handle: web::Data<PrometheusHandle>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(handle.render())
}

/// Get the page of an error
///
/// The `type` of a problem points to it.
#[utoipa::path(tag = "server", security(()),
    params(("code" = String, Path, description = "The `code` of the problem", example = "stale")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), ReadErrors))]
#[get("/problems/{code}")]
pub(super) async fn get_problem(code: PathOf<String>) -> Result<HttpResponse> {
    let code = Code::ALL.iter().find(|known| known.name() == code.0).ok_or(Error::NotFound)?;
    Ok(pages::public(pages::page(&pages::problem(*code))))
}

/// The versions, limits and time of the server.
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
    /// The oldest version of an app that may use it.
    #[schema(example = "0")]
    minimum_app: &'static str,
    /// The bounds on requests.
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
    /// The hours for which an idempotency key is remembered.
    idempotency_hours: u32,
    /// The days for which a deleted entry can be undeleted.
    undelete_days: u32,
}

/// Get limits, versions and the server's time
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "Limits, versions and time", body = MetaView), PublicErrors))]
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
