//! A fresh, migrated database for each test: a copy of one that was migrated once for this build.

use std::fs::File;
use std::path::{Path, PathBuf};
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

/// A folder that is gone when it is dropped: in memory, where the system has a place for that and `TMPDIR` names no
/// other. To wait for the disk took a third of most tests, and no test cuts the power: a process that is killed leaves
/// the same files behind in both.
pub fn new_folder() -> TempDir {
    #[expect(clippy::disallowed_methods, reason = "the tests' own configuration")]
    let chosen = std::env::var_os("TMPDIR").is_some();
    let in_memory = if chosen || !has_room() { None } else { tempfile::tempdir_in("/dev/shm").ok() };
    in_memory.unwrap_or_else(|| tempfile::tempdir().unwrap())
}

/// Whether the place in memory is known to have at least a gigabyte: a container has 64 MB by default.
fn has_room() -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let place = mounts.lines().rfind(|line| line.split(' ').nth(1) == Some("/dev/shm"));
    let size = place.and_then(|line| line.split("size=").nth(1)?.split('k').next()?.parse::<u64>().ok());
    size.is_some_and(|kilobytes| kilobytes >= 1_000_000)
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
        Self::migrated(None)
    }

    pub fn postgres(server: &str) -> Self {
        Self::migrated(Some(server.to_owned()))
    }

    fn migrated(server: Option<String>) -> Self {
        let template = Template::of("migrated", server);
        template.copy_or_lock().unwrap_or_else(|_locked| {
            let made = Self::empty(template.server.as_deref());
            migrate::run(&made.backend, Family::Main).unwrap();
            template.keep(&made);
            made
        })
    }

    /// A copy of the database that `fill` makes, keys and all: it is filled once for this build, and once for each
    /// PostgreSQL server.
    pub async fn made_once(name: &str, fill: impl AsyncFnOnce(Self) -> Self) -> Self {
        let template = Template::of(name, postgres_url());
        match template.copy_or_lock() {
            Ok(copy) => copy,
            Err(_locked) => {
                let made = fill(Self::fresh()).await;
                template.keep(&made);
                made
            }
        }
    }

    /// A database without tables.
    fn empty(server: Option<&str>) -> Self {
        server.map_or_else(Self::in_folder, |server| Self::on_server(server, "template1"))
    }

    fn on_server(server: &str, template: &str) -> Self {
        let name = format!("t_{}", uuid::Uuid::from_bytes(random()).simple());
        let mut admin = PgConnection::establish(server).unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).unwrap();
        let backend = Backend::Postgres(with_database(server, &name));
        let folder = new_folder();
        Self { backend, folder, server: Some((server.to_owned(), name)) }
    }

    fn in_folder() -> Self {
        let folder = new_folder();
        let backend = Backend::Sqlite(folder.path().join("afterglow.sqlite"));
        Self { backend, folder, server: None }
    }

    /// The same database, for another server beside the one that has it.
    pub fn shared(&self) -> Self {
        Self { backend: self.backend.clone(), folder: new_folder(), server: None }
    }

    /// A copy of the rows, as a backup keeps them, while nobody is connected. The keys stay where they are.
    pub fn copy(&self) -> Self {
        let Some((server, name)) = &self.server else {
            let copy = Self::in_folder();
            std::fs::copy(self.file(), copy.file()).unwrap();
            return copy;
        };
        Self::on_server(server, name)
    }

    /// Puts the rows of a copy in the place of the present ones, while nobody is connected.
    pub fn restore(&self, copy: &Self) {
        let (Some((server, name)), Some((_, copy))) = (&self.server, &copy.server) else {
            std::fs::copy(copy.file(), self.file()).unwrap();
            return;
        };
        let mut admin = PgConnection::establish(server).unwrap();
        admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {copy}")).unwrap();
    }

    fn file(&self) -> &Path {
        let Backend::Sqlite(path) = &self.backend else { panic!("it is no file") };
        path
    }

    /// Everything of this one; what is left has nothing to clean up.
    pub fn take(&mut self) -> Self {
        let folder = std::mem::replace(&mut self.folder, new_folder());
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

/// What databases are copied from: made once for each build and server, kept below `CARGO_TARGET_TMPDIR`.
struct Template {
    name: String,
    /// The name of this build's, which is the database's on PostgreSQL.
    kept: String,
    /// Files of SQLite and keys. While it is missing, there is no template.
    folder: PathBuf,
    server: Option<String>,
}

impl Template {
    fn of(name: &str, server: Option<String>) -> Self {
        let kept = format!("{name}_{}", build_stamp());
        let of = server.as_deref().map_or("sqlite", |url| url.rsplit_once(':').map_or(url, |(_, port)| port));
        let of = of.replace(|c: char| !c.is_alphanumeric(), "_");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{kept}_{of}"));
        Self { name: name.to_owned(), kept, folder, server }
    }

    /// A copy, or the lock under which the template is to be made.
    fn copy_or_lock(&self) -> Result<Database, File> {
        let lock = File::create(self.folder.with_file_name(format!("{}.lock", self.name))).unwrap();
        // Copies are made at the same time, and not while another build clears this one's template away.
        lock.lock_shared().unwrap();
        if let Some(copy) = self.copied() {
            return Ok(copy);
        }
        lock.unlock().unwrap();
        lock.lock().unwrap();
        self.copied().ok_or(lock)
    }

    fn copied(&self) -> Option<Database> {
        let there = |url: &str| database_exists(&mut PgConnection::establish(url).unwrap(), &self.kept);
        if !self.folder.exists() || !self.server.as_deref().is_none_or(there) {
            return None;
        }
        let copied = match &self.server {
            None => Database::in_folder(),
            Some(server) => Database::on_server(server, &self.kept),
        };
        copy(&self.folder, copied.folder.path());
        Some(copied)
    }

    /// Makes the template from a database that nobody is connected to.
    fn keep(&self, made: &Database) {
        if let Some((server, full)) = &made.server {
            let mut admin = PgConnection::establish(server).unwrap();
            admin.batch_execute(&format!("DROP DATABASE IF EXISTS {}", self.kept)).unwrap();
            admin.batch_execute(&format!("CREATE DATABASE {} TEMPLATE {full}", self.kept)).unwrap();
        }
        // Clears away what earlier builds, and killed runs of this one, have left.
        let (family, own) = (format!("{}_", self.name), self.folder.file_name().unwrap().to_str().unwrap());
        for old in std::fs::read_dir(self.folder.parent().unwrap()).unwrap().map(Result::unwrap) {
            let file = old.file_name().into_string().unwrap();
            if file.starts_with(own) || file.starts_with(&family) && !file.starts_with(&self.kept) {
                std::fs::remove_dir_all(old.path()).unwrap();
            }
        }
        // Killed while it copies, a test leaves nothing that looks whole.
        let part = self.folder.with_extension("part");
        copy(made.folder.path(), &part);
        std::fs::rename(part, &self.folder).unwrap();
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
