//! Rate limits by client address.
//!
//! Two policies: `general` for every request, and `auth`, which is strict, for the addresses where a secret may be
//! guessed: what succeeds there is given back. [`HourlyLimit`] is for what one person does. The counts are those of one
//! process; limits per account that survive a restart belong to identity.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, web};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use governor::nanos::Nanos;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use uuid::Uuid;

use super::guesses::{Guesses, Left};
use super::problem;
use crate::kernel::{Clock, Error, Result};

/// The settings of the rate limits.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// The requests a minute from one network to the guarded addresses that do not succeed; also the burst. `None`: no
    /// limit.
    pub auth_per_minute: Option<NonZeroU32>,
    /// The requests a minute from one client in all; also the burst. `None`: no limit.
    pub general_per_minute: Option<NonZeroU32>,
    /// The addresses where a secret may be guessed: these, and all below them.
    pub guarded: Vec<&'static str>,
    /// The number of the operator's proxies in front. 0: `X-Forwarded-For` is ignored. n: the n-th address from the
    /// right of that header is the client's.
    pub trusted_hops: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            auth_per_minute: NonZeroU32::new(10),
            general_per_minute: NonZeroU32::new(6000),
            guarded: Vec::new(),
            trusted_hops: 0,
        }
    }
}

type Buckets = RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, DefaultClock, StateInformationMiddleware>;

/// The counts of the process, shared by its workers.
#[derive(Debug)]
pub struct Limits {
    auth: Option<Guesses>,
    general: Option<Policy>,
    guarded: Vec<&'static str>,
    trusted_hops: usize,
}

#[derive(Debug)]
struct Policy {
    name: &'static str,
    per_minute: u32,
    buckets: Buckets,
    asked: AtomicU32,
}

/// The verdict of a policy on one request.
struct Verdict {
    policy: &'static str,
    quota: u32,
    remaining: u32,
    /// The seconds until the whole quota is there again; for a refusal, until the next request is taken.
    wait: u32,
    refused: bool,
}

/// The name of the policy of [`Guesses`].
const AUTH: &str = "auth";

/// The number of requests after which the addresses with a full quota are forgotten.
const SWEEP: u32 = 8192;

impl Policy {
    fn new(name: &'static str, per_minute: Option<NonZeroU32>) -> Option<Self> {
        let per_minute = per_minute?;
        let buckets = RateLimiter::dashmap(Quota::per_minute(per_minute)).with_middleware();
        Some(Self { name, per_minute: per_minute.get(), buckets, asked: AtomicU32::new(0) })
    }

    fn ask(&self, client: IpAddr) -> Verdict {
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        let verdict = Verdict { policy: self.name, quota: self.per_minute, remaining: 0, wait: 0, refused: false };
        match self.buckets.check_key(&client) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = u64::from(self.per_minute.saturating_sub(remaining));
                let wait = (used * 60).div_ceil(u64::from(self.per_minute));
                Verdict { remaining, wait: u32::try_from(wait).unwrap_or(60), ..verdict }
            }
            Err(until) => {
                let wait = until.wait_time_from(self.buckets.clock().now());
                let seconds = wait.as_secs().saturating_add(1);
                Verdict { wait: u32::try_from(seconds).unwrap_or(60), refused: true, ..verdict }
            }
        }
    }
}

impl Limits {
    /// Makes limits that have counted nothing yet.
    pub fn new(settings: LimitSettings) -> Self {
        Self {
            auth: settings.auth_per_minute.map(Guesses::new),
            general: Policy::new("general", settings.general_per_minute),
            guarded: settings.guarded,
            trusted_hops: settings.trusted_hops,
        }
    }

    /// Makes limits that refuse nothing.
    pub fn off() -> Self {
        Self::new(LimitSettings { auth_per_minute: None, general_per_minute: None, ..LimitSettings::default() })
    }

    /// Returns the verdict for the client: the first refusal, else that of the strictest policy asked.
    fn ask(&self, method: &Method, path: &str, client: IpAddr) -> Option<Verdict> {
        let client = network(client);
        let general = self.general.as_ref().map(|policy| policy.ask(client));
        if general.as_ref().is_some_and(|verdict| verdict.refused) {
            return general;
        }
        // A browser asks with OPTIONS before it logs in; nothing is guessed with that.
        let guarded = *method != Method::OPTIONS
            && self
                .guarded
                .iter()
                .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        let auth = self.auth.as_ref().filter(|_| guarded);
        auth.map(|guesses| Verdict::of_guesses(guesses, guesses.take(client))).or(general)
    }

    /// Gives back an attempt that succeeded, if `verdict` is on one.
    fn give_back(&self, client: IpAddr, verdict: Verdict) -> Verdict {
        match &self.auth {
            Some(guesses) if verdict.policy == AUTH => Verdict::of_guesses(guesses, guesses.give_back(network(client))),
            _ => verdict,
        }
    }
}

/// Limits the rate of requests. Wrap this layer before [`super::layers::outer`].
pub async fn throttle(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let limits = request.app_data::<web::Data<Limits>>().cloned();
    let client = client_address(request.request());
    let asked = limits.and_then(|limits| {
        // The decoded path, as the router matches it: `%61uth` is limited too.
        let verdict = limits.ask(request.method(), request.match_info().as_str(), client)?;
        Some((limits, verdict))
    });
    let Some((limits, mut verdict)) = asked else { return Ok(next.call(request).await?.map_into_boxed_body()) };
    let mut response = if verdict.refused {
        request.into_response(problem::response(&Error::TooMany(verdict.wait)))
    } else {
        next.call(request).await?.map_into_boxed_body()
    };
    if response.status().is_success() {
        verdict = limits.give_back(client, verdict);
    }
    verdict.tell(response.headers_mut());
    Ok(response)
}

/// The clock of the server, as the counter reads it.
#[derive(Clone, Debug)]
struct ServerClock(Clock);

impl governor::clock::Clock for ServerClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(u64::try_from(self.0.now().as_nanosecond()).unwrap_or_default())
    }
}

type HourlyBuckets = RateLimiter<Uuid, DefaultKeyedStateStore<Uuid>, ServerClock, NoOpMiddleware<Nanos>>;

/// The most that each of many may do in an hour, by the server's clock. The counts are those of one process.
#[derive(Debug)]
pub struct HourlyLimit {
    buckets: Option<HourlyBuckets>,
    asked: AtomicU32,
}

impl HourlyLimit {
    /// Makes a limit that has counted nothing yet; without a number it refuses nothing.
    pub fn new(per_hour: Option<NonZeroU32>, clock: Clock) -> Self {
        let of = |most| RateLimiter::dashmap_with_clock(Quota::per_hour(most), ServerClock(clock));
        let buckets = per_hour.map(of);
        Self { buckets, asked: AtomicU32::new(0) }
    }

    /// Admits `count` more of `who`, or none of them.
    ///
    /// # Errors
    ///
    /// [`Error::TooMany`] with the time after which they will be admitted.
    pub fn admit(&self, who: Uuid, count: usize) -> Result<()> {
        let count = u32::try_from(count).ok().and_then(NonZeroU32::new);
        let Some((buckets, count)) = self.buckets.as_ref().zip(count) else { return Ok(()) };
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP == SWEEP - 1 {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
        match buckets.check_key_n(&who, count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => {
                let wait = until.wait_time_from(buckets.clock().now()).as_secs().saturating_add(1);
                Err(Error::TooMany(u32::try_from(wait).unwrap_or(3600)))
            }
            // More at once than an hour has.
            Err(_) => Err(Error::TooMany(3600)),
        }
    }
}

impl Verdict {
    fn of_guesses(guesses: &Guesses, left: Left) -> Self {
        let Left { attempts, wait, refused } = left;
        Self { policy: AUTH, quota: guesses.per_minute(), remaining: attempts, wait, refused }
    }

    fn tell(&self, headers: &mut HeaderMap) {
        let lines = [
            ("ratelimit-policy", format!("\"{}\";q={};w=60", self.policy, self.quota)),
            ("ratelimit", format!("\"{}\";r={};t={}", self.policy, self.remaining, self.wait)),
        ];
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

/// Returns the client's address: the peer's, or the one that the operator's proxies name.
pub fn client_address(request: &HttpRequest) -> IpAddr {
    let hops = request.app_data::<web::Data<Limits>>().map_or(0, |limits| limits.trusted_hops);
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    forwarded(request.headers(), hops).unwrap_or(peer).to_canonical()
}

/// Returns the network of the client of a request: what limits count by.
pub fn client_network(request: &HttpRequest) -> IpAddr {
    network(client_address(request))
}

/// Returns the `hops`-th address from the right of all `X-Forwarded-For` lines. Others wrote those to its left.
fn forwarded(headers: &HeaderMap, hops: usize) -> Option<IpAddr> {
    let behind = hops.checked_sub(1)?;
    let lines: Vec<&str> = headers.get_all("x-forwarded-for").filter_map(|line| line.to_str().ok()).collect();
    let entry = lines.iter().flat_map(|line| line.split(',')).rev().nth(behind)?.trim();
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// Returns the network of a client: a /64 of IPv6 is one household, whose devices change addresses.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for line in lines {
            map.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_static(line));
        }
        map
    }

    #[test]
    fn forwarded_addresses_count_from_the_right_and_only_when_trusted() {
        let spoofed = headers(&["6.6.6.6, 203.0.113.9", "10.0.0.2"]);
        assert_eq!(forwarded(&spoofed, 0), None);
        assert_eq!(forwarded(&spoofed, 1), "10.0.0.2".parse().ok());
        assert_eq!(forwarded(&spoofed, 2), "203.0.113.9".parse().ok());
        assert_eq!(forwarded(&spoofed, 9), None);
        assert_eq!(forwarded(&headers(&["[2001:db8::1]:443"]), 1), "2001:db8::1".parse().ok());
        assert_eq!(forwarded(&headers(&["unknown"]), 1), None);
    }

    #[test]
    fn a_household_shares_one_bucket_and_others_do_not() {
        let limits = Limits::new(LimitSettings {
            auth_per_minute: NonZeroU32::new(2),
            guarded: vec!["/v1/auth/login"],
            ..LimitSettings::default()
        });
        let refused = |path: &str, from: &str| limits.ask(&Method::POST, path, from.parse().unwrap()).unwrap().refused;
        assert!(!refused("/v1/auth/login", "2001:db8::1"));
        assert!(!refused("/v1/auth/login", "2001:db8::2"));
        assert!(refused("/v1/auth/login", "2001:db8::3"));
        assert!(!refused("/v1/auth/login", "2001:db8:0:1::3"));
        assert!(!refused("/v1/auth/loginx", "2001:db8::3"), "another address");
    }
}
