//! The limits of the sets that grow with use, published in `GET /v1/meta`.
//!
//! A unit of work may read and open every row of a limited set. Where a set has no limit of its own, its rows count to
//! the patient's quota of bytes.

use super::{Error, Result};

/// The most rows of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetLimit {
    /// The name in `GET /v1/meta`.
    pub name: &'static str,
    /// The most rows.
    pub most: u32,
}

impl SetLimit {
    const fn new(name: &'static str, most: u32) -> Self {
        Self { name, most }
    }

    /// Admits another row to a set that has `present` rows. The unit counts them once it holds the owner of the set
    /// (the patient's head, the account, the clinic, a member): else requests at once pass the limit together.
    ///
    /// # Errors
    ///
    /// [`Error::LimitReached`].
    pub fn admit(self, present: i64) -> Result<()> {
        if present < self.rows() { Ok(()) } else { Err(Error::LimitReached(self.name)) }
    }

    /// Returns the most rows, for a query.
    pub fn rows(self) -> i64 {
        i64::from(self.most)
    }
}

/// Open grants by rule of a patient: each entry that is written is judged by all of them.
pub const GRANTS_BY_RULE: SetLimit = SetLimit::new("grants_by_rule", 50);
/// Open grants of a patient.
pub const LIVE_GRANTS: SetLimit = SetLimit::new("live_grants", 5000);
/// Entries of the past that a grant by rule opens when it is made, the newest first.
pub const PAST_ENTRIES_OF_RULE: SetLimit = SetLimit::new("past_entries_of_rule", 2000);
/// Pauses of a patient that were not ended.
pub const PAUSES: SetLimit = SetLimit::new("pauses", 200);
/// Infusions of a patient, cancelled ones too.
pub const INFUSIONS: SetLimit = SetLimit::new("infusions", 1000);
/// Comments of an entry, in all threads.
pub const COMMENTS_OF_ENTRY: SetLimit = SetLimit::new("comments_of_entry", 500);
/// Responses of a patient with a date to come that are planned at once, those that arrived first. None is refused: the
/// others have their turn as soon as there are fewer, and come late if their date has passed by then.
pub const DATED_RESPONSES: SetLimit = SetLimit::new("dated_responses", 200);
/// Zones in the history of a patient.
pub const ZONE_CHANGES: SetLimit = SetLimit::new("zone_changes", 500);
/// Care links of a patient that have not ended.
pub const LIVE_CARE_LINKS: SetLimit = SetLimit::new("live_care_links", 20);
/// Covers of a therapist at a clinic that are not over.
pub const COVERS: SetLimit = SetLimit::new("covers", 50);
/// Accesses in an emergency of a member of staff to a patient that are not over.
pub const EMERGENCIES: SetLimit = SetLimit::new("emergencies", 10);
/// Assignments over a care link.
pub const ASSIGNMENTS_OF_LINK: SetLimit = SetLimit::new("assignments_of_link", 500);
/// Invitations of a clinic within the lifetime of a code.
pub const INVITATIONS: SetLimit = SetLimit::new("invitations", 5000);
/// Members of a clinic, with those whose invitation is open.
pub const CLINIC_MEMBERS: SetLimit = SetLimit::new("clinic_members", 1000);
/// Versions of all protocols of a clinic.
pub const PROTOCOL_VERSIONS: SetLimit = SetLimit::new("protocol_versions", 500);
/// Live sessions of an account. Another log-in ends the oldest.
pub const SESSIONS: SetLimit = SetLimit::new("sessions", 100);
/// Devices of a patient that were not removed.
pub const DEVICES: SetLimit = SetLimit::new("devices", 20);
/// Passkeys of an account.
pub const PASSKEYS: SetLimit = SetLimit::new("passkeys", 20);
/// Consents that a patient gave and withdrew.
pub const CONSENTS: SetLimit = SetLimit::new("consents", 1000);
/// Open streams of an account in a process. Another one ends the oldest.
pub const STREAMS: SetLimit = SetLimit::new("streams", 20);
/// Idempotency keys that are remembered for an account; the oldest are forgotten first.
pub const IDEMPOTENCY_KEYS: SetLimit = SetLimit::new("idempotency_keys", 10_000);

/// Things of which one request compares the versions, and the most missing ones that its answer names.
pub const INTEGRITY_ITEMS: u32 = 5000;

/// Mutations of one push.
pub const MUTATIONS: usize = 500;
/// Bytes of the body of a push, unpacked.
pub const MUTATIONS_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of a section of a mutation.
pub const SECTION_BYTES: usize = 256 * 1024;
/// The default of the mutations that a patient pushes in an hour.
pub const MUTATIONS_AN_HOUR: u32 = 5000;

/// The name of the quota of a patient's own words in `GET /v1/meta`.
pub const TEXT_BYTES_OF_PATIENT: &str = "text_bytes_of_patient";
/// The name of the quota of comments about a patient in `GET /v1/meta`.
pub const COMMENT_BYTES_OF_PATIENT: &str = "comment_bytes_of_patient";
/// The default quota of each: 256 MB.
pub const QUOTA: u64 = 256 * 1024 * 1024;
