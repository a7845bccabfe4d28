//! The library, its texts and its answers.

mod answered;
mod library;
mod suggestions;
