//! What a server costs before anybody comes: the time until it is ready, and its memory; and what log-ins leave in it.

use std::time::Duration;

use futures_util::future::join_all;

use super::Scale;
use super::client::{CONNECTIONS, Connection};
use super::log_ins::log_in;
use super::people::PASSPHRASE;
use super::report::{Goal, Report, median};
use super::rounds::Site;
use super::server::{Server, free_address};

/// What a server begins with is done after this.
const SETTLED: Duration = Duration::from_millis(1500);

/// The server has given back the memory of log-ins, which it keeps for ten seconds, after this.
const RESTED: Duration = Duration::from_secs(12);

/// Starts the server on a new and on an existing data folder, in turn.
pub async fn measure(scale: Scale, report: &mut Report) {
    let site = Site::open(Scale { writers: CONNECTIONS, shelves: 0, ..scale }, None).await;
    memory(&site, report).await;
    let Site { server, folder, .. } = site;
    let address = server.address;
    server.stop();
    let (mut new, mut existing, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let empty = tempfile::tempdir().unwrap();
        let server = Server::start(empty.path(), None, free_address()).await;
        new.push(server.ready.as_secs_f64() * 1e3);
        tokio::time::sleep(SETTLED).await;
        idle.push(server.memory());
        server.stop();
        let server = Server::start(folder.path(), None, address).await;
        existing.push(server.ready.as_secs_f64() * 1e3);
        server.stop();
    }
    let (first, again, idle) = (median(&new), median(&existing), median(&idle));
    let figure = format!("{first:.0} ms; {again:.0} ms on the folder of {CONNECTIONS} patients");
    report.goal("ready on a new data folder, ms", figure, first, Goal::Most(60.0));
    report.goal("idle memory before the first log-in, MB", format!("{idle:.1} MB"), idle, Goal::Most(25.0));
}

/// Log-ins that succeed, as many at once as there are connections, each with an account of its own.
async fn memory(site: &Site, report: &mut Report) {
    let before = site.server.memory();
    let each = async |c: usize| {
        let mut wire = Connection::to(site.server.address).await;
        for _ in 0..site.scale().log_ins.div_ceil(CONNECTIONS) {
            let (status, body) = wire.ask(&log_in(&format!("p{c}@example.org"), PASSPHRASE)).await;
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(body));
        }
    };
    join_all((0..CONNECTIONS).map(each)).await;
    let at_once = site.server.memory();
    tokio::time::sleep(RESTED).await;
    let memory = site.server.memory();
    let measure = format!("memory after {} log-ins, MB", site.scale().log_ins);
    let rest = RESTED.as_secs();
    let figure = format!("{memory:.1} MB after {rest} s, {at_once:.1} MB at once, {before:.1} MB before");
    report.goal(&measure, figure, memory, Goal::Most(60.0));
}
