//! What the client of the channels connects to.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use afterglow::channels::{
    Address, Channel as _, Channels, Lookup, Outbound, OutboundSettings, SendError, Sending, Webhook,
};
use futures_util::FutureExt as _;

use super::service::{Reply, Service};
use super::{clock, local, notice, now};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn to() -> Address {
    Address::Webhook { token: "device-7".to_owned() }
}

/// Looks up every name as these addresses, and counts.
fn names(addresses: &[&str]) -> (Lookup, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let (asked, addresses) =
        (Arc::clone(&count), addresses.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>());
    let lookup = move |_| {
        asked.fetch_add(1, Ordering::SeqCst);
        let addresses = addresses.clone();
        async move { Ok(addresses) }.boxed()
    };
    (Arc::new(lookup), count)
}

/// Literal addresses, in every spelling that a URL may have.
const LITERALS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "１２７.0.0.1",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[ff02::1]",
    "[2002:7f00:1::]",
    "[2001:db8::1]",
];

/// What names lead to.
const BEHIND_NAMES: &[&[&str]] = &[
    &["127.0.0.1"],
    &["::1"],
    &["10.0.0.1"],
    &["169.254.169.254"],
    &["::ffff:127.0.0.1"],
    &["1.1.1.1", "127.0.0.1"],
    &["127.0.0.1", "1.1.1.1"],
];

#[actix_web::test]
async fn no_private_or_odd_address_is_ever_connected_to() {
    let service = Service::start(Reply::status(200)).await;
    let strict = || Outbound::with_lookup(OutboundSettings::default(), names(&["127.0.0.1"]).0).unwrap();
    for host in LITERALS {
        let url = format!("https://{host}:{}/", service.port());
        let made = Webhook::new(&url, SECRET, strict(), clock());
        assert_eq!(made.err(), Some("the address is not a public one"), "{host}");
    }
    for odd in ["http://gateway.example", "https://user@gateway.example", "file:///etc/passwd", "gopher://x"] {
        assert!(Webhook::new(odd, SECRET, strict(), clock()).is_err(), "{odd}");
    }
    for addresses in BEHIND_NAMES {
        let (lookup, count) = names(addresses);
        let client = Outbound::with_lookup(OutboundSettings::default(), lookup).unwrap();
        for host in ["gateway.example", "localhost", "localhost."] {
            let url = format!("https://{host}:{}/", service.port());
            let sent = Webhook::new(&url, SECRET, client.clone(), clock()).unwrap().send(&to(), &notice(None)).await;
            assert_eq!(sent, Err(SendError::Refused { reason: "the address is not a public one" }), "{addresses:?}");
        }
        assert_eq!(count.load(Ordering::SeqCst), 3, "the connection's own look-up is the one that is judged");
    }
    assert_eq!(service.connections(), 0);

    // The same server is reached by those who may.
    let open = Webhook::new(&service.url("/"), SECRET, local(), clock()).unwrap();
    assert_eq!(open.send(&to(), &notice(None)).await, Ok(()));
    assert_eq!(service.connections(), 1);
}

#[actix_web::test]
async fn a_service_that_cannot_be_reached_is_tried_later() {
    let port = {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        closed.local_addr().unwrap().port()
    };
    let webhook = Webhook::new(&format!("http://127.0.0.1:{port}/"), SECRET, local(), clock()).unwrap();
    let expected = Err(SendError::Later { after: None, reason: "the service cannot be connected to" });
    assert_eq!(webhook.send(&to(), &notice(None)).await, expected);
    let (lookup, _) = names(&[]);
    let settings = OutboundSettings { private_networks: true, ..OutboundSettings::default() };
    let client = Outbound::with_lookup(settings, lookup).unwrap();
    let webhook = Webhook::new("http://nowhere.example/", SECRET, client, clock()).unwrap();
    assert_eq!(webhook.send(&to(), &notice(None)).await, expected, "a name without an address");
}

#[actix_web::test]
async fn a_service_that_does_not_answer_is_left_before_the_gate_closes() {
    let service = Service::start(Reply::Never).await;
    let settings = OutboundSettings { private_networks: true, ..OutboundSettings::default() };
    assert!(settings.total < Duration::from_secs(5));
    let webhook = Webhook::new(&service.url("/"), SECRET, Outbound::new(settings).unwrap(), clock()).unwrap();
    let channels = Channels::new([Arc::new(webhook) as Arc<_>]);
    let sent = channels.send(&to(), &notice(None), now()).await;
    let expected = SendError::Later { after: None, reason: "the service took too long" };
    assert_eq!(sent, Sending::Failed(expected));
}

/// What was logged, at every level.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Listens on this thread until the guard goes. A second subscriber goes with it: while there is but one, a place of
    /// the log that another thread comes to first is off for good.
    pub fn listen(&self) -> (tracing::subscriber::DefaultGuard, tracing::Dispatch) {
        let writer = self.clone();
        let all = tracing::Level::TRACE;
        let log = tracing_subscriber::fmt().with_max_level(all).with_writer(move || writer.clone()).with_ansi(false);
        let other = tracing::Dispatch::new(tracing_subscriber::registry());
        (tracing::subscriber::set_default(log.finish()), other)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    #[track_caller]
    pub fn lacks<'c>(&self, canaries: impl IntoIterator<Item = &'c str>) {
        let text = self.text();
        for canary in canaries {
            let line = text.lines().find(|line| line.contains(canary));
            assert_eq!(line, None, "{canary}");
        }
    }
}

#[actix_web::test]
async fn no_line_of_the_log_has_an_address_a_secret_or_a_sentence() {
    let log = Log::default();
    let listening = log.listen();
    tracing::trace!("the log is heard");
    let service = Service::start(Reply::status(200)).await;
    let to = Address::Webhook { token: "canary-token".to_owned() };
    let webhook = Webhook::new(&service.url("/canary-path"), SECRET, local(), clock()).unwrap();
    let mut signatures = Vec::new();
    for reply in [Reply::status(200), Reply::status(500), Reply::status(401), Reply::Never, Reply::Break] {
        service.answer(reply);
        let sent = webhook.send(&to, &notice(Some("canary-sentence"))).await;
        assert!(!format!("{sent:?}").contains("canary"));
        signatures.extend(service.asked().iter().map(|asked| asked.header("webhook-signature").to_owned()));
    }
    drop(listening);
    assert!(log.text().contains("the log is heard") && signatures.len() == 5);
    log.lacks(signatures.iter().map(String::as_str).chain(["canary", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]));
}
