//! The channels to phones, each against a local server that speaks the protocol of the real one. Signatures and
//! encryption are checked by Python packages as well: `http_ece`, `jwt`, `standardwebhooks`. Without a Python that has
//! them, a line says so, and only our own code checks ([`crate::support::python`]).

mod apns;
mod email;
mod fcm;
mod gate;
mod keys;
pub mod outbound;
mod python;
pub mod service;
mod smtp;
mod web_push;
mod webhook;

use std::time::Duration;

use afterglow::channels::{Channel, Notice, Outbound, OutboundSettings, SendError};
use afterglow::kernel::{Clock, Id};
use jiff::Timestamp;

use service::{Reply, Service};

const NOW: &str = "2026-03-10T08:00:00Z";
const TEXT: &str = "Ein Moment für dich ist bereit";

fn clock() -> Clock {
    Clock::manual(now())
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A push that is of use for an hour.
fn notice(text: Option<&'static str>) -> Notice {
    let id = |text: &str| text.parse().unwrap();
    Notice {
        delivery: Id::from_uuid(id("0195a000-0000-7000-8000-00000000d001")),
        prompt: Id::from_uuid(id("0195a000-0000-7000-8000-00000000a001")),
        text,
        expires_at: "2026-03-10T09:00:00Z".parse().unwrap(),
    }
}

/// A client that reaches the servers of the tests, and waits shortly.
fn local() -> Outbound {
    let total = Duration::from_millis(700);
    Outbound::new(OutboundSettings { private_networks: true, total, ..OutboundSettings::default() }).unwrap()
}

/// What every channel makes of the same faults of its service.
async fn faults(channel: &dyn Channel, to: &afterglow::channels::Address, service: &Service) {
    let later = |after: Option<u64>, reason| Err(SendError::Later { after: after.map(Duration::from_secs), reason });
    let date = "Tue, 10 Mar 2026 08:02:00 GMT";
    let cases = [
        (Reply::status(429).header("retry-after", "30"), later(Some(30), "the service asks for fewer pushes")),
        (Reply::status(429).header("retry-after", date), later(Some(120), "the service asks for fewer pushes")),
        (Reply::status(429), later(None, "the service asks for fewer pushes")),
        (Reply::status(503).header("retry-after", "7"), later(Some(7), "the service has a fault")),
        (Reply::status(500), later(None, "the service has a fault")),
        (Reply::Never, later(None, "the service took too long")),
        (Reply::Break, later(None, "the connection broke")),
    ];
    for (reply, expected) in cases {
        let case = format!("{reply:?}");
        service.answer(reply);
        assert_eq!(channel.send(to, &notice(None)).await, expected, "{case}");
    }
    let target = Service::start(Reply::status(200)).await;
    for status in [301, 302, 303, 307, 308] {
        service.answer(Reply::status(status).header("location", &target.url("/")));
        let refused = Err(SendError::Refused { reason: "the service redirects, which is not followed" });
        assert_eq!(channel.send(to, &notice(None)).await, refused, "{status}");
    }
    assert_eq!(target.connections(), 0, "nobody followed");
    service.answer(Reply::Endless);
    assert_eq!(channel.send(to, &notice(None)).await, later(None, "the service has a fault"), "the status counts");
    assert!(service.endless_bytes() < 8 << 20, "{} bytes were taken", service.endless_bytes());
}
