//! What a long history costs the patient who has it: the same requests of two patients of one server, in turn.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use super::Scale;
use super::client::{Connection, request};
use super::people::Someone;
use super::report::{Goal, Report, median};
use super::rounds::{Site, ask, create, list};
use super::sync::{epoch, history};

/// Entries and infusions of the patient who began a few days ago.
const LIGHT: (usize, usize) = (20, 1);
/// Hours from one infusion to the next, and from the last one to now: longer ago than every entry.
const APART: i64 = 96;
/// Requests of each of the two in a round.
const TURNS: usize = 60;
/// The first of them, which do not count.
const WARM: usize = 10;

/// Measures SQLite and, if there is one, a PostgreSQL.
pub async fn measure(scale: Scale, postgres: Option<String>, report: &mut Report) {
    let scale = Scale { writers: 2, shelves: 0, ..scale };
    on("SQLite", Site::open(scale, None).await, report).await;
    if postgres.is_some() {
        on("PostgreSQL", Site::open(scale, postgres).await, report).await;
    }
}

async fn on(name: &str, site: Site, report: &mut Report) {
    let (heavy, light) = (&site.writers()[0], &site.writers()[1]);
    let (entries, infusions) = site.scale().history;
    let mut wire = Connection::to(site.server.address).await;
    let epoch = epoch(&mut wire, light).await;
    for (who, (entries, infusions)) in [(light, LIGHT), (heavy, (entries, infusions))] {
        treat(&mut wire, who, infusions).await;
        history(&mut wire, who, &epoch, entries).await;
    }
    // Creates come last: until then the light patient has no more than at first.
    let requests: [(&str, u16, fn(&Someone) -> Vec<u8>); 3] =
        [("list of 20", 200, |who| list(who, "me")), ("window", 200, window), ("create", 201, create)];
    for (what, status, request) in requests {
        let [much, little] = in_turn(&mut wire, TURNS * site.scale().rounds, [heavy, light], status, request).await;
        let figure =
            format!("p50 {much:.2} ms with {entries} entries and {infusions} infusions, {little:.2} ms with few");
        report.goal(&format!("{what} on {name}, long / short history"), figure, much / little, Goal::Most(1.3));
    }
    // The server would wait for it.
    drop(wire);
    site.server.stop();
}

fn window(who: &Someone) -> Vec<u8> {
    request("GET", "/v1/patients/me/window", &who.token, b"", None)
}

/// Has a patient report so many infusions, the oldest first.
pub async fn treat(wire: &mut Connection, who: &Someone, count: usize) {
    let now = Timestamp::now();
    for n in (1..=count).rev() {
        let start = now - SignedDuration::from_hours(APART * n as i64);
        let (start, end) = (start.to_string(), (start + SignedDuration::from_mins(40)).to_string());
        let infusion = json!({ "status": "completed", "route": "iv_infusion", "started_at": start, "ended_at": end });
        ask(wire, "PUT", &format!("/v1/patients/me/infusions/{}", Uuid::now_v7()), who, Some(infusion), 201).await;
    }
}

/// The median milliseconds of this request for each of both. Each is as often the first of a turn.
async fn in_turn(
    wire: &mut Connection,
    turns: usize,
    both: [&Someone; 2],
    status: u16,
    request: fn(&Someone) -> Vec<u8>,
) -> [f64; 2] {
    let mut times: [Vec<f64>; 2] = Default::default();
    for turn in 0..WARM + turns {
        for which in [turn % 2, 1 - turn % 2] {
            let bytes = request(both[which]);
            let sent = Instant::now();
            let (found, body) = wire.ask(&bytes).await;
            let time = sent.elapsed().as_secs_f64() * 1e3;
            assert_eq!(found, status, "{}", String::from_utf8_lossy(body));
            if turn >= WARM {
                times[which].push(time);
            }
        }
    }
    times.map(|times| median(&times))
}
