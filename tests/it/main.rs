//! The tests of Afterglow, in one binary. They run on SQLite; with `AFTERGLOW_TEST_POSTGRES` set to the URL of a
//! PostgreSQL server whose databases may be made and dropped, the same tests run there.

#![allow(missing_docs, reason = "the names of tests are their documentation")]
#![allow(
    clippy::pedantic,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop"
)]
#![allow(clippy::allow_attributes, reason = "the expectations above are not met in every module")]

mod support;

#[path = "../client/phone.rs"]
mod reference_phone;

mod account_life;
mod activity;
mod adherence;
mod anchors;
mod answers;
mod architecture;
mod assignments;
mod at_rest;
mod attempts;
mod audit;
mod blanks;
mod borders;
mod bundle;
mod calendar;
mod canonical;
mod care_links;
mod channels;
mod changed_rows;
mod clinic;
mod clinic_protocols;
mod command_line;
mod compression;
mod consents;
mod copy;
mod cors;
mod damaged_pages;
mod db;
mod delivery;
mod demo;
mod derived_ids;
mod devices;
mod discretion;
mod epoch;
mod errors;
mod examples;
mod exercises;
mod factors;
mod fairness;
mod feed;
mod guarded;
mod guide;
mod hanging;
mod held_back;
mod hostile;
mod idempotency;
mod infusions;
mod installation;
mod integrity;
mod items;
mod joining;
mod journal;
mod kills;
mod known_devices;
mod known_faults;
mod languages;
mod leaks;
mod methods;
mod lenient;
mod moves;
mod notices;
mod lighter;
mod limits;
mod lists;
mod lock_order;
mod lateness;
mod marked_meanwhile;
mod matrix;
mod migrations;
mod offline;
mod open_registration;
mod openapi;
mod operator;
mod outage;
mod older;
mod overrides;
mod pages;
mod passkeys;
mod passphrases;
mod posture;
mod people;
mod prepared_plans;
mod prepared_readings;
mod preview;
mod protocols;
mod pull;
mod push;
mod pushes;
mod push_generated;
mod push_kinds;
mod push_limits;
mod push_meanwhile;
mod put_off;
mod pyotp;
mod queries;
mod quotes;
mod races;
mod readers;
mod receipts;
mod revocations;
mod readme;
mod refusals;
mod reminders;
mod reference;
mod repetitions;
mod replanning;
mod restored;
mod retries;
mod returning;
mod rules;
mod sandbox;
mod sandbox_faults;
mod sandbox_posture;
mod server;
mod sessions;
mod shared_ids;
mod shares_all;
mod sharing;
mod shut_out;
mod split_workers;
mod standing_in;
mod statements;
mod step_up;
mod story;
mod strangers;
mod stream;
mod subscriptions;
mod tables;
mod taken_back;
mod taken_for_none;
mod tails;
mod tasks;
mod time_zones;
mod tokens;
mod unchecked;
mod unproved;
mod unreadable;
mod unseen;
mod view_as;
mod whole_lists;
mod worker_kills;
