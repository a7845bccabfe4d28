//! Creates and lists beside PocketBase, which is one binary on SQLite too: the same people, entries and requests.
//!
//! What can be chosen is chosen in its favour: no rate limits, a log of warnings only, an index that fits the list, and
//! no total of what is listed. It seals no text, keeps no change feed, and its commits do not wait for the disk
//! (`synchronous=NORMAL`).

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Scale;
use super::client::{Connection, load_over, request};
use super::people::PASSPHRASE;
use super::report::{Goal, Report, median};
use super::rounds::{SHELF, Site, create, list, text};
use super::server::{Server, free_address};

/// The environment variable with the path of PocketBase's binary.
const BINARY: &str = "POCKETBASE";
/// How many connections the load comes over.
const CONNECTIONS: usize = 16;
/// The superuser's address.
const ROOT: &str = "root@example.org";
/// Where entries are made and listed.
const ENTRIES: &str = "/api/collections/entries/records";

/// Measures both on SQLite, in turn, if there is a binary of PocketBase.
pub async fn measure(scale: Scale, report: &mut Report) {
    let Some(binary) = std::env::var_os(BINARY).filter(|path| !path.is_empty()) else {
        println!("note: {BINARY} names no binary of PocketBase; what is compared with it was not measured.");
        return;
    };
    // Its people come first: the tokens of ours are good for ten minutes.
    let peer = Peer::start(Path::new(&binary), scale).await;
    let site = Site::open(scale, None).await;
    let time = scale.time;
    let [mut our_creates, mut our_lists, mut their_creates, mut their_lists] = <[Figures; 4]>::default();
    for round in 1..=scale.rounds {
        // Background work follows our creates. Our own lists come next, so that it runs beside them.
        their_creates.measure(&peer.server, time, 200, |c, n| turn(&peer.writers, c, n).create.clone()).await;
        our_creates.measure(&site.server, time, 201, |c, n| create(turn(site.writers(), c, n))).await;
        our_lists.measure(&site.server, time, 200, |c, n| list(turn(site.readable(), c, n), "me")).await;
        their_lists.measure(&peer.server, time, 200, |c, n| turn(&peer.readable, c, n).list.clone()).await;
        let last = |figures: &Figures| figures.rates.last().copied().unwrap_or(f64::NAN);
        println!(
            "round {round}: PocketBase create {:.0}/s list {:.0}/s, SQLite create {:.0}/s list {:.0}/s",
            last(&their_creates),
            last(&their_lists),
            last(&our_creates),
            last(&our_lists),
        );
    }
    site.server.stop();
    tell("create", &our_creates, &their_creates, 5.0, report);
    tell(&format!("list of {SHELF}"), &our_lists, &their_lists, 8.0, report);
}

/// Whose turn `n` of connection `c` is.
fn turn<T>(people: &[T], c: usize, n: usize) -> &T {
    &people[(c + n * CONNECTIONS) % people.len()]
}

fn tell(what: &str, ours: &Figures, theirs: &Figures, goal: f64, report: &mut Report) {
    let (rate, their_rate) = (median(&ours.rates), median(&theirs.rates));
    let figure = format!(
        "{rate:.0}/s, {:.0} µs of server CPU; PocketBase {their_rate:.0}/s, {:.0} µs",
        median(&ours.cpu),
        median(&theirs.cpu)
    );
    let measure = format!("{what} on SQLite / PocketBase, {CONNECTIONS} connections");
    report.goal(&measure, figure, rate / their_rate, Goal::Least(goal));
}

/// What the rounds came to: rates, and µs of the server's processor for each request.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

impl Figures {
    /// Measures one round on this server.
    async fn measure(
        &mut self,
        server: &Server,
        time: Duration,
        expected: u16,
        next: impl Fn(usize, usize) -> Vec<u8>,
    ) {
        let before = server.cpu();
        let done = load_over(CONNECTIONS, server.address, time, expected, next).await;
        self.cpu.push(server.spent(before, &done));
        self.rates.push(done.rate);
    }
}

/// PocketBase, with as many people as ours.
struct Peer {
    // It is dropped, and so killed, before its folder is removed.
    server: Server,
    _folder: TempDir,
    writers: Vec<Owner>,
    readable: Vec<Owner>,
}

/// The requests of somebody who has an account there.
struct Owner {
    create: Vec<u8>,
    list: Vec<u8>,
}

impl Peer {
    /// Starts it on a new folder, and makes everybody and a shelf of entries of each whose list is read.
    async fn start(binary: &Path, scale: Scale) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = || {
            let mut command = Command::new(binary);
            command.arg("--dir").arg(folder.path().join("data"));
            command
        };
        let version = Command::new(binary).arg("--version").status();
        assert!(version.is_ok_and(|status| status.success()), "{BINARY}: {} cannot be run", binary.display());
        let root = command().args(["superuser", "upsert", ROOT, PASSPHRASE]).stdout(Stdio::null()).status();
        assert!(root.unwrap().success(), "PocketBase makes no superuser");
        let (mut serve, address) = (command(), free_address());
        serve.arg("serve").arg("--http").arg(address.to_string());
        let server = Server::run(serve, address, "/api/health").await;

        let mut wire = Connection::to(address).await;
        set_up(&mut wire).await;
        let joining = futures_util::stream::iter(0..scale.writers + scale.shelves).map(|n| join(address, n));
        let mut writers: Vec<Owner> = joining.buffered(CONNECTIONS).collect().await;
        let readable = writers.split_off(scale.writers);
        for owner in &readable {
            for _ in 0..SHELF {
                let (status, body) = wire.ask(&owner.create).await;
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
            }
            let (status, body) = wire.ask(&owner.list).await;
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
            let view: Value = serde_json::from_slice(body).unwrap();
            assert_eq!(view["items"].as_array().unwrap().len(), SHELF);
        }
        Self { server, _folder: folder, writers, readable }
    }
}

/// Makes the collection of entries. Rate limits, the log and the cost of a passphrase are set as they are with ours.
async fn set_up(wire: &mut Connection) {
    let root = log_in(wire, "_superusers", ROOT).await;
    // 4 is the level of warnings.
    let settings = json!({ "logs": { "minLevel": 4 }, "rateLimits": { "enabled": false } });
    ask(wire, "PATCH", "/api/settings", &root, &settings).await;
    let mut users = ask(wire, "GET", "/api/collections/users", &root, &Value::Null).await;
    let fields = users["fields"].as_array_mut().unwrap();
    fields.iter_mut().find(|field| field["type"] == "password").unwrap()["cost"] = json!(4);
    ask(wire, "PATCH", "/api/collections/users", &root, &json!({ "fields": users["fields"] })).await;
    let owned = "@request.auth.id != '' && owner = @request.auth.id";
    let entries = json!({
        "name": "entries", "type": "base", "listRule": owned, "createRule": owned,
        "fields": [
            { "name": "owner", "type": "relation", "collectionId": users["id"], "maxSelect": 1, "required": true },
            { "name": "kind", "type": "text", "required": true },
            { "name": "title", "type": "text" },
            { "name": "body", "type": "text" },
            { "name": "occurred_at", "type": "date", "required": true },
            { "name": "created", "type": "autodate", "onCreate": true },
        ],
        "indexes": ["CREATE INDEX entries_of_owner ON entries (owner, created)"],
    });
    ask(wire, "POST", "/api/collections", &root, &entries).await;
}

/// Registers somebody and logs them in.
async fn join(address: SocketAddr, n: usize) -> Owner {
    let mut wire = Connection::to(address).await;
    let email = format!("p{n}@example.org");
    let form = json!({ "email": email, "password": PASSPHRASE, "passwordConfirm": PASSPHRASE });
    let account = ask(&mut wire, "POST", "/api/collections/users/records", "", &form).await;
    let token = log_in(&mut wire, "users", &email).await;
    let (text, now) = (text(), jiff::Timestamp::now().to_string());
    let entry = json!({
        "owner": account["id"], "kind": "reflection", "occurred_at": now,
        "title": text["title"], "body": text["body"],
    });
    let newest = format!("{ENTRIES}?sort=-created&perPage={SHELF}&skipTotal=1");
    Owner {
        create: request("POST", ENTRIES, &token, entry.to_string().as_bytes(), None),
        list: request("GET", &newest, &token, b"", None),
    }
}

/// The token of somebody in this collection.
async fn log_in(wire: &mut Connection, collection: &str, email: &str) -> String {
    let form = json!({ "identity": email, "password": PASSPHRASE });
    let path = format!("/api/collections/{collection}/auth-with-password");
    let answer = ask(wire, "POST", &path, "", &form).await;
    answer["token"].as_str().unwrap().to_owned()
}

/// A request whose answer is read; null is no body.
async fn ask(wire: &mut Connection, method: &str, path: &str, token: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, answer) = wire.ask(&request(method, path, token, body.as_bytes(), None)).await;
    assert_eq!(status, 200, "{method} {path}: {}", String::from_utf8_lossy(answer));
    serde_json::from_slice(answer).unwrap()
}
