//! The unit of work and its failures, on the database the tests run on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use afterglow::db::schema::settings;
use afterglow::db::{AnyConnection, Backend, Db, FollowUp, Tx};
use afterglow::kernel::{Code, Error, Result};
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use futures_util::future::{BoxFuture, join, join_all};
use uuid::Uuid;

use crate::support::database::{Count, Database, on_postgres, postgres_url};

fn insert(tx: &mut Tx<'_>, name: &str) -> Result<()> {
    diesel::insert_into(settings::table)
        .values((settings::name.eq(name), settings::value.eq(vec![1_u8])))
        .execute(tx.conn())?;
    Ok(())
}

fn raw(tx: &mut Tx<'_>, sql: &str) -> Result<()> {
    match tx.conn() {
        AnyConnection::Pg(conn) => conn.batch_execute(sql)?,
        AnyConnection::Sqlite(conn) => conn.batch_execute(sql)?,
    }
    Ok(())
}

async fn names(db: &Db) -> Vec<String> {
    db.read(|tx| Ok(settings::table.select(settings::name).order(settings::name).load(tx.conn())?)).await.unwrap()
}

/// Holds the SQLite writer until the answer is dropped, so that the units sent meanwhile share a batch.
async fn hold(db: &Db) -> mpsc::Sender<()> {
    let (release, wait) = mpsc::channel::<()>();
    let (started, running) = tokio::sync::oneshot::channel();
    let (mut started, wait) = (Some(started), std::sync::Mutex::new(wait));
    let db = db.clone();
    tokio::spawn(async move {
        db.write(move |_| {
            if let Some(started) = started.take() {
                let _ = started.send(());
            }
            let _ = wait.lock().unwrap().recv();
            Ok(())
        })
        .await
    });
    running.await.unwrap();
    release
}

/// Sends `count` units at once; unit `k` runs `fault` after its own insert. Answers what each was told.
async fn burst(
    db: &Db,
    count: usize,
    k: usize,
    fault: impl Fn(&mut Tx<'_>) -> Result<()> + Send + Sync + Clone + 'static,
) -> Vec<Result<()>> {
    let release = hold(db).await;
    let mut calls = Vec::new();
    for n in 0..count {
        let (db, fault) = (db.clone(), fault.clone());
        calls.push(tokio::spawn(async move {
            db.write(move |tx| {
                insert(tx, &format!("unit-{n:03}"))?;
                if n == k { fault(tx) } else { Ok(()) }
            })
            .await
        }));
        // Let it reach the queue before the next one: the order of the batch is the order of the calls.
        tokio::task::yield_now().await;
    }
    drop(release);
    let mut told = Vec::new();
    for call in calls {
        told.push(call.await.unwrap());
    }
    told
}

/// Exactly the units that were told "done" are in the database.
async fn assert_told_the_truth(db: &Db, told: &[Result<()>]) {
    let expected: Vec<String> =
        told.iter().enumerate().filter(|(_, end)| end.is_ok()).map(|(n, _)| format!("unit-{n:03}")).collect();
    assert_eq!(names(db).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_commits_on_ok_and_rolls_back_on_err() {
    let database = Database::fresh();
    let db = database.open();
    db.write(|tx| insert(tx, "kept")).await.unwrap();
    let refused = db.write(|tx| insert(tx, "dropped").and_then(|()| Err::<(), _>(Error::NotFound))).await;
    assert!(matches!(refused, Err(Error::NotFound)));
    assert_eq!(names(&db).await, ["kept"]);
    db.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_a_value_leaves_its_trace() {
    let database = Database::fresh();
    let db = database.open();
    let verdict: Result<(), Error> = db.write(|tx| insert(tx, "trace").map(|()| Err(Error::NotFound))).await.unwrap();
    assert!(verdict.is_err());
    assert_eq!(names(&db).await, ["trace"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_after_the_commit_and_never_without_one() {
    let database = Database::fresh();
    let db = database.open();
    let ran = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&ran);
    let hook = move |tx: &mut Tx<'_>, by: u32| {
        let count = Arc::clone(&count);
        tx.after_commit(move || {
            count.fetch_add(by, Ordering::SeqCst);
        });
    };
    let kept = hook.clone();
    db.write(move |tx| {
        kept(tx, 1);
        Ok(())
    })
    .await
    .unwrap();
    let dropped = db.write(move |tx| {
        hook(tx, 100);
        Err::<(), _>(Error::Stale)
    });
    dropped.await.unwrap_err();
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_refused_is_undone_and_its_unit_goes_on() {
    let database = Database::fresh();
    let db = database.open();
    let ran = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&ran);
    let refused: Result<(), Error> = db
        .write(move |tx| {
            let count = Arc::clone(&count);
            insert(tx, "before")?;
            let part = tx.attempt(|tx| {
                insert(tx, "undone")?;
                tx.after_commit(move || {
                    count.fetch_add(1, Ordering::SeqCst);
                });
                Err(Error::NotFound)
            })?;
            let stale = tx.attempt(|tx| insert(tx, "lost").and(Err::<(), _>(Error::Stale)))?;
            assert!(matches!(stale, Err(Error::Stale)));
            tx.attempt(|tx| insert(tx, "done"))??;
            insert(tx, "trace").map(|()| part)
        })
        .await
        .unwrap();
    assert!(matches!(refused, Err(Error::NotFound)));
    assert_eq!(names(&db).await, ["before", "done", "trace"]);
    assert_eq!(ran.load(Ordering::SeqCst), 0, "a hook of what was undone");
    // A fault of the server is the unit's.
    let failed = db.write(|tx| tx.attempt(|tx| insert(tx, "lost").and(Err::<(), _>(Error::StorageFull)))).await;
    assert!(matches!(failed, Err(Error::StorageFull)));
    assert_eq!(names(&db).await, ["before", "done", "trace"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_the_fault_of_one_unit_only() {
    let database = Database::fresh();
    let db = database.open();
    let told = burst(&db, 8, 3, |_| panic!("a fault on purpose")).await;
    assert!(matches!(told[3], Err(Error::Internal(_))));
    assert_eq!(told.iter().filter(|end| end.is_ok()).count(), 7);
    assert_told_the_truth(&db, &told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_after_the_commit_loses_neither_the_unit_nor_what_else_it_wanted_done() {
    let database = Database::fresh();
    let db = database.open();
    // More often than there are threads, of which each panic would end one.
    for turn in 0..40 {
        let told = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&told);
        let unit = db.write(move |tx| {
            let count = Arc::clone(&count);
            tx.after_commit(|| panic!("a hook that is wrong"));
            tx.after_commit(move || {
                count.fetch_add(1, Ordering::SeqCst);
            });
            insert(tx, &format!("unit-{turn:03}"))
        });
        unit.await.unwrap();
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }
    assert_eq!(names(&db).await.len(), 40);
    db.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_unit_takes_no_neighbour_with_it() {
    let database = Database::fresh();
    let db = database.open();
    for k in [0, 7, 15] {
        let told = burst(&db, 16, k, |_| Err(Error::Stale)).await;
        assert_eq!(told.iter().filter(|end| end.is_ok()).count(), 15);
        assert_told_the_truth(&db, &told).await;
        db.write(|tx| raw(tx, "DELETE FROM settings")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_cannot_write() {
    let database = Database::fresh();
    let db = database.open();
    db.read(|tx| insert(tx, "sneaked")).await.unwrap_err();
    assert!(names(&db).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_finished_when_the_server_stops() {
    let database = Database::fresh();
    let db = database.open();
    let release = hold(&db).await;
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { db.write(move |tx| insert(tx, &format!("unit-{n:03}"))).await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(release);
    let closing = db.clone();
    tokio::task::spawn_blocking(move || closing.close()).await.unwrap();
    let mut told = Vec::new();
    for call in calls {
        told.push(call.await.unwrap());
    }
    let again = database.open();
    assert_told_the_truth(&again, &told).await;
    let refused = db.write(|tx| insert(tx, "late")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}

/// SQLite drops the whole transaction on some faults. Whatever unit meets it, nobody is told a lie.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_a_lost_transaction_refuses_the_whole_batch_and_the_next_one_works() {
    let database = Database::sqlite();
    let db = database.open();
    for k in [0, 1, 9, 19] {
        // As after SQLITE_IOERR: the statement failed, and the transaction is gone with all its savepoints.
        let told = burst(&db, 20, k, |tx| raw(tx, "ROLLBACK").and(Err(Error::internal("disk I/O error")))).await;
        assert_eq!(told[k].as_ref().unwrap_err().code(), Code::Unavailable);
        assert_told_the_truth(&db, &told).await;
        db.write(|tx| raw(tx, "DELETE FROM settings")).await.unwrap();
        // A unit that swallows the fault fares no better.
        let told = burst(&db, 20, k, |tx| raw(tx, "ROLLBACK")).await;
        assert_eq!(told[k].as_ref().unwrap_err().code(), Code::Unavailable);
        assert_told_the_truth(&db, &told).await;
        db.write(|tx| raw(tx, "DELETE FROM settings")).await.unwrap();
    }
}

/// The disk is full at unit k of n: it is told so, nothing of it stays, nothing acknowledged is lost.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_a_full_disk_refuses_the_unit_and_loses_nothing() {
    let database = Database::sqlite();
    let db = database.open();
    for k in [0, 5, 11] {
        let told = burst(&db, 12, k, |tx| {
            // A database that may not grow answers SQLITE_FULL, as a full disk does.
            raw(tx, "PRAGMA max_page_count = 1")?;
            let big = vec![7_u8; 4_000_000];
            diesel::insert_into(settings::table)
                .values((settings::name.eq("big"), settings::value.eq(big)))
                .execute(tx.conn())?;
            Ok(())
        })
        .await;
        assert!(matches!(told[k].as_ref().unwrap_err().code(), Code::StorageFull | Code::Unavailable), "{:?}", told[k]);
        assert_told_the_truth(&db, &told).await;
        db.write(|tx| raw(tx, "PRAGMA max_page_count = 1073741823; DELETE FROM settings")).await.unwrap();
    }
    db.write(|tx| insert(tx, "works again")).await.unwrap();
}

/// The log of an SQLite database. Its length is the longest that it was: one that starts over keeps it.
fn log_of(database: &Database) -> PathBuf {
    let Backend::Sqlite(path) = &database.backend else { panic!("it is no file") };
    PathBuf::from(format!("{}-wal", path.display()))
}

/// Writes a megabyte in a unit of its own, and the number of the unit.
async fn write_megabyte(db: &Db, turn: u32) {
    let rows = format!("('big', randomblob(1000000)), ('turn', CAST('{turn}' AS BLOB))");
    db.write(move |tx| raw(tx, &format!("INSERT OR REPLACE INTO settings (name, value) VALUES {rows}"))).await.unwrap();
}

/// The number of the last unit.
fn last_turn(tx: &mut Tx<'_>) -> Result<String> {
    let value: Vec<u8> = settings::table.filter(settings::name.eq("turn")).select(settings::value).first(tx.conn())?;
    Ok(String::from_utf8(value).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_the_log_starts_over_while_much_is_written_and_is_gone_when_the_server_stops() {
    let database = Database::sqlite();
    let (db, log) = (database.open(), log_of(&database));
    let version = db.read(|tx| Ok(diesel::select(sql::<Text>("sqlite_version()")).get_result::<String>(tx.conn())?));
    let version: Vec<u32> = version.await.unwrap().split('.').map(|part| part.parse().unwrap()).collect();
    assert!(
        version.as_slice() >= [3, 51, 3].as_slice(),
        "{version:?}: copying beside the writer loses pages before 3.51.3"
    );
    for turn in 1..=120 {
        write_megabyte(&db, turn).await;
    }
    let longest = std::fs::metadata(&log).unwrap().len();
    assert!(longest < 80_000_000, "of 120 MB that were written, {longest} bytes were in the log at once");
    db.close();
    assert!(!log.exists());
    assert_eq!(database.open().read(last_turn).await.unwrap(), "120");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_a_long_read_keeps_its_snapshot_and_the_log_starts_over_after_it() {
    let database = Database::sqlite();
    let (db, log) = (database.open(), log_of(&database));
    write_megabyte(&db, 0).await;
    let (release, wait) = mpsc::channel::<()>();
    let (started, running) = tokio::sync::oneshot::channel();
    let (mut started, wait, reader) = (Some(started), std::sync::Mutex::new(wait), db.clone());
    let long = tokio::spawn(async move {
        let read = reader.read(move |tx| {
            let first = last_turn(tx)?;
            if let Some(started) = started.take() {
                let _ = started.send(());
            }
            let _ = wait.lock().unwrap().recv();
            Ok((first, last_turn(tx)?))
        });
        read.await.unwrap()
    });
    running.await.unwrap();
    for turn in 1..=30 {
        write_megabyte(&db, turn).await;
    }
    // Nothing that the reader still reads was overwritten.
    drop(release);
    assert_eq!(long.await.unwrap(), ("0".to_owned(), "0".to_owned()));
    assert!(std::fs::metadata(&log).unwrap().len() > 28_000_000, "the log started over below the reader");
    for turn in 31..=120 {
        write_megabyte(&db, turn).await;
    }
    let longest = std::fs::metadata(&log).unwrap().len();
    assert!(longest < 80_000_000, "of 120 MB that were written, {longest} bytes were in the log at once");
    assert_eq!(db.read(last_turn).await.unwrap(), "120");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_a_full_queue_answers_unavailable_at_once() {
    let database = Database::sqlite();
    let db = database.open();
    let release = hold(&db).await;
    let calls: Vec<_> = (0..1100)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { db.write(move |tx| insert(tx, &format!("unit-{n:04}"))).await })
        })
        .collect();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    drop(release);
    let mut refused = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(()) => {}
            Err(error) => {
                assert_eq!(error.code(), Code::Unavailable);
                refused += 1;
            }
        }
    }
    assert_eq!(names(&db).await.len(), 1100 - refused);
}

/// The ledger of a server, which is to be written when a patient has sent three more requests.
#[derive(Debug)]
struct LateLedger {
    patient: Db,
    order: Arc<std::sync::Mutex<Vec<&'static str>>>,
}

impl FollowUp for LateLedger {
    fn run<'a>(&'a self, db: &'a Db) -> BoxFuture<'a, Result<()>> {
        let unit = |what: &'static str| {
            let order = Arc::clone(&self.order);
            move |_: &mut Tx<'_>| {
                order.lock().unwrap().push(what);
                Ok::<(), Error>(())
            }
        };
        Box::pin(async move {
            let release = hold(db).await;
            // Each is in the queue before the next one, and all of them before the writer is let go.
            let more = join_all((0..3).map(|_| self.patient.write(unit("patient"))));
            let own = join(db.write(unit("ledger")), async move { drop(release) });
            let (more, (own, ())) = join(more, own).await;
            more.into_iter().chain([own]).collect()
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_what_a_patient_has_revoked_is_entered_before_all_that_they_have_sent_since() {
    let database = Database::sqlite();
    let patient = database.open().for_caller(Uuid::from_u128(1));
    let order = Arc::<std::sync::Mutex<Vec<&'static str>>>::default();
    let ledger = LateLedger { patient: patient.clone(), order: Arc::clone(&order) };
    let revoke = |tx: &mut Tx<'_>| {
        tx.follow_up();
        Ok(())
    };
    patient.with_follow_up(Some(Arc::new(ledger))).write(revoke).await.unwrap();
    assert_eq!(*order.lock().unwrap(), ["patient", "ledger", "patient", "patient"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_a_killed_connection_is_replaced_and_the_unit_runs_again() {
    if !on_postgres() {
        return;
    }
    let database = Database::fresh();
    let db = database.open();
    let mut first = true;
    db.write(move |tx| {
        insert(tx, "once")?;
        if std::mem::take(&mut first) {
            raw(tx, "SELECT pg_terminate_backend(pg_backend_pid())")?;
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(names(&db).await, ["once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_a_connection_lost_during_commit_is_not_retried() {
    if !on_postgres() {
        return;
    }
    let database = Database::fresh();
    let db = database.open();
    db.write(|tx| {
        raw(
            tx,
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS \
               $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER die AFTER INSERT ON settings DEFERRABLE INITIALLY DEFERRED \
               FOR EACH ROW WHEN (NEW.name = 'fatal') EXECUTE FUNCTION die()",
        )
    })
    .await
    .unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let end = db
        .write(move |tx| {
            count.fetch_add(1, Ordering::SeqCst);
            insert(tx, "fatal")
        })
        .await;
    assert_eq!(end.unwrap_err().code(), Code::Unavailable);
    assert_eq!(runs.load(Ordering::SeqCst), 1, "nobody knows whether the commit happened: it is not run again");
    db.write(|tx| insert(tx, "works again")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_a_read_whose_connection_is_lost_before_its_end_is_answered_and_a_write_is_not() {
    let Some(server) = postgres_url() else { return };
    let database = Database::fresh();
    let db = database.open();
    db.write(|tx| insert(tx, "there")).await.unwrap();
    // A unit that has done its work when its connection is ended: what is left is the COMMIT.
    let unit = |runs: &Arc<AtomicU32>| {
        let (server, runs) = (server.clone(), Arc::clone(runs));
        move |tx: &mut Tx<'_>| {
            let found: Vec<String> = settings::table.select(settings::name).load(tx.conn())?;
            if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                let pid = diesel::sql_query("SELECT pg_backend_pid()::bigint AS n").get_result::<Count>(tx.conn())?.n;
                let mut admin = PgConnection::establish(&server).unwrap();
                let end = format!("SELECT pg_terminate_backend({pid}, 5000)");
                admin.batch_execute(&end).unwrap();
            }
            Ok(found)
        }
    };
    let (reads, writes) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    assert_eq!(db.read(unit(&reads)).await.unwrap(), ["there"]);
    assert_eq!(db.write(unit(&writes)).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!((reads.load(Ordering::SeqCst), writes.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_a_deadlock_is_run_again_until_both_are_done() {
    if !on_postgres() {
        return;
    }
    let database = Database::fresh();
    let db = database.open();
    for name in ["left", "right"] {
        db.write(move |tx| insert(tx, name)).await.unwrap();
    }
    let met = Arc::new(std::sync::Barrier::new(2));
    let cross = |one: &'static str, two: &'static str| {
        let (db, met, mut first) = (db.clone(), Arc::clone(&met), true);
        tokio::spawn(async move {
            db.write(move |tx| {
                raw(tx, &format!("UPDATE settings SET value = value WHERE name = '{one}'"))?;
                if std::mem::take(&mut first) {
                    met.wait();
                }
                raw(tx, &format!("UPDATE settings SET value = value WHERE name = '{two}'"))
            })
            .await
        })
    };
    let (a, b) = (cross("left", "right"), cross("right", "left"));
    a.await.unwrap().unwrap();
    b.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_away_answers_503_at_once() {
    if !on_postgres() {
        return;
    }
    let db = Db::open(afterglow::db::Backend::Postgres("postgres://nobody@127.0.0.1:1/none".to_owned())).unwrap();
    for _ in 0..3 {
        let end =
            db.read(|tx| Ok(diesel::sql_query("SELECT 1 AS n").get_result::<Count>(tx.conn()).map(|row| row.n)?)).await;
        assert_eq!(end.unwrap_err().code(), Code::Unavailable);
    }
}
