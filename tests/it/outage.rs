//! R3: PostgreSQL goes away under load and comes back; a read is then run again. And a server that is asked to stop finishes what it took.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use afterglow::db::{Backend, Db, Tx};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use crate::kills::{Ledger, resend, verify, write};
use crate::support::app::TestApp;
use crate::support::child::{self, Child, Web, first_run_code, run};
use crate::support::database::{Count, Database, postgres_url};
use crate::support::journal::{reflection, two};

/// Ends every connection to the database but our own.
fn terminate(admin: &mut PgConnection, name: &str) {
    let end = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    );
    admin.batch_execute(&end).unwrap();
}

/// Asks `path` again and again until it answers 200 many times in a row, so that each connection of the server has been
/// used; how long that took.
async fn recovers(web: &Web, path: &str) -> Duration {
    let started = Instant::now();
    let mut answered = 0;
    while answered < 30 {
        let asked = Instant::now();
        let answer = web.send(web.call(Method::GET, path)).await;
        assert!(asked.elapsed() < Duration::from_secs(11), "an answer after {:?}", asked.elapsed());
        let (status, body, _) = answer.unwrap();
        if status == 200 {
            answered += 1;
            continue;
        }
        answered = 0;
        assert_eq!(status.as_u16(), 503, "{body}");
        assert!(started.elapsed() < Duration::from_secs(10), "it does not recover");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    started.elapsed()
}

#[actix_web::test]
async fn r3_backends_killed_under_load_lose_nothing_acknowledged_and_come_back() {
    let Some(server) = postgres_url() else { return };
    let database = Database::fresh();
    let Backend::Postgres(url) = &database.backend else { panic!("not on PostgreSQL") };
    let name = url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    let code = first_run_code(&database).await;
    let mut child = Child::serve(&database, &[]).await;
    let (_therapist, patient, id) = Web::new(&child.url).found(&code).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut admin = PgConnection::establish(&server).unwrap();
    let until = Instant::now() + Duration::from_millis(6500);
    let writers: Vec<_> = (0..4)
        .map(|writer| actix_web::rt::spawn(write(patient.clone(), Arc::clone(&ledger), until, writer % 2 == 0)))
        .collect();

    // Killed again and again.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(70)).await;
        terminate(&mut admin, &name);
    }
    let took = recovers(&patient, "/v1/patients/me/entries?limit=1").await;
    assert!(took < Duration::from_secs(2), "recovered after {took:?}");

    // Away for a while: nobody may connect.
    let allow = |admin: &mut PgConnection, yes: bool| {
        admin.batch_execute(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {yes}")).unwrap();
    };
    allow(&mut admin, false);
    terminate(&mut admin, &name);
    let refusing = Instant::now();
    let mut refused = 0;
    while refusing.elapsed() < Duration::from_secs(1) {
        for path in ["/readyz", "/v1/patients/me/entries?limit=1"] {
            let asked = Instant::now();
            let (status, body, _) = patient.send(patient.call(Method::GET, path)).await.unwrap();
            assert!(asked.elapsed() < Duration::from_secs(2), "{path} answered after {:?}", asked.elapsed());
            assert_eq!(status.as_u16(), 503, "{path}: {body}");
            assert_eq!((&body["code"], &body["retryable"]), (&Value::from("unavailable"), &Value::from(true)));
            refused += 1;
        }
        let (status, ..) = patient.send(patient.call(Method::GET, "/healthz")).await.unwrap();
        assert_eq!(status.as_u16(), 200, "the process lives");
    }
    assert!(refused > 5);
    allow(&mut admin, true);
    let took = recovers(&patient, "/readyz").await.max(recovers(&patient, "/v1/patients/me/entries?limit=1").await);
    eprintln!("recovered after {took:?}");
    assert!(took < Duration::from_secs(2), "recovered after {took:?}");

    for writer in writers {
        writer.await.unwrap();
    }
    resend(&patient, &ledger).await;
    verify(&patient, &database, &id, &ledger).await;
    assert!(ledger.lock().unwrap().acknowledged.len() > 50);
    child.kill();
    let (status, said) = run(&database, &["audit", "verify"]);
    assert!(status.success(), "{said}");
}

#[actix_web::test]
async fn reads_are_answered_whenever_the_backends_are_killed() {
    let Some(server) = postgres_url() else { return };
    let app = TestApp::start().await;
    let Backend::Postgres(url) = &app.database.backend else { panic!("not on PostgreSQL") };
    let name = url.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    let (_theo, ann) = two(&app).await;
    let entry = ann.writes(reflection("Lake")).await;
    let admin = Arc::new(Mutex::new(PgConnection::establish(&server).unwrap()));
    let kill = || {
        let (admin, name) = (Arc::clone(&admin), name.clone());
        actix_web::rt::task::spawn_blocking(move || terminate(&mut admin.lock().unwrap(), &name))
    };
    let reads = || join_all((0..10).map(|_| ann.entry(&entry)));
    for round in 0..40 {
        let before = reads().await;
        kill().await.unwrap();
        let between = reads().await;
        let (meanwhile, killed) = futures_util::future::join(reads(), kill()).await;
        killed.unwrap();
        for (when, answers) in [("before", before), ("after", between), ("while", meanwhile)] {
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
            assert_eq!(statuses, [200; 10], "round {round}, {when} they were killed");
        }
    }
}

/// A way to the test's PostgreSQL server that ends the first `ended` connections while they are being opened; the port.
async fn way_that_ends(ended: usize) -> u16 {
    let server = postgres_url().unwrap();
    let (host, _) = server.split_once('@').unwrap().1.split_once('/').unwrap();
    let host = host.to_owned();
    let way = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = way.local_addr().unwrap().port();
    tokio::spawn(async move {
        for turn in 0.. {
            let (mut from, _) = way.accept().await.unwrap();
            if turn < ended {
                // What libpq says first is read, so that the end is no reset.
                let _ = from.read(&mut [0; 1024]).await;
                continue;
            }
            let mut to = tokio::net::TcpStream::connect(&host).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_a_connection_while_it_is_being_opened_is_not_away() {
    if postgres_url().is_none() {
        return;
    }
    let database = Database::fresh();
    let Backend::Postgres(url) = &database.backend else { panic!("not on PostgreSQL") };
    let (user, rest) = url.split_once('@').unwrap();
    let port = way_that_ends(3).await;
    let db = Db::open(Backend::Postgres(format!("{user}@127.0.0.1:{port}/{}", rest.split_once('/').unwrap().1)));
    let count = |tx: &mut Tx<'_>| Ok(diesel::sql_query("SELECT 7::bigint AS n").get_result::<Count>(tx.conn())?.n);
    assert_eq!(db.unwrap().read(count).await.unwrap(), 7);
}

/// A cluster of its own: a test that restarts one would disturb all others. Gone when this is.
struct Cluster {
    process: std::process::Child,
    orders: Option<ChildStdin>,
    told: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Cluster {
    fn start() -> Self {
        let obey = r#"echo "$AFTERGLOW_TEST_POSTGRES"
            while read -r order; do (cd / && $AFTERGLOW_TEST_PG_CTL $order) >/dev/null; echo "$?"; done"#;
        let mut process = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/with-postgres"))
            .args(["bash", "-c", obey])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take();
        let mut told = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = told.next().unwrap().unwrap();
        Self { process, orders, told, url }
    }

    /// As after a crash: nobody is waited for, nothing is written back; what is durable is recovered.
    async fn crash(mut self) -> Self {
        let restart = move || {
            writeln!(self.orders.as_mut().unwrap(), "restart -m immediate").unwrap();
            assert_eq!(self.told.next().unwrap().unwrap(), "0", "PostgreSQL did not start again");
            self
        };
        actix_web::rt::task::spawn_blocking(restart).await.unwrap()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Without orders the script ends, and takes the cluster with it.
        self.orders = None;
        let _ = self.process.wait();
    }
}

#[actix_web::test]
async fn r3_postgresql_crashed_under_load_loses_nothing_acknowledged_and_the_server_comes_back_by_itself() {
    if postgres_url().is_none() {
        return;
    }
    let mut cluster = Cluster::start();
    let database = Database::postgres(&cluster.url);
    let code = first_run_code(&database).await;
    let mut child = Child::serve(&database, &[]).await;
    let (_therapist, patient, id) = Web::new(&child.url).found(&code).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for _ in 0..3 {
        let until = Instant::now() + Duration::from_millis(2500);
        let writers: Vec<_> = (0..4)
            .map(|writer| actix_web::rt::spawn(write(patient.clone(), Arc::clone(&ledger), until, writer % 2 == 0)))
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster = cluster.crash().await;
        let took = recovers(&patient, "/readyz").await.max(recovers(&patient, "/v1/patients/me/entries?limit=1").await);
        eprintln!("recovered after {took:?}");
        assert!(took < Duration::from_secs(2), "recovered after {took:?}");
        for writer in writers {
            writer.await.unwrap();
        }
    }
    resend(&patient, &ledger).await;
    verify(&patient, &database, &id, &ledger).await;
    assert!(ledger.lock().unwrap().acknowledged.len() > 50);
    child.kill();
    let (status, said) = run(&database, &["audit", "verify"]);
    assert!(status.success(), "{said}");
}

/// Places for a log that cannot take it, and what of it has to stay open meanwhile.
fn bad_sinks() -> Vec<(&'static str, Stdio, Option<std::io::PipeReader>)> {
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    let (kept, mut full) = std::io::pipe().unwrap();
    // A pipe that nobody reads: it takes 64 KB, less the last few bytes.
    full.write_all(&vec![b'.'; 65_536 - 100]).unwrap();
    let disk = std::fs::File::options().write(true).open("/dev/full").unwrap();
    vec![("nobody reads", gone.into(), None), ("it is full", full.into(), Some(kept)), ("no space", disk.into(), None)]
}

#[actix_web::test]
async fn a_log_that_cannot_be_written_stops_nothing() {
    for (what, sink, _kept) in bad_sinks() {
        let database = Database::fresh();
        let mut child = Child::serve_logging_to(Some(sink), &database, &["--log", "debug"]).await;
        let web = Web::new(&child.url);
        for _ in 0..40 {
            web.expect(Method::GET, "/v1/meta", Value::Null, 200).await;
            web.expect(Method::GET, "/v1/me", Value::Null, 401).await;
        }
        // The lines are written, and lost, by a thread of their own.
        let asked = Instant::now();
        loop {
            let counts = web.call(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
            let lost = counts.lines().find_map(|line| line.strip_prefix("log_lines_lost_total{why=\"unwritable\"} "));
            if what == "it is full" || lost.is_some_and(|lost| lost.parse::<u64>().unwrap() >= 80) {
                break;
            }
            assert!(asked.elapsed() < Duration::from_secs(10), "{what}: {lost:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        child.ask_to_stop();
        let status = child.ended(Duration::from_secs(10)).await;
        assert!(status.success(), "{what}: {status}");
    }
}

#[test]
fn a_command_whose_words_cannot_be_written_has_failed() {
    let database = Database::fresh();
    let words = |sink: Stdio| {
        let mut command = child::command(&database, &["openapi"]);
        command.stdout(sink).stderr(Stdio::null()).status().unwrap().success()
    };
    assert!(words(Stdio::null()));
    for (what, sink, kept) in bad_sinks() {
        if kept.is_none() {
            assert!(!words(sink), "{what}");
        }
    }
}

#[actix_web::test]
async fn asked_to_stop_under_load_a_server_finishes_what_it_took() {
    let database = Database::fresh();
    let code = first_run_code(&database).await;
    let mut child = Child::serve(&database, &[]).await;
    let (_therapist, patient, id) = Web::new(&child.url).found(&code).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for _ in 0..3 {
        let web = patient.at(&child.url);
        let until = Instant::now() + Duration::from_millis(900);
        let writers: Vec<_> = (0..4)
            .map(|writer| actix_web::rt::spawn(write(web.clone(), Arc::clone(&ledger), until, writer % 2 == 0)))
            .collect();
        tokio::time::sleep(Duration::from_millis(400)).await;
        child.ask_to_stop();
        let status = child.ended(Duration::from_secs(18)).await;
        assert!(status.success(), "{}", child.logged());
        for writer in writers {
            writer.await.unwrap();
        }
        child = Child::serve(&database, &[]).await;
    }
    let web = patient.at(&child.url);
    resend(&web, &ledger).await;
    verify(&web, &database, &id, &ledger).await;
    assert!(ledger.lock().unwrap().acknowledged.len() > 20);
}
