//! The exchange of signals between processes on PostgreSQL.
//!
//! One connection of each process sends what was signalled, every 20 ms, and hears the others. It does so outside of
//! units: a `NOTIFY` holds one lock of the whole cluster until the commit.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};

use super::postgres;
use super::signals::{self, Signal, Signals};
use super::sqlite::spawn;
use crate::kernel::Result;

/// The time between two messages to other processes, and between two looks at theirs.
const PACE: Duration = Duration::from_millis(20);
/// The time after which a quiet connection is tried, and between two attempts to open one.
const PROBE: Duration = Duration::from_secs(5);
/// The name under which processes hear each other.
const CHANNEL: &str = "afterglow";

/// Starts the exchange, on a thread of its own.
pub(super) fn start(signals: Arc<Signals>, url: String) -> Result<JoinHandle<()>> {
    signals.share();
    spawn("db-signals".to_owned(), move || exchange(&signals, &url))
}

/// The connection by which signals are exchanged.
struct Line {
    conn: PgConnection,
    /// The process of the server at its other end, by which its own messages are known.
    own: i32,
    tried: Instant,
}

#[derive(QueryableByName)]
struct Backend {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

impl Line {
    fn open(url: &str) -> Result<Self> {
        let mut conn = postgres::connect(url)?;
        diesel::sql_query(format!("LISTEN {CHANNEL}")).execute(&mut conn)?;
        let own: Backend = diesel::sql_query("SELECT pg_backend_pid() AS pid").get_result(&mut conn)?;
        Ok(Self { conn, own: own.pid, tried: Instant::now() })
    }

    /// Sends what waits and returns what came.
    fn exchange(&mut self, waiting: &BTreeSet<Signal>) -> QueryResult<Vec<Signal>> {
        for message in signals::messages(waiting) {
            let notify = diesel::sql_query("SELECT pg_notify($1, $2)");
            notify.bind::<Text, _>(CHANNEL).bind::<Text, _>(message).execute(&mut self.conn)?;
            self.tried = Instant::now();
        }
        if self.tried.elapsed() > PROBE {
            diesel::sql_query("SELECT 1").execute(&mut self.conn)?;
            self.tried = Instant::now();
        }
        let mut heard = Vec::new();
        for message in self.conn.notifications_iter() {
            let message = message?;
            if message.process_id != self.own {
                heard.extend(signals::read(&message.payload));
            }
        }
        Ok(heard)
    }
}

/// Exchanges signals with other processes until the database is closed.
fn exchange(signals: &Signals, url: &str) {
    let (mut line, mut pause) = (None, Duration::ZERO);
    while let Some(waiting) = signals.take(pause) {
        pause = PACE;
        let mut ready = match line.take() {
            Some(ready) => ready,
            None => match Line::open(url) {
                Ok(fresh) => {
                    // What was signalled while there was no connection is not known.
                    if let Some(listener) = signals.listener() {
                        listener.missed();
                    }
                    fresh
                }
                Err(error) => {
                    tracing::warn!(%error, "changes of other processes are noticed late: they cannot be listened to");
                    pause = PROBE;
                    continue;
                }
            },
        };
        match ready.exchange(&waiting) {
            Ok(heard) => {
                if let Some(listener) = signals.listener() {
                    for signal in heard {
                        listener.heard(signal);
                    }
                }
                line = Some(ready);
            }
            Err(error) => tracing::warn!(%error, "the connection that listens to other processes was lost"),
        }
    }
}
