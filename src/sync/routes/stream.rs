//! The stream that tells an app of changes, over HTTP.

use std::convert::Infallible;
use std::pin::Pin;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, get};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep};
use utoipa::IntoParams;

use crate::http::document::ReadErrors;
use crate::identity::Caller;
use crate::kernel::Result;
use crate::state::State;
use crate::sync::live::{OpenStream, StreamState, Streams, Watched};

/// The line that keeps a quiet connection open.
const BEAT: &str = ":\n\n";
/// The last event of a stream.
const END: &str = "event: end\ndata: {}\n\n";

/// The header that an `EventSource` sends when it connects again.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the document's: the handler reads the header")]
struct LastEventId {
    /// The `id` of the newest event that the app has acted on. If nothing has changed since, no event comes at once.
    #[serde(rename = "Last-Event-ID")]
    #[param(required = false, nullable = false, rename = "Last-Event-ID", example = "W2gNxkq0o1cZrYvM")]
    last_event_id: Option<String>,
}

/// Wait for changes
///
/// Server-sent events for the caller's account, one stream for each session; another one of the same session ends the
/// first. `more` comes at once, and then whenever there may be something to pull, at most once a second; it says nothing
/// else. A line with a colon comes every 25 seconds. `end` is the last event: the session has ended, the stream was open
/// for an hour, or the server stops. Connect again after `retry` milliseconds.
#[utoipa::path(tag = "sync", params(LastEventId),
    responses((status = 200, description = "The events",
        headers(("X-Accel-Buffering" = String, description = "`no`: a proxy does not collect the events.")),
        body = String, content_type = "text/event-stream",
        example = "retry: 3000\nid: W2gNxkq0o1cZrYvM\nevent: more\ndata: {}\n\n"), ReadErrors))]
#[get("/me/changes/stream")]
pub(super) async fn stream_changes(
    caller: Caller,
    request: HttpRequest,
    (state, streams): (web::Data<State>, web::Data<Streams>),
) -> Result<HttpResponse> {
    let read = caller.read(&state, |_, live| Ok((live.account(), live.session(), live.patient())));
    let (account, session, patient) = read.await?;
    let watched = Watched { account, session, patient };
    let events = Events::new(&streams, watched, streams.admit()?, last_event_id(request.headers()));
    let body =
        stream::unfold(events, |mut events| async move { Some((Ok::<_, Infallible>(events.next().await?), events)) });
    let mut response = HttpResponse::Ok().content_type("text/event-stream").streaming(body);
    // A proxy in front that collects answers would keep the events.
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Option<String> {
    headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The events of a stream. It is opened when the first is asked for: for HEAD, none is.
struct Events {
    streams: Streams,
    source: Source,
    /// The `id` of the last event.
    sent: Option<String>,
    beats: Interval,
    lifetime: Pin<Box<Sleep>>,
    /// The time to wait after an event.
    gap: Option<Pin<Box<Sleep>>>,
}

enum Source {
    Admitted(Watched, OwnedSemaphorePermit),
    Open(OpenStream),
    Over,
}

impl Events {
    fn new(streams: &Streams, watched: Watched, permit: OwnedSemaphorePermit, sent: Option<String>) -> Self {
        let times = streams.settings();
        let mut beats = interval(times.heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (source, lifetime) = (Source::Admitted(watched, permit), Box::pin(sleep(times.lifetime)));
        Self { streams: streams.clone(), source, sent, beats, lifetime, gap: None }
    }

    /// Waits for the next event or comment line; `None` after the last.
    async fn next(&mut self) -> Option<Bytes> {
        self.source = match std::mem::replace(&mut self.source, Source::Over) {
            Source::Admitted(watched, permit) => Source::Open(self.streams.open(watched, permit)),
            other => other,
        };
        let Source::Open(stream) = &mut self.source else { return None };
        loop {
            let state = stream.state.borrow_and_update().clone();
            match state {
                StreamState::At(tag) if self.gap.is_none() && self.sent.as_deref() != Some(&*tag) => {
                    self.gap = Some(Box::pin(sleep(self.streams.settings().gap)));
                    self.sent = Some(tag.to_string());
                    return Some(format!("retry: 3000\nid: {tag}\nevent: more\ndata: {{}}\n\n").into());
                }
                StreamState::Ended => break,
                StreamState::At(_) | StreamState::Unknown => {}
            }
            let rest = async {
                match &mut self.gap {
                    Some(gap) => gap.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = stream.state.changed() => if changed.is_err() { break },
                () = rest => self.gap = None,
                _ = self.beats.tick() => return Some(Bytes::from_static(BEAT.as_bytes())),
                () = &mut self.lifetime => break,
            }
        }
        self.source = Source::Over;
        Some(Bytes::from_static(END.as_bytes()))
    }
}
