//! Accesses in an emergency.

use diesel::prelude::*;
use jiff::Timestamp;
use uuid::Uuid;

use crate::db::authentic::{checked, checked_page};
use crate::db::schema::emergencies;
use crate::db::{At, Stored, Tx, columns};
use crate::kernel::id::{Account, Clinic, Emergency, Patient};
use crate::kernel::{Id, Result};
use crate::{authentic, locked};

authentic! {
    /// An access in an emergency, without its sealed reason.
    #[derive(Copy)]
    pub struct EmergencyKey of emergencies {
        /// Its id.
        id: Id<Emergency>,
        /// The clinic.
        clinic_id: Id<Clinic>,
        /// The patient.
        patient_id: Id<Patient>,
        /// The member of staff.
        account_id: Id<Account>,
        /// Its version.
        version: i64,
        /// The instant of its beginning.
        created_at: At,
        /// The instant from which it is over.
        ends_at: At,
        /// The instant of the review.
        reviewed_at: Option<At>,
        /// The reviewer.
        reviewer_id: Option<Id<Account>>,
    }
}

/// An access in an emergency.
#[derive(Clone, Debug)]
pub struct EmergencyRow {
    /// What decides.
    pub key: EmergencyKey,
    /// The sealed reason.
    pub doc: Vec<u8>,
}

type Found = (Stored<EmergencyKey>, Vec<u8>);

fn rows_of(tx: &Tx<'_>, found: Vec<Found>) -> Result<Vec<EmergencyRow>> {
    let mut rows = Vec::with_capacity(found.len());
    for (key, doc) in found {
        rows.extend(key.checked(tx)?.map(|key| EmergencyRow { key, doc }));
    }
    Ok(rows)
}

/// Inserts an access with its sealed reason.
pub fn insert_emergency(tx: &mut Tx<'_>, row: &EmergencyRow) -> Result<()> {
    let values = (row.key.signed(tx)?, emergencies::doc.eq(&row.doc));
    diesel::insert_into(emergencies::table).values(values).execute(tx.conn())?;
    Ok(())
}

/// Stores a changed access, which is held.
pub fn update_emergency(tx: &mut Tx<'_>, key: &EmergencyKey) -> Result<()> {
    diesel::update(emergencies::table.filter(emergencies::id.eq(key.id))).set(key.signed(tx)?).execute(tx.conn())?;
    Ok(())
}

/// Finds an access at a clinic.
pub fn find_emergency(tx: &mut Tx<'_>, clinic: Id<Clinic>, id: Id<Emergency>) -> Result<Option<EmergencyRow>> {
    let found: Vec<Found> = emergencies::table
        .filter(emergencies::id.eq(id))
        .filter(emergencies::clinic_id.eq(clinic))
        .select((columns::<Stored<EmergencyKey>>(), emergencies::doc))
        .load(tx.conn())?;
    Ok(rows_of(tx, found)?.pop())
}

/// Finds an access at a clinic, and holds it until the unit ends.
pub fn hold_emergency(tx: &mut Tx<'_>, clinic: Id<Clinic>, id: Id<Emergency>) -> Result<Option<EmergencyRow>> {
    let here = emergencies::table.filter(emergencies::id.eq(id)).filter(emergencies::clinic_id.eq(clinic));
    let _held: Vec<Id<Emergency>> = locked!(tx, for_update, here.select(emergencies::id))?;
    find_emergency(tx, clinic, id)
}

/// Lists the accesses of `account` at a clinic that are not over, and holds them until the unit ends.
pub fn hold_emergencies_of(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    account: Id<Account>,
    now: Timestamp,
) -> Result<Vec<EmergencyKey>> {
    let open = emergencies::table
        .filter(emergencies::account_id.eq(account))
        .filter(emergencies::clinic_id.eq(clinic))
        .filter(emergencies::ends_at.gt(At(now)))
        .order(emergencies::id)
        .select(columns::<Stored<EmergencyKey>>());
    let rows: Vec<Stored<EmergencyKey>> = locked!(tx, for_update, open)?;
    checked(tx, rows)
}

/// Lists the accesses at a clinic, newest first, before `before`.
pub fn list_emergencies(
    tx: &mut Tx<'_>,
    clinic: Id<Clinic>,
    before: Option<Id<Emergency>>,
    limit: i64,
) -> Result<Vec<EmergencyRow>> {
    let read = |tx: &mut Tx<'_>, before: Option<Id<Emergency>>, limit: i64| {
        let found: Vec<Found> = emergencies::table
            .filter(emergencies::clinic_id.eq(clinic))
            .filter(emergencies::id.lt(before.unwrap_or(Id::from_uuid(Uuid::max()))))
            .order(emergencies::id.desc())
            .limit(limit)
            .select((columns::<Stored<EmergencyKey>>(), emergencies::doc))
            .load(tx.conn())?;
        Ok(found)
    };
    checked_page(tx, (before, limit), read, |key: &EmergencyKey| key.id, rows_of)
}

/// Lists the clinics for which `account` has an access to `patient` that is not over.
pub fn list_in_emergency(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    account: Id<Account>,
    now: Timestamp,
) -> Result<Vec<Id<Clinic>>> {
    Ok(list_open_emergencies(tx, patient, account, now)?.iter().map(|row| row.key.clinic_id).collect())
}

/// Lists the accesses of `account` to `patient` that are not over.
pub fn list_open_emergencies(
    tx: &mut Tx<'_>,
    patient: Id<Patient>,
    account: Id<Account>,
    now: Timestamp,
) -> Result<Vec<EmergencyRow>> {
    let found: Vec<(Stored<EmergencyKey>, Vec<u8>)> = emergencies::table
        .filter(emergencies::account_id.eq(account))
        .filter(emergencies::patient_id.eq(patient))
        .filter(emergencies::ends_at.gt(At(now)))
        .select((columns::<Stored<EmergencyKey>>(), emergencies::doc))
        .load(tx.conn())?;
    rows_of(tx, found)
}
