//! Creates without a break: whether the rate at the end is that of the beginning, and what those wait who wait longest.

use super::client::{CONNECTIONS, SLICES, load};
use super::report::{Goal, Report};
use super::rounds::{Site, create};
use super::{Scale, postgres};

/// The longest that all but one in a hundred wait, in ms, on SQLite.
const WAIT: f64 = 15.0;

/// Measures SQLite and, if there is one, a PostgreSQL, with the same minute of pgbench beside it: what falls there falls
/// with the machine.
pub async fn measure(scale: Scale, cluster: Option<&str>, report: &mut Report) {
    let scale = Scale { shelves: 0, ..scale };
    on("SQLite", Site::open(scale, None).await, Some(Goal::Most(WAIT)), report).await;
    let Some(cluster) = cluster else { return };
    let baseline = postgres::database(cluster, "afterglow_minute_baseline");
    postgres::prepare(&baseline);
    let seconds = scale.minute.as_secs();
    let parts = postgres::pgbench_parts(&baseline, seconds, (seconds / SLICES as u64).max(1));
    let (slope, figure) = slope(&parts);
    report.note(&format!("pgbench for {seconds} s, last part / first"), format!("{slope:.2}: {figure}"));
    let database = postgres::database(cluster, "afterglow_minute");
    on("PostgreSQL", Site::open(scale, Some(database)).await, None, report).await;
}

async fn on(name: &str, site: Site, wait: Option<Goal>, report: &mut Report) {
    let (writers, time) = (site.writers(), site.scale().minute);
    let each = |c: usize, n: usize| create(&writers[(c + n * CONNECTIONS) % writers.len()]);
    let done = load(site.server.address, time, 201, each).await;
    let (slope, figure) = slope(&done.slices);
    let seconds = time.as_secs();
    let measure = format!("creates for {seconds} s on {name}, last part / first");
    report.goal(&measure, figure, slope, Goal::Least(0.97));
    let (measure, figure) = (format!("creates for {seconds} s on {name}, p99, ms"), format!("p50 {:.1} ms", done.p50));
    match wait {
        Some(goal) => report.goal(&measure, figure, done.p99, goal),
        None => report.note(&measure, format!("{:.1} ms, {figure}", done.p99)),
    }
    site.server.stop();
}

/// The rate of the last part as a share of that of the first, and all rates in words.
fn slope(parts: &[f64]) -> (f64, String) {
    let (first, last) = (parts.first().unwrap_or(&f64::NAN), parts.last().unwrap_or(&f64::NAN));
    let all: Vec<String> = parts.iter().map(|rate| format!("{rate:.0}")).collect();
    (last / first, format!("{} a second", all.join(", ")))
}
