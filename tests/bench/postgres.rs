//! A throw-away PostgreSQL, and pgbench on it.

use std::process::Command;

use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;

const CREATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/create.sql");
const TABLES: &str = include_str!("tables.sql");
const WITH_POSTGRES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/with-postgres");

/// What an operator sets; what is safe stays as it is.
const OPTIONS: &str = "-c shared_buffers=512MB -c max_wal_size=4GB -c checkpoint_timeout=15min \
                       -c synchronous_commit=on -c fsync=on";

/// Where PostgreSQL is: given, or started by running this process again below `.ci/with-postgres`; then the outer
/// `None` says that it has run. The inner one says that there is none.
pub fn url(arguments: &[String]) -> Option<Option<String>> {
    if let Ok(url) = std::env::var("AFTERGLOW_TEST_POSTGRES")
        && !url.is_empty()
    {
        return Some(Some(url));
    }
    let own = std::env::current_exe().unwrap();
    let run = Command::new(WITH_POSTGRES)
        .arg(own)
        .args(arguments)
        .env("POSTGRES_OPTIONS", OPTIONS)
        // On a disk: for the tests it is in memory.
        .env("TMPDIR", std::env::temp_dir())
        .status();
    match run {
        // 0, or a failure that has been told below it.
        Ok(status) if status.success() => None,
        Ok(_) | Err(_) => {
            println!("note: PostgreSQL could not be started; what needs it was not measured.");
            Some(None)
        }
    }
}

/// Makes the database `name` anew, and answers its URL.
pub fn database(server: &str, name: &str) -> String {
    let mut admin = PgConnection::establish(server).unwrap();
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap();
    admin.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
    let (root, _) = server.split('?').next().unwrap().rsplit_once('/').unwrap();
    format!("{root}/{name}")
}

/// Makes the tables of the baseline.
pub fn prepare(url: &str) {
    let mut connection = PgConnection::establish(url).unwrap();
    for statement in TABLES.split_inclusive(';').filter(|statement| !statement.trim().is_empty()) {
        connection.batch_execute(statement).unwrap();
    }
}

/// Transactions per second of the baseline.
pub fn pgbench(url: &str, seconds: u64) -> f64 {
    run(url, seconds, &[]).0
}

/// Transactions per second of the baseline in each part of `part` seconds, in their order.
pub fn pgbench_parts(url: &str, seconds: u64, part: u64) -> Vec<f64> {
    let (_, progress) = run(url, seconds, &["-P", &part.to_string()]);
    // progress: 5.0 s, 1234.5 tps, lat 8.055 ms stddev 3.234, 0 failed
    let rate = |line: &str| {
        let rate = line.strip_prefix("progress: ")?.split(", ").nth(1)?.strip_suffix(" tps")?;
        rate.parse::<f64>().ok()
    };
    progress.lines().filter_map(rate).collect()
}

/// Runs the baseline: its transactions per second, and the progress that was told.
fn run(url: &str, seconds: u64, more: &[&str]) -> (f64, String) {
    let bytes: Vec<String> =
        (0..2048 / 16).map(|_| afterglow::kernel::Entropy::System.bytes::<16>()).map(|bytes| hex(&bytes)).collect();
    let out = Command::new("pgbench")
        .args(["-n", "-c", "10", "-j", "1", "-M", "prepared", "-T", &seconds.to_string()])
        .arg("-D")
        .arg(format!("text=\\x{}", bytes.concat()))
        .args(more)
        .args(["-f", CREATE, url])
        .output()
        .expect("pgbench belongs to PostgreSQL");
    let text = String::from_utf8_lossy(&out.stdout);
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    (rate.unwrap_or_else(|| panic!("pgbench: {text}{told}")), told)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
