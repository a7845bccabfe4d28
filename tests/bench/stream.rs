//! Streams: how soon a phone has what another one wrote, and what those that wait cost.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;

use super::Scale;
use super::client::{CONNECTIONS, Connection, load, request};
use super::hostile::tell_beside;
use super::people::Someone;
use super::report::{Goal, Report, median};
use super::rounds::{Site, create};
use super::sync::pull_all;

/// Patients who write beside those whose streams are open.
const OTHERS: usize = 64;
/// How many streams are opened at once.
const AT_ONCE: usize = 64;
/// How many phones write at once.
const LANES: usize = 4;
/// The time between two changes of one lane.
const PACE: Duration = Duration::from_millis(20);
/// A stream tells of changes no sooner than this after it told of others.
const GAP: Duration = Duration::from_millis(1100);
/// Longer than from one heartbeat to the next, in lengths of a measure.
const WITH_BEAT: u32 = 6;

/// Measures everything on SQLite and, if there is one, on a PostgreSQL.
pub async fn measure(scale: Scale, postgres: Option<String>, report: &mut Report) {
    let scale = Scale { writers: scale.streams + OTHERS, shelves: 0, ..scale };
    on("SQLite", Site::open(scale, None).await, report).await;
    if postgres.is_some() {
        on("PostgreSQL", Site::open(scale, postgres).await, report).await;
    }
}

async fn on(name: &str, site: Site, report: &mut Report) {
    wake(name, &site, report).await;
    idle(name, &site, report).await;
    site.server.stop();
}

/// The end of the event that says that there is something to pull.
const MORE: &[u8] = b"event: more\ndata: {}\n\n";

/// Opens a stream, and reads the event that comes at once.
async fn open(address: SocketAddr, who: &Someone) -> Connection {
    let mut stream = Connection::to(address).await;
    stream.send(&request("GET", "/v1/me/changes/stream", &who.token, b"", None)).await;
    stream.until(MORE).await;
    stream
}

/// Opens a stream of each.
async fn open_all(address: SocketAddr, people: &[Someone]) -> Vec<Connection> {
    let opening = futures_util::stream::iter(people).map(|who| open(address, who));
    opening.buffered(AT_ONCE).collect().await
}

/// The memory of streams, and the time from the answer to a write until another phone of the patient, which its stream
/// has woken, has pulled it.
async fn wake(name: &str, site: &Site, report: &mut Report) {
    let (people, address) = (&site.writers()[..site.scale().streams / 2], site.server.address);
    let mut wire = Connection::to(address).await;
    let mut cursors = Vec::new();
    for who in people {
        cursors.push(pull_all(&mut wire, who, None).await.1);
    }
    let before = site.server.memory();
    let streams = open_all(address, people).await;
    let each = (site.server.memory() - before) * 1024.0 / people.len() as f64;
    let figure = format!("{each:.1} KB, {} streams", people.len());
    report.goal(&format!("memory of an idle stream on {name}, KB"), figure, each, Goal::Most(20.0));

    let mut phones: Vec<_> = people.iter().zip(cursors).zip(streams).collect();
    let (mut p50s, mut p99s) = (Vec::new(), Vec::new());
    for _ in 0..site.scale().rounds {
        tokio::time::sleep(GAP).await;
        let size = phones.len().div_ceil(LANES);
        let lanes = phones.chunks_mut(size).zip(0_u32..).map(|(phones, lane)| async move {
            let (mut writes, mut pulls) = (Connection::to(address).await, Connection::to(address).await);
            let mut times = Vec::new();
            // Not all lanes at one moment.
            tokio::time::sleep(PACE / u32::try_from(LANES).unwrap() * lane).await;
            let mut pace = tokio::time::interval(PACE);
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            for ((who, cursor), stream) in phones {
                pace.tick().await;
                assert_eq!(writes.ask(&create(who)).await.0, 201);
                let begin = Instant::now();
                stream.until(MORE).await;
                let (pages, after) = pull_all(&mut pulls, who, Some(cursor.clone())).await;
                times.push(begin.elapsed().as_secs_f64() * 1e3);
                assert!(pages.iter().any(|page| page.windows(8).any(|some| some == b"The lake")));
                *cursor = after;
            }
            times
        });
        let mut times: Vec<f64> = join_all(lanes).await.concat();
        times.sort_by(f64::total_cmp);
        p50s.push(times[times.len() / 2]);
        p99s.push(times[times.len() * 99 / 100]);
    }
    let (p50, p99) = (median(&p50s), median(&p99s));
    let count = people.len();
    let figure =
        format!("p50 {p50:.1} ms, p99 {p99:.1} ms, {} changes a second", LANES * 1000 / PACE.as_millis() as usize);
    let measure = format!("from a change to the end of the pull, {count} streams, on {name}, p99, ms");
    report.goal(&measure, figure, p99, Goal::Most(100.0));
}

/// What others notice of streams that wait.
async fn idle(name: &str, site: &Site, report: &mut Report) {
    let (address, Scale { time, rounds, streams, .. }) = (site.server.address, site.scale());
    let (waiting, others) = site.writers().split_at(streams);
    let each = |c: usize, n: usize| create(&others[(c + n * CONNECTIONS) % others.len()]);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(load(address, time, 201, each).await.p99);
        let open = open_all(address, waiting).await;
        tokio::time::sleep(GAP).await;
        beside.push(load(address, time * WITH_BEAT, 201, each).await.p99);
        drop(open);
        tokio::time::sleep(GAP).await;
    }
    let both = (median(&alone), median(&beside));
    tell_beside(&format!("others' creates beside {streams} idle streams on {name}"), both, report);
}
