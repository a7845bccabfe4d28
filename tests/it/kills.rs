//! R1: the server is killed again and again while people write. What it acknowledged is there, once and whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use afterglow::db::Backend;
use afterglow::kernel::Entropy;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::id_of;
use crate::support::child::{Child, Web, first_run_code, run};
use crate::support::database::{Count, Database, on_postgres};
use crate::support::sql::Sql;

/// Connections that write at the same time.
const WRITERS: usize = 6;

fn kills() -> usize {
    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    let set = std::env::var("AFTERGLOW_KILLS").ok();
    set.map_or(10, |text| text.parse().unwrap())
}

/// What is to be written, what was, and what nobody knows about.
#[derive(Default)]
pub struct Ledger {
    /// By id, what was sent; nothing is sent under two ids.
    pub sent: BTreeMap<String, String>,
    /// Whose 2xx arrived.
    pub acknowledged: BTreeSet<String>,
    /// Sent without an answer.
    pub unknown: Vec<String>,
    /// Whether nobody is to write any more.
    pub stopped: bool,
}

/// What is sent under an id: up to 18 KB, so that the log of the database is soon long.
pub fn body_of(id: &str) -> Value {
    let words = 60 + 200 * (id.bytes().map(usize::from).sum::<usize>() % 16);
    json!({ "kind": "note", "occurred_at": "2026-03-10T08:30:00+01:00", "zone": "Europe/Berlin",
        "text": { "title": id, "body": format!("{id} {}", "quiet ".repeat(words)) }, "tags": ["lake"] })
}

/// Writes until told to stop; whatever has no answer is left for the next round.
pub async fn write(web: Web, ledger: Arc<Mutex<Ledger>>, until: Instant, keyed: bool) {
    while Instant::now() < until && !ledger.lock().unwrap().stopped {
        let id = ledger.lock().unwrap().unknown.pop();
        let id = id.unwrap_or_else(|| Entropy::System.opaque().to_string());
        ledger.lock().unwrap().sent.insert(id.clone(), id.clone());
        if !put(&web, &id, keyed, &ledger).await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Sends one entry; whether it was acknowledged.
async fn put(web: &Web, id: &str, keyed: bool, ledger: &Mutex<Ledger>) -> bool {
    let request = web.call(Method::PUT, &format!("/v1/patients/me/entries/{id}")).json(&body_of(id));
    let request = if keyed { request.header("idempotency-key", format!("key-{id}")) } else { request };
    let answer = web.send(request).await;
    let mut ledger = ledger.lock().unwrap();
    match answer {
        Ok((status, body, _)) if status.is_success() => {
            assert_eq!(body["text"]["title"], json!(id), "an answer to another request");
            ledger.acknowledged.insert(id.to_owned());
            true
        }
        Ok((status, body, _)) => {
            assert_eq!(status.as_u16(), 503, "{body}");
            ledger.unknown.push(id.to_owned());
            false
        }
        Err(_) => {
            ledger.unknown.push(id.to_owned());
            false
        }
    }
}

/// Sends what was not acknowledged, until it is.
pub async fn resend(web: &Web, ledger: &Mutex<Ledger>) {
    let started = Instant::now();
    loop {
        let Some(id) = ledger.lock().unwrap().unknown.pop() else { return };
        put(web, &id, false, ledger).await;
        assert!(started.elapsed() < Duration::from_secs(30), "what was not acknowledged cannot be sent again");
    }
}

/// Everything that was sent is there: once, whole, numbered, and with its change.
pub async fn verify(web: &Web, database: &Database, patient: &str, ledger: &Mutex<Ledger>) {
    let mut found = BTreeMap::new();
    let mut path = "/v1/patients/me/entries?limit=200".to_owned();
    loop {
        let page = web.expect(Method::GET, &path, Value::Null, 200).await;
        for item in page["items"].as_array().unwrap() {
            let id = id_of(item);
            assert_eq!(item["text"], body_of(&id)["text"], "{id} is torn");
            assert_eq!(item["version"], json!(1), "{id} was written twice");
            assert_eq!(found.insert(id, ()), None, "listed twice");
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/patients/me/entries?limit=200&cursor={next}");
    }
    let ledger = ledger.lock().unwrap();
    let lost: Vec<_> = ledger.acknowledged.iter().filter(|id| !found.contains_key(*id)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert_eq!(found.len(), ledger.sent.len());
    assert_eq!(ledger.acknowledged.len(), ledger.sent.len());
    consistent(database, patient, found.len());
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    said: String,
}

#[derive(QueryableByName)]
struct Numbers {
    #[diesel(sql_type = BigInt)]
    all_rows: i64,
    #[diesel(sql_type = BigInt)]
    distinct_rows: i64,
    #[diesel(sql_type = BigInt)]
    first: i64,
    #[diesel(sql_type = BigInt)]
    last: i64,
    #[diesel(sql_type = BigInt)]
    head: i64,
}

fn consistent(database: &Database, patient: &str, entries: usize) {
    let mut sql = Sql::open(&database.backend);
    let mut count = |query: &str| -> i64 { sql.rows::<Count>(query)[0].n };
    assert_eq!(usize::try_from(count("SELECT count(*) AS n FROM entries")).unwrap(), entries);
    let creations = "SELECT count(*) AS n FROM changes WHERE entity = 1 AND op = 1";
    assert_eq!(usize::try_from(count(creations)).unwrap(), entries, "one change for each entry");
    let torn = "SELECT count(*) AS n FROM entries e WHERE (SELECT count(*) FROM changes c WHERE c.entity = 1 \
        AND c.patient_id = e.patient_id AND c.entity_id = e.id) <> 1";
    assert_eq!(count(torn), 0, "entries without their change");
    let orphans = "SELECT count(*) AS n FROM changes c WHERE c.entity = 1 AND NOT EXISTS \
        (SELECT 1 FROM entries e WHERE e.patient_id = c.patient_id AND e.id = c.entity_id)";
    assert_eq!(count(orphans), 0, "changes without their entry");
    let unsettled = "SELECT count(*) AS n FROM idempotency_records WHERE status = 0";
    assert_eq!(count(unsettled), 0, "a replay record without its outcome");
    let numbers = "SELECT count(*) AS all_rows, count(DISTINCT seq) AS distinct_rows, min(seq) AS first, max(seq) AS last, \
        (SELECT max(change_seq) FROM patient_heads) AS head FROM changes";
    let numbers = sql.rows::<Numbers>(numbers).pop().unwrap();
    // A request that finds its work done already takes a number and leaves it unused; none is given twice.
    assert_eq!((numbers.first, numbers.distinct_rows), (1, numbers.all_rows), "the change numbers of {patient}");
    assert!(numbers.last >= numbers.all_rows && numbers.head >= numbers.last);
    if !on_postgres() {
        let word = sql.rows::<Word>("SELECT integrity_check AS said FROM pragma_integrity_check");
        assert_eq!(word[0].said, "ok");
    }
}

#[actix_web::test]
async fn r1_killed_under_writes_nothing_acknowledged_is_lost_doubled_or_torn() {
    let database = Database::fresh();
    let code = first_run_code(&database).await;
    let mut child = Child::serve(&database, &[]).await;
    let (therapist, patient, id) = Web::new(&child.url).found(&code).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let (kills, mut slowest) = (kills(), child.ready_after);
    for turn in 0..kills {
        let [dice, _] = Entropy::System.bytes::<2>();
        let life = Duration::from_millis(30 + 3 * u64::from(dice));
        let end = Instant::now() + life + Duration::from_millis(40);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                actix_web::rt::spawn(write(patient.at(&child.url), Arc::clone(&ledger), end, writer % 2 == 0))
            })
            .collect();
        // A therapist who reads meanwhile leaves rows in the audit chain.
        let (reader, path) = (therapist.at(&child.url), format!("/v1/patients/{id}/entries"));
        let reads = actix_web::rt::spawn(async move {
            while Instant::now() < end {
                let _ = reader.send(reader.call(Method::GET, &path)).await;
            }
        });
        tokio::time::sleep(life).await;
        child.kill();
        for task in writers.into_iter().chain([reads]) {
            task.await.unwrap();
        }
        child = Child::serve(&database, &[]).await;
        slowest = slowest.max(child.ready_after);
        assert!(child.ready_after < Duration::from_secs(5), "kill {turn}: ready after {:?}", child.ready_after);
    }
    let web = patient.at(&child.url);
    let unknown = ledger.lock().unwrap().unknown.len();
    resend(&web, &ledger).await;
    verify(&web, &database, &id, &ledger).await;
    let (status, said) = run(&database, &["audit", "verify"]);
    assert!(status.success(), "{said}");
    let written = ledger.lock().unwrap().acknowledged.len();
    eprintln!("{kills} kills, {written} writes, {unknown} unknown at the last; ready again after at most {slowest:?}");
    assert!(written > kills * 5, "hardly anything was written: {written}");
}

#[actix_web::test]
async fn r1_killed_while_the_log_is_copied_into_the_file_nothing_acknowledged_is_lost() {
    let database = Database::fresh();
    let Backend::Sqlite(file) = &database.backend else { return };
    let length = || std::fs::metadata(file).unwrap().len();
    let code = first_run_code(&database).await;
    let mut child = Child::serve(&database, &[]).await;
    let (_, patient, id) = Web::new(&child.url).found(&code).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for turn in 0..3 {
        let (before, end) = (length(), Instant::now() + Duration::from_secs(30));
        ledger.lock().unwrap().stopped = false;
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| actix_web::rt::spawn(write(patient.at(&child.url), Arc::clone(&ledger), end, false)))
            .collect();
        // While a server runs, only a checkpoint makes the file longer.
        while length() == before {
            assert!(Instant::now() < end, "kill {turn}: nothing was copied");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let [dice] = Entropy::System.bytes::<1>();
        tokio::time::sleep(Duration::from_micros(100 * u64::from(dice))).await;
        child.kill();
        ledger.lock().unwrap().stopped = true;
        for task in writers {
            task.await.unwrap();
        }
        child = Child::serve(&database, &[]).await;
    }
    let web = patient.at(&child.url);
    resend(&web, &ledger).await;
    verify(&web, &database, &id, &ledger).await;
    let (status, said) = run(&database, &["audit", "verify"]);
    assert!(status.success(), "{said}");
}
