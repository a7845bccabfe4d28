//! The library and its words, and what may be answered.

mod answered;
mod library;
mod suggestions;
