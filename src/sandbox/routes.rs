//! The sandbox over HTTP, and the effects of its faults on other operations.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes};
use actix_web::{HttpResponse, delete, get, post};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::model::{FaultRequest, Faults, InjectedFault, Move, RETRY_AFTER, ROOT, Throttle};
use super::outbox::{KEPT, SentPush};
use crate::app::{ExtraResponse, ExtraRoutes};
use crate::http::{Body, Methods, Query, Reply, Settings, problem};
use crate::kernel::id::{Delivery, Patient, Prompt};
use crate::kernel::{Code, Error, Id, Result};
use crate::sync::renewal::Renewed;

/// The operations of the sandbox, beside those of the product.
#[derive(Clone, Debug)]
pub struct SandboxRoutes(pub Arc<Sandbox>);

impl ExtraRoutes for SandboxRoutes {
    fn methods(&self, table: Methods) -> Methods {
        table
            .with_operations("/sandbox", &[(Method::GET, &[])])
            .with_operations("/sandbox/reset", &[(Method::POST, &[])])
            .with_operations("/sandbox/epoch", &[(Method::POST, &[])])
            .with_operations("/sandbox/clock", &[(Method::GET, &[]), (Method::POST, &[])])
            .with_operations("/sandbox/outbox", &[(Method::GET, &["after", "limit"]), (Method::DELETE, &[])])
            .with_operations("/sandbox/fault", &[(Method::GET, &[]), (Method::POST, &[]), (Method::DELETE, &[])])
    }

    fn mount(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(web::Data::from(Arc::clone(&self.0)))
            .service(get_guide)
            .service(reset)
            .service(begin_epoch)
            .service(get_clock)
            .service(move_clock)
            .service(get_outbox)
            .service(clear_outbox)
            .service(get_faults)
            .service(ask_for_faults)
            .service(clear_faults);
    }

    fn welcome(&self) -> &'static str {
        "## This is a sandbox\n\n- [Log-ins, clock, outbox, faults, and how to begin again](/sandbox)\n"
    }

    fn around(&self, mut request: ServiceRequest, next: Next<BoxBody>) -> ExtraResponse {
        let sandbox = Arc::clone(&self.0);
        Box::pin(async move {
            if let Err(refused) = from_this_machine(&request) {
                return Ok(request.into_response(problem::response(&refused)));
            }
            // The decoded path, as the router matches it.
            let (installation, fault) = sandbox.arrival(request.match_info().as_str());
            let (after, lost) = match fault {
                InjectedFault::Reply { after, lost } => (after, lost),
                InjectedFault::Refuse => {
                    let away = Error::Unavailable("the sandbox was asked to be away for this request");
                    return Ok(request.into_response(problem::response(&away)));
                }
                InjectedFault::Throttle => {
                    return Ok(request.into_response(problem::response(&Error::TooMany(RETRY_AFTER))));
                }
            };
            let changes = request.match_info().as_str().starts_with(ROOT) && request.method() != Method::GET;
            installation.server().answer(&mut request);
            let answered = next.call(request).await;
            if changes {
                Arc::clone(&installation).settle().await;
            }
            tokio::time::sleep(after).await;
            if lost { lose(answered) } else { answered }
        })
    }
}

/// Refuses what a page of another site sends to the controls: some of it needs no body, and browsers send that without
/// asking.
fn from_this_machine(request: &ServiceRequest) -> Result<()> {
    let foreign = request.headers().contains_key(header::ORIGIN)
        && request.app_data::<web::Data<Settings>>().is_none_or(|http| http.cors.allowed(request.headers()).is_none());
    if foreign && request.method() != Method::GET && request.match_info().as_str().starts_with("/sandbox") {
        let detail = "the page that sent this is of another site".to_owned();
        return Err(Error::Malformed(Code::Forbidden, detail));
    }
    Ok(())
}

/// Makes an answer that never arrives: the connection ends instead.
fn lose(answered: Result<ServiceResponse<BoxBody>, actix_web::Error>) -> Result<ServiceResponse, actix_web::Error> {
    // The status is never sent; no layer rewrites a success.
    let nothing = HttpResponse::Ok().body(BoxBody::new(LostBody));
    match answered {
        Ok(response) => Ok(response.into_response(nothing)),
        Err(_) => Err(InternalError::from_response("a reply was lost", nothing).into()),
    }
}

/// A body that fails before its first byte. The head waits for that byte, so not even the head is sent.
struct LostBody;

// The framework writes this into the log.
impl fmt::Debug for LostBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for LostBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sandbox loses this reply, as it was asked to")
    }
}

impl std::error::Error for LostBody {}

impl MessageBody for LostBody {
    type Error = Self;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self>>> {
        Poll::Ready(Some(Err(Self)))
    }
}

#[get("/sandbox")]
async fn get_guide(sandbox: web::Data<Sandbox>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(sandbox.installation().guide().to_owned())
}

#[derive(Serialize)]
struct ClockView {
    now: Timestamp,
    /// The number of deliveries made on the way, after a move.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<usize>,
}

#[get("/sandbox/clock")]
async fn get_clock(sandbox: web::Data<Sandbox>) -> Reply {
    Reply::ok(&ClockView { now: sandbox.installation().now(), delivered: None })
}

/// Begins again, and answers the time of the clock.
#[post("/sandbox/reset")]
async fn reset(sandbox: web::Data<Sandbox>) -> Result<Reply> {
    let installation = sandbox.into_inner().reset().await?;
    Ok(Reply::ok(&ClockView { now: installation.now(), delivered: None }))
}

/// A new epoch.
#[derive(Serialize)]
struct EpochView {
    epoch: String,
    /// The number of sessions that ended.
    sessions: usize,
}

/// Begins a new epoch, as an operator does after a restore.
#[post("/sandbox/epoch")]
async fn begin_epoch(sandbox: web::Data<Sandbox>) -> Result<Reply> {
    let Renewed { epoch, sessions, .. } = sandbox.installation().begin_epoch().await?;
    Ok(Reply::ok(&EpochView { epoch: epoch.to_string(), sessions }))
}

/// The body of a move: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveClock {
    now: Option<String>,
    advance: Option<String>,
}

#[post("/sandbox/clock")]
async fn move_clock(sandbox: web::Data<Sandbox>, body: Body<MoveClock>) -> Result<Reply> {
    let MoveClock { now, advance } = body.into_inner();
    let step = Move::parse(now.as_deref(), advance.as_deref())?;
    let moved = sandbox.installation().move_clock(step).await?;
    Ok(Reply::ok(&ClockView { now: moved.now, delivered: Some(moved.delivered) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutboxQuery {
    after: Option<u64>,
    limit: Option<u16>,
}

#[derive(Serialize)]
struct OutboxView {
    items: Vec<DeliveryView>,
    /// The `after` of the next page.
    next_after: u64,
    has_more: bool,
    /// The number of deliveries since `after` that are no longer kept.
    forgotten: u64,
}

#[derive(Serialize)]
struct DeliveryView {
    number: u64,
    /// The id of the delivery, the same when it is tried again.
    delivery_id: Id<Delivery>,
    patient_id: Id<Patient>,
    prompt_id: Id<Prompt>,
    /// The kind of push: `visible`.
    kind: &'static str,
    text: &'static str,
    sent_at: Timestamp,
    expires_at: Timestamp,
}

impl From<SentPush> for DeliveryView {
    fn from(SentPush { number, push, at }: SentPush) -> Self {
        Self {
            number,
            delivery_id: push.delivery,
            patient_id: push.patient,
            prompt_id: push.prompt,
            kind: "visible",
            text: push.text,
            sent_at: at,
            expires_at: push.expires_at,
        }
    }
}

#[get("/sandbox/outbox")]
async fn get_outbox(sandbox: web::Data<Sandbox>, query: Query<OutboxQuery>) -> Result<Reply> {
    let OutboxQuery { after, limit } = query.into_inner();
    let (after, limit) = (after.unwrap_or(0), limit.map_or(1000, usize::from));
    if !(1..=KEPT).contains(&limit) {
        return Err(Error::field("query/limit", format!("must be between 1 and {KEPT}")));
    }
    let part = sandbox.installation().delivered(after, limit);
    Ok(Reply::ok(&OutboxView {
        next_after: part.sent.last().map_or(after, |sent| sent.number),
        items: part.sent.into_iter().map(DeliveryView::from).collect(),
        has_more: part.more,
        forgotten: part.forgotten,
    }))
}

#[delete("/sandbox/outbox")]
async fn clear_outbox(sandbox: web::Data<Sandbox>) -> Reply {
    sandbox.installation().forget();
    Reply::no_content()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskForFaults {
    lose: Option<i64>,
    delay_ms: Option<i64>,
    #[serde(rename = "for")]
    times: Option<i64>,
    unavailable: Option<i64>,
    throttle: Option<i64>,
    throttle_path: Option<String>,
}

/// The pending faults.
#[derive(Serialize)]
struct FaultsView {
    lose: u16,
    delay_ms: u128,
    #[serde(rename = "for")]
    times: u16,
    unavailable: u16,
    /// The number of requests that will be throttled; null, if all at the path are.
    throttle: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_path: Option<String>,
}

impl From<Faults> for FaultsView {
    fn from(faults: Faults) -> Self {
        let delay_ms = if faults.late > 0 { faults.delay.as_millis() } else { 0 };
        let Throttle { left: throttle, path: throttle_path } =
            faults.throttle.unwrap_or(Throttle { left: Some(0), path: None });
        let Faults { lose, late: times, unavailable, .. } = faults;
        Self { lose, delay_ms, times, unavailable, throttle, throttle_path }
    }
}

#[get("/sandbox/fault")]
async fn get_faults(sandbox: web::Data<Sandbox>) -> Reply {
    Reply::ok(&FaultsView::from(sandbox.faults()))
}

#[post("/sandbox/fault")]
async fn ask_for_faults(sandbox: web::Data<Sandbox>, body: Body<AskForFaults>) -> Result<Reply> {
    let AskForFaults { lose, delay_ms, times, unavailable, throttle, throttle_path } = body.into_inner();
    let request = FaultRequest { lose, delay_ms, times, unavailable, throttle, throttle_path };
    let faults = sandbox.request_faults(&request)?;
    Ok(Reply::ok(&FaultsView::from(faults)))
}

#[delete("/sandbox/fault")]
async fn clear_faults(sandbox: web::Data<Sandbox>) -> Reply {
    sandbox.clear_faults();
    Reply::no_content()
}
