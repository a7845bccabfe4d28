//! The tests of Afterglow, in one binary. They run on SQLite; with `AFTERGLOW_TEST_POSTGRES` set to the URL of a
//! PostgreSQL server whose databases may be made and dropped, the same tests run there.

#![allow(missing_docs, reason = "the names of tests are their documentation")]
#![allow(
    clippy::pedantic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop"
)]
#![allow(clippy::allow_attributes, reason = "the expectations above are not met in every module")]

mod support;

mod audit;
mod care_links;
mod db;
mod delivery;
mod idempotency;
mod joining;
mod journal;
mod matrix;
mod races;
mod server;
mod sharing;
mod story;
