//! What somebody who means harm can do: the memory that log-ins leave behind, what one patient's worst and what slow
//! clients cost the others, and what the time of a refusal tells.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Scale;
use super::client::{CONNECTIONS, Connection, load, request};
use super::people::Someone;
use super::report::{Goal, Report, auc, median};
use super::rounds::{Site, ask, create};

/// The requests a second that the rate limit leaves to one client.
const ALLOWED: u64 = 100;
/// The grants by rule that a patient may have.
const RULES: usize = 50;

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

/// A thousand log-ins that fail, as many at once as there are connections.
async fn memory(site: &Site, report: &mut Report) {
    let before = site.server.memory();
    let each = async |c: usize| {
        let mut wire = Connection::to(site.server.address).await;
        for n in 0..1000 / CONNECTIONS + 1 {
            let (status, _) = wire.ask(&log_in(&format!("n{c}-{n}@example.org"))).await;
            assert_eq!(status, 401);
        }
    };
    join_all((0..CONNECTIONS).map(each)).await;
    let grown = site.server.memory() - before;
    report.goal("memory after 1,000 log-ins, MB more", format!("{grown:.1} MB"), grown, Goal::Most(40.0));
}

/// One patient with every rule writes, searches and reads long pages as fast as the rate limit lets them.
async fn worst(site: &Site, hostile: &Someone, ends: &Cell<bool>) {
    let search = json!({ "text": "stay", "limit": 200 }).to_string();
    let one = async |kind: usize| {
        let mut wire = Connection::to(site.server.address).await;
        let begin = Instant::now();
        for turn in 0_u64.. {
            if ends.get() {
                break;
            }
            let request = match kind {
                0 => create(hostile),
                1 => request("GET", "/v1/patients/me/entries?limit=200", &hostile.token, b"", None),
                _ => request("POST", "/v1/patients/me/entries/search", &hostile.token, search.as_bytes(), None),
            };
            let _ = wire.ask(&request).await;
            let due = begin + Duration::from_millis(turn * 3 * 1000 / ALLOWED);
            tokio::time::sleep_until(due.into()).await;
        }
    };
    join_all((0..3).map(one)).await;
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

async fn neighbour(name: &str, site: &Site, report: &mut Report) {
    let hostile = &site.readable()[0];
    let mut wire = Connection::to(site.server.address).await;
    for _ in 1..RULES {
        let rule = json!({
            "rule": { "kind": "reflection" }, "sections": ["text"], "reader": { "type": "care_team" },
            "visible_at_once": true,
        });
        ask(&mut wire, "PUT", &format!("/v1/patients/me/grants/{}", Uuid::new_v4()), hostile, Some(rule), 201).await;
    }
    for _ in 0..200 {
        assert_eq!(wire.ask(&create(hostile)).await.0, 201);
    }
    let writers = site.writers();
    let each = |c: usize, n: usize| create(&writers[(c + n * CONNECTIONS) % writers.len()]);
    let (alone, beside) = beside(site, each, async |_, ends| worst(site, hostile, ends).await).await;
    tell_beside(&format!("others' creates beside a hostile patient on {name}"), (alone, beside), report);
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
    let (strangers, read, therapist) = (site.writers(), site.readable(), site.therapist());
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
