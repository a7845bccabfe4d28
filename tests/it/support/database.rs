//! A fresh, migrated database for each test.

use std::fs::File;
use std::path::Path;
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
        let made = Self::in_folder();
        migrate::run(&made.backend, Family::Main).unwrap();
        made
    }

    pub fn postgres(server: &str) -> Self {
        Self::postgres_like(server, &template(server))
    }

    fn postgres_like(server: &str, template: &str) -> Self {
        let name = format!("t_{}", uuid::Uuid::from_bytes(random()).simple());
        let mut admin = PgConnection::establish(server).unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).unwrap();
        let backend = Backend::Postgres(with_database(server, &name));
        let folder = tempfile::tempdir().unwrap();
        Self { backend, folder, server: Some((server.to_owned(), name)) }
    }

    /// A copy of the database that `fill` makes, keys and all: it is filled once for this build, and once for each
    /// PostgreSQL server.
    pub async fn made_once(name: &str, fill: impl AsyncFnOnce(&Self)) -> Self {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let lock = File::create(place.join(format!("{name}.lock"))).unwrap();
        lock.lock().unwrap();
        let server = postgres_url();
        let kept = format!("{name}_{}", build_stamp());
        let of = server.as_deref().map_or("sqlite", |url| url.rsplit_once(':').map_or(url, |(_, port)| port));
        let folder = place.join(format!("{kept}_{}", of.replace(|c: char| !c.is_alphanumeric(), "_")));
        let there =
            server.as_deref().is_none_or(|url| database_exists(&mut PgConnection::establish(url).unwrap(), &kept));
        if !there || !folder.exists() {
            let made = Self::fresh();
            fill(&made).await;
            if let Some((server, full)) = &made.server {
                let mut admin = PgConnection::establish(server).unwrap();
                admin.batch_execute(&format!("DROP DATABASE IF EXISTS {kept}")).unwrap();
                admin.batch_execute(&format!("CREATE DATABASE {kept} TEMPLATE {full}")).unwrap();
            }
            // What earlier builds have left.
            for old in std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()) {
                let stale = old.file_name().unwrap().to_string_lossy().starts_with(&format!("{name}_"));
                if stale && (old == folder || server.is_none()) {
                    std::fs::remove_dir_all(old).unwrap();
                }
            }
            // Whoever is killed while copying leaves nothing that looks whole.
            let part = folder.with_extension("part");
            copy(made.folder.path(), &part);
            std::fs::rename(part, &folder).unwrap();
        }
        let copied = match &server {
            None => Self::in_folder(),
            Some(url) => Self::postgres_like(url, &kept),
        };
        copy(&folder, copied.folder.path());
        copied
    }

    fn in_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = Backend::Sqlite(folder.path().join("afterglow.sqlite"));
        Self { backend, folder, server: None }
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

fn database_exists(admin: &mut PgConnection, name: &str) -> bool {
    let query = "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1) AS found";
    diesel::sql_query(query).bind::<Text, _>(name).get_result::<Exists>(admin).unwrap().found
}

/// When these tests were built.
fn build_stamp() -> u128 {
    let build = std::env::current_exe().unwrap();
    let made = std::fs::metadata(&build).unwrap().modified().unwrap();
    made.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
}

/// Copies what is in a folder into another.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A migrated database to clone from, made once per server and build.
fn template(server: &str) -> String {
    let name = format!("template_{}", build_stamp());
    let mut admin = PgConnection::establish(server).unwrap();
    diesel::sql_query("SELECT pg_advisory_lock(77)").execute(&mut admin).unwrap();
    if !database_exists(&mut admin, &name) {
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
