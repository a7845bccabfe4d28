//! What somebody who means harm can do: the memory that log-ins leave behind, what one patient's worst and what slow
//! clients cost the others, and what the time of a refusal tells.

use std::cell::Cell;
use std::time::{Duration, Instant};

use afterglow::kernel::limits::{self, SetLimit};
use futures_util::future::{join, join_all};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Scale;
use super::client::{CONNECTIONS, Connection, load, request};
use super::heavy::treat;
use super::people::{self, Someone};
use super::report::{Goal, Report, auc, median};
use super::rounds::{Site, ask, create};
use super::sync::{epoch, history};

/// The requests a second that the rate limit leaves to one client.
const ALLOWED: u64 = 100;
/// The pauses of a full set that are left for those that come and go.
const SPARE: usize = 10;

/// Measures everything on SQLite and, if there is one, on a PostgreSQL.
pub async fn measure(scale: Scale, postgres: Option<String>, report: &mut Report) {
    let quick = Scale { writers: scale.writers.min(256), ..scale };
    let sqlite = Site::open(quick, None).await;
    memory(&sqlite, report).await;
    neighbour("SQLite", &sqlite, report).await;
    slow("SQLite", &sqlite, report).await;
    times("SQLite", &sqlite, report).await;
    sqlite.server.stop();
    if postgres.is_some() {
        let site = Site::open(quick, postgres).await;
        neighbour("PostgreSQL", &site, report).await;
        slow("PostgreSQL", &site, report).await;
        times("PostgreSQL", &site, report).await;
        site.server.stop();
    }
}

fn log_in(email: &str) -> Vec<u8> {
    let body = json!({ "email": email, "passphrase": "a loud river at noon" }).to_string();
    request("POST", "/v1/auth/login", "", body.as_bytes(), None)
}

/// Log-ins that fail, as many at once as there are connections.
async fn memory(site: &Site, report: &mut Report) {
    let (before, count) = (site.server.memory(), site.scale().log_ins);
    let each = async |c: usize| {
        let mut wire = Connection::to(site.server.address).await;
        for n in 0..count.div_ceil(CONNECTIONS) {
            let (status, _) = wire.ask(&log_in(&format!("n{c}-{n}@example.org"))).await;
            assert_eq!(status, 401);
        }
    };
    join_all((0..CONNECTIONS).map(each)).await;
    let grown = site.server.memory() - before;
    let measure = format!("memory after {count} log-ins that fail, MB more");
    report.goal(&measure, format!("{grown:.1} MB"), grown, Goal::Most(40.0));
}

/// One patient asks for what costs most as fast as the rate limit lets them: long pages, a search of everything, what
/// follows from every infusion, a comparison of as many things as one may name, plans made anew, and the largest pushes
/// of which an hour has few.
async fn worst(site: &Site, hostile: &Someone, epoch: &str, ends: &Cell<bool>) {
    let get = |what: &str| request("GET", &format!("/v1/patients/me/{what}"), &hostile.token, b"", None);
    let post = |what: &str, body: &Value| {
        let path = format!("/v1/patients/me/{what}");
        request("POST", &path, &hostile.token, body.to_string().as_bytes(), None)
    };
    let (zone, now) = (people::day_zone(), Timestamp::now());
    let (last_year, today) = (zone.date(now - SignedDuration::from_hours(364 * 24)), zone.date(now));
    let held: Vec<_> =
        (0..limits::INTEGRITY_ITEMS).map(|_| json!({ "kind": "entry", "id": Uuid::new_v4(), "version": 1 })).collect();
    let asked = [
        get("entries?limit=200"),
        post("entries/search", &json!({ "words": "stay", "limit": 200 })),
        get("window"),
        get("infusions"),
        get(&format!("adherence?from={last_year}&to={today}")),
        post("integrity", &json!({ "epoch": epoch, "have": held })),
    ];
    let lanes = asked.len() + 2;
    let one = async |lane: usize| {
        let mut wire = Connection::to(site.server.address).await;
        let (begin, mut pause) = (Instant::now(), None);
        for turn in 0_u64.. {
            if ends.get() {
                break;
            }
            let request = match asked.get(lane) {
                Some(request) => request.clone(),
                None if lane == asked.len() => create(hostile),
                None => begin_or_end(hostile, &mut pause),
            };
            let (status, body) = wire.ask(&request).await;
            // The server may refuse them when it has too much to do.
            assert!((200..300).contains(&status) || status == 503, "{}", String::from_utf8_lossy(body));
            if status == 503 {
                pause = None;
            }
            let due = begin + Duration::from_millis(turn * lanes as u64 * 1000 / ALLOWED);
            tokio::time::sleep_until(due.into()).await;
        }
    };
    let pushes = async {
        let Scale { rounds, time, .. } = site.scale();
        let count = limits::MUTATIONS_AN_HOUR as usize / limits::MUTATIONS / rounds;
        let mut wire = Connection::to(site.server.address).await;
        for _ in 0..count {
            history(&mut wire, hostile, epoch, limits::MUTATIONS).await;
            tokio::time::sleep(time / count as u32).await;
            if ends.get() {
                break;
            }
        }
    };
    join(join_all((0..lanes).map(one)), pushes).await;
}

/// A pause from tomorrow on, or the end of the one before. Prompts are withdrawn, and come back.
fn begin_or_end(who: &Someone, pause: &mut Option<String>) -> Vec<u8> {
    match pause.take() {
        Some(path) => request("DELETE", &path, &who.token, b"", None),
        None => {
            let path = format!("/v1/patients/me/pauses/{}", Uuid::now_v7());
            let body = pause_of(1).to_string();
            let request = request("PUT", &path, &who.token, body.as_bytes(), None);
            *pause = Some(path);
            request
        }
    }
}

/// A pause of half a day, so many days from now.
fn pause_of(days: i64) -> Value {
    let from = Timestamp::now() + SignedDuration::from_hours(24 * days);
    json!({ "from": from.to_string(), "until": (from + SignedDuration::from_hours(12)).to_string() })
}

async fn put(wire: &mut Connection, who: &Someone, what: &str, body: Value) {
    ask(wire, "PUT", &format!("/v1/patients/me/{what}/{}", Uuid::new_v4()), who, Some(body), 201).await;
}

/// Fills to their published limits the sets of a patient that units of work and the plan read whole.
async fn fill(wire: &mut Connection, hostile: &Someone, most: usize) {
    let rows = |limit: SetLimit| most.min(limit.most as usize);
    // One has been made with the shelf.
    for _ in 1..rows(limits::GRANTS_BY_RULE) {
        let rule = json!({
            "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" },
            "visible_at_once": true,
        });
        put(wire, hostile, "grants", rule).await;
    }
    for n in SPARE..rows(limits::PAUSES) {
        put(wire, hostile, "pauses", pause_of(30 + n as i64)).await;
    }
    for _ in 0..rows(limits::DEVICES) {
        put(wire, hostile, "devices", json!({ "platform": "android" })).await;
    }
    treat(wire, hostile, rows(limits::INFUSIONS)).await;
    for _ in 0..200 {
        assert_eq!(wire.ask(&create(hostile)).await.0, 201);
    }
}

/// The p99 of others' requests alone and beside `trouble`, which has the number of the round and stops once it is told.
pub async fn beside(
    site: &Site,
    each: impl Fn(usize, usize) -> Vec<u8> + Copy,
    trouble: impl AsyncFn(usize, &Cell<bool>),
) -> (f64, f64) {
    let (address, Scale { time, rounds, .. }) = (site.server.address, site.scale());
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        alone.push(load(address, time, 201, each).await.p99);
        let ends = Cell::new(false);
        let others = async {
            let load = load(address, time, 201, each).await;
            ends.set(true);
            load
        };
        beside.push(join(others, trouble(round, &ends)).await.0.p99);
    }
    (median(&alone), median(&beside))
}

/// Tells what [`beside`] found.
pub fn tell_beside(measure: &str, (alone, beside): (f64, f64), report: &mut Report) {
    let figure = format!("p99 {beside:.1} ms beside, {alone:.1} ms alone");
    report.goal(measure, figure, beside / alone, Goal::Most(2.0));
}

/// What others notice of a patient whose sets are full, and who asks for what costs most.
async fn neighbour(name: &str, site: &Site, report: &mut Report) {
    let hostile = &site.readable()[0];
    let mut wire = Connection::to(site.server.address).await;
    fill(&mut wire, hostile, site.scale().set_rows).await;
    let epoch = epoch(&mut wire, hostile).await;
    let writers = site.writers();
    let each = |c: usize, n: usize| create(&writers[(c + n * CONNECTIONS) % writers.len()]);
    let both = beside(site, each, async |_, ends| worst(site, hostile, &epoch, ends).await).await;
    tell_beside(&format!("others' creates beside a patient at every limit on {name}"), both, report);
}

/// What slow clients have sent before they fall silent: nothing, half a head, half a body.
const BEGUN: [&str; 3] = [
    "",
    "GET /v1/meta HTTP/1.1\r\nhost: be",
    "POST /v1/auth/login HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n\
     {\"email\":",
];

/// What others notice of clients that have connected, begun, and say no more. The server hangs up after 15 seconds
/// without a head and 30 without a body: they come anew in each round.
async fn slow(name: &str, site: &Site, report: &mut Report) {
    let (address, Scale { time, rounds, streams: many, .. }) = (site.server.address, site.scale());
    let writers = site.writers();
    let each = |c: usize, n: usize| create(&writers[(c + n * CONNECTIONS) % writers.len()]);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(load(address, time, 201, each).await.p99);
        let mut waiting = Vec::new();
        for n in 0..many {
            let mut wire = Connection::to(address).await;
            wire.send(BEGUN[n % BEGUN.len()].as_bytes()).await;
            waiting.push(wire);
        }
        beside.push(load(address, time, 201, each).await.p99);
        drop(waiting);
        // The server has let go of them before the next round.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let both = (median(&alone), median(&beside));
    tell_beside(&format!("others' creates beside {many} slow clients on {name}"), both, report);
}

/// How well the time of an answer tells what is there from what is not: 0.5 not at all, 1 always.
async fn told(site: &Site, count: usize, status: u16, pair: impl Fn(usize) -> (Vec<u8>, Vec<u8>)) -> f64 {
    let mut wire = Connection::to(site.server.address).await;
    let (mut there, mut absent) = (Vec::new(), Vec::new());
    for n in 0..count {
        let (one, other) = pair(n);
        // In turn, so that neither is always the first.
        let order = [(&one, true), (&other, false)];
        let order = if n % 2 == 0 { order } else { [order[1], order[0]] };
        for (bytes, is_there) in order {
            let sent = Instant::now();
            let (found, body) = wire.ask(bytes).await;
            assert_eq!(found, status, "{}", String::from_utf8_lossy(body));
            let time = sent.elapsed().as_secs_f64();
            if n >= 10 {
                if is_there { there.push(time) } else { absent.push(time) }
            }
        }
    }
    auc(&there, &absent)
}

async fn times(name: &str, site: &Site, report: &mut Report) {
    // The first has full sets.
    let (strangers, read, therapist) = (site.writers(), &site.readable()[1..], site.therapist());
    let mut wire = Connection::to(site.server.address).await;
    let (mut notes, mut responses) = (Vec::new(), Vec::new());
    let (mut links, mut grants, mut infusions) = (Vec::new(), Vec::new(), Vec::new());
    for patient in read {
        let id = Uuid::new_v4();
        let note =
            json!({ "kind": "note", "occurred_at": "2026-03-01T10:00:00Z", "text": { "body": "word ".repeat(400) } });
        ask(&mut wire, "PUT", &format!("/v1/patients/me/entries/{id}"), patient, Some(note), 201).await;
        notes.push(id.to_string());
        let id = Uuid::new_v4();
        let response = json!({ "exercise_key": "leaves-defusion", "exercise_version": 1, "zone": "Europe/Berlin",
            "occurred_at": "2026-03-01T10:00:00Z", "answers": { "grip": 4, "hook": "word ".repeat(50) } });
        let path = format!("/v1/patients/me/exercise-responses/{id}");
        ask(&mut wire, "PUT", &path, patient, Some(response), 201).await;
        responses.push(id.to_string());
        let of = |value: &Value| value["items"][0]["id"].as_str().unwrap().to_owned();
        links.push(of(&ask(&mut wire, "GET", "/v1/care-links", patient, None, 200).await));
        grants.push(of(&ask(&mut wire, "GET", "/v1/patients/me/grants", patient, None, 200).await));
        let infusion = Uuid::new_v4();
        let body = json!({ "status": "completed", "route": "iv_infusion", "dose_mg": 35.0,
            "started_at": "2026-03-01T08:00:00Z", "ended_at": "2026-03-01T08:40:00Z" });
        ask(&mut wire, "PUT", &format!("/v1/patients/me/infusions/{infusion}"), patient, Some(body), 201).await;
        infusions.push(infusion.to_string());
        // The first refusal of an hour leaves a row.
        let first = format!("/v1/patients/{}/entries/{}", patient.patient, Uuid::new_v4());
        wire.ask(&request("GET", &first, &therapist.token, b"", None)).await;
    }
    let nobody = || Uuid::new_v4().to_string();
    let get = |path: String, who: &Someone| request("GET", &path, &who.token, b"", None);
    let delete = |path: String, who: &Someone| request("DELETE", &path, &who.token, b"", None);
    let asker = &strangers[0];
    let many = 40 * site.scale().rounds * 10;
    let measured = [
        // Each patient once: nobody has asked for them before.
        (
            "patient",
            told(site, strangers.len() - 1, 404, |n| {
                let path = |id: String| get(format!("/v1/patients/{id}/entries"), asker);
                (path(strangers[n + 1].patient.to_string()), path(nobody()))
            })
            .await,
        ),
        (
            "entry",
            told(site, many, 404, |n| {
                let patient = &read[n % read.len()];
                let path = |id: String| get(format!("/v1/patients/{}/entries/{id}", patient.patient), therapist);
                (path(notes[n % read.len()].clone()), path(nobody()))
            })
            .await,
        ),
        (
            "response",
            told(site, many, 404, |n| {
                let patient = &read[n % read.len()];
                let path =
                    |id: String| get(format!("/v1/patients/{}/exercise-responses/{id}", patient.patient), therapist);
                (path(responses[n % read.len()].clone()), path(nobody()))
            })
            .await,
        ),
        (
            "invitation",
            told(site, many, 404, |_| {
                let path = |id: String| delete(format!("/v1/invitations/{id}"), therapist);
                (path(site.invitation().to_string()), path(nobody()))
            })
            .await,
        ),
        (
            "infusion",
            told(site, many, 404, |n| {
                let path = |id: String| get(format!("/v1/patients/me/infusions/{id}"), asker);
                (path(infusions[n % read.len()].clone()), path(nobody()))
            })
            .await,
        ),
        (
            "grant",
            told(site, many, 404, |n| {
                let path = |id: String| delete(format!("/v1/patients/me/grants/{id}"), asker);
                (path(grants[n % read.len()].clone()), path(nobody()))
            })
            .await,
        ),
        (
            "link",
            told(site, many, 404, |n| {
                let path = |id: String| delete(format!("/v1/care-links/{id}"), asker);
                (path(links[n % read.len()].clone()), path(nobody()))
            })
            .await,
        ),
    ];
    for (kind, auc) in measured {
        let figure = format!("AUC {auc:.3}");
        report.goal(&format!("time tells whether it is there ({kind}), on {name}"), figure, auc, Goal::Most(0.55));
    }
}
