//! Health, readiness, metrics, versions, and the pages of the errors.

use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::time::Duration;

use actix_web::{HttpResponse, get, web};
use jiff::Timestamp;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use utoipa::ToSchema;

use super::pages;
use crate::config::Registration;
use crate::http::document::{PublicErrors, PublicFileErrors};
use crate::http::{PathOf, Reply};
use crate::identity::model::SIGN_IN_BYTES;
use crate::journal::model::TAGS;
use crate::kernel::page::Limit;
use crate::kernel::{Code, Error, Result, limits, zone_data};
use crate::state::State;
use crate::sync::epoch;

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

/// The readiness of the server.
#[derive(Serialize, ToSchema)]
struct ReadyView {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The faults that do not keep it from answering, for its operator.
    warnings: Vec<WarningView>,
}

/// A fault that does not keep the server from answering.
#[derive(Serialize, ToSchema)]
struct WarningView {
    /// The stable code. `keyring_older_than_data`: the keyring was restored from a backup older than the data.
    /// `unreadable_rows`: sealed values of so many rows did not open since the start.
    #[schema(example = "keyring_older_than_data")]
    code: &'static str,
    /// The number of things concerned.
    count: u64,
}

/// Check that the server is ready
///
/// It is when database and keyring answer; 503 while one is away, and when an app has shown that it knows a change that
/// the database has lost (`cursor_ahead`), until the operator begins a new epoch. `warnings` names the faults that do not keep it from
/// answering.
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "The server is ready", body = ReadyView), PublicErrors))]
#[get("/readyz")]
pub(super) async fn get_ready(state: web::Data<State>) -> Result<Reply> {
    if state.db.read(epoch::is_behind).await? {
        return Err(Error::Unavailable(
            "cursor_ahead: a phone knows a change that the database does not have. It went back unnoticed; the operator \
             begins a new epoch (`afterglow epoch new`)",
        ));
    }
    state.vault.keys(uuid::Uuid::max()).await?;
    let faults = [
        ("keyring_older_than_data", state.vault.missing_changes()),
        ("unreadable_rows", state.vault.unreadable_rows()),
    ];
    let warnings = faults.into_iter().filter(|(_, count)| *count > 0);
    let warnings = warnings.map(|(code, count)| WarningView { code, count });
    Ok(Reply::ok(&ReadyView { status: "ok", warnings: warnings.collect() }))
}

/// Get the metrics
///
/// Prometheus text. Counts and durations by route; nothing about persons. Not found where the operator has given them
/// an address of their own.
#[utoipa::path(tag = "server", security(()),
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain"),
        PublicFileErrors))]
#[get("/metrics")]
pub(super) async fn get_metrics(state: web::Data<State>, handle: web::Data<PrometheusHandle>) -> Result<HttpResponse> {
    if state.config.metrics_apart { Err(Error::NotFound) } else { Ok(metrics_page(&handle)) }
}

/// Answers the metrics.
pub(super) fn metrics_page(handle: &PrometheusHandle) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(handle.render())
}

/// Get the page of an error
///
/// The `type` of a problem points to it.
#[utoipa::path(tag = "server", security(()),
    params(("code" = String, Path, description = "The `code` of the problem", example = "stale")),
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), PublicFileErrors))]
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
    /// The edition of the time zone data.
    #[schema(example = "2025b")]
    time_zones: &'static str,
    /// The channels by which pushes reach devices. With none, only the app itself shows what is due.
    #[schema(example = json!(["fcm", "apns", "web_push", "webhook"]))]
    push_channels: Vec<&'static str>,
    /// The public VAPID key, base64url, with which a browser subscribes to Web Push.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    web_push_key: Option<String>,
    /// Whether a patient may register without an invitation. Then each registration, also one with an invitation, needs
    /// the code of a letter (`email_code`).
    open_registration: bool,
    /// The relying party id of passkeys; absent where they are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "example.org")]
    passkey_rp_id: Option<String>,
    /// The minutes for which a new grant can be ended before its reader sees it; 0 if they see it at once.
    #[schema(example = 10)]
    share_delay_minutes: u32,
    /// The bounds on requests.
    limits: LimitsView,
}

/// Bounds on requests.
#[derive(Serialize, ToSchema)]
struct LimitsView {
    /// The largest body in bytes.
    body_bytes: usize,
    /// The largest text of an entry in characters.
    text_characters: usize,
    /// The most items of a page.
    page_items: u16,
    /// The hours for which an idempotency key is remembered.
    idempotency_hours: u32,
    /// The days for which a deleted entry can be undeleted.
    undelete_days: u32,
    /// The largest body of a log-in, registration or refresh in bytes.
    sign_in_body_bytes: usize,
    /// The most tags of an entry.
    tags_of_entry: usize,
    /// The most bytes of what a patient writes, encrypted, with earlier versions, grants and pauses.
    text_bytes_of_patient: u64,
    /// The most bytes of the comments on what a patient writes, encrypted.
    comment_bytes_of_patient: u64,
    /// The most open grants of a patient.
    live_grants: u32,
    /// The most open grants of a patient that are by rule.
    grants_by_rule: u32,
    /// The most entries of the past that a new grant by rule opens: the newest.
    past_entries_of_rule: u32,
    /// The most pauses of a patient that were not ended.
    pauses: u32,
    /// The most infusions of a patient, cancelled ones too.
    infusions: u32,
    /// The most comments of an entry, in all threads.
    comments_of_entry: u32,
    /// The most responses of a patient with a date to come that are planned at once. More are accepted: they come back
    /// when earlier ones have.
    dated_responses: u32,
    /// The most zones in the history of a patient.
    zone_changes: u32,
    /// The most care links of a patient that have not ended.
    live_care_links: u32,
    /// The most covers of a therapist at a clinic that are not over.
    covers: u32,
    /// The most accesses in an emergency of a member of staff to a patient that are not over.
    emergencies: u32,
    /// The most assignments over one care link.
    assignments_of_link: u32,
    /// The most invitations that a clinic makes within 72 hours.
    invitations: u32,
    /// The most members of a clinic, with those whose invitation is open.
    clinic_members: u32,
    /// The most versions of all protocols of a clinic.
    protocol_versions: u32,
    /// The most live sessions of an account. Another log-in ends the oldest.
    sessions: u32,
    /// The most devices of a patient that were not removed.
    devices: u32,
    /// The most passkeys of an account.
    passkeys: u32,
    /// The most consents that a patient gives and withdraws; a withdrawal is never refused.
    consents: u32,
    /// The most streams of changes of an account that are open at once. Another one ends the oldest.
    streams: u32,
    /// The most idempotency keys that are remembered for an account. The oldest are forgotten first.
    idempotency_keys: u32,
    /// The most things that one request for `POST …/integrity` names, and the most missing ones that its answer names.
    integrity_items: u32,
    /// The most mutations of one request for `POST …/mutations`.
    mutations: usize,
    /// The largest body of such a request in bytes, unpacked.
    mutations_body_bytes: usize,
    /// The largest section of a mutation in bytes of JSON.
    section_bytes: usize,
    /// The most mutations that a patient pushes in an hour; 0 for no limit.
    mutations_per_hour: u32,
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
        time_zones: zone_data::edition(),
        push_channels: state.channels.names().collect(),
        web_push_key: state.channels.public_key(),
        open_registration: state.config.registration == Registration::Open,
        passkey_rp_id: state.config.passkeys.as_ref().map(|passkeys| passkeys.rp_id.clone()),
        share_delay_minutes: state.config.share_delay_minutes,
        limits: LimitsView {
            body_bytes: http.body.bytes,
            text_characters: 256_000,
            page_items: Limit::MAX,
            idempotency_hours: 24,
            undelete_days: 30,
            sign_in_body_bytes: SIGN_IN_BYTES,
            tags_of_entry: TAGS,
            text_bytes_of_patient: state.config.text_bytes_of_patient,
            comment_bytes_of_patient: state.config.text_bytes_of_patient,
            live_grants: limits::LIVE_GRANTS.most,
            grants_by_rule: limits::GRANTS_BY_RULE.most,
            past_entries_of_rule: limits::PAST_ENTRIES_OF_RULE.most,
            pauses: limits::PAUSES.most,
            infusions: limits::INFUSIONS.most,
            comments_of_entry: limits::COMMENTS_OF_ENTRY.most,
            dated_responses: limits::DATED_RESPONSES.most,
            zone_changes: limits::ZONE_CHANGES.most,
            live_care_links: limits::LIVE_CARE_LINKS.most,
            covers: limits::COVERS.most,
            emergencies: limits::EMERGENCIES.most,
            assignments_of_link: limits::ASSIGNMENTS_OF_LINK.most,
            invitations: limits::INVITATIONS.most,
            clinic_members: limits::CLINIC_MEMBERS.most,
            protocol_versions: limits::PROTOCOL_VERSIONS.most,
            sessions: limits::SESSIONS.most,
            devices: limits::DEVICES.most,
            passkeys: limits::PASSKEYS.most,
            consents: limits::CONSENTS.most,
            streams: limits::STREAMS.most,
            idempotency_keys: limits::IDEMPOTENCY_KEYS.most,
            integrity_items: limits::INTEGRITY_ITEMS,
            mutations: limits::MUTATIONS,
            mutations_body_bytes: limits::MUTATIONS_BYTES,
            section_bytes: limits::SECTION_BYTES,
            mutations_per_hour: state.config.mutations_per_hour.map_or(0, NonZeroU32::get),
        },
    })
}
