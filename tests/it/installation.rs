//! Data, keyring and root key that do not belong together are refused, and what is missing beside what is in use is not
//! made anew.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use afterglow::app::Server;
use afterglow::config::Config;
use afterglow::db::Backend;
use afterglow::kernel::{Clock, Entropy, Error};
use afterglow::vault::Purpose;
use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::app::START;
use crate::support::child::{self, Child, Web};
use crate::support::database::{Count, Database, on_postgres};

/// An empty place for a database.
struct Place {
    backend: Backend,
    _held: Option<Database>,
}

impl Place {
    fn empty(folder: &Path, name: &str) -> Self {
        if !on_postgres() {
            return Self { backend: Backend::Sqlite(folder.join(format!("{name}.sqlite"))), _held: None };
        }
        let held = Database::fresh();
        run(&held.backend, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
        Self { backend: held.backend.clone(), _held: Some(held) }
    }

    fn is_empty(&self) -> bool {
        match &self.backend {
            Backend::Sqlite(path) => !path.exists(),
            Backend::Postgres(url) => {
                let query = "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'";
                let mut conn = PgConnection::establish(url).unwrap();
                diesel::sql_query(query).get_result::<Count>(&mut conn).unwrap().n == 0
            }
        }
    }
}

fn run(backend: &Backend, sql: &str) {
    match backend {
        Backend::Sqlite(path) => {
            SqliteConnection::establish(path.to_str().unwrap()).unwrap().batch_execute(sql).unwrap();
        }
        Backend::Postgres(url) => PgConnection::establish(url).unwrap().batch_execute(sql).unwrap(),
    }
}

/// The three parts of an installation; a part that is `None` is missing.
#[derive(Clone)]
struct Parts {
    data: Backend,
    keyring: Backend,
    root: Option<Vec<u8>>,
}

impl Parts {
    /// The settings of a server with these parts, with a key folder of its own.
    fn config(&self, folder: &Path) -> Config {
        let mut config = Config::in_folder(folder.join("data"));
        (config.database, config.keyring) = (self.data.clone(), Some(self.keyring.clone()));
        if let Some(root) = &self.root {
            std::fs::create_dir(&config.key_dir).unwrap();
            std::fs::set_permissions(&config.key_dir, std::fs::Permissions::from_mode(0o700)).unwrap();
            std::fs::write(config.key_dir.join("root.key"), root).unwrap();
            std::fs::set_permissions(config.key_dir.join("root.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        config
    }

    /// Runs a command on these parts.
    fn command(&self, arguments: &[&str]) -> (Output, PathBuf, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let config = self.config(folder.path());
        let url = |backend: &Backend| match backend {
            Backend::Sqlite(path) => format!("sqlite:{}", path.display()),
            Backend::Postgres(url) => url.clone(),
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
        command.env_clear().arg("--data-dir").arg(&config.data_dir).args(["--listen", "127.0.0.1:0"]);
        command.args(["--public-url", "http://afterglow.example"]);
        command.args(["--database-url", &url(&self.data), "--keyring-url", &url(&self.keyring)]);
        (command.args(arguments).output().unwrap(), config.key_dir, folder)
    }
}

async fn opened(config: Config) -> Result<Server, String> {
    Server::open(config, Clock::manual(START.parse().unwrap()), Entropy::System).await.map_err(|error| match error {
        Error::Internal(why) => why.to_string(),
        other => other.to_string(),
    })
}

/// Makes keys and uses them in the data, as a registration does.
async fn join(server: &Server) {
    let (subject, state) = (server.state.entropy.opaque(), &server.state);
    let keys = state.vault.create(subject, &[Purpose::Account], state.clock.now()).await.unwrap();
    let vault = state.vault.clone();
    state.db.write(move |tx| vault.keep(tx, &keys)).await.unwrap();
}

/// An installation in which somebody has joined, with the places that hold it.
struct Installation {
    parts: Parts,
    _places: [Place; 2],
    _folder: TempDir,
}

async fn installation(name: &str) -> Installation {
    let folder = tempfile::tempdir().unwrap();
    let places = [format!("{name}-data"), format!("{name}-keyring")].map(|name| Place::empty(folder.path(), &name));
    let mut parts = Parts { data: places[0].backend.clone(), keyring: places[1].backend.clone(), root: None };
    let config = parts.config(folder.path());
    let server = opened(config.clone()).await.unwrap();
    join(&server).await;
    server.close();
    parts.root = Some(std::fs::read(config.key_dir.join("root.key")).unwrap());
    Installation { parts, _places: places, _folder: folder }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Ours,
    Others,
    Missing,
}

use Part::{Missing, Others, Ours};

/// What is said of a combination; nothing when it is right.
fn expected(data: Part, keyring: Part, root: Part) -> Vec<&'static str> {
    let used = |part| part != Missing;
    let mut words = Vec::new();
    let mut say = |wrong: bool, text| words.extend(wrong.then_some(text));
    say(!used(root) && (used(data) || used(keyring)), "the root key is missing");
    say(!used(keyring) && used(data), "the keyring is missing");
    say(!used(data) && used(keyring), "the database is missing");
    say(used(data) && used(keyring) && data != keyring, "of different installations");
    say(used(root) && used(keyring) && root != keyring, "the root key does not belong to this keyring");
    say(used(root) && used(data) && root != data, "the root key does not belong to this database");
    words
}

#[actix_web::test]
async fn each_combination_of_data_keyring_and_root_key_is_accepted_or_refused_by_name() {
    let (ours, others) = (installation("ours").await, installation("others").await);
    for data in [Ours, Others, Missing] {
        for keyring in [Ours, Others, Missing] {
            for root in [Ours, Others, Missing] {
                let said = format!("data {data:?}, keyring {keyring:?}, root key {root:?}");
                let folder = tempfile::tempdir().unwrap();
                let new = ["new-data", "new-keyring"].map(|name| Place::empty(folder.path(), name));
                let of = |part: Part| match part {
                    Ours => ours.parts.clone(),
                    Others => others.parts.clone(),
                    Missing => Parts { data: new[0].backend.clone(), keyring: new[1].backend.clone(), root: None },
                };
                let parts = Parts { data: of(data).data, keyring: of(keyring).keyring, root: of(root).root };
                let config = parts.config(folder.path());
                let words = expected(data, keyring, root);
                match opened(config.clone()).await {
                    Ok(server) => {
                        server.close();
                        assert!(words.is_empty(), "{said}: started");
                    }
                    Err(why) => {
                        assert!(!words.is_empty(), "{said}: {why}");
                        for word in &words {
                            assert!(why.contains(word), "{said}: {why:?} does not say {word:?}");
                        }
                        assert_eq!(why.lines().count(), words.len(), "{said}: {why}");
                        assert!(new.iter().all(Place::is_empty), "{said}: something was made");
                        assert_eq!(config.key_dir.join("root.key").exists(), root != Missing, "{said}");
                    }
                }
            }
        }
    }
}

#[actix_web::test]
async fn every_command_says_the_same_and_makes_nothing() {
    let (ours, others) = (installation("ours").await, installation("others").await);
    let mut commands =
        vec![vec!["serve"], vec!["check-config"], vec!["migrate"], vec!["demo"], vec!["audit", "verify"]];
    if on_postgres() {
        commands.push(vec!["worker"]);
    }
    let folder = tempfile::tempdir().unwrap();
    let new = ["new-data", "new-keyring"].map(|name| Place::empty(folder.path(), name));
    let right = ours.parts.clone();
    for (parts, words) in [
        (Parts { data: new[0].backend.clone(), ..right.clone() }, "the database is missing"),
        (Parts { keyring: new[1].backend.clone(), ..right.clone() }, "the keyring is missing"),
        (Parts { root: None, ..right.clone() }, "the root key is missing"),
        (Parts { data: others.parts.data.clone(), ..right.clone() }, "of different installations"),
        (Parts { keyring: others.parts.keyring.clone(), ..right.clone() }, "of different installations"),
        (Parts { root: others.parts.root.clone(), ..right.clone() }, "the root key does not belong to"),
    ] {
        for command in &commands {
            let (output, keys, _folder) = parts.command(command);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains(words), "{command:?}: {said:?} does not say {words:?}");
            assert!(new.iter().all(Place::is_empty), "{command:?} of what says {words:?} made something");
            assert_eq!(keys.join("root.key").exists(), parts.root.is_some(), "{command:?}");
        }
    }
    for command in [["check-config"].as_slice(), &["migrate"], &["audit", "verify"]] {
        let (output, ..) = right.command(command);
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    // Without an installation there is nothing to verify, and nothing is made.
    let none = Parts { data: new[0].backend.clone(), keyring: new[1].backend.clone(), root: None };
    let (output, keys, _folder) = none.command(&["audit", "verify"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing to verify"), "{output:?}");
    assert!(new.iter().all(Place::is_empty) && !keys.exists());
}

#[actix_web::test]
async fn a_start_that_was_cut_off_is_finished_by_the_next() {
    let whole = installation("whole").await;
    let folder = tempfile::tempdir().unwrap();
    let (data, keyring) = (Place::empty(folder.path(), "data-1"), Place::empty(folder.path(), "keyring-1"));
    let parts = Parts { data: data.backend.clone(), keyring: keyring.backend.clone(), root: whole.parts.root.clone() };
    let config = parts.config(folder.path());
    let vault = config.vault();
    // The root key and the keyring are there, and the data are not.
    let vault = afterglow::vault::Vault::open(vault, Some(data.backend.clone()), Entropy::System).await.unwrap();
    vault.close();
    assert!(data.is_empty() && !keyring.is_empty());
    let server = opened(config.clone()).await.unwrap();
    join(&server).await;
    server.close();
    drop(server);
    opened(config).await.unwrap().close();
}

/// What a server says of its readiness.
async fn warnings(web: &Web) -> Value {
    web.expect(Method::GET, "/readyz", Value::Null, 200).await["warnings"].clone()
}

#[actix_web::test]
async fn a_keyring_older_than_the_data_is_said_until_the_newest_is_back() {
    let database = Database::fresh();
    let code = child::first_run_code(&database).await;
    let keys = database.folder.path().join("data-keys");
    let (keyring, copy) = (keys.join("keyring.sqlite"), |name: &str| database.folder.path().join(name));
    let put = |from: PathBuf| {
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(keys.join(format!("keyring.sqlite{end}")));
        }
        std::fs::copy(from, &keyring).unwrap();
    };
    let metric = async |web: &Web| {
        let text = web.call(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("keyring_changes_missing "));
        line.unwrap().to_owned()
    };
    // The log is whole once the server has ended: a thread of its own writes it.
    let stopped = async |mut server: Child| {
        server.ask_to_stop();
        assert!(server.ended(std::time::Duration::from_secs(20)).await.success());
        server.logged()
    };
    std::fs::copy(&keyring, copy("old")).unwrap();
    let server = Child::serve(&database, &[]).await;
    let web = Web::new(&server.url);
    web.found(&code).await;
    assert_eq!((warnings(&web).await, metric(&web).await), (serde_json::json!([]), "0".to_owned()));
    stopped(server).await;
    std::fs::copy(&keyring, copy("new")).unwrap();

    put(copy("old"));
    let older = "the keyring is older than the data";
    let (status, said) = child::run(&database, &["check-config"]);
    assert!(status.success() && said.contains(older), "{said}");
    // Said at each start, also once the keyring has gone on.
    for _ in 0..2 {
        let server = Child::serve(&database, &[]).await;
        let web = Web::new(&server.url);
        let said = warnings(&web).await;
        // A clinic, three accounts, and a patient.
        assert_eq!(said, serde_json::json!([{ "code": "keyring_older_than_data", "count": 5 }]));
        assert_eq!(metric(&web).await, "5");
        let log = stopped(server).await;
        assert!(log.contains(older), "{log}");
    }

    put(copy("new"));
    let (status, said) = child::run(&database, &["check-config"]);
    assert!(status.success() && !said.contains(older), "{said}");
    let server = Child::serve(&database, &[]).await;
    assert_eq!(warnings(&Web::new(&server.url)).await, serde_json::json!([]));
    let log = stopped(server).await;
    assert!(!log.contains(older), "{log}");
}

#[actix_web::test]
async fn data_older_than_the_keyring_are_no_fault() {
    let ours = installation("ours").await;
    let folder = tempfile::tempdir().unwrap();
    let server = opened(ours.parts.config(folder.path())).await.unwrap();
    // The keys are made, and the unit that would have used them never ran.
    let (subject, state) = (server.state.entropy.opaque(), &server.state);
    state.vault.create(subject, &[Purpose::Account], state.clock.now()).await.unwrap();
    server.close();
    drop(server);
    let folder = tempfile::tempdir().unwrap();
    let server = opened(ours.parts.config(folder.path())).await.unwrap();
    assert_eq!(server.state.vault.missing_changes(), 0);
    server.close();
}
