//! Delivery: how many pushes leave in a second and how late they are, among very many prompts that are not due, and what
//! the server's other answers take meanwhile.
//!
//! `AFTERGLOW_BENCH_PLANNED` and `AFTERGLOW_BENCH_DUE` set the number of prompts that are planned, and of those that are
//! due within a minute.

mod sink;
mod site;

use std::sync::Arc;
use std::time::{Duration, Instant};

use afterglow::channels::{
    Address, Channel, Channels, Notice, Outbound, OutboundSettings, SendError, WebPush, Webhook,
};
use afterglow::kernel::{Clock, Entropy, Id};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::{SignedDuration, Timestamp};

use super::client::Connection;
use super::people::Someone;
use super::report::{Goal, Report, median};
use super::rounds::list;
use super::{Scale, postgres};
use sink::{Arrivals, Sink, id_at};
use site::Site;

/// The secret of every subscription.
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
/// The secret that the gateway shares.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Sends under way at once in the bare loop, as in a channel.
const AT_ONCE: usize = 64;
/// The workers among whom prompts come due at their pace, on PostgreSQL.
const PACED_WORKERS: usize = 2;
/// Requests of the other load: so many connections, each as often.
const READERS: usize = 4;
const EACH: Duration = Duration::from_millis(20);

/// How much is measured.
#[derive(Clone, Copy)]
struct Sizes {
    /// Prompts that are planned.
    planned: usize,
    /// Prompts that are due within a minute, at most.
    due: usize,
    /// How long prompts come due at their pace.
    time: SignedDuration,
}

impl Sizes {
    fn of(quick: bool) -> Self {
        let (planned, due, seconds) = if quick { (20_000, 2_000, 3) } else { (1_000_000, 100_000, 60) };
        let set = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
        let (planned, due) = (set("AFTERGLOW_BENCH_PLANNED", planned), set("AFTERGLOW_BENCH_DUE", due));
        Self { planned, due, time: SignedDuration::from_secs(seconds) }
    }

    /// Prompts that are due at once.
    fn burst(self) -> usize {
        (self.due / 5).max(1)
    }
}

/// Measures everything on SQLite and, if there is one, on a PostgreSQL.
pub async fn measure(scale: Scale, quick: bool, cluster: Option<&str>, report: &mut Report) {
    let (sizes, sink) = (Sizes::of(quick), Sink::start());
    let site = Site::open(scale, None, sizes.planned).await;
    on("SQLite", site, (1, &[1]), sizes, &sink, report).await;
    if let Some(cluster) = cluster {
        let database = postgres::database(cluster, "afterglow_delivery");
        let site = Site::open(scale, Some(database), sizes.planned).await;
        on("PostgreSQL", site, (PACED_WORKERS, &[1, 2, 4]), sizes, &sink, report).await;
    }
}

async fn on(
    name: &str,
    site: Site,
    (paced, counts): (usize, &[usize]),
    sizes: Sizes,
    sink: &Sink,
    report: &mut Report,
) {
    let port = sink.port;
    let quiet = p99(beside(&site, sizes.time).await);
    let workers = site.start_workers(paced, || channels(port));
    for (a_minute, goal) in [(sizes.due / 10, 500.0), (sizes.due, 2000.0)] {
        let seconds = usize::try_from(sizes.time.as_secs()).unwrap();
        let count = (a_minute * seconds / 60).max(1);
        let start = plan(&site, &site.gateways, (count, sizes.time), sink).await;
        let reading = async {
            tokio::time::sleep(until(start)).await;
            beside(&site, sizes.time).await
        };
        let (arrivals, others) = tokio::join!(arrive(sink, count, start + sizes.time), reading);
        let (p50, late) = (at(&arrivals.late, 0.5), p99(arrivals.late.clone()));
        let figure = format!("p50 {p50:.0} ms, p99 {late:.0} ms, {} of {count} pushes", arrivals.late.len());
        let measure = format!("lateness at {a_minute} a minute on {name}, p99, ms");
        report.goal(&measure, figure, late, Goal::Most(goal));
        let others = p99(others);
        let figure = format!("p99 {others:.1} ms beside, {quiet:.1} ms alone");
        let measure = format!("list of entries on {name} beside {a_minute} pushes a minute / alone");
        report.goal(&measure, figure, others / quiet, Goal::Most(2.0));
    }
    workers.stop();
    burst(name, &site, (&site.gateways, "webhook", 5000.0), counts, sizes, sink, report).await;
    burst(name, &site, (&site.browsers, "web_push", 2500.0), counts, sizes, sink, report).await;
    let idle = median(&site.idle_rounds().await);
    let figure = format!("{idle:.2} ms among {} planned prompts", sizes.planned);
    report.goal(&format!("idle round beside planned prompts on {name}, ms"), figure, idle, Goal::Most(1.0));
    site.close();
}

/// Everything that is due at once leaves: the pushes of a second, by so many workers.
async fn burst(
    name: &str,
    site: &Site,
    (people, channel, goal): (&[Someone], &'static str, f64),
    counts: &[usize],
    sizes: Sizes,
    sink: &Sink,
    report: &mut Report,
) {
    let count = sizes.burst();
    let bare = bare(channel, count, sink).await;
    let (mut best, mut figures) = (0.0_f64, Vec::new());
    for workers in counts {
        let running = site.start_workers(*workers, || channels(sink.port));
        let start = plan(site, people, (count, SignedDuration::ZERO), sink).await;
        let arrivals = arrive(sink, count, start).await;
        running.stop();
        let rate = arrivals.late.len() as f64 / arrivals.last.duration_since(start).as_secs_f64();
        let more = arrivals.late.len().saturating_sub(count);
        let again = if more > 0 { format!(", {more} twice") } else { String::new() };
        figures.push(format!("{workers}: {rate:.0}/s, {:.2} of bare{again}", rate / bare));
        best = best.max(rate);
    }
    let figure = format!("by workers {}; bare {bare:.0}/s", figures.join("; "));
    report.goal(&format!("{channel} pushes on {name}, best, a second"), figure, best, Goal::Least(goal));
}

/// Plans `count` prompts that come due evenly within `time`, and returns when the first one does.
async fn plan(site: &Site, people: &[Someone], (count, time): (usize, SignedDuration), sink: &Sink) -> Timestamp {
    let all = i64::try_from(count).unwrap();
    // By then they are stored.
    let start = whole_second(Timestamp::now() + SignedDuration::from_millis(2000 + all / 2));
    let step = time.as_micros() / i128::from(all);
    // Planning makes prompts that are due at whole seconds.
    let due = |n: i64| whole_second(start + SignedDuration::from_micros(i64::try_from(step).unwrap() * n));
    site.plan(people, &(0..all).map(due).collect::<Vec<_>>()).await;
    if Timestamp::now() > start {
        println!("prompts came due before they were stored: their lateness means nothing");
    }
    sink.clear();
    start
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap()
}

/// Waits until `count` pushes have arrived, the last of which is due at `end`, and returns what has.
async fn arrive(sink: &Sink, count: usize, end: Timestamp) -> Arrivals {
    let patience = SignedDuration::from_secs(60) + SignedDuration::from_millis(5 * i64::try_from(count).unwrap());
    let give_up = end + patience;
    while sink.count() < count {
        if Timestamp::now() > give_up {
            println!("only {} of {count} pushes have arrived: the figures mean nothing", sink.count());
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sink.clear()
}

/// The time until an instant.
fn until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default()
}

/// The milliseconds of lists of entries, asked for at a steady pace for `time`.
async fn beside(site: &Site, time: SignedDuration) -> Vec<f64> {
    let end = Instant::now() + Duration::try_from(time).unwrap();
    let one = |c: usize| async move {
        let (who, mut times) = (&site.readers()[c % site.readers().len()], Vec::new());
        let (request, mut wire) = (list(who, "me"), Connection::to(site.address).await);
        let mut pace = tokio::time::interval(EACH);
        while Instant::now() < end {
            pace.tick().await;
            let begin = Instant::now();
            let (status, body) = wire.ask(&request).await;
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        times
    };
    join_all((0..READERS).map(one)).await.concat()
}

/// The value below which this part of the values is.
fn at(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN)
}

fn p99(values: Vec<f64>) -> f64 {
    at(&values, 0.99)
}

/// The same requests by the same client, without a prompt, a row or a worker: pushes a second.
async fn bare(channel: &str, count: usize, sink: &Sink) -> f64 {
    let to = match channel {
        "webhook" => Address::Webhook { token: "device-7".to_owned() },
        _ => {
            let endpoint = "https://push.example.org/send".to_owned();
            Address::WebPush { endpoint, p256dh: raw_p256().1, auth: AUTH.to_owned() }
        }
    };
    let both: [Arc<dyn Channel>; 2] = [Arc::new(webhook(sink.port)), Arc::new(ToSink::new(sink.port))];
    let sending = both.iter().find(|one| one.name() == channel).unwrap();
    let now = Timestamp::now();
    let notice = |_| Notice {
        delivery: Id::from_uuid(Entropy::System.opaque()),
        prompt: id_at(now),
        text: Some("A moment for you is ready"),
        expires_at: now + SignedDuration::from_hours(24),
    };
    let notices: Vec<Notice> = (0..count).map(notice).collect();
    let begin = Instant::now();
    let sends = notices.iter().map(|notice| sending.send(&to, notice)).collect::<Vec<_>>();
    let done: Vec<_> = futures_util::stream::iter(sends).buffer_unordered(AT_ONCE).collect().await;
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    assert!(done.iter().all(Result::is_ok), "the sink refuses");
    sink.clear();
    rate
}

/// The channels of a worker.
fn channels(port: u16) -> Channels {
    let both: [Arc<dyn Channel>; 2] = [Arc::new(webhook(port)), Arc::new(ToSink::new(port))];
    Channels::new(both)
}

/// A client that reaches the sink.
fn client() -> Outbound {
    let settings = OutboundSettings { private_networks: true, http2_prior_knowledge: true, ..Default::default() };
    Outbound::new(settings).unwrap()
}

fn webhook(port: u16) -> Webhook {
    Webhook::new(&format!("http://127.0.0.1:{port}/push"), SECRET, client(), Clock::System).unwrap()
}

/// The private and the public key of a browser, or of VAPID, base64url.
fn raw_p256() -> (String, String) {
    let key = PrivateKey::generate(&ECDH_P256).unwrap();
    let private: EcPrivateKeyBin<'_> = key.as_be_bytes().unwrap();
    let public = key.compute_public_key().unwrap();
    (URL_SAFE_NO_PAD.encode(private.as_ref()), URL_SAFE_NO_PAD.encode(public.as_ref()))
}

/// Web Push whose subscriptions lead to the sink: devices register with endpoints of https alone.
struct ToSink {
    inner: WebPush,
    endpoint: String,
}

impl ToSink {
    fn new(port: u16) -> Self {
        let inner = WebPush::new(&raw_p256().0, "mailto:push@clinic.example", client(), Clock::System).unwrap();
        Self { inner, endpoint: format!("http://127.0.0.1:{port}/send") }
    }
}

impl Channel for ToSink {
    fn name(&self) -> &'static str {
        "web_push"
    }

    fn send<'a>(&'a self, to: &'a Address, notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        let Address::WebPush { p256dh, auth, .. } = to else { panic!("another channel's address") };
        let to = Address::WebPush { endpoint: self.endpoint.clone(), p256dh: p256dh.clone(), auth: auth.clone() };
        async move { self.inner.send(&to, notice).await }.boxed()
    }
}
