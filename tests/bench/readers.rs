//! What readers cost those who write: a grant that opens a whole history, and the last step of every unit.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use afterglow::app::Server;
use afterglow::config::Config;
use afterglow::db::{LastStep, Note, Tx};
use afterglow::feed;
use afterglow::kernel::{Clock, Entropy, Result};
use serde_json::json;
use uuid::Uuid;

use super::client::{CONNECTIONS, Connection, request};
use super::hostile::{beside, tell_beside};
use super::people::Someone;
use super::report::{Goal, Report, median};
use super::rounds::{Site, ask, create, text};
use super::server::InProcess;
use super::sync::{epoch, history, push_request, stored};

/// The time between two acts on a grant by rule.
const PACE: Duration = Duration::from_secs(1);
/// Units whose last step is timed.
const UNITS: usize = 1000;

/// Links a patient to every therapist of the clinic.
async fn link_all(wire: &mut Connection, site: &Site, who: &Someone) {
    site.confirm(wire, who, site.therapist()).await;
    for therapist in site.colleagues() {
        let invitation = ask(wire, "POST", "/v1/invitations", therapist, Some(json!({ "kind": "patient" })), 201).await;
        let code = json!({ "code": invitation["code"] });
        ask(wire, "POST", "/v1/invitations/accept", who, Some(code), 200).await;
        site.confirm(wire, who, therapist).await;
    }
}

/// Others write while a patient opens a long history to five readers, and closes it again: one act a second. Each round
/// has a patient whose readers have seen nothing yet.
pub async fn rule(name: &str, site: &Site, (patients, others): (&[Someone], &[Someone]), report: &mut Report) {
    let entries = site.scale().changes / 2;
    let mut wire = Connection::to(site.server.address).await;
    let epoch = epoch(&mut wire, &patients[0]).await;
    for who in patients {
        link_all(&mut wire, site, who).await;
        history(&mut wire, who, &epoch, entries).await;
    }
    let acts = Mutex::new(Vec::new());
    let act = async |round: usize, ends: &Cell<bool>| {
        let (who, mut wire) = (&patients[round], Connection::to(site.server.address).await);
        let reader = json!({ "type": "care_team" });
        let rule = json!({
            "rule": { "kind": "reflection" }, "sections": ["text"], "reader": reader, "visible_at_once": true,
        });
        let rule = rule.to_string();
        let mut grant = None;
        while !ends.get() {
            let request = match grant.take() {
                None => {
                    let path = format!("/v1/patients/me/grants/{}", Uuid::now_v7());
                    let request = request("PUT", &path, &who.token, rule.as_bytes(), None);
                    grant = Some(path);
                    request
                }
                Some(path) => request("DELETE", &path, &who.token, b"", None),
            };
            let begin = Instant::now();
            let (status, body) = wire.ask(&request).await;
            assert!((200..300).contains(&status), "{}", String::from_utf8_lossy(body));
            acts.lock().unwrap().push(begin.elapsed().as_secs_f64() * 1e3);
            tokio::time::sleep_until((begin + PACE).into()).await;
        }
    };
    let each = |c: usize, n: usize| create(&others[(c + n * CONNECTIONS) % others.len()]);
    let both = beside(site, each, act).await;
    let acts = acts.into_inner().unwrap();
    let figure = format!("{:.0} ms, the first {:.0} ms, beside others' creates", median(&acts), acts[0]);
    report.note(&format!("a grant by rule over {entries} entries, 5 readers, on {name}"), figure);
    let measure = format!("others' creates beside a rule grant a second ({entries} entries, 5 readers) on {name}");
    tell_beside(&measure, both, report);
}

/// The step of the product, timed.
#[derive(Debug)]
struct Timed {
    step: feed::Step,
    times: Arc<Mutex<Vec<f64>>>,
}

impl LastStep for Timed {
    fn run(&self, tx: &mut Tx<'_>, notes: Vec<Note>) -> Result<()> {
        let begin = Instant::now();
        let done = self.step.run(tx, notes);
        self.times.lock().unwrap().push(begin.elapsed().as_secs_f64() * 1e6);
        done
    }
}

/// The last step of creates and edits of what is open to nobody, of a patient with a therapist. The server runs in this
/// process, idle but for one request at a time; what the step takes is compared with the processor time of a whole create
/// in a server that has much to do, which is the least that a create comes to.
pub async fn feed_step(name: &str, site: Site, (people, create_cpu): (&[Someone], f64), report: &mut Report) {
    let who = &people[people.len() - 1];
    let mut wire = Connection::to(site.server.address).await;
    site.confirm(&mut wire, who, site.therapist()).await;
    let epoch = epoch(&mut wire, who).await;
    drop(wire);
    let (site, [create, edit]) = site.without_server(async |config| timed(config, who, &epoch).await).await;
    site.server.stop();
    for (act, time) in [("create", create), ("edit", edit)] {
        let figure = format!("{time:.1} µs, a create takes {create_cpu:.0} µs of server CPU");
        let measure = format!("feed step of an {act} of what nobody reads on {name} / a create, %");
        let measure = measure.replace("an create", "a create");
        report.goal(&measure, figure, time / create_cpu * 100.0, Goal::Most(3.0));
    }
}

/// The microseconds of the step of a create and of an edit.
async fn timed(config: Config, who: &Someone, epoch: &str) -> [f64; 2] {
    let mut server = Server::open(config, Clock::System, Entropy::System).await.unwrap();
    let times = Arc::<Mutex<Vec<f64>>>::default();
    let step = Timed { step: feed::Step::new(server.state.vault.clone()), times: Arc::clone(&times) };
    server.state.db = server.state.db.with_last_step(Arc::new(step));
    let running = InProcess::start(&server);
    let mut wire = Connection::to(running.address).await;
    let take = || {
        let mut times = std::mem::take(&mut *times.lock().unwrap());
        assert!(times.len() <= UNITS);
        // A unit that notes nothing has no last step.
        times.resize(UNITS, 0.0);
        median(&times)
    };
    let ids: Vec<_> = (0..UNITS).map(|_| Uuid::now_v7()).collect();
    let header = json!({ "kind": "note", "occurred_at": jiff::Timestamp::now().to_string() });
    for id in &ids {
        let new = json!({ "id": id, "base_version": 0, "header": header, "text": text() });
        stored(&mut wire, &push_request(who, epoch, [new].into_iter()), 1).await;
    }
    let create = take();
    for id in &ids {
        let edit = json!({ "id": id, "base_version": 1, "text": { "title": "The lake", "body": "Quiet." } });
        stored(&mut wire, &push_request(who, epoch, [edit].into_iter()), 1).await;
    }
    let edit = take();
    drop(wire);
    running.stop().await;
    server.close();
    [create, edit]
}
