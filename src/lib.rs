//! x
pub mod kernel;
pub mod db;
pub mod vault;
pub mod http;
pub mod config;
pub mod state;
pub mod audit;
pub mod replay;
pub mod changes;
pub mod identity;
pub mod care;
pub mod window;
pub mod course;
pub mod prompts;
pub mod app;
pub mod cli;
