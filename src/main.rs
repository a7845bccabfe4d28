//! The `afterglow` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    afterglow::cli::run()
}
