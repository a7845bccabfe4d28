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
    /// Whether it is open at `now`.
    pub fn live(&self, now: Timestamp) -> bool {
        self.key.closed_at.is_none() && self.key.expires_at.is_none_or(|until| until.0 > now)
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
