//! The log: lines on standard error, which never hold up or end the server.
//!
//! A thread of its own writes them. While it cannot (the reader of a pipe has stopped reading), lines wait, up to a
//! limit beyond which they are lost. Lines that cannot be written (the reader has gone, the disk is full) are lost as
//! well. The server goes on, and `log_lines_lost_total` counts the lost lines.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object for machines.
    Json,
}

/// The most lines that wait, of some 200 bytes each.
const WAITING: usize = 16_384;

/// Checks a filter.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn check(filter: &str) -> Result<(), String> {
    EnvFilter::try_new(filter).map(drop).map_err(|error| error.to_string())
}

/// Starts the log. When the guard is dropped it writes the waiting lines, for a second at most.
pub(super) fn start(format: LogFormat, filter: &str) -> WorkerGuard {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let (lines, guard) = NonBlockingBuilder::default().buffered_lines_limit(WAITING).finish(Sink);
    let lines = Lines { dropped: lines.error_counter(), lines };
    // A fault of the log itself would be printed on standard error, and the printing panics when that is closed.
    let log = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter).with_writer(lines);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    guard
}

/// Standard error, where every write succeeds.
struct Sink;

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if io::stderr().write_all(line).is_err() {
            metrics::counter!("log_lines_lost_total", "why" => "unwritable").increment(1);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hands lines to the thread that writes them.
struct Lines {
    lines: NonBlocking,
    dropped: ErrorCounter,
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = NonBlocking;

    fn make_writer(&'w self) -> NonBlocking {
        let dropped = u64::try_from(self.dropped.dropped_lines()).unwrap_or(u64::MAX);
        if dropped > 0 {
            metrics::counter!("log_lines_lost_total", "why" => "too_many").absolute(dropped);
        }
        self.lines.clone()
    }
}
