//! What a course costs: completing an infusion, planning again, and the worker among very many prompts.

use std::path::Path;
use std::time::Instant;

use afterglow::app::{self, Server};
use afterglow::care::Access;
use afterglow::changes::{self, FeedsPlan, PlanRequest};
use afterglow::config::Config;
use afterglow::db::schema::{patients, prompts};
use afterglow::db::{At, Backend, Tx};
use afterglow::delivery::LogChannel;
use afterglow::kernel::id::Patient;
use afterglow::kernel::{Clock, Entropy, Id};
use afterglow::planning::{Planned, PromptKind, Protocol, Protocols, Why};
use afterglow::prompts::model::PromptDoc;
use afterglow::schedule::{self, horizon};
use afterglow::vault::{Purpose, SealContext};
use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use super::client::{Connection, request};
use super::people::{self, Someone};
use super::report::{Goal, Report, median};

/// Prompts that come due at once.
const DUE: usize = 10_000;
/// Rows of one unit.
const ROWS: usize = 2000;

/// Patients report an infusion, one after the other: two weeks are planned before each answer.
pub async fn complete(wire: &mut Connection, patients: &[Someone], report: &mut Report) {
    let now = Timestamp::now();
    let at = |hours| (now - SignedDuration::from_hours(hours)).to_string();
    let body =
        json!({ "status": "completed", "route": "iv_infusion", "started_at": at(2), "ended_at": at(1) }).to_string();
    let mut times = Vec::with_capacity(patients.len());
    for patient in patients {
        let path = format!("/v1/patients/me/infusions/{}", Uuid::now_v7());
        let asked = request("PUT", &path, &patient.token, body.as_bytes(), None);
        let begin = Instant::now();
        let (status, answer) = wire.ask(&asked).await;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(answer));
    }
    let middle = median(&times);
    let figure = format!("{middle:.1} ms, one after the other, {} patients", patients.len());
    report.goal("complete an infusion on SQLite, p50, ms", figure, middle, Goal::Most(10.0));
}

/// The worker on what the server left behind: `rows` planned prompts of those who `wait`, of which ten thousand are due.
pub async fn work(folder: &Path, (people, wait): (&[Someone], &[Someone]), rows: usize, report: &mut Report) {
    let server = Server::open(Config::in_folder(folder.join("data")), Clock::System, Entropy::System).await.unwrap();
    let state = &server.state;

    let now = Timestamp::now();
    let all = move |tx: &mut Tx<'_>| {
        Ok(diesel::update(patients::table).set(patients::next_plan_at.eq(At(now))).execute(tx.conn())?)
    };
    let count = state.db.write(all).await.unwrap();
    let begin = Instant::now();
    let mut planned = 0;
    while planned < count {
        planned += app::tick(state, &LogChannel, now).await.unwrap().planned;
    }
    let rate = planned as f64 / begin.elapsed().as_secs_f64();
    let figure = format!("{rate:.0}/s, {planned} patients whose plan stays as it is");
    report.goal("plan again on SQLite, patients/s", figure, rate, Goal::Least(1000.0));

    follow(&server, people, report).await;

    let due = Timestamp::now();
    plant(&server, wait, rows, due).await;
    let rate = deliver(&server, DUE.min(rows), due).await;
    let figure = format!("{rate:.0}/s, {} due among {rows}", DUE.min(rows));
    report.goal("deliver what is due on SQLite, prompts/s", figure, rate, Goal::Least(20_000.0));

    let mut times = Vec::new();
    for _ in 0..200 {
        let begin = Instant::now();
        app::tick(state, &LogChannel, due).await.unwrap();
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let middle = median(&times);
    let figure = format!("{middle:.2} ms among {rows} planned prompts");
    report.goal("idle round of the worker on SQLite, ms", figure, middle, Goal::Most(1.0));
    server.close();
}

/// Everybody's plan is one of an older version of the protocol, whose parts of the day began half an hour later: each
/// of their prompts is moved.
async fn follow(server: &Server, people: &[Someone], report: &mut Report) {
    let (state, now) = (&server.state, Timestamp::now());
    let mut older = Protocol { version: 0, ..Protocol::default_v1().clone() };
    let windows = &mut older.windows;
    for span in [&mut windows.morning, &mut windows.midday, &mut windows.afternoon, &mut windows.evening] {
        span.from += SignedDuration::from_mins(30);
    }
    let older = Protocols::new(older, []);
    let mut moved = 0;
    for someone in people {
        let patient: Id<Patient> = Id::from_uuid(someone.patient);
        let (keys, older) = (state.vault.keys(patient.uuid()).await.unwrap(), older.clone());
        let unit = move |tx: &mut Tx<'_>| {
            changes::take(tx, patient, 0, changes::Bytes::default())?;
            let asked = PlanRequest { patient, keys: keys.clone(), actor: None, now, feeds: FeedsPlan::Always };
            schedule::replan(tx, &Access::for_planner(&asked), &older)
        };
        moved += state.db.write(unit).await.unwrap();
    }
    state.db.write(|tx| schedule::store::note_version(tx, "afterglow-default", 0)).await.unwrap();
    let begin = Instant::now();
    horizon::follow_protocol(state, Protocol::default_v1(), now).await.unwrap();
    let mut planned = 0;
    while planned < people.len() {
        planned += app::tick(state, &LogChannel, now).await.unwrap().planned;
    }
    let rate = planned as f64 / begin.elapsed().as_secs_f64();
    let figure =
        format!("{rate:.0}/s, {planned} patients, {:.0} prompts moved for each", moved as f64 / planned as f64);
    report.goal("follow a new protocol on SQLite, patients/s", figure, rate, Goal::Least(2000.0));
}

/// Prompts a second until `count` have left.
async fn deliver(server: &Server, count: usize, due: Timestamp) -> f64 {
    let begin = Instant::now();
    let mut sent = 0;
    while sent < count {
        let round = app::tick(&server.state, &LogChannel, due).await.unwrap();
        if (round.due, round.sent) == (0, 0) {
            println!("only {sent} of {count} prompts have left: the figure of deliveries means nothing");
            break;
        }
        sent += round.sent;
    }
    sent as f64 / begin.elapsed().as_secs_f64()
}

/// The same worker on PostgreSQL.
pub async fn deliver_on_postgres(folder: &Path, url: &str, people: &[Someone], rows: usize, report: &mut Report) {
    let mut config = Config::in_folder(folder.join("data"));
    config.database = Backend::parse(url).unwrap();
    let server = Server::open(config, Clock::System, Entropy::System).await.unwrap();
    let due = Timestamp::now();
    let real = DUE.min(rows);
    plant(&server, people, real, due).await;
    // Nobody opens what is not due: any bytes of that size do.
    let mut conn = PgConnection::establish(url).unwrap();
    let sql = format!(
        "WITH whose AS (SELECT array_agg(id) AS ids FROM patients) \
         INSERT INTO prompts (patient_id, id, doc, stage, due_at, expires_at, next_action_at, version, created_at, updated_at) \
         SELECT ids[1 + n % cardinality(ids)], gen_random_uuid(), decode(repeat(md5(n::text), 40), 'hex'), 0, at, \
         at + interval '1 day', at, 1, now(), now() \
         FROM whose, generate_series(1, {}) AS n, LATERAL (SELECT now() + interval '1 hour' + n % 18000 * interval '1 minute' AS at) AS t",
        rows - real
    );
    conn.batch_execute(&sql).unwrap();
    conn.batch_execute("ANALYZE prompts").unwrap();
    let rate = deliver(&server, real, due).await;
    let figure = format!("{rate:.0}/s, {real} due among {rows}");
    report.goal("deliver what is due on PostgreSQL, prompts/s", figure, rate, Goal::Least(10_000.0));
    server.close();
}

/// Plans `rows` prompts: the first ten thousand are due at `due`, the others in the days after it. The people have no
/// infusion and live where it is day, since nothing leaves in an acute phase or in quiet hours.
async fn plant(server: &Server, people: &[Someone], rows: usize, due: Timestamp) {
    let zone = people::day_zone();
    for first in (0..rows).step_by(ROWS) {
        let mut list = Vec::with_capacity(ROWS);
        for n in first..rows.min(first + ROWS) {
            let patient: Id<Patient> = Id::from_uuid(people[n % people.len()].patient);
            let later = if n < DUE { 0 } else { 60 + (n % 18_000) as i64 };
            let at = due + SignedDuration::from_mins(later);
            let keys = server.state.vault.keys(patient.uuid()).await.unwrap().unwrap();
            let id = Id::from_uuid(Entropy::System.opaque());
            let local = zone.local(at);
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
                expires_at: at + SignedDuration::from_hours(24),
                reminder_at: None,
                minutes: 5,
                optional: false,
                push: true,
                hangs_on: None,
                why: Why::Window,
                own: None,
            };
            let place =
                SealContext { table: "prompts", column: "doc", subject: patient.uuid(), row: id.uuid(), revision: 1 };
            let doc = PromptDoc { planned, history: Vec::new(), answer_id: None, answered_at: None };
            list.push((patient, id, keys.seal_json(Purpose::Clinical, &place, &doc).unwrap(), at));
        }
        let unit = move |tx: &mut Tx<'_>| {
            for (patient, id, doc, at) in &list {
                diesel::insert_into(prompts::table)
                    .values((
                        prompts::patient_id.eq(patient),
                        prompts::id.eq(id),
                        prompts::doc.eq(doc),
                        prompts::stage.eq(0),
                        prompts::due_at.eq(At(*at)),
                        prompts::expires_at.eq(At(*at + SignedDuration::from_hours(24))),
                        prompts::next_action_at.eq(Some(At(*at))),
                        prompts::version.eq(1_i64),
                        prompts::created_at.eq(At(*at)),
                        prompts::updated_at.eq(At(*at)),
                    ))
                    .execute(tx.conn())?;
            }
            Ok(())
        };
        server.state.db.write(unit).await.unwrap();
    }
}
