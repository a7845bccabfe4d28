//! x
pub mod kernel;
pub mod db;
