//! The `afterglow` command.

fn main() {}
