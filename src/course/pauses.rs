//! Setting and ending pauses. The plan follows at the end of the unit.

use super::model::{PauseDoc, PauseRequest};
use super::store::{self, PauseRow, StoredDocument};
use crate::care::{Access, Write};
use crate::changes::{Change, Entity, Op};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::kernel::id::Pause;
use crate::kernel::{Error, Id, Result, limits};

/// Sets a pause under the client's id.
///
/// # Errors
///
/// [`Error::Deleted`] when it was ended before; [`Error::LimitReached`]; what is wrong with the period; 428 and 412 for
/// preconditions of a change.
pub fn put_pause(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<Pause>,
    pause: &PauseRequest,
    when: &Preconditions,
) -> Result<Outcome<PauseRow>> {
    access.lock(tx)?;
    let now = access.now();
    let period = || pause.period.as_ref().copied().map_err(Error::again);
    let Some(row) = store::find_pause(tx, access, id)? else {
        let doc = PauseDoc { period: period()?, creation: pause.creation.clone() };
        let new = StoredDocument { id, doc, version: tx.first_version(), created_at: now, updated_at: now };
        limits::PAUSES.admit(store::count_pauses(tx, access)?)?;
        let row = store::insert_pause(tx, access, &new)?;
        access.record(tx, Change::new(Entity::Pause, id, new.version, Op::Create))?;
        return Ok(Outcome::created(id, row));
    };
    if row.is_deleted() {
        return Err(Error::Deleted);
    }
    let current = row.open(access.keys()?, access.patient())?;
    let created = current.doc.creation.as_ref();
    let again = pause.creation.as_ref().is_some_and(|sent| when.is_creation(created, sent));
    if again || current.doc.period == period()? {
        return Ok(Outcome::ok(id, row));
    }
    when.require(&EntityTag::version(current.version))?;
    let doc = PauseDoc { period: period()?, creation: current.doc.creation };
    let next = StoredDocument { doc, version: tx.version_after(current.version), updated_at: now, ..current };
    let row = store::update_pause(tx, access, &next, None)?;
    access.record(tx, Change::new(Entity::Pause, id, next.version, Op::Update))?;
    Ok(Outcome::ok(id, row))
}

/// Returns the pause of that id, unless it was ended.
///
/// # Errors
///
/// [`Error::Deleted`] when there is none, or no longer.
pub fn get_pause<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Pause>) -> Result<PauseRow> {
    store::find_pause(tx, access, id)?.filter(|row| !row.is_deleted()).ok_or(Error::Deleted)
}

/// Ends a pause, also one that does not open. A second call changes nothing.
///
/// # Errors
///
/// [`Error::NotFound`] when it never existed.
pub fn end_pause(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Pause>) -> Result<()> {
    access.lock(tx)?;
    let row = store::find_pause(tx, access, id)?.ok_or(Error::NotFound)?;
    if row.is_deleted() {
        return Ok(());
    }
    let version = match Error::skip_damaged(row.open(access.keys()?, access.patient()))? {
        Some(current) => {
            let version = tx.version_after(current.version);
            let last = StoredDocument { version, updated_at: access.now(), ..current };
            store::update_pause(tx, access, &last, Some(access.now()))?;
            last.version
        }
        None => store::end_unopened_pause(tx, access, &row)?,
    };
    access.record(tx, Change::new(Entity::Pause, id, version, Op::Delete))
}
