//! x
pub mod audit;
pub mod care;
pub mod changes;
pub mod config;
pub mod db;
pub mod http;
pub mod identity;
pub mod journal;
pub mod kernel;
pub mod replay;
pub mod state;
pub mod vault;
pub mod window;
pub mod course;
pub mod prompts;
pub mod app;
pub mod cli;
