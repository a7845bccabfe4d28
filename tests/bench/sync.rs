//! What a phone does: pushes what was written offline, and pulls what has changed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use afterglow::app::Server;
use afterglow::care::Access;
use afterglow::config::Config;
use afterglow::db::Tx;
use afterglow::items::{self, ItemTable as _};
use afterglow::journal::Entries;
use afterglow::journal::store::EntryTable;
use afterglow::kernel::id::{Any, Patient};
use afterglow::kernel::{Clock, Entropy, Id};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{CONNECTIONS, Connection, load, request};
use super::people::Someone;
use super::report::{Goal, Report, median};
use super::rounds::{Site, ask, create, text};
use super::{Scale, readers};

/// Entries of one batch.
const BATCH: usize = 100;
/// The most mutations that a push takes.
const LARGEST: usize = 500;
/// The most items that a page has.
const PAGE: usize = 200;
/// Entries of the first screen.
const SCREEN: usize = 20;

/// Measures everything on SQLite and, if there is one, on a PostgreSQL.
pub async fn measure(scale: Scale, postgres: Option<String>, report: &mut Report) {
    let scale = Scale { writers: scale.writers.min(256), shelves: 0, ..scale };
    on("SQLite", Site::open(scale, None).await, report).await;
    if postgres.is_some() {
        on("PostgreSQL", Site::open(scale, postgres).await, report).await;
    }
}

async fn on(name: &str, site: Site, report: &mut Report) {
    // Each has a history of their own; the others write.
    let [long, screen, ..] = site.writers() else { panic!("too few patients") };
    let (long, screen) = (long.clone(), screen.clone());
    let busy = site.writers()[2 + site.scale().rounds..].to_vec();
    let create_cpu = push(name, &site, &busy, report).await;
    first_screen(name, &site, &screen, report).await;
    readers::rule(name, &site, (&site.writers()[2..2 + site.scale().rounds], &busy), report).await;
    let site = pull(name, site, &long, report).await;
    readers::feed_step(name, site, (&busy, create_cpu), report).await;
}

/// The epoch of the data.
pub async fn epoch(wire: &mut Connection, who: &Someone) -> String {
    let page = ask(wire, "GET", "/v1/patients/me/changes", who, None, 200).await;
    page["epoch"].as_str().unwrap().to_owned()
}

/// A push of these mutations; what they lack of a mutation is added.
pub fn push_request(who: &Someone, epoch: &str, mutations: impl Iterator<Item = Value>) -> Vec<u8> {
    let whole = |mut mutation: Value| {
        mutation["mutation_id"] = json!(Uuid::now_v7());
        mutation["patient_id"] = json!(who.patient);
        mutation["kind"] = json!("entry");
        mutation
    };
    let body = json!({ "epoch": epoch, "mutations": mutations.map(whole).collect::<Vec<_>>() }).to_string();
    request("POST", "/v1/patients/me/mutations", &who.token, body.as_bytes(), None)
}

/// A push of `count` new reflections of 2 KB, one a minute.
fn batch(who: &Someone, epoch: &str, count: usize) -> Vec<u8> {
    let (now, text) = (Timestamp::now(), text());
    let entry = |n: usize| {
        let at = now - SignedDuration::from_mins(n as i64);
        json!({ "id": Uuid::now_v7(), "base_version": 0, "text": text,
            "header": { "kind": "reflection", "occurred_at": at.to_string(), "zone": "Europe/Berlin" } })
    };
    push_request(who, epoch, (0..count).map(entry))
}

/// Sends a push of which everything is stored.
pub async fn stored(wire: &mut Connection, request: &[u8], count: usize) {
    let (status, body) = wire.ask(request).await;
    let body = String::from_utf8_lossy(body);
    assert_eq!((status, body.matches("\"status\":\"applied\"").count()), (200, count), "{body}");
}

/// Writes a history of `count` entries.
pub async fn history(wire: &mut Connection, who: &Someone, epoch: &str, count: usize) {
    for first in (0..count).step_by(LARGEST) {
        let count = LARGEST.min(count - first);
        stored(wire, &batch(who, epoch, count), count).await;
    }
}

/// Batches against single requests: one phone alone, and as many as there are connections. Returns the microseconds of
/// the server's processor for a single create of the latter.
async fn push(name: &str, site: &Site, people: &[Someone], report: &mut Report) -> f64 {
    let Scale { rounds, time, .. } = site.scale();
    let address = site.server.address;
    let mut wire = Connection::to(address).await;
    let epoch = epoch(&mut wire, &people[0]).await;
    let (mut single, mut whole) = (Vec::new(), Vec::new());
    for turn in 0..5 * rounds {
        let who = &people[turn % people.len()];
        let each: Vec<_> = (0..BATCH).map(|_| create(who)).collect();
        let begin = Instant::now();
        for request in &each {
            assert_eq!(wire.ask(request).await.0, 201);
        }
        single.push(begin.elapsed().as_secs_f64() * 1e3);
        let all = batch(who, &epoch, BATCH);
        let begin = Instant::now();
        stored(&mut wire, &all, BATCH).await;
        whole.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let (one, all) = (median(&single), median(&whole));
    let figure = format!("{all:.1} ms in one batch, {one:.1} ms in turn");
    report.goal(&format!("{BATCH} entries in turn / in one batch on {name}"), figure, one / all, Goal::Least(5.0));

    let (mut singles, mut batches, mut cpu, mut batch_cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (before, begin) = (site.server.cpu(), Instant::now());
        let each = |c: usize, n: usize| create(&people[(c + n * CONNECTIONS) % people.len()]);
        let done = load(address, time, 201, each).await;
        // All that was answered, in all the time: a batch may be on its way when the load begins to count.
        singles.push(done.answered as f64 / begin.elapsed().as_secs_f64());
        cpu.push(site.server.spent(before, &done));
        let (before, begin) = (site.server.cpu(), Instant::now());
        let each = |c: usize, n: usize| batch(&people[(c + n * CONNECTIONS) % people.len()], &epoch, BATCH);
        let done = load(address, time, 200, each).await;
        batches.push((done.answered * BATCH as u64) as f64 / begin.elapsed().as_secs_f64());
        batch_cpu.push(site.server.spent(before, &done) / BATCH as f64);
    }
    let (one, all, cpu) = (median(&singles), median(&batches), median(&cpu));
    let figure = format!(
        "{all:.0} entries/s in batches, {one:.0}/s one by one; {:.0} and {cpu:.0} µs of server CPU each",
        median(&batch_cpu)
    );
    report.goal(&format!("saturated: entries in batches / one by one on {name}"), figure, all / one, Goal::Least(1.2));
    cpu
}

/// The request for the next page.
fn page(who: &Someone, cursor: Option<&str>) -> Vec<u8> {
    let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
    let path = format!("/v1/patients/me/changes?limit={PAGE}{cursor}");
    request("GET", &path, &who.token, b"", None)
}

/// Reads the next page, and returns its bytes, its cursor, and whether there is another one. It is not parsed: what the
/// client does with it is no cost of the server.
async fn next(wire: &mut Connection, who: &Someone, cursor: Option<&str>) -> (Vec<u8>, String, bool) {
    let (status, body) = wire.ask(&page(who, cursor)).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
    let end = std::str::from_utf8(&body[body.len() - body.len().min(400)..]).unwrap_or_default();
    let (_, end) = end.rsplit_once("\"cursor\":\"").unwrap();
    let (cursor, end) = end.split_once('"').unwrap();
    let (cursor, more) = (cursor.to_owned(), end.contains("\"has_more\":true"));
    (body.to_vec(), cursor, more)
}

/// Pulls from `cursor` to the end; the pages, and the last cursor.
pub async fn pull_all(wire: &mut Connection, who: &Someone, cursor: Option<String>) -> (Vec<Vec<u8>>, String) {
    let (mut pages, mut after) = (Vec::new(), cursor);
    loop {
        let (bytes, cursor, more) = next(wire, who, after.as_deref()).await;
        pages.push(bytes);
        if !more {
            return (pages, cursor);
        }
        after = Some(cursor);
    }
}

fn items_of(page: &[u8]) -> Vec<Value> {
    let page: Value = serde_json::from_slice(page).unwrap();
    page["items"].as_array().unwrap().clone()
}

/// A phone that holds nothing: the time until it can show settings, plan and the newest entries.
async fn first_screen(name: &str, site: &Site, who: &Someone, report: &mut Report) {
    let entries = site.scale().changes / 2;
    let mut wire = Connection::to(site.server.address).await;
    let epoch = epoch(&mut wire, who).await;
    site.confirm(&mut wire, who, site.therapist()).await;
    let ago = |minutes| (Timestamp::now() - SignedDuration::from_mins(minutes)).to_string();
    let infusion =
        json!({ "status": "completed", "route": "iv_infusion", "started_at": ago(100), "ended_at": ago(60) });
    ask(&mut wire, "PUT", &format!("/v1/patients/me/infusions/{}", Uuid::now_v7()), who, Some(infusion), 201).await;
    history(&mut wire, who, &epoch, entries).await;
    let (mut times, mut pages) = (Vec::new(), 0);
    for _ in 0..30 * site.scale().rounds {
        let (mut all, mut cursor) = (Vec::new(), None);
        let begin = Instant::now();
        let mut time = Duration::ZERO;
        let of = |all: &[Value], kind: &str| all.iter().filter(|item| item["kind"] == kind).count();
        while of(&all, "entry") < SCREEN {
            let (bytes, after, _) = next(&mut wire, who, cursor.as_deref()).await;
            time = begin.elapsed();
            all.extend(items_of(&bytes));
            cursor = Some(after);
            pages += 1;
        }
        assert!(of(&all, "settings") == 1 && of(&all, "prompt") > 0);
        times.push(time.as_secs_f64() * 1e3);
    }
    let (middle, pages) = (median(&times), pages / times.len());
    times.sort_by(f64::total_cmp);
    let figure = format!("{middle:.1} ms, the slowest {:.1} ms; {pages} requests", times[times.len() - 1]);
    let measure = format!("first screen of a patient with {entries} entries on {name}, p50, ms");
    report.goal(&measure, figure, middle, Goal::Most(30.0));
}

/// A pull of very many changes against reading and opening the same rows through the library.
async fn pull(name: &str, mut site: Site, who: &Someone, report: &mut Report) -> Site {
    let Scale { rounds, changes, .. } = site.scale();
    let mut wire = Connection::to(site.server.address).await;
    let epoch = epoch(&mut wire, who).await;
    let (_, from) = pull_all(&mut wire, who, None).await;
    // A patient may push half of this in an hour, which a server counts from its start.
    history(&mut wire, who, &epoch, changes / 2).await;
    (site, ()) = site.without_server(async |_| ()).await;
    let mut wire = Connection::to(site.server.address).await;
    history(&mut wire, who, &epoch, changes / 2).await;
    let (pages, _) = pull_all(&mut wire, who, Some(from.clone())).await;
    let items: Vec<_> = pages.iter().flat_map(|page| items_of(page)).collect();
    assert_eq!(items.len(), changes);
    let ids: Vec<Id<Any>> = items.iter().map(|item| item["id"].as_str().unwrap().parse().unwrap()).collect();
    let (mut pulls, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut wire = Connection::to(site.server.address).await;
        for turn in 0..2 {
            let begin = Instant::now();
            black_box(pull_all(&mut wire, who, Some(from.clone())).await);
            if turn > 0 {
                pulls.push(begin.elapsed().as_secs_f64() * 1e3);
            }
        }
        let read;
        (site, read) = site.without_server(async |config| in_process(config, who, &ids).await).await;
        reads.push(read);
    }
    let (pulled, read) = (median(&pulls), median(&reads));
    let bytes: usize = pages.iter().map(Vec::len).sum();
    let figure =
        format!("{pulled:.0} ms in {} pages of {} MB in all, {read:.0} ms in-process", pages.len(), bytes / 1_048_576);
    let measure = format!("read and open {changes} rows in-process / pull them on {name}");
    report.goal(&measure, figure, read / pulled, Goal::Least(0.5));
    site
}

/// The milliseconds in which the rows of these entries are read, a page at a time, and opened. Everything is done twice;
/// the second time counts.
async fn in_process(config: Config, who: &Someone, ids: &[Id<Any>]) -> f64 {
    let server = Server::open(config, Clock::System, Entropy::System).await.unwrap();
    let patient: Id<Patient> = Id::from_uuid(who.patient);
    let keys = server.state.vault.keys(who.patient).await.unwrap().unwrap();
    let mut last = f64::NAN;
    for _ in 0..2 {
        let (begin, now, mut opened) = (Instant::now(), Timestamp::now(), 0);
        for some in ids.chunks(PAGE) {
            let some = some.to_vec();
            let unit = move |tx: &mut Tx<'_>| EntryTable::list_all(tx, &Access::for_server(patient, None, now), &some);
            for row in server.state.db.read(unit).await.unwrap() {
                black_box(items::open::<Entries>(&keys, patient, (row.id, row.parts), None).unwrap());
                opened += 1;
            }
        }
        assert_eq!(opened, ids.len());
        last = begin.elapsed().as_secs_f64() * 1e3;
    }
    server.close();
    last
}
