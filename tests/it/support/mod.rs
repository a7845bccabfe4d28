//! What the tests share: a database of their own.

pub mod app;
pub mod contract;
pub mod database;
pub mod sources;
