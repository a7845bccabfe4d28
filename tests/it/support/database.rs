//! A fresh, migrated database for each test.

use std::sync::Once;

use afterglow::db::migrate::{self, Family};
use afterglow::db::{Backend, Db};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use tempfile::TempDir;

/// Where PostgreSQL is, when the tests are to run on it.
pub fn postgres_url() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    let url = std::env::var("AFTERGLOW_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        if url.is_none() {
            eprintln!("note: AFTERGLOW_TEST_POSTGRES is not set; PostgreSQL was not tested. See README, Tests.");
        }
    });
    url
}

pub fn on_postgres() -> bool {
    postgres_url().is_some()
}

/// A database that is gone when this is.
pub struct Database {
    pub backend: Backend,
    pub folder: TempDir,
    server: Option<(String, String)>,
}

impl Database {
    /// A database with the tables of this build, on the server the tests run on.
    pub fn fresh() -> Self {
        match postgres_url() {
            Some(url) => Self::postgres(&url),
            None => Self::sqlite(),
        }
    }

    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = Backend::Sqlite(folder.path().join("afterglow.sqlite"));
        migrate::run(&backend, Family::Main).unwrap();
        Self { backend, folder, server: None }
    }

    pub fn postgres(server: &str) -> Self {
        let template = template(server);
        let name = format!("t_{}", uuid::Uuid::from_bytes(random()).simple());
        let mut admin = PgConnection::establish(server).unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).unwrap();
        let backend = Backend::Postgres(with_database(server, &name));
        let folder = tempfile::tempdir().unwrap();
        Self { backend, folder, server: Some((server.to_owned(), name)) }
    }

    /// Everything of this one; what is left has nothing to clean up.
    pub fn take(&mut self) -> Self {
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self { backend: self.backend.clone(), folder, server: self.server.take() }
    }

    pub fn open(&self) -> Db {
        Db::open(self.backend.clone()).unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.server
            && let Ok(mut admin) = PgConnection::establish(server)
        {
            let _ = admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// A migrated database to clone from, made once per server and build.
fn template(server: &str) -> String {
    let build = std::env::current_exe().unwrap();
    let made = std::fs::metadata(&build).unwrap().modified().unwrap();
    let stamp = made.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let name = format!("template_{stamp}");
    let mut admin = PgConnection::establish(server).unwrap();
    diesel::sql_query("SELECT pg_advisory_lock(77)").execute(&mut admin).unwrap();
    let found = diesel::sql_query("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1) AS found")
        .bind::<Text, _>(&name)
        .get_result::<Exists>(&mut admin)
        .unwrap()
        .found;
    if !found {
        let building = format!("{name}_building");
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {building} WITH (FORCE)")).unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {building}")).unwrap();
        migrate::run(&Backend::Postgres(with_database(server, &building)), Family::Main).unwrap();
        admin.batch_execute(&format!("ALTER DATABASE {building} RENAME TO {name}")).unwrap();
    }
    diesel::sql_query("SELECT pg_advisory_unlock(77)").execute(&mut admin).unwrap();
    name
}

fn with_database(server: &str, name: &str) -> String {
    let (base, query) = server.split_once('?').map_or((server, None), |(base, query)| (base, Some(query)));
    let (root, _) = base.rsplit_once('/').unwrap();
    query.map_or_else(|| format!("{root}/{name}"), |query| format!("{root}/{name}?{query}"))
}

fn random() -> [u8; 16] {
    afterglow::kernel::Entropy::System.bytes()
}

/// The count a `SELECT count(*) AS n` answers.
#[derive(QueryableByName)]
pub struct Count {
    #[diesel(sql_type = BigInt)]
    pub n: i64,
}
