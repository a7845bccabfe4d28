//! R10 across processes: workers that send to phones are killed again and again. Nothing that comes due is missed. What
//! rings twice does so under one delivery id, and only because a worker died before it had noted what it sent.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use afterglow::db::schema::{deliveries, prompts};
use afterglow::delivery::MemoryChannel;
use afterglow::kernel::id::{Delivery, Patient, Prompt};
use afterglow::kernel::{Clock, Id, Zone};
use diesel::prelude::*;
use jiff::SignedDuration;
use serde_json::json;

use crate::channels::service::{Reply, Service};
use crate::delivery::{plant, work};
use crate::support::app::{TestApp, new_id};
use crate::support::child::Child;
use crate::support::database::{Count, Database, on_postgres};
use crate::support::journal::with;
use crate::support::requests::devices::phone;
use crate::support::sql::Sql;

const PATIENTS: usize = 4;
const PHONES: usize = 2;
/// The prompts of each patient, one every [`APART`].
const PROMPTS: i64 = 60;
const APART: SignedDuration = SignedDuration::from_millis(250);
/// The time that the gateway takes to answer. In it a worker is killed.
const ANSWER: Duration = Duration::from_millis(250);
/// The time between two kills, and the time for which they go on.
const EVERY: Duration = Duration::from_secs(3);
const KILLING: Duration = Duration::from_secs(18);

/// A prompt, and the phone that it rings on.
type Ring = (String, String);

/// A push that reached the gateway.
#[derive(Clone, Debug)]
struct Push {
    at: Instant,
    /// The path of the process that sent it.
    by: String,
    delivery: String,
    ring: Ring,
}

type Pushes = Arc<Mutex<Vec<Push>>>;

/// A gateway that takes everything, slowly, and keeps it in the order in which it came.
async fn gateway() -> (Service, Pushes) {
    let pushes = Pushes::default();
    let kept = Arc::clone(&pushes);
    let service = Service::scripted(move |asked| {
        let body = asked.json();
        let text = |name: &str| body["data"][name].as_str().unwrap().to_owned();
        let (delivery, ring) = (text("delivery"), (text("id"), text("to")));
        assert_eq!(asked.header("webhook-id"), delivery);
        kept.lock().unwrap().push(Push { at: Instant::now(), by: asked.path.clone(), delivery, ring });
        Reply::Late(ANSWER, 204)
    });
    (service.await, pushes)
}

/// Patients with phones, and prompts of theirs that come due in the next seconds. Returns what is to ring.
async fn planned(app: &Arc<TestApp>) -> BTreeSet<Ring> {
    let ada = app.admin().await;
    let tess = app.staff(&ada, "Tess Moreau", &["care"]).await;
    // What leaves late is judged by the quiet hours again: now it is not quiet, whatever the time of the day is.
    let here = Zone::parse("Europe/Berlin").unwrap().local(app.now());
    let time = |hours: i64| (here + SignedDuration::from_hours(hours)).strftime("%H:%M").to_string();
    let quiet = json!({ "quiet_hours": { "from": time(10), "to": time(11) } });
    let mut patients: Vec<(Id<Patient>, Vec<String>)> = Vec::new();
    for n in 0..PATIENTS {
        let person = app.patient(&tess, &format!("Patient {n}")).await;
        person.sets(quiet.clone()).await.ok();
        let addresses: Vec<_> = (0..PHONES).map(|phone| format!("phone-{n}-{phone}")).collect();
        for address in &addresses {
            let change = json!({ "push": { "channel": "webhook", "address": address }, "acknowledges": false });
            let path = person.my(&format!("/devices/{}", new_id(app)));
            person.put(&path, with(phone(address), change)).send().await.created();
        }
        patients.push((person.patient.parse().unwrap(), addresses));
    }
    // Their plans are made first, and not again: that would withdraw what no rule calls for.
    work(app, &MemoryChannel::default()).await;
    Sql::open(&app.database.backend).run("UPDATE patients SET next_plan_at = NULL");
    let (start, mut rings) = (app.now() + SignedDuration::from_secs(6), BTreeSet::new());
    for turn in 0..PROMPTS {
        for (patient, addresses) in &patients {
            let prompt =
                plant(app, *patient, start + SignedDuration::from_millis(APART.as_millis() as i64 * turn), |_| {});
            let prompt = prompt.await.to_string();
            rings.extend(addresses.iter().map(|address| (prompt.clone(), address.clone())));
        }
    }
    rings
}

/// A process that works, from its start to its death. Each has a path of its own at the gateway, and so a name.
struct Life {
    child: Child,
    path: String,
}

impl Life {
    async fn begin(database: &Database, gateway: &Service, name: &str) -> Self {
        let path = format!("/{name}");
        let webhook = json!({ "url": gateway.url(&path), "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "private_network": true });
        let file = database.folder.path().join(format!("channels-{name}.json"));
        std::fs::write(&file, json!({ "webhook": webhook }).to_string()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let child = Child::serve(database, &["--channels", file.to_str().unwrap()]).await;
        Self { child, path }
    }

    /// Waits, not for ever, until it has sent something that was not answered yet.
    async fn is_sending(&self, pushes: &Pushes) {
        let until = Instant::now() + EVERY;
        let waits = |push: &Push| push.by == self.path && push.at.elapsed() < ANSWER / 3;
        while Instant::now() < until && !pushes.lock().unwrap().iter().rev().any(waits) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Whether everything has rung, and nothing waits or is held by anybody.
fn is_done(database: &Database, pushes: &Pushes, rings: &BTreeSet<Ring>) -> bool {
    let reached: BTreeSet<Ring> = pushes.lock().unwrap().iter().map(|push| push.ring.clone()).collect();
    let held = "SELECT count(*) AS n FROM deliveries WHERE state IN ('waiting', 'leased')";
    reached.len() >= rings.len() && Sql::open(&database.backend).rows::<Count>(held)[0].n == 0
}

/// Every push came once, unless its sender was killed before it had noted it; then again, from another, under its id.
fn once_unless_killed(pushes: &[Push], killed: &HashSet<String>) -> usize {
    let (mut by_id, mut id_of): (BTreeMap<&str, Vec<&Push>>, BTreeMap<&Ring, &str>) = Default::default();
    for push in pushes {
        by_id.entry(&push.delivery).or_default().push(push);
        let id = *id_of.entry(&push.ring).or_insert(&push.delivery);
        assert_eq!(id, push.delivery, "{:?} rang under two ids: the phone shows it twice", push.ring);
    }
    assert_eq!(by_id.len(), id_of.len(), "an id was used for two");
    for sent in by_id.values() {
        let lives: BTreeSet<&str> = sent.iter().map(|push| push.by.as_str()).collect();
        assert_eq!(lives.len(), sent.len(), "a process sent one push twice: {sent:?}");
        let noted = |push: &&&Push| !killed.contains(&push.by);
        let before_the_last = &sent[..sent.len() - 1];
        assert_eq!(
            before_the_last.iter().find(noted).map(|push| &push.by),
            None,
            "sent again without a death: {sent:?}"
        );
    }
    pushes.len() - by_id.len()
}

/// What the database has noted at the end: each delivery to a phone, with its prompt, and how far each prompt is.
async fn noted(database: Database) -> (BTreeMap<String, (String, String)>, Vec<i32>) {
    let app = TestApp::on(database, Clock::System, |_| {}).await;
    let unit = |tx: &mut afterglow::db::Tx<'_>| {
        let to_phones = deliveries::table.filter(deliveries::device_id.is_not_null());
        let to_phones: Vec<(Id<Delivery>, Id<Prompt>, String)> =
            to_phones.select((deliveries::id, deliveries::prompt_id, deliveries::state)).load(tx.conn())?;
        let of_them: Vec<_> = to_phones.iter().map(|(_, prompt, _)| *prompt).collect();
        let stages: Vec<i32> =
            prompts::table.filter(prompts::id.eq_any(of_them)).select(prompts::stage).load(tx.conn())?;
        Ok((to_phones, stages))
    };
    let (rows, stages) = app.server.state.db.read(unit).await.unwrap();
    let row = |(id, prompt, state): (Id<Delivery>, Id<Prompt>, String)| (id.to_string(), (prompt.to_string(), state));
    (rows.into_iter().map(row).collect(), stages)
}

#[actix_web::test]
async fn r10_workers_killed_while_they_send_miss_nothing_and_ring_twice_under_one_id_alone() {
    let app = TestApp::on(Database::fresh(), Clock::System, |_| {}).await;
    let rings = planned(&app).await;
    let database = app.stop();
    let (gateway, pushes) = gateway().await;
    // One SQLite file has one server: there a process is killed and started again.
    let workers = if on_postgres() { 2 } else { 1 };
    let (mut lives, mut killed) = (Vec::new(), HashSet::new());
    for worker in 0..workers {
        lives.push(Life::begin(&database, &gateway, &format!("worker-{worker}-0")).await);
    }
    let begun = Instant::now();
    let mut kills = 0;
    while begun.elapsed() < KILLING {
        tokio::time::sleep(EVERY.saturating_sub(begun.elapsed().saturating_sub(EVERY * kills))).await;
        let victim = kills as usize % workers;
        lives[victim].is_sending(&pushes).await;
        lives[victim].child.kill();
        killed.insert(lives[victim].path.clone());
        kills += 1;
        lives[victim] = Life::begin(&database, &gateway, &format!("worker-{victim}-{kills}")).await;
    }
    for life in &mut lives {
        life.child.kill();
        killed.insert(life.path.clone());
    }
    // What the dead held is free again half a minute later. The clock of the processes is the real one: here that time
    // passes in the database.
    let past = if on_postgres() { "to_timestamp(0)" } else { "0" };
    let over = format!("UPDATE deliveries SET lease_until = {past} WHERE state = 'leased'");
    Sql::open(&database.backend).run(&over);
    let mut last = Life::begin(&database, &gateway, "last").await;
    let started = Instant::now();
    while !is_done(&database, &pushes, &rings) {
        assert!(started.elapsed() < Duration::from_secs(30), "something never rings: {}", last.child.logged());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    last.child.ask_to_stop();
    assert!(last.child.ended(Duration::from_secs(20)).await.success());

    let pushes = pushes.lock().unwrap().clone();
    let rang: BTreeSet<Ring> = pushes.iter().map(|push| push.ring.clone()).collect();
    assert_eq!(rang.symmetric_difference(&rings).collect::<Vec<_>>(), Vec::<&Ring>::new(), "missed, or of nobody");
    let twice = once_unless_killed(&pushes, &killed);
    let (rows, stages) = noted(database).await;
    let sent: BTreeMap<String, (String, String)> =
        pushes.into_iter().map(|push| (push.delivery, (push.ring.0, "sent".to_owned()))).collect();
    assert_eq!(rows, sent, "what was noted is what rang");
    assert_eq!(stages, vec![2; rings.len() / PHONES], "every prompt counts as delivered");
    eprintln!("{kills} kills, {} rings, {twice} of them twice", rings.len());
    assert!(twice > 0, "no worker was killed while it sent");
}
