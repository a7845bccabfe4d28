//! What the tests share: a server, people, a database of their own.

pub mod accounts;
pub mod app;
pub mod canaries;
pub mod child;
pub mod contract;
pub mod database;
pub mod dice;
pub mod dreams;
pub mod exercises;
pub mod generator;
pub mod journal;
pub mod lakeside;
pub mod people;
pub mod phone;
pub mod playground;
pub mod protocols;
pub mod reader;
pub mod replies;
pub mod requests;
pub mod respelling;
pub mod shell;
pub mod graph;
pub mod sources;
pub mod sql;
pub mod sync;
pub mod world;
