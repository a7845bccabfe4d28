//! Load benchmarks.

fn main() {}
