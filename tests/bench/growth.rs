//! What a full database costs: the same requests with ten thousand entries in it and with a million.

use std::path::Path;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use diesel::sqlite::SqliteConnection;

use super::Scale;
use super::client::{CONNECTIONS, load};
use super::people::Someone;
use super::report::{Goal, Report, median};
use super::rounds::{Site, create, list};

/// Entries of the small database.
const FEW: usize = 10_000;
/// Entries planted in one transaction.
const AT_ONCE: usize = 50_000;
/// About what an entry of 2 KB comes to when it is sealed.
const SEALED: usize = 2304;

/// Creates and lists on SQLite, in rounds that alternate between a small and a large database.
pub async fn measure(scale: Scale, report: &mut Report) {
    let (small, large) = (Site::open(scale, None).await, Site::open(scale, None).await);
    plant(small.folder.path(), small.writers(), FEW.min(scale.entries / 10));
    plant(large.folder.path(), large.writers(), scale.entries);
    let (mut creates, mut lists) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..scale.rounds {
        for (n, site) in [&small, &large].into_iter().enumerate() {
            let (writers, readers, address) = (site.writers(), site.readable(), site.server.address);
            let each = |c: usize, n: usize| create(&writers[(c + n * CONNECTIONS) % writers.len()]);
            creates[n].push(load(address, scale.time, 201, each).await.rate);
            let each = |c: usize, n: usize| list(&readers[(c + n * CONNECTIONS) % readers.len()], "me");
            lists[n].push(load(address, scale.time, 200, each).await.rate);
        }
    }
    small.server.stop();
    large.server.stop();
    for (name, [few, many], goal) in [("create", &creates, 1.1), ("list of 20", &lists, 1.05)] {
        let (few, many) = (median(few), median(many));
        let figure = format!("{many:.0}/s with {} entries, {few:.0}/s with few", scale.entries);
        report.goal(&format!("{name} on SQLite, few / many entries"), figure, few / many, Goal::Most(goal));
    }
}

/// Writes `rows` entries of these patients past the server. Nobody asks for them, so they need not open.
fn plant(folder: &Path, patients: &[Someone], rows: usize) {
    let path = folder.join("data/afterglow.sqlite");
    let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 10000; PRAGMA synchronous = OFF;").unwrap();
    conn.batch_execute("CREATE TEMP TABLE whose (n INTEGER PRIMARY KEY, id BLOB NOT NULL);").unwrap();
    for (n, patient) in patients.iter().enumerate() {
        diesel::sql_query("INSERT INTO whose VALUES (?, ?)")
            .bind::<BigInt, _>(n as i64)
            .bind::<Binary, _>(patient.patient.as_bytes().to_vec())
            .execute(&mut conn)
            .unwrap();
    }
    let start = jiff::Timestamp::now().as_millisecond() - 400 * 24 * 3_600_000;
    for first in (0..rows).step_by(AT_ONCE) {
        let last = rows.min(first + AT_ONCE);
        // Ids grow with time, as those of phones do.
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {last}) \
             INSERT INTO entries (patient_id, id, version, meta, meta_rev, text, text_rev, mood_rev, tags_rev, \
             attachments_rev, draft, occurred_at, received_at, updated_at) \
             SELECT whose.id, unhex(printf('%012x', {start} + i * 30)) || randomblob(10), 1, randomblob(300), 1, \
             randomblob({SEALED}), 1, 0, 0, 0, 0, ({start} + i * 30) * 1000, ({start} + i * 30) * 1000, \
             ({start} + i * 30) * 1000 FROM n JOIN whose ON whose.n = i % {}",
            patients.len()
        );
        conn.batch_execute(&sql).unwrap();
    }
    conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE);").unwrap();
}
