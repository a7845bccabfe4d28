//! The due grants of all patients: those that have expired, and those that their readers begin to see.

use std::collections::HashSet;

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
type DueGrant = (Option<At>, Id<Patient>, Id<Grant>);

/// Returns the place before all due grants.
fn beginning() -> DueGrant {
    (Some(At(Timestamp::UNIX_EPOCH)), Id::from_uuid(Uuid::nil()), Id::from_uuid(Uuid::nil()))
}

/// Selects the grants that were not ended and whose instant in `$column` has come at `$now`, behind `$after` and
/// without those of the patients in `$left_out`, in the order of [`DueGrant`]. The instant has a lower bound of its
/// own, so that both databases begin there in the index.
macro_rules! due {
    ($column:expr, $now:expr, $left_out:expr, $after:expr) => {{
        let (at, patient, id) = $after;
        let same_patient = grants::patient_id.eq(patient).and(grants::id.gt(id));
        grants::table
            .filter(grants::closed_at.is_null())
            .filter($column.le(At($now)))
            .filter($column.ge(at))
            .filter($column.gt(at).or(grants::patient_id.gt(patient)).or(same_patient))
            .filter(grants::patient_id.ne_all($left_out.to_vec()))
            .order(($column, grants::patient_id, grants::id))
    }};
}

/// Lists the patients of grants that have expired and were not ended, of the `most` that have waited longest but for
/// those of the patients in `left_out`. Grants that do not fit their MACs are not ended, and are left out.
///
/// Spans patients: rests on the index `grants_expiry`.
pub fn list_all_expired(
    tx: &mut Tx<'_>,
    now: Timestamp,
    left_out: &[Id<Patient>],
    most: i64,
) -> Result<Vec<Id<Patient>>> {
    let read = |tx: &mut Tx<'_>, after: Option<DueGrant>, rows: i64| {
        let expired = due!(grants::expires_at, now, left_out, after.unwrap_or_else(beginning)).limit(rows);
        let found: Vec<Stored<GrantKey>> = expired.select(columns::<Stored<GrantKey>>()).load(tx.conn())?;
        Ok(found)
    };
    let place = |key: &GrantKey| (key.expires_at, key.patient_id, key.id);
    let expired = checked_page(tx, (None, most), read, place, checked)?;
    Ok(each_once(expired.iter().map(|key| key.patient_id)))
}

/// Lists the patients of grants that their readers begin to see, of the `most` that have waited longest but for those
/// of the patients in `left_out`. Ids only, from rows that are not checked.
///
/// Spans patients: rests on the index `grants_tell`.
pub fn list_all_to_tell(
    tx: &mut Tx<'_>,
    now: Timestamp,
    left_out: &[Id<Patient>],
    most: i64,
) -> Result<Vec<Id<Patient>>> {
    let begun = due!(grants::tell_at, now, left_out, beginning()).limit(most);
    let found: Vec<Id<Patient>> = begun.select(grants::patient_id).load(tx.conn())?;
    Ok(each_once(found.into_iter()))
}

/// Returns the patients in their order, each once.
fn each_once(patients: impl Iterator<Item = Id<Patient>>) -> Vec<Id<Patient>> {
    let mut seen = HashSet::new();
    patients.filter(|patient| seen.insert(*patient)).collect()
}
