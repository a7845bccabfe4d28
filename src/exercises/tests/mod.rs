//! The library and its words, and what may be answered.

mod advice;
mod answered;
mod library;
