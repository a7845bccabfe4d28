//! The one HTTP client of the channels: TLS only, no redirects, no proxy, public addresses only, bounded in time and
//! in what it reads.
//!
//! Web Push endpoints come from clients, who so choose what this server connects to. Addresses are judged in the resolver
//! that the connection itself uses: there is no second look-up that could give another one.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use url::{Host, Url};

use super::model::SendError;

/// The longest that connecting may take, with the look-up of the name.
const CONNECT: Duration = Duration::from_secs(3);
/// The longest that a request may take. It ends before the patience of the gate does.
const TOTAL: Duration = Duration::from_millis(4500);
/// The most bytes of an answer that are read.
const ANSWER: usize = 64 * 1024;
/// The longest wait that a service may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks up the addresses of a name.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// What the client may do.
#[derive(Clone, Copy, Debug)]
pub struct OutboundSettings {
    /// Whether it connects to private addresses, and without TLS: for tests, and for gateways in the operator's own
    /// network. Clients of channels whose addresses come from phones never have it.
    pub private_networks: bool,
    /// Whether it speaks HTTP/2 at once, without TLS to agree on it: for tests.
    pub http2_prior_knowledge: bool,
    /// The longest that a request may take.
    pub total: Duration,
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self { private_networks: false, http2_prior_knowledge: false, total: TOTAL }
    }
}

/// The client. Clones share its connections.
#[derive(Clone)]
pub struct Outbound {
    client: Client,
    private_networks: bool,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("private_networks", &self.private_networks).finish_non_exhaustive()
    }
}

/// What a service answered.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// The beginning of the body.
    pub(super) body: Vec<u8>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

impl Answer {
    /// Returns what the status means for a push, wherever the service gives it no other meaning.
    pub(super) fn result(&self) -> Result<(), SendError> {
        match self.status {
            200..=299 => Ok(()),
            300..=399 => Err(SendError::Refused { reason: "the service redirects, which is not followed" }),
            401 | 403 => Err(SendError::Misconfigured { reason: "the service refuses the credentials" }),
            429 => Err(self.later("the service asks for fewer pushes")),
            408 | 500..=599 => Err(self.later("the service has a fault")),
            _ => Err(SendError::Refused { reason: "the service refuses the push" }),
        }
    }

    fn later(&self, reason: &'static str) -> SendError {
        SendError::Later { after: self.retry_after, reason }
    }

    /// Returns the body as JSON, or `null`.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Outbound {
    /// Makes a client.
    ///
    /// # Errors
    ///
    /// When there is no TLS, for example because no certificate of a root is found.
    pub fn new(settings: OutboundSettings) -> Result<Self, &'static str> {
        let lookup = |name: String| {
            async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.map(|found| found.ip()).collect()) }
                .boxed()
        };
        Self::with_lookup(settings, Arc::new(lookup))
    }

    /// Makes a client that looks up names by `lookup`.
    ///
    /// # Errors
    ///
    /// As [`Outbound::new`].
    pub fn with_lookup(settings: OutboundSettings, lookup: Lookup) -> Result<Self, &'static str> {
        let private_networks = settings.private_networks;
        let mut client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            .https_only(!private_networks)
            .connect_timeout(CONNECT)
            .timeout(settings.total)
            .dns_resolver(Arc::new(Filter { lookup, private_networks }));
        if settings.http2_prior_knowledge {
            client = client.http2_prior_knowledge();
        }
        let client =
            client.build().ok().ok_or("the client of the push services cannot be made: TLS is not available")?;
        Ok(Self { client, private_networks })
    }

    /// Says what is wrong with an address as it stands, without a look-up of its name.
    ///
    /// # Errors
    ///
    /// The reason why nothing is ever sent there.
    pub fn check(&self, url: &Url) -> Result<(), &'static str> {
        match url.scheme() {
            "https" => {}
            "http" if self.private_networks => {}
            _ => return Err("the address is not https"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the address has a user name");
        }
        let public = match url.host() {
            None => return Err("the address has no host"),
            // A name is checked when it is connected to.
            Some(Host::Domain(_)) => true,
            Some(Host::Ipv4(ip)) => is_public(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => is_public(IpAddr::V6(ip)),
        };
        if public || self.private_networks { Ok(()) } else { Err(NOT_PUBLIC) }
    }

    /// Posts a body and returns the answer, whatever its status.
    ///
    /// # Errors
    ///
    /// When the address is not allowed or no answer comes. Nothing of the address is in the error.
    pub(super) async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<Answer, SendError> {
        self.check(url).map_err(|reason| SendError::Refused { reason })?;
        let sent = self.client.post(url.clone()).headers(headers).body(body).send().await;
        let mut response = sent.map_err(|error| failure(&error))?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value, status, now));
        let mut body = Vec::new();
        // The status is known: what is missing of the body, because it breaks off or has no end, changes nothing.
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ANSWER - body.len();
            body.extend(chunk.iter().take(room));
            if chunk.len() >= room {
                break;
            }
        }
        Ok(Answer { status: status.as_u16(), retry_after, body })
    }
}

const NOT_PUBLIC: &str = "the address is not a public one";

/// Puts a request that got no answer in words. The error itself is never logged: it has the address in it.
fn failure(error: &reqwest::Error) -> SendError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if one.is::<NotPublic>() {
            return SendError::Refused { reason: NOT_PUBLIC };
        }
        cause = one.source();
    }
    let reason = match () {
        () if error.is_timeout() => "the service took too long",
        () if error.is_connect() => "the service cannot be connected to",
        () if error.is_builder() => return SendError::Refused { reason: "the address cannot be used" },
        () => "the connection broke",
    };
    SendError::Later { after: None, reason }
}

/// Makes a header of a value that is never shown, not even by a client that logs its frames.
pub(super) fn secret(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), SendError> {
    let value = HeaderValue::from_str(value).ok();
    let mut value = value.ok_or(SendError::Refused { reason: "a credential does not fit into a header" })?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// Reads `Retry-After`: seconds, or an HTTP date.
fn retry_after(value: &HeaderValue, status: StatusCode, now: Timestamp) -> Option<Duration> {
    if status.is_success() {
        return None;
    }
    let text = value.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(at.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

/// A name that has no public address.
#[derive(Debug)]
struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NOT_PUBLIC)
    }
}

impl std::error::Error for NotPublic {}

/// The resolver of the connections.
struct Filter {
    lookup: Lookup,
    private_networks: bool,
}

impl Resolve for Filter {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, all) = ((self.lookup)(name.as_str().to_owned()), self.private_networks);
        Box::pin(async move {
            let found = found.await?;
            // One address that is not public makes the whole name suspect.
            if !all && !found.iter().all(|ip| is_public(*ip)) {
                return Err(NotPublic.into());
            }
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

/// Whether an address is one of the public internet, by the special-purpose registries of IANA.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let special = match ip.octets() {
        // Shared by carriers.
        [100, second, ..] => second & 0xc0 == 64,
        [172, second, ..] => second & 0xf0 == 16,
        // This network, private, loopback; multicast, reserved and broadcast. Link-local, with the metadata services of
        // clouds. Protocol assignments, documentation, the relays of 6to4, benchmarks.
        [0 | 10 | 127 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 168, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // NAT64: what it leads to counts.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Protocol assignments with Teredo; documentation; 6to4; documentation again.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Global unicast. Mapped, local, link-local and multicast addresses are all outside.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        let public = ["1.1.1.1", "93.184.216.34", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101"];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        let special = [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in special {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_never_longer_than_a_day() {
        let now: Timestamp = "2026-03-10T08:00:00Z".parse().unwrap();
        let read = |text: &str| {
            retry_after(&HeaderValue::from_str(text).unwrap(), StatusCode::TOO_MANY_REQUESTS, now)
                .map(|it| it.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Tue, 10 Mar 2026 08:02:00 GMT"), Some(120));
        assert_eq!(read("Tue, 10 Mar 2026 07:00:00 GMT"), Some(0), "past");
        assert_eq!(read("99999999999999999999999"), Some(86_400));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }

    /// A name that is public at the first look-up and private at the next: each connection is judged by its own.
    #[tokio::test]
    async fn each_look_up_of_a_name_is_judged_anew() {
        let answers = Mutex::new(vec![vec!["127.0.0.1"], vec!["1.1.1.1", "10.0.0.1"], vec!["1.1.1.1"]]);
        let lookup = move |_| {
            let next = answers.lock().unwrap().pop().unwrap();
            async move { Ok(next.into_iter().map(|ip| ip.parse().unwrap()).collect()) }.boxed()
        };
        let filter = Filter { lookup: Arc::new(lookup), private_networks: false };
        let ask = || filter.resolve(Name::from_str("rebinding.example").unwrap());
        assert_eq!(ask().await.unwrap().map(|at| at.to_string()).collect::<Vec<_>>(), ["1.1.1.1:0"]);
        assert!(ask().await.err().unwrap().is::<NotPublic>(), "one of two");
        assert!(ask().await.err().unwrap().is::<NotPublic>());
    }
}
