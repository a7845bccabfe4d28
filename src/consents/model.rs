//! A consent, as it is given and as it stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::documents::Document;

/// The ways in which a consent is given.
pub const METHODS: [&str; 3] = ["app", "paper", "spoken"];

/// A consent to give.
#[derive(Clone, Debug)]
pub struct NewConsent {
    /// The document.
    pub document: &'static Document,
    /// The language of the text that was shown.
    pub locale: String,
    /// The hash of that text.
    pub text_sha256: String,
    /// The way in which it is given, one of [`METHODS`].
    pub method: String,
}

/// The sealed document of a row. That of a withdrawal repeats what was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentDoc {
    /// The key of the document.
    pub document: String,
    /// Its version.
    pub version: u32,
    /// The language of the text.
    pub locale: String,
    /// The hash of the text.
    pub text_sha256: String,
    /// The way in which it was given.
    pub method: String,
    /// The instant at which it was given.
    pub given_at: Timestamp,
}

/// How a consent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was given, and not withdrawn.
    Given,
    /// It was withdrawn.
    Withdrawn,
    /// A later row does not open: it may have been withdrawn.
    Unclear,
}

impl Standing {
    /// Returns the word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Withdrawn => "withdrawn",
            Self::Unclear => "unclear",
        }
    }
}

/// What a patient agreed to, by the newest row of a document.
#[derive(Clone, Debug)]
pub struct Consent {
    /// What was given.
    pub doc: ConsentDoc,
    /// How it stands.
    pub standing: Standing,
    /// The instant at which it was withdrawn.
    pub withdrawn_at: Option<Timestamp>,
}

/// Everything that a patient agreed to.
#[derive(Clone, Debug, Default)]
pub struct Consents {
    /// The newest of each document, the latest first.
    pub list: Vec<Consent>,
    /// Whether there is a row that does not open.
    pub unclear: bool,
    /// The version of the newest row; 0 without any.
    pub version: i64,
    /// The number of rows.
    pub rows: i64,
}

impl Consents {
    /// Finds what was agreed to of a document.
    pub fn find(&self, key: &str) -> Option<&Consent> {
        self.list.iter().find(|consent| consent.doc.document == key)
    }

    /// Returns how a document stands; `None` if it was never given.
    pub fn standing(&self, key: &str) -> Option<Standing> {
        let unknown = self.unclear.then_some(Standing::Unclear);
        self.find(key).map(|consent| consent.standing).or(unknown)
    }
}
