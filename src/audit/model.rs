//! The content of an audit row, and the bytes that its hash covers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The sealed part of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The act: the operation's name (`list_entries`), or an event (`refresh_reused`).
    pub act: String,
    /// The role of the actor: `therapist`, `record`, `owner`, `server`.
    pub role: String,
    /// Whether it was refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The ids of the things whose content was returned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<Uuid>,
}

/// The fault of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFault {
    /// The subject of the chain.
    pub subject: Uuid,
    /// The first row that does not fit; one past the last row when rows are missing at the end.
    pub seq: i64,
    /// The reason.
    pub why: &'static str,
}

/// Returns the bytes of a row that its hash covers. No two rows have the same bytes.
pub fn canonical(
    subject: Uuid,
    seq: i64,
    at: Timestamp,
    actor: Option<Uuid>,
    session: Option<Uuid>,
    doc: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(doc.len() + 74);
    bytes.extend_from_slice(subject.as_bytes());
    bytes.extend_from_slice(&seq.to_be_bytes());
    bytes.extend_from_slice(&at.as_microsecond().to_be_bytes());
    for id in [actor, session] {
        bytes.push(u8::from(id.is_some()));
        bytes.extend_from_slice(id.unwrap_or_default().as_bytes());
    }
    bytes.extend_from_slice(doc);
    bytes
}
