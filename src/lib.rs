//! x
pub mod kernel;
pub mod db;
pub mod http;
