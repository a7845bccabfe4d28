//! What the tests share: a database of their own.

pub mod database;
