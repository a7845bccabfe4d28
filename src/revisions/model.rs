//! A part, sealed and opened.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A sealed part, and the version of the row that last changed it; 0 and nothing when it never was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Its revision.
    pub rev: i64,
    /// The sealed document.
    pub sealed: Option<Vec<u8>>,
}

/// What a part holds, with when the server took it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// When.
    pub at: Timestamp,
    /// What.
    pub value: T,
}
