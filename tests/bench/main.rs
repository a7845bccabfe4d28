//! `cargo bench`: what the server costs, as ratios measured in one run on one machine.
//!
//! The baseline is PostgreSQL doing the same statements without a server in between (`create.sql`, frozen) and a
//! handler that does nothing but send. The server is the real binary in a process of its own; patients are made
//! through the library before it starts. Rounds alternate, medians are told. A benchmark is not a test: it ends with
//! 0 and says what was missed.
//!
//! The part `peer` compares with PocketBase. The environment variable `POCKETBASE` is the path of its binary; without
//! it the part is not measured.
//!
//! `cargo bench -- growth --entries=10000000` makes a larger database than usual, of 30 GB.
//!
//! `cargo bench -- --quick` takes a few seconds for each part and proves only that everything still runs. The names of
//! parts ([`PARTS`]) measure these alone. How to read and repeat it: `.github/CONTRIBUTING.md`.

#![allow(
    clippy::pedantic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a benchmark may stop"
)]
#![allow(clippy::allow_attributes, reason = "the expectations above are not met in every module")]

mod bare;
mod client;
mod course;
mod delivery;
mod growth;
mod heavy;
mod hostile;
mod log_ins;
mod minute;
mod peer;
mod people;
mod planning;
mod postgres;
mod readers;
mod report;
mod rounds;
mod server;
mod start;
mod stream;
mod sync;

use std::time::Duration;

/// The parts, in the order in which they are measured.
const PARTS: [&str; 11] =
    ["start", "rounds", "minute", "peer", "growth", "heavy", "hostile", "log_ins", "planning", "sync", "delivery"];

/// How long and how often things are measured.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Patients who write.
    pub writers: usize,
    /// Patients whose lists are read, by themselves and by their therapist. They have no infusions: prompts of theirs
    /// come due.
    pub shelves: usize,
    /// How many rounds.
    pub rounds: usize,
    /// How long one measure of a round takes.
    pub time: Duration,
    /// How long pgbench runs in a round.
    pub pgbench: u64,
    /// Prompts among which the worker finds what is due.
    pub prompts: usize,
    /// Entries of the large database.
    pub entries: usize,
    /// Changes of a long pull; half as many entries are a long history.
    pub changes: usize,
    /// Streams that are open at once; half as many are woken.
    pub streams: usize,
    /// How long a load without a break takes.
    pub minute: Duration,
    /// Entries and infusions of a patient with a long history.
    pub history: (usize, usize),
    /// The most rows of each set of a patient who means harm; the published limits of the sets are below it.
    pub set_rows: usize,
    /// Log-ins after which the memory is looked at.
    pub log_ins: usize,
}

const FULL: Scale = Scale {
    writers: 1000,
    shelves: 100,
    rounds: 5,
    time: Duration::from_secs(5),
    pgbench: 8,
    prompts: 1_000_000,
    entries: 1_000_000,
    changes: 10_000,
    streams: 2000,
    minute: Duration::from_secs(60),
    history: (5000, 300),
    set_rows: usize::MAX,
    log_ins: 1000,
};
const QUICK: Scale = Scale {
    writers: 64,
    shelves: 8,
    rounds: 1,
    time: Duration::from_millis(500),
    pgbench: 1,
    prompts: 12_000,
    entries: 2_000,
    changes: 400,
    streams: 64,
    minute: Duration::from_secs(2),
    history: (200, 12),
    set_rows: 10,
    log_ins: 64,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, file] = arguments.as_slice()
        && role == bare::ROLE
    {
        return bare::serve(file);
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let Some(url) = postgres::url(&arguments) else { return };
    let mut scale = if quick { QUICK } else { FULL };
    if let Some(count) = arguments.iter().find_map(|argument| argument.strip_prefix("--entries=")) {
        scale.entries = count.parse().unwrap();
    }
    if quick {
        println!("quick: the figures below mean nothing\n");
    }
    // One thread for everything the client does: what it costs is little, and the same in every measure.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut report = report::Report::default();
    let named = |part: &str| arguments.iter().any(|argument| argument == part);
    let all = !PARTS.into_iter().any(named);
    if all || named("start") {
        runtime.block_on(start::measure(scale, &mut report));
    }
    if all || named("rounds") {
        runtime.block_on(rounds::run(scale, url.as_deref(), &mut report));
    }
    if all || named("minute") {
        runtime.block_on(minute::measure(scale, url.as_deref(), &mut report));
    }
    if all || named("peer") {
        runtime.block_on(peer::measure(scale, &mut report));
    }
    if all || named("growth") {
        runtime.block_on(growth::measure(scale, &mut report));
    }
    if all || named("heavy") {
        let database = url.as_deref().map(|cluster| postgres::database(cluster, "afterglow_heavy"));
        runtime.block_on(heavy::measure(scale, database, &mut report));
    }
    if all || named("hostile") {
        let database = url.as_deref().map(|cluster| postgres::database(cluster, "afterglow_hostile"));
        runtime.block_on(hostile::measure(scale, database, &mut report));
    }
    if all || named("log_ins") {
        let database = url.as_deref().map(|cluster| postgres::database(cluster, "afterglow_log_ins"));
        runtime.block_on(log_ins::measure(scale, database, &mut report));
    }
    if all || named("planning") {
        planning::measure(&mut report);
    }
    if all || named("sync") {
        let database = |name| url.as_deref().map(|cluster| postgres::database(cluster, name));
        runtime.block_on(sync::measure(scale, database("afterglow_sync"), &mut report));
        runtime.block_on(stream::measure(scale, database("afterglow_streams"), &mut report));
    }
    if all || named("delivery") {
        runtime.block_on(delivery::measure(scale, quick, url.as_deref(), &mut report));
    }
    report.print();
}
