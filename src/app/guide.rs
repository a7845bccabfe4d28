//! The guide for app developers: as Markdown and as a page.
//!
//! A test pastes every request of it into a shell and compares every reply.

/// The guide in Markdown.
pub const SOURCE: &str = include_str!("guide.md");
