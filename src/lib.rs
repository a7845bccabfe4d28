//! x
pub mod course;
pub mod db;
pub mod kernel;
pub mod prompts;
pub mod window;
