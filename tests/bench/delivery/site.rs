//! The clinic whose prompts come due: its people and their phones, a server that answers, and workers beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use afterglow::app::{self, Server};
use afterglow::channels::Channels;
use afterglow::config::Config;
use afterglow::db::schema::prompts;
use afterglow::db::{AnyConnection, At, Backend, Tx};
use afterglow::delivery::LogChannel;
use afterglow::kernel::id::{Patient, Prompt};
use afterglow::kernel::{Clock, Entropy, Id};
use afterglow::planning::{Planned, PromptKind, Why};
use afterglow::prompts::model::PromptDoc;
use afterglow::vault::{Purpose, SealContext};
use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::sink::id_at;
use crate::Scale;
use crate::client::Connection;
use crate::people::{self, Someone};
use crate::rounds::{ask, create};
use crate::server::free_address;

/// Rows of one unit.
const ROWS: usize = 2000;
/// Rows of one unit that nobody opens.
const BULK: usize = 50_000;
/// Patients whose entries are listed.
const READERS: usize = 8;
/// The entries of each.
const SHELF: usize = 20;

/// Everybody, and a server without background work that answers them.
pub struct Site {
    /// The server.
    pub server: Server,
    /// Where it answers.
    pub address: SocketAddr,
    /// The patients whom a gateway reaches. The first ones have entries.
    pub gateways: Vec<Someone>,
    /// The patients whose browsers are reached.
    pub browsers: Vec<Someone>,
    config: Config,
    handle: ServerHandle,
    thread: JoinHandle<()>,
    _folder: TempDir,
}

#[derive(Insertable)]
#[diesel(table_name = prompts)]
struct PromptRow {
    patient_id: Id<Patient>,
    id: Id<Prompt>,
    doc: Vec<u8>,
    stage: i32,
    due_at: At,
    expires_at: At,
    next_action_at: Option<At>,
    version: i64,
    created_at: At,
    updated_at: At,
}

impl Site {
    /// Opens it on a new database, among `planned` prompts that are due on other days.
    pub async fn open(scale: Scale, database: Option<String>, planned: usize) -> Self {
        let (folder, address) = (tempfile::tempdir().unwrap(), free_address());
        let all = people::make(folder.path(), database.as_deref(), address, Scale { shelves: 0, ..scale }).await;
        let mut config = Config::in_folder(folder.path().join("data"));
        if let Some(url) = &database {
            config.database = Backend::parse(url).unwrap();
        }
        config.public_url = format!("http://{address}");
        config.auth_per_minute = None;
        config.requests_per_minute = None;
        let server = Server::open(config.clone(), Clock::System, Entropy::System).await.unwrap();
        let listener = std::net::TcpListener::bind(address).unwrap();
        let (give, take) = std::sync::mpsc::channel();
        let listening = server.clone();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let running = listening.listen(listener, 2).unwrap();
                give.send(running.handle()).unwrap();
                running.await.unwrap();
            });
        });
        let handle = take.recv().unwrap();
        let mut gateways = all.patients;
        let browsers = gateways.split_off(gateways.len() / 2);
        let site = Self { server, address, gateways, browsers, config, handle, thread, _folder: folder };
        site.register().await;
        // What a worker begins with, and the first plan of everybody, are done before prompts are put beside it.
        let worker = site.start_workers(1, Channels::default);
        tokio::time::sleep(Duration::from_secs(2)).await;
        worker.stop();
        site.settle().await;
        site.fill(planned).await;
        site
    }

    /// Registers the phones and browsers, and writes the entries.
    async fn register(&self) {
        let mut wire = Connection::to(self.address).await;
        for (n, who) in self.gateways.iter().enumerate() {
            put(&mut wire, who, json!({ "channel": "webhook", "address": format!("device-{n}") })).await;
        }
        for (n, who) in self.browsers.iter().enumerate() {
            let (p256dh, auth) = (super::raw_p256().1, super::AUTH);
            // An address belongs to whoever registered it last.
            let push = json!({ "channel": "web_push", "address": format!("https://push.example.org/send/{n}"),
                "p256dh": p256dh, "auth": auth });
            put(&mut wire, who, push).await;
        }
        for who in self.readers() {
            for _ in 0..SHELF {
                assert_eq!(wire.ask(&create(who)).await.0, 201);
            }
        }
    }

    /// Those whose entries are listed.
    pub fn readers(&self) -> &[Someone] {
        &self.gateways[..READERS.min(self.gateways.len())]
    }

    /// Does what is due now, so that nothing but what is measured is due later.
    async fn settle(&self) {
        for _ in 0..10_000 {
            let now = Timestamp::now();
            let next = app::tick(&self.server.state, &LogChannel, now).await.unwrap().next;
            if next.is_none_or(|next| next > now) {
                return;
            }
        }
        println!("the background work has no end: the figures of deliveries mean nothing");
    }

    /// Adds prompts of others, due in the days after this one. Nobody opens them: any bytes of that size do.
    async fn fill(&self, planned: usize) {
        for first in (0..planned).step_by(BULK) {
            let count = BULK.min(planned - first);
            let from = Timestamp::now() + SignedDuration::from_hours(24);
            let unit = move |tx: &mut Tx<'_>| {
                let columns = "(patient_id, id, doc, stage, due_at, expires_at, next_action_at, version, created_at, \
                    updated_at)";
                match tx.conn() {
                    AnyConnection::Pg(conn) => diesel::sql_query(format!(
                        "INSERT INTO prompts {columns} SELECT gen_random_uuid(), gen_random_uuid(), \
                         decode(repeat(md5(n::text), 40), 'hex'), 0, at, at + interval '1 day', at, 1, now(), now() \
                         FROM generate_series(1, {count}) AS n, \
                         LATERAL (SELECT now() + interval '1 day' + n % 18000 * interval '1 minute' AS at) AS t"
                    ))
                    .execute(conn)?,
                    AnyConnection::Sqlite(conn) => {
                        let (at, day) = (from.as_microsecond(), 86_400_000_000_i64);
                        diesel::sql_query(format!(
                            "WITH RECURSIVE n (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < {count}) \
                             INSERT INTO prompts {columns} SELECT randomblob(16), randomblob(16), randomblob(640), 0, \
                             {at} + x % 18000 * 60000000, {at} + x % 18000 * 60000000 + {day}, \
                             {at} + x % 18000 * 60000000, 1, {at}, {at} FROM n"
                        ))
                        .execute(conn)?
                    }
                };
                Ok(())
            };
            self.server.state.db.write(unit).await.unwrap();
        }
        let analyze = |tx: &mut Tx<'_>| {
            if let AnyConnection::Pg(conn) = tx.conn() {
                diesel::sql_query("ANALYZE prompts").execute(conn)?;
            }
            Ok(())
        };
        self.server.state.db.write(analyze).await.unwrap();
    }

    /// Plans a prompt for each of these instants, of one patient after the other.
    pub async fn plan(&self, people: &[Someone], times: &[Timestamp]) {
        let (state, zone, now) = (&self.server.state, people::day_zone(), Timestamp::now());
        let mut keys = Vec::new();
        for who in people {
            keys.push(state.vault.keys(who.patient).await.unwrap().unwrap());
        }
        for (part, times) in times.chunks(ROWS).enumerate() {
            let mut rows = Vec::with_capacity(ROWS);
            for (n, at) in times.iter().enumerate() {
                let n = (part * ROWS + n) % people.len();
                let (patient, at) = (people[n].patient, *at);
                let (id, local, expires_at) = (id_at(at), zone.local(at), at + SignedDuration::from_hours(24));
                let planned = Planned {
                    returns: None,
                    wording: 0,
                    id,
                    rule_key: "d1.tell".to_owned(),
                    protocol: "afterglow-default".to_owned(),
                    protocol_version: 1,
                    kind: PromptKind::Reflection,
                    priority: 2,
                    anchor: None,
                    occurrence: 0,
                    day: Some(1),
                    local_date: local.date(),
                    local_time: local.time(),
                    zone: zone.clone(),
                    due_at: at,
                    expires_at,
                    reminder_at: None,
                    minutes: 5,
                    optional: false,
                    push: true,
                    hangs_on: None,
                    why: Why::Window,
                    own: None,
                };
                let place =
                    SealContext { table: "prompts", column: "doc", subject: patient, row: id.uuid(), revision: 1 };
                let doc = PromptDoc { planned, history: Vec::new(), answer_id: None, answered_at: None };
                rows.push(PromptRow {
                    patient_id: Id::from_uuid(patient),
                    id,
                    doc: keys[n].seal_json(Purpose::Clinical, &place, &doc).unwrap(),
                    stage: 0,
                    due_at: At(at),
                    expires_at: At(expires_at),
                    next_action_at: Some(At(at)),
                    version: 1,
                    created_at: At(now),
                    updated_at: At(now),
                });
            }
            let unit = move |tx: &mut Tx<'_>| {
                match tx.conn() {
                    AnyConnection::Pg(conn) => {
                        diesel::insert_into(prompts::table).values(&rows).execute(conn)?;
                    }
                    AnyConnection::Sqlite(conn) => {
                        for row in &rows {
                            diesel::insert_into(prompts::table).values(row).execute(conn)?;
                        }
                    }
                }
                Ok(())
            };
            state.db.write(unit).await.unwrap();
        }
    }

    /// Starts workers that send by `channels`, each with connections of its own.
    pub fn start_workers(&self, count: usize, channels: impl Fn() -> Channels) -> Workers {
        let (ready, opened) = std::sync::mpsc::channel();
        let start = |_| {
            // An SQLite file belongs to one server, which then works as well.
            let own = matches!(self.config.database, Backend::Sqlite(_)).then(|| self.server.clone());
            let (config, channels, ready) = (self.config.clone(), channels(), ready.clone());
            let (stop, stopped) = oneshot::channel::<()>();
            // As the command does: one thread for what a worker does beside the database.
            let thread = std::thread::spawn(move || {
                actix_web::rt::System::new().block_on(async move {
                    let server = match &own {
                        Some(server) => server.clone(),
                        None => Server::open(config, Clock::System, Entropy::System).await.unwrap(),
                    };
                    let server = server.with_channels(channels);
                    let worker = server.work(Arc::new(LogChannel));
                    ready.send(()).unwrap();
                    let _ = stopped.await;
                    worker.stop().await;
                    if own.is_none() {
                        server.close();
                    }
                });
            });
            (stop, thread)
        };
        let all: Vec<_> = (0..count).map(start).collect();
        for _ in 0..count {
            opened.recv().unwrap();
        }
        Workers(all)
    }

    /// The milliseconds of rounds in which nothing is due.
    pub async fn idle_rounds(&self) -> Vec<f64> {
        self.settle().await;
        let mut times = Vec::new();
        for _ in 0..200 {
            let begin = std::time::Instant::now();
            app::tick(&self.server.state, &LogChannel, Timestamp::now()).await.unwrap();
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        times
    }

    /// Ends it.
    pub fn close(self) {
        drop(self.handle.stop(false));
        let _ = self.thread.join();
        self.server.close();
    }
}

/// Registers a device that does not acknowledge.
async fn put(wire: &mut Connection, who: &Someone, push: Value) {
    let device = json!({ "platform": "android", "push": push, "locale": "de-AT", "app_version": "1.4.2",
        "acknowledges": false });
    ask(wire, "PUT", &format!("/v1/patients/me/devices/{}", Uuid::new_v4()), who, Some(device), 201).await;
}

/// Workers that run.
pub struct Workers(Vec<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Workers {
    /// Lets each finish its round.
    pub fn stop(self) {
        for (stop, thread) in self.0 {
            let _ = stop.send(());
            thread.join().unwrap();
        }
    }
}
