//! What the tests share: a database of their own.

pub mod accounts;
pub mod app;
pub mod contract;
pub mod database;
pub mod sources;
