//! What closed access to data, and may not stand in the revocation ledger yet.

use diesel::prelude::*;
use jiff::Timestamp;

use crate::changes::model::{Closed, Closing, Entity, Revocation};
use crate::db::schema::{closings, revocations};
use crate::db::{At, Both, Tx};
use crate::kernel::id::{Any, Patient};
use crate::kernel::{Error, Id, Result};

/// Lists revocations that may not stand in the ledger yet, at most `most`.
///
/// Spans patients: what is entered leaves the table, which is nearly empty.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_revocations(tx: &mut Tx<'_>, most: i64) -> Result<Vec<Revocation>> {
    let rows: Vec<(Id<Patient>, i64, i32, Id<Any>)> = revocations::table
        .order((revocations::patient_id, revocations::seq))
        .limit(most)
        .select((revocations::patient_id, revocations::seq, revocations::entity, revocations::thing_id))
        .load(tx.conn())?;
    let revocation = |(patient, seq, entity, id)| Revocation { patient, seq, entity: Entity::of(entity), id };
    Ok(rows.into_iter().map(revocation).collect())
}

/// Has the answer wait for the revocation ledger, if the ledger lacks something that was closed for this patient: the
/// request may be the repetition of the one that closed it. It does not wait for what the ledger lacks of other patients.
///
/// # Errors
///
/// When the database cannot be read.
pub fn follow_up_owed(tx: &mut Tx<'_>, patient: Id<Patient>) -> Result<()> {
    let own = revocations::table.filter(revocations::patient_id.eq(patient)).select(revocations::seq);
    let owed: Option<i64> = own.first(tx.conn()).optional()?;
    if owed.is_some() {
        tx.follow_up();
    }
    Ok(())
}

/// Forgets revocations that stand in the ledger.
///
/// # Errors
///
/// When they cannot be deleted.
pub fn delete_revocations(tx: &mut Tx<'_>, entered: &[Revocation]) -> Result<()> {
    for one in entered {
        let own = revocations::table.filter(revocations::patient_id.eq(one.patient));
        diesel::delete(own.filter(revocations::seq.eq(one.seq))).execute(tx.conn())?;
    }
    Ok(())
}

/// Notes for the revocation ledger that something closed access. The unit is answered once it stands there.
///
/// # Errors
///
/// When the database cannot be written.
pub fn note_closed(tx: &mut Tx<'_>, closed: Closed, now: Timestamp) -> Result<()> {
    let (kind, thing, clinic) = closed.columns();
    let ids =
        (closings::thing_id.eq(Id::<Any>::from_uuid(thing)), closings::clinic_id.eq(Id::<Any>::from_uuid(clinic)));
    let row = (closings::kind.eq(kind), ids, closings::at.eq(At(now)));
    Both(diesel::insert_into(closings::table).values(row).on_conflict_do_nothing()).execute(tx.conn())?;
    tx.follow_up();
    Ok(())
}

/// Lists what closed access and may not stand in the ledger yet, at most `most`.
///
/// Spans accounts: what is entered leaves the table, which is nearly empty.
///
/// # Errors
///
/// When they cannot be read.
pub fn list_closings(tx: &mut Tx<'_>, most: i64) -> Result<Vec<Closing>> {
    let rows: Vec<(i32, Id<Any>, Id<Any>, At)> = closings::table
        .order(closings::at)
        .limit(most)
        .select((closings::kind, closings::thing_id, closings::clinic_id, closings::at))
        .load(tx.conn())?;
    let closing = |(kind, thing, clinic, at): (i32, Id<Any>, Id<Any>, At)| {
        let closed = Closed::of(kind, thing, clinic).ok_or_else(|| Error::corrupt("closings", thing));
        closed.map(|closed| Closing { closed, at: at.0 })
    };
    rows.into_iter().map(closing).collect()
}

/// Forgets what closed access and stands in the ledger.
///
/// # Errors
///
/// When they cannot be deleted.
pub fn delete_closings(tx: &mut Tx<'_>, entered: &[Closing]) -> Result<()> {
    for one in entered {
        let (kind, thing, clinic) = one.closed.columns();
        let of_thing =
            closings::table.filter(closings::kind.eq(kind)).filter(closings::thing_id.eq(Id::<Any>::from_uuid(thing)));
        let own = of_thing.filter(closings::clinic_id.eq(Id::<Any>::from_uuid(clinic)));
        diesel::delete(own.filter(closings::at.eq(At(one.at)))).execute(tx.conn())?;
    }
    Ok(())
}
