//! The guides for app developers: as Markdown and as pages.
//!
//! A test pastes every request of them into a shell and compares every reply.

/// The guide to the first hour in Markdown.
pub const SOURCE: &str = include_str!("guide.md");

/// The guide to sync in Markdown.
pub const SYNC: &str = include_str!("sync.md");
