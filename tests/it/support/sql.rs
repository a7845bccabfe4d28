//! Looking into a database from outside, as an operator with a shell can.

use afterglow::db::Backend;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

/// A connection of the test's own.
pub enum Sql {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
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
