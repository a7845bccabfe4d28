//! Looking into a database from outside, as an operator with a shell can.

use std::time::Duration;

use afterglow::db::Backend;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use futures_util::future::join_all;

use super::database::Count;

/// A connection of the test's own.
pub enum Sql {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    text: String,
}

impl Sql {
    pub fn open(backend: &Backend) -> Self {
        match backend {
            Backend::Sqlite(path) => {
                let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
                conn.batch_execute("PRAGMA busy_timeout=5000").unwrap();
                Self::Sqlite(conn)
            }
            Backend::Postgres(url) => Self::Postgres(PgConnection::establish(url).unwrap()),
        }
    }

    pub fn rows<T>(&mut self, query: &str) -> Vec<T>
    where
        T: QueryableByName<diesel::sqlite::Sqlite> + QueryableByName<diesel::pg::Pg> + 'static,
    {
        match self {
            Self::Sqlite(conn) => diesel::sql_query(query).load(conn).unwrap(),
            Self::Postgres(conn) => diesel::sql_query(query).load(conn).unwrap(),
        }
    }

    /// Every row of a table, as text.
    pub fn dump(&mut self, table: &str, columns: &[String]) -> Vec<String> {
        let text = |column: &String| match self {
            Self::Sqlite(_) => format!("quote({column})"),
            Self::Postgres(_) => format!("coalesce(CAST({column} AS text), 'NULL')"),
        };
        let row = columns.iter().map(text).collect::<Vec<_>>().join(" || ' ' || ");
        let rows: Vec<Row> = self.rows(&format!("SELECT {row} AS text FROM {table} ORDER BY 1"));
        rows.into_iter().map(|row| row.text).collect()
    }

    /// An id as a literal of this database.
    pub fn id(&self, id: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{}'", id.replace('-', "")),
            Self::Postgres(_) => format!("'{id}'"),
        }
    }

    pub fn run(&mut self, statements: &str) {
        match self {
            Self::Sqlite(conn) => conn.batch_execute(statements).unwrap(),
            Self::Postgres(conn) => conn.batch_execute(statements).unwrap(),
        }
    }
}

/// Does `work` while a unit of somebody else has done `statements` and has not committed yet. It commits once a statement
/// of the work waits for it, or after a while. On PostgreSQL only: SQLite has one writer.
pub async fn beside<T>(backend: &Backend, statements: &str, work: impl Future<Output = T>) -> T {
    beside_until(backend, statements, 1, work).await
}

/// Does both works, and lets nothing be stored in `table` until each waits for a lock: if neither waits for the other, both
/// have counted by then what is there. SQLite has one writer, and nothing is held there.
pub async fn at_once<T>(backend: &Backend, table: &str, works: [impl Future<Output = T>; 2]) -> Vec<T> {
    let both = join_all(works);
    match backend {
        Backend::Sqlite(_) => both.await,
        Backend::Postgres(_) => beside_until(backend, &format!("LOCK TABLE {table} IN SHARE MODE"), 2, both).await,
    }
}

/// Does `work` while somebody else holds the rows `held`. Once it waits for them, they take the rows `wanted`, too: if
/// the work held those by then, each would wait for the other. On PostgreSQL only.
pub async fn in_order<T>(backend: &Backend, [held, wanted]: [&str; 2], work: impl Future<Output = T>) -> T {
    let (mut other, mut looks) = (Sql::open(backend), Sql::open(backend));
    for rows in [held, wanted] {
        assert!(looks.rows::<Count>(&format!("SELECT count(*) AS n FROM {rows}"))[0].n > 0, "{rows}");
    }
    other.run(&format!("BEGIN; SELECT 1 FROM {held} FOR UPDATE"));
    let goes_on = async {
        assert!(are_waiting(&mut looks, 1).await, "nothing waits for {held}");
        other.run(&format!("SELECT 1 FROM {wanted} FOR UPDATE NOWAIT; COMMIT"));
    };
    tokio::join!(work, goes_on).0
}

/// As [`beside`], but it commits once `waiting` statements of the work wait.
async fn beside_until<T>(backend: &Backend, statements: &str, waiting: i64, work: impl Future<Output = T>) -> T {
    let (mut other, mut looks) = (Sql::open(backend), Sql::open(backend));
    other.run(&format!("BEGIN; {statements}"));
    let commits = async {
        are_waiting(&mut looks, waiting).await;
        other.run("COMMIT");
    };
    tokio::join!(work, commits).0
}

/// Waits, for a while, until so many statements wait for locks. Returns whether they do.
async fn are_waiting(looks: &mut Sql, count: i64) -> bool {
    let waits = "SELECT count(*) AS n FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..500 {
        if looks.rows::<Count>(waits)[0].n >= count {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}
