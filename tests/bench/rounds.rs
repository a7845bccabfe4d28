//! The rounds: each measures everything once, one after the other, so that what disturbs the machine disturbs all.

use std::path::Path;

use afterglow::config::Config;
use afterglow::db::Backend;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::bare::Bare;
use super::client::{CONNECTIONS, Connection, Load, load, request};
use super::people::{self, People, Someone};
use super::report::{Goal, Report, median};
use super::server::{Server, free_address};
use super::{Scale, course, postgres};

/// How many entries a list shows.
pub const SHELF: usize = 20;

/// The server on one database, with everybody and what they wrote.
pub struct Site {
    /// The server.
    pub server: Server,
    /// Its data folder is in it.
    pub folder: TempDir,
    database: Option<String>,
    people: People,
    scale: Scale,
    creates: Vec<Load>,
    lists: Vec<Load>,
    audited: Vec<Load>,
    create_cpu: Vec<f64>,
    list_cpu: Vec<f64>,
    audited_cpu: Vec<f64>,
}

/// Measures everything that needs a server.
pub async fn run(scale: Scale, cluster: Option<&str>, report: &mut Report) {
    println!("making {} patients", scale.writers + scale.shelves);
    let mut sqlite = Site::open(scale, None).await;
    let mut postgres = match cluster {
        Some(cluster) => Some(Site::open(scale, Some(postgres::database(cluster, "afterglow_bench"))).await),
        None => None,
    };
    let baseline = cluster.map(|cluster| postgres::database(cluster, "afterglow_baseline"));
    if let Some(url) = &baseline {
        postgres::prepare(url);
    }
    let shelf = sqlite.shelf_bytes().await;
    let bare = Bare::start(sqlite.folder.path(), &shelf);
    let (mut plain, mut sending) = (Vec::new(), Vec::new());
    for round in 1..=scale.rounds {
        if let Some(url) = &baseline {
            plain.push(postgres::pgbench(url, scale.pgbench));
        }
        sqlite.round().await;
        sending.push(load(bare.address, scale.time, 200, |_, _| request("GET", "/", "", b"", None)).await.rate);
        if let Some(postgres) = &mut postgres {
            postgres.round().await;
        }
        println!(
            "round {round}: pgbench {:.0}/s, SQLite create {:.0}/s list {:.0}/s audited {:.0}/s, bare {:.0}/s{}",
            plain.last().unwrap_or(&f64::NAN),
            last(&sqlite.creates),
            last(&sqlite.lists),
            last(&sqlite.audited),
            last_of(&sending),
            postgres.as_ref().map_or_else(String::new, |site| format!(
                ", PostgreSQL create {:.0}/s list {:.0}/s audited {:.0}/s",
                last(&site.creates),
                last(&site.lists),
                last(&site.audited)
            )),
        );
    }
    drop(bare);

    let (plain, sending) = (median(&plain), median(&sending));
    report.note("pgbench, create.sql", format!("{plain:.0}/s"));
    report.note("bare handler, the bytes of a list", format!("{sending:.0}/s, {} bytes", shelf.len()));
    sqlite.tell("SQLite", (plain, 2.2), Some((sending, 0.25)), 200.0, report);
    if let Some(postgres) = &postgres {
        postgres.tell("PostgreSQL", (plain, 1.0), None, 300.0, report);
    }
    let mut wire = Connection::to(sqlite.server.address).await;
    course::complete(&mut wire, sqlite.writers(), report).await;
    drop(wire);
    sqlite.again(report, scale.prompts).await;
    if let Some(Site { server, folder, database, people, .. }) = postgres {
        server.stop();
        let wait = &people.patients[scale.writers..];
        course::deliver_on_postgres(folder.path(), &database.unwrap(), wait, scale.prompts, report).await;
    }
}

fn last(loads: &[Load]) -> f64 {
    loads.last().map_or(f64::NAN, |load| load.rate)
}

fn last_of(rates: &[f64]) -> f64 {
    rates.last().copied().unwrap_or(f64::NAN)
}

impl Site {
    /// Everybody, on a new database.
    pub async fn open(scale: Scale, database: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let people = people::make(folder.path(), database.as_deref(), address, scale).await;
        let server = Server::start(folder.path(), database.as_deref(), address).await;
        let site = Self {
            server,
            folder,
            database,
            people,
            scale,
            creates: Vec::new(),
            lists: Vec::new(),
            audited: Vec::new(),
            create_cpu: Vec::new(),
            list_cpu: Vec::new(),
            audited_cpu: Vec::new(),
        };
        for patient in site.readable() {
            site.fill(patient).await;
        }
        site
    }

    /// Those who write.
    pub fn writers(&self) -> &[Someone] {
        &self.people.patients[..self.scale.writers]
    }

    /// Those whose lists are read.
    pub fn readable(&self) -> &[Someone] {
        &self.people.patients[self.scale.writers..]
    }

    /// The therapist of everybody.
    pub fn therapist(&self) -> &Someone {
        &self.people.therapist
    }

    /// The other therapists of the clinic.
    pub fn colleagues(&self) -> &[Someone] {
        &self.people.colleagues
    }

    /// The therapist's own invitation.
    pub fn invitation(&self) -> Uuid {
        self.people.invitation
    }

    /// How long and how often things are measured.
    pub fn scale(&self) -> Scale {
        self.scale
    }

    /// Links a patient to the therapist, opens all reflections to them, and writes a shelf of them.
    async fn fill(&self, patient: &Someone) {
        let mut wire = Connection::to(self.server.address).await;
        self.confirm(&mut wire, patient, self.therapist()).await;
        let grant = json!({
            "rule": { "kind": "reflection" }, "sections": ["text", "mood", "tags"],
            "reader": { "type": "therapist", "account_id": self.people.therapist.account },
            "visible_at_once": true,
        });
        ask(&mut wire, "PUT", &format!("/v1/patients/me/grants/{}", Uuid::now_v7()), patient, Some(grant), 201).await;
        for _ in 0..SHELF {
            let (status, body) = wire.ask(&create(patient)).await;
            assert_eq!(status, 201, "{}", String::from_utf8_lossy(body));
        }
    }

    /// Confirms the link that a patient has accepted, as its therapist.
    pub async fn confirm(&self, wire: &mut Connection, patient: &Someone, therapist: &Someone) {
        let links = ask(wire, "GET", "/v1/care-links", patient, None, 200).await;
        let open = links["items"].as_array().unwrap().iter().find(|link| link["state"] == "accepted");
        let link = open.unwrap_or_else(|| panic!("{links}"))["id"].as_str().unwrap();
        ask(wire, "POST", &format!("/v1/care-links/{link}/confirm"), therapist, None, 200).await;
        self.agree(wire, patient).await;
    }

    /// Has a patient agree to the document on sharing: without it nothing can be opened to anybody.
    async fn agree(&self, wire: &mut Connection, patient: &Someone) {
        let documents = ask(wire, "GET", "/v1/consent-documents", patient, None, 200).await;
        let sharing = documents["items"].as_array().unwrap().iter().find(|document| document["key"] == "sharing");
        let (sharing, key) = (sharing.unwrap(), Uuid::now_v7().to_string());
        let text = &sharing["texts"][0];
        let consent =
            json!({ "version": sharing["version"], "locale": text["locale"], "text_sha256": text["text_sha256"] });
        let consent = consent.to_string();
        let path = "/v1/patients/me/consents/sharing";
        let (status, body) = wire.ask(&request("PUT", path, &patient.token, consent.as_bytes(), Some(&key))).await;
        assert!((200..300).contains(&status), "{}", String::from_utf8_lossy(body));
    }

    /// Stops the server, does `meanwhile` with what it left, and starts it again.
    pub async fn without_server<T>(mut self, meanwhile: impl AsyncFnOnce(Config) -> T) -> (Self, T) {
        let address = self.server.address;
        self.server.stop();
        let mut config = Config::in_folder(self.folder.path().join("data"));
        config.public_url = format!("http://{address}");
        if let Some(url) = &self.database {
            config.database = Backend::parse(url).unwrap();
        }
        let done = meanwhile(config).await;
        self.server = Server::start(self.folder.path(), self.database.as_deref(), address).await;
        (self, done)
    }

    /// What a list answers.
    async fn shelf_bytes(&self) -> Vec<u8> {
        let mut wire = Connection::to(self.server.address).await;
        let (status, body) = wire.ask(&list(&self.readable()[0], "me")).await;
        assert_eq!(status, 200);
        let view: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(view["items"].as_array().unwrap().len(), SHELF);
        body.to_vec()
    }

    async fn round(&mut self) {
        let (time, address) = (self.scale.time, self.server.address);
        let before = self.server.cpu();
        let writers = self.writers();
        let each = |c: usize, n: usize| create(&writers[(c + n * CONNECTIONS) % writers.len()]);
        let creates = load(address, time, 201, each).await;
        self.create_cpu.push(self.server.spent(before, &creates));

        let before = self.server.cpu();
        let read = self.readable();
        let each = |c: usize, n: usize| list(&read[(c + n * CONNECTIONS) % read.len()], "me");
        let lists = load(address, time, 200, each).await;
        self.list_cpu.push(self.server.spent(before, &lists));

        let before = self.server.cpu();
        let (read, therapist) = (self.readable(), &self.people.therapist);
        let each = |c: usize, n: usize| list(therapist, &read[(c + n * CONNECTIONS) % read.len()].patient.to_string());
        let audited = load(address, time, 200, each).await;
        self.audited_cpu.push(self.server.spent(before, &audited));

        self.creates.push(creates);
        self.lists.push(lists);
        self.audited.push(audited);
    }

    /// Tells what the rounds came to. With the baselines of creates and of lists come the shares of them that are to be
    /// reached; `cpu` is the most that a create may take of the server's processor, in µs.
    fn tell(&self, name: &str, create: (f64, f64), list: Option<(f64, f64)>, cpu: f64, report: &mut Report) {
        let rate = |loads: &[Load]| median(&loads.iter().map(|load| load.rate).collect::<Vec<_>>());
        let words = |loads: &[Load], cpu: &[f64]| {
            let of = |part: fn(&Load) -> f64| median(&loads.iter().map(part).collect::<Vec<_>>());
            let (p50, p99) = (of(|load| load.p50), of(|load| load.p99));
            let bytes = loads.last().map_or(0, |load| load.bytes);
            format!(
                "{:.0}/s, p50 {p50:.1} ms, p99 {p99:.1} ms, {:.0} µs of server CPU, {bytes} bytes",
                rate(loads),
                median(cpu)
            )
        };
        let (creates, lists, audited) = (rate(&self.creates), rate(&self.lists), rate(&self.audited));
        let figure = words(&self.creates, &self.create_cpu);
        if create.0.is_nan() {
            report.note(&format!("create on {name}"), figure);
        } else {
            let measure = format!("create on {name} / pgbench");
            report.goal(&measure, figure, creates / create.0, Goal::Least(create.1));
        }
        let spent = median(&self.create_cpu);
        report.goal(&format!("server CPU of a create on {name}, µs"), format!("{spent:.0} µs"), spent, Goal::Most(cpu));
        let figure = words(&self.lists, &self.list_cpu);
        match list {
            Some((bare, goal)) => {
                let measure = format!("list of {SHELF} on {name} / bare handler");
                report.goal(&measure, figure, lists / bare, Goal::Least(goal));
            }
            None => report.note(&format!("list of {SHELF} on {name}"), figure),
        }
        let figure = words(&self.audited, &self.audited_cpu);
        let measure = format!("therapist's audited list on {name} / owner's");
        report.goal(&measure, figure, audited / lists, Goal::Least(0.7));
    }

    /// Stops and starts on what is there.
    async fn again(self, report: &mut Report, prompts: usize) {
        let (folder, database, address) = (self.folder, self.database, self.server.address);
        self.server.stop();
        let mut times = Vec::new();
        for _ in 0..5 {
            let server = Server::start(folder.path(), database.as_deref(), address).await;
            times.push(server.ready.as_secs_f64() * 1000.0);
            server.stop();
        }
        let (middle, size) = (median(&times), size_of(folder.path()));
        let figure = format!("{middle:.0} ms, {size} MB of database");
        report.goal("ready on an existing database, ms", figure, middle, Goal::Most(300.0));
        let wait = &self.people.patients[self.scale.writers..];
        course::work(folder.path(), (&self.people.patients, wait), prompts, report).await;
    }
}

fn size_of(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("data/afterglow.sqlite")).map_or(0, |file| file.len() / 1_048_576)
}

/// A request whose answer is read.
pub async fn ask(
    wire: &mut Connection,
    method: &str,
    path: &str,
    who: &Someone,
    body: Option<Value>,
    expected: u16,
) -> Value {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let key = Uuid::now_v7().to_string();
    let key = (method != "GET").then_some(key.as_str());
    let (status, answer) = wire.ask(&request(method, path, &who.token, body.as_bytes(), key)).await;
    assert_eq!(status, expected, "{method} {path}: {}", String::from_utf8_lossy(answer));
    serde_json::from_slice(answer).unwrap()
}

/// The newest of a patient's entries.
pub fn list(who: &Someone, patient: &str) -> Vec<u8> {
    request("GET", &format!("/v1/patients/{patient}/entries?limit={SHELF}"), &who.token, b"", None)
}

/// Title and body of an entry: 2 KB.
pub fn text() -> Value {
    let words = "It was quiet, and I could stay where I was for a while. ";
    json!({ "title": "The lake", "body": words.chars().cycle().take(2048).collect::<String>() })
}

/// A reflection of 2 KB under a new id, with a key of its own.
pub fn create(who: &Someone) -> Vec<u8> {
    static BODY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let body = BODY.get_or_init(|| {
        let now = jiff::Timestamp::now().to_string();
        json!({ "kind": "reflection", "occurred_at": now, "zone": "Europe/Berlin", "text": text() }).to_string()
    });
    let path = format!("/v1/patients/me/entries/{}", Uuid::now_v7());
    request("PUT", &path, &who.token, body.as_bytes(), Some(&Uuid::now_v7().simple().to_string()))
}
