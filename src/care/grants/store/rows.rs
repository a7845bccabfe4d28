//! The rows of grants, of their readers and of their items.

use jiff::Timestamp;

use crate::authentic;
use crate::db::{At, Stored, Tx};
use crate::kernel::id::{Any, CareLink, Grant, Patient};
use crate::kernel::{Id, Result};

authentic! {
    /// A grant without its sealed document.
    #[derive(Copy)]
    pub struct GrantKey of grants {
        /// Its id.
        id: Id<Grant>,
        /// The patient.
        patient_id: Id<Patient>,
        /// The stored bits of the open sections.
        sections: i32,
        /// Its version.
        version: i64,
        /// The instant of its creation.
        created_at: At,
        /// The instant at which it expires.
        expires_at: Option<At>,
        /// The instant at which it was ended.
        closed_at: Option<At>,
    } later {
        /// The instant from which its readers see it; `None` if they did at once.
        visible_from: Option<At>,
    }
}

authentic! {
    /// A reader of a grant.
    #[derive(Copy)]
    #[expect(clippy::struct_field_names, reason = "the names of the columns")]
    pub struct ReaderRow of grant_readers {
        /// The patient.
        patient_id: Id<Patient>,
        /// The grant.
        grant_id: Id<Grant>,
        /// The reader's link.
        link_id: Id<CareLink>,
    }
}

authentic! {
    /// The mark of a grant to the care team.
    #[derive(Copy)]
    pub struct TeamRow of team_grants {
        /// The patient.
        patient_id: Id<Patient>,
        /// The grant.
        grant_id: Id<Grant>,
    }
}

authentic! {
    /// An item of a grant.
    #[derive(Copy)]
    pub struct ItemRow of grant_items {
        /// The patient.
        patient_id: Id<Patient>,
        /// The item.
        item_id: Id<Any>,
        /// The grant.
        grant_id: Id<Grant>,
        /// The instant at which the item happened, for the order of lists.
        occurred_at: At,
    }
}

/// A grant as it is stored.
#[derive(Clone, Debug)]
pub struct GrantRow {
    /// What decides.
    pub key: GrantKey,
    /// The sealed document.
    pub doc: Vec<u8>,
}

impl GrantRow {
    /// Returns the instant from which its readers see it, if that is to come and it was not ended.
    pub fn waits(&self, now: Timestamp) -> Option<At> {
        self.key.visible_from.filter(|from| from.0 > now && self.key.closed_at.is_none())
    }

    /// Whether it is open at `now`.
    pub fn live(&self, now: Timestamp) -> bool {
        let begun = self.key.visible_from.is_none_or(|from| from.0 <= now);
        begun && self.key.closed_at.is_none() && self.key.expires_at.is_none_or(|until| until.0 > now)
    }
}

/// A grant as it was read, not checked yet.
pub type Found = (Stored<GrantKey>, Vec<u8>);

/// Returns the grants that fit their MACs.
pub fn grants_of(tx: &Tx<'_>, found: Vec<Found>) -> Result<Vec<GrantRow>> {
    let mut rows = Vec::with_capacity(found.len());
    for (key, doc) in found {
        rows.extend(key.checked(tx)?.map(|key| GrantRow { key, doc }));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::authentic::Authentic;

    #[test]
    fn a_grant_that_its_readers_saw_at_once_is_covered_as_before_there_was_a_delay() {
        let bytes = |visible_from: Option<At>| {
            let (nobody, created_at) = (uuid::Uuid::nil(), At(Timestamp::UNIX_EPOCH));
            let key = GrantKey {
                id: Id::from_uuid(nobody),
                patient_id: Id::from_uuid(nobody),
                sections: 1,
                version: 1,
                created_at,
                expires_at: None,
                closed_at: None,
                visible_from,
            };
            let mut bytes = Vec::new();
            key.cover(&mut bytes);
            bytes
        };
        assert_eq!(GrantKey::LABEL, "grants id patient_id sections version created_at expires_at closed_at");
        assert_eq!(bytes(None).len(), 16 + 16 + 4 + 8 + 8 + 1 + 1);
        assert_ne!(bytes(None), bytes(Some(At(Timestamp::UNIX_EPOCH))));
    }
}
