//! The due grants of all patients: those that have expired, and those that their readers begin to see.

use diesel::prelude::*;
use jiff::Timestamp;
use uuid::Uuid;

use super::rows::GrantKey;
use crate::db::authentic::{checked, checked_page};
use crate::db::schema::grants;
use crate::db::{At, Stored, Tx, columns};
use crate::kernel::id::{Grant, Patient};
use crate::kernel::{Id, Result};

/// The place of a due grant in the order of its list: the instant, the patient, and the id, which is unique for a
/// patient only. The instant is an `Option` as its column is; it is never `None`.
pub type DueGrant = (Option<At>, Id<Patient>, Id<Grant>);

/// Selects the grants that were not ended and whose instant in `$column` has come at `$now`, behind `$after`, in the
/// order of [`DueGrant`]. The instant has a lower bound of its own, so that both databases begin there in the index.
macro_rules! due {
    ($column:expr, $now:expr, $after:expr) => {{
        let first = (Some(At(Timestamp::UNIX_EPOCH)), Id::from_uuid(Uuid::nil()), Id::from_uuid(Uuid::nil()));
        let (at, patient, id) = $after.unwrap_or(first);
        let same_patient = grants::patient_id.eq(patient).and(grants::id.gt(id));
        grants::table
            .filter(grants::closed_at.is_null())
            .filter($column.le(At($now)))
            .filter($column.ge(at))
            .filter($column.gt(at).or(grants::patient_id.gt(patient)).or(same_patient))
            .order(($column, grants::patient_id, grants::id))
    }};
}

/// Lists grants that have expired and were not ended, at most `most` behind `after`. Those that do not fit their MACs
/// are not ended, and are left out.
///
/// Spans patients: rests on the index `grants_expiry`.
pub fn list_all_expired(tx: &mut Tx<'_>, now: Timestamp, after: Option<DueGrant>, most: i64) -> Result<Vec<DueGrant>> {
    let read = |tx: &mut Tx<'_>, after: Option<DueGrant>, rows: i64| {
        let expired = due!(grants::expires_at, now, after).limit(rows);
        let found: Vec<Stored<GrantKey>> = expired.select(columns::<Stored<GrantKey>>()).load(tx.conn())?;
        Ok(found)
    };
    let place = |key: &GrantKey| (key.expires_at, key.patient_id, key.id);
    let expired = checked_page(tx, (after, most), read, place, checked)?;
    Ok(expired.iter().map(place).collect())
}

/// Lists grants that their readers begin to see, at most `most` behind `after`. Ids only, from rows that are not
/// checked.
///
/// Spans patients: rests on the index `grants_tell`.
pub fn list_all_to_tell(tx: &mut Tx<'_>, now: Timestamp, after: Option<DueGrant>, most: i64) -> Result<Vec<DueGrant>> {
    let begun = due!(grants::tell_at, now, after).limit(most);
    Ok(begun.select((grants::tell_at, grants::patient_id, grants::id)).load(tx.conn())?)
}
