//! PostgreSQL threads: one connection each, one unit at a time.
//!
//! READ COMMITTED with row locks for writes, one snapshot for reads. A deadlock or a connection lost before COMMIT
//! runs the unit again; a write whose connection is lost *during* COMMIT has an unknown outcome: 503, and the client's
//! retry is safe. A read has changed nothing and runs again. While the server is away, units answer 503 at once instead
//! of waiting for it; a server that ends a connection while it is being opened is not away.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::connection::{Connection, SimpleConnection, TransactionManager};
use diesel::pg::PgConnection;

use super::AnyConnection;
use super::connection::begin;
use super::postgres_url::PostgresUrl;
use super::queue::{Queue, Waiting};
use super::sqlite::spawn;
use super::unit::Job;
use crate::kernel::{Error, Result};

type Manager = <AnyConnection as Connection>::TransactionManager;

/// The number of times a unit runs before the client is told of a deadlock.
const ATTEMPTS: u32 = 4;
/// The time between two attempts to reach a server that is away.
const RECONNECT: Duration = Duration::from_millis(250);

/// The words of libpq for a connection that the server has ended while it was being opened.
const ENDED: [&str; 2] = ["server closed the connection", "terminating connection"];

/// Opens a connection with the settings that every unit relies on.
pub(super) fn connect(url: &str) -> Result<PgConnection> {
    let mut conn = PgConnection::establish(&with_timeouts(url))?;
    conn.batch_execute(
        "SET synchronous_commit = on; SET lock_timeout = '5s'; SET statement_timeout = '9s'; \
         SET idle_in_transaction_session_timeout = '15s'; SET client_min_messages = warning; SET timezone = 'UTC'",
    )?;
    Ok(conn)
}

/// What libpq is told of waiting: briefly for a server that is away, and a sign of life each minute on a connection that
/// rests, which a firewall would drop without a word.
const WAITING: [(&str, &str); 5] = [
    ("connect_timeout", "2"),
    ("tcp_user_timeout", "5000"),
    ("keepalives_idle", "60"),
    ("keepalives_interval", "10"),
    ("application_name", "afterglow"),
];

/// Adds bounds on the waiting of libpq to the URL, where the operator set none.
fn with_timeouts(url: &str) -> String {
    let mut url = url.to_owned();
    let given = PostgresUrl::parse(&url);
    for (key, value) in WAITING {
        if given.as_ref().is_ok_and(|given| given.parameter(key).is_none()) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(key);
            url.push('=');
            url.push_str(value);
        }
    }
    url
}

pub(super) fn start(turn: usize, url: String, queue: Arc<Queue>) -> Result<JoinHandle<()>> {
    spawn(format!("db-{turn}"), move || {
        let mut link = Link { url, conn: None, failed: None };
        while let Some(waiting) = queue.next() {
            link.serve(waiting);
        }
    })
}

struct Link {
    url: String,
    conn: Option<AnyConnection>,
    failed: Option<Instant>,
}

/// The outcome of a run of a unit.
enum CommitOutcome {
    /// The unit ended.
    Ended { end: Result<()>, broken: bool },
    /// The unit did not commit and may run again.
    Again { error: Error, broken: bool },
    /// It is unknown whether the unit committed.
    Unknown(Error),
}

impl Link {
    fn serve(&mut self, mut waiting: Waiting) {
        let mut last = Error::Unavailable("the database queue is too slow");
        for _ in 0..ATTEMPTS {
            if waiting.is_late() {
                break;
            }
            let mut conn = match self.connection() {
                Ok(conn) => conn,
                Err(error @ Error::Transient(_)) => {
                    last = error;
                    continue;
                }
                Err(error) => {
                    last = error;
                    break;
                }
            };
            match run(&mut conn, waiting.job.as_mut(), waiting.read_only) {
                CommitOutcome::Ended { end, broken } => {
                    self.conn = (!broken).then_some(conn);
                    return waiting.job.finish(end);
                }
                CommitOutcome::Again { error, broken } => {
                    self.conn = (!broken).then_some(conn);
                    last = error;
                }
                CommitOutcome::Unknown(error) => {
                    tracing::error!(%error, "the connection was lost during COMMIT; the client is asked to repeat");
                    return waiting.job.finish(Err(Error::Unavailable("the outcome of the commit is unknown")));
                }
            }
        }
        tracing::warn!(error = %last, "a unit could not be run");
        waiting.job.finish(Err(last));
    }

    /// Returns a connection. [`Error::Transient`] when the server has ended it meanwhile, [`Error::Unavailable`] when
    /// the server is away.
    fn connection(&mut self) -> Result<AnyConnection> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        if self.failed.is_some_and(|at| at.elapsed() < RECONNECT) {
            return Err(Error::Unavailable("the database is away"));
        }
        match connect(&self.url) {
            Ok(conn) => {
                self.failed = None;
                Ok(AnyConnection::Pg(conn))
            }
            Err(error) if ENDED.iter().any(|text| error.to_string().contains(text)) => Err(error),
            Err(error) => {
                tracing::error!(%error, "the database cannot be reached");
                self.failed = Some(Instant::now());
                Err(Error::Unavailable("the database is away"))
            }
        }
    }
}

fn run(conn: &mut AnyConnection, job: &mut dyn Job, read_only: bool) -> CommitOutcome {
    let sql = if read_only { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" } else { "BEGIN" };
    if let Err(error) = begin(conn, sql) {
        return CommitOutcome::Again { error, broken: true };
    }
    match job.run(conn) {
        Ok(()) => match Manager::commit_transaction(conn) {
            Ok(()) => CommitOutcome::Ended { end: Ok(()), broken: false },
            Err(error) if read_only => CommitOutcome::Again { error: error.into(), broken: true },
            Err(error) => match Error::from(error) {
                // The connection is alive, so the COMMIT was refused; a serialization failure rolls back.
                error @ Error::Transient(_) if conn.batch_execute("SELECT 1").is_ok() => {
                    CommitOutcome::Again { error, broken: false }
                }
                error => CommitOutcome::Unknown(error),
            },
        },
        Err(error) => {
            let broken = Manager::rollback_transaction(conn).is_err();
            match error {
                error @ Error::Transient(_) => CommitOutcome::Again { error, broken },
                error => CommitOutcome::Ended { end: Err(error), broken },
            }
        }
    }
}
