//! How the sandbox stands on the machine: what it leaves behind, who reaches it, and that `serve` has none of it.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::{TestApp, document, new_id};
use crate::support::child::{Child, Web};
use crate::support::database::Database;
use crate::support::people::registration;
use crate::support::playground::{MARA, NOW, TESS, entry, list, log_in, put};
use crate::support::sources;

const ADDRESSES: &[&str] = &[
    "/sandbox",
    "/sandbox/",
    "/sandbox/reset",
    "/sandbox/epoch",
    "/sandbox/clock",
    "/sandbox/outbox",
    "/sandbox/fault",
];

/// Runs the built command in an empty folder, with nothing of this machine's environment in it.
fn command(folder: &Path) -> Command {
    let temporary = folder.join("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterglow"));
    command.current_dir(folder).env_clear().env("TMPDIR", temporary).env("HOME", folder).args(["--log", "warn"]);
    command
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let inside = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    inside.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// The program itself. Killed when dropped.
struct Program {
    process: std::process::Child,
    web: Web,
}

impl Program {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(folder);
        command.args(["sandbox", "--listen", "127.0.0.1:0", "--workers", "1", "--at", NOW]).args(arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.find_map(|line| Some(line.strip_prefix("API reference: ")?.strip_suffix("/docs")?.to_owned()));
        Self { process, web: Web::new(&url.expect("it says where it listens")) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[actix_web::test]
async fn the_program_starts_filled_and_leaves_nothing_behind_however_it_ends() {
    for signal in ["-TERM", "-INT", "-KILL"] {
        let folder = tempfile::tempdir().unwrap();
        // What the operator has set for `serve` is not touched, and not even looked at.
        let elsewhere = ["--data-dir", "data", "--key-dir", "data/keys", "--database-url", "postgres://nobody@far/x"];
        let mut program = Program::start(folder.path(), &elsewhere);
        let mara = log_in(&program.web, MARA).await;
        assert!(list(&mara, "/v1/patients/me/entries").await.len() > 3);
        let (path, body) = entry();
        assert_eq!(put(&mara, &path, &body, "one").await.unwrap().0, 201);
        let moved = program.web.expect(Method::POST, "/sandbox/clock", json!({ "advance": "P1D" }), 200).await;
        assert!(moved["delivered"].as_u64().unwrap() > 0, "{moved}");
        assert_eq!(below(folder.path()), Vec::<PathBuf>::new(), "while it runs");
        let id = program.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let ended = program.process.wait().unwrap();
        assert_eq!(ended.success(), signal != "-KILL", "{signal}: {ended}");
        assert_eq!(below(folder.path()), Vec::<PathBuf>::new(), "after {signal}");
        assert!(!folder.path().join("data").exists());
    }
}

#[actix_web::test]
async fn no_letter_to_its_made_up_people_leaves_whatever_serve_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let letters = ["--mail", "file", "--mail-dir", "letters", "--open-registration"];
    let program = Program::start(folder.path(), &letters);
    let tess = log_in(&program.web, TESS).await;
    let invitation = tess.expect(Method::POST, "/v1/invitations", json!({ "kind": "patient" }), 201).await;
    // Where letters leave, one asks for the proof of the address of whoever joins.
    let ann = registration("Ann Lind", invitation["code"].as_str().unwrap());
    program.web.expect(Method::POST, "/v1/auth/register", ann, 201).await;
    program.web.expect(Method::POST, "/sandbox/clock", json!({ "advance": "P1D" }), 200).await;
    assert_eq!(below(folder.path()), Vec::<PathBuf>::new());
}

#[actix_web::test]
async fn the_clock_of_the_program_runs_if_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), &["--ticking"]);
    let started = Instant::now();
    while program.web.expect(Method::GET, "/sandbox/clock", serde_json::Value::Null, 200).await["now"] == NOW {
        assert!(started.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn it_listens_on_this_machine_only() {
    let folder = tempfile::tempdir().unwrap();
    let end =
        |address: &str| -> Output { command(folder.path()).args(["sandbox", "--listen", address]).output().unwrap() };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let output = end(address);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("on this machine only"), "{address}: {said}");
    }
    assert!(!end("nowhere").status.success());
    let when = command(folder.path()).args(["sandbox", "--at", "tomorrow"]).output().unwrap();
    assert!(!when.status.success() && String::from_utf8_lossy(&when.stderr).contains("--at"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = end(&address);
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address), "{output:?}");
    assert_eq!(below(folder.path()), Vec::<PathBuf>::new());
}

#[actix_web::test]
async fn serve_has_none_of_it() {
    let database = Database::fresh();
    let server = Child::serve(&database, &["--log", "warn"]).await;
    let web = Web::new(&server.url);
    for path in ADDRESSES {
        for method in
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        {
            let said = format!("{method} {path}");
            let request = web.call(method.clone(), path).json(&json!({ "lose": 1, "advance": "PT1H" }));
            let (status, body, _) = web.send(request).await.unwrap();
            assert_eq!(status, StatusCode::NOT_FOUND, "{said}");
            assert!(method == Method::HEAD || body["code"] == "not_found", "{said}: {body}");
        }
    }
    let app = TestApp::start().await;
    let nothing = app.get(&format!("/{}", new_id(&app))).send().await.not_found();
    for path in ADDRESSES {
        let answer = app.get(path).send().await.not_found();
        assert_eq!(answer.body["title"], nothing.body["title"]);
    }
    assert!(document()["paths"].as_object().unwrap().keys().all(|path| !path.contains("sandbox")));
}

#[test]
fn only_its_own_command_mounts_it() {
    let sources = sources::shipped();
    let strangers: Vec<&str> = sources
        .iter()
        .filter(|source| source.slice() != "sandbox" && source.name != "cli.rs")
        // Apple calls its service for apps under development so.
        .filter(|source| source.code.replace("api.sandbox.push.apple.com", "").to_lowercase().contains("sandbox"))
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(strangers, Vec::<&str>::new(), "nothing else knows of the sandbox");
    let mounted: Vec<&str> = sources
        .iter()
        .filter(|source| source.code.contains("listen_with(Some") || source.code.contains("impl ExtraRoutes for"))
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(mounted, ["cli.rs", "sandbox/routes.rs"], "one set of extra routes, mounted at one place");
    let cli = &sources.iter().find(|source| source.name == "cli.rs").unwrap().code;
    let body = |name: &str| {
        let (_, rest) = cli.split_once(&format!("async fn {name}(")).unwrap();
        rest.split("\nasync fn ").next().unwrap().to_owned()
    };
    assert!(body("sandbox").contains("listen_with(Some"));
    assert_eq!(cli.matches("listen_with").count(), 1);
    let calls = cli.matches("sandbox(options").count() - cli.matches("fn sandbox(options").count();
    assert_eq!(calls, 1, "and only `execute` calls it");
    assert!(!body("serve").to_lowercase().contains("sandbox") && !body("work").to_lowercase().contains("sandbox"));
}
