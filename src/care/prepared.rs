//! Readings of staff that are made beside the writer.
//!
//! SQLite has one writer, and to find and to open what a reader may see takes far longer than to write the audit row of
//! it. So the reading is made on a snapshot. The unit on the writer opens the door again, and writes the audit row if
//! the reading still holds. Else it reads for itself.
//!
//! The snapshot has all that was acknowledged before the request began. The reading holds if nothing that could take it
//! back stands before its audit row: the door opens in the same role, over the same link, and the patient's sequence
//! has come no further. What a patient writes, deletes, opens and closes takes a number there. What takes none, such as
//! the mark of a delivery or the name of an account, is answered as it was on the snapshot.

use uuid::Uuid;

use super::access::{Access, Read, Role};
use crate::changes::{self, Point};
use crate::db::{Effects, Tx};
use crate::kernel::Result;

/// A reading that was made on a snapshot. Nothing of it is answered before its audit row is durable.
#[derive(Debug)]
pub(super) struct Reading<T> {
    value: T,
    effects: Effects,
}

impl<T> Reading<T> {
    /// Returns what was read, once the audit row is durable. What was opened for it is kept from then on.
    pub(super) fn finish(self) -> T {
        self.effects.run();
        self.value
    }
}

/// What tells whether a reading still holds, and what its audit row names.
#[derive(Debug)]
pub(super) struct Basis {
    role: Role,
    point: Point,
    /// The ids of the things whose content is in the answer.
    ids: Vec<Uuid>,
}

impl Basis {
    /// Whether the reading still holds. Then `access` has returned what it returned.
    pub(super) fn holds(&self, tx: &mut Tx<'_>, access: &Access<Read>) -> Result<bool> {
        let holds = self.role == access.role() && self.point == changes::point(tx, access.patient())?;
        if holds {
            for id in &self.ids {
                access.returns(*id);
            }
        }
        Ok(holds)
    }
}

/// Makes a reading on a snapshot.
pub(super) fn read<T>(
    tx: &mut Tx<'_>,
    access: &Access<Read>,
    read: impl FnOnce(&mut Tx<'_>, &Access<Read>) -> Result<T>,
) -> Result<(Basis, Reading<T>)> {
    let point = changes::point(tx, access.patient())?;
    let value = read(tx, access)?;
    let basis = Basis { role: access.role(), point, ids: access.returned() };
    Ok((basis, Reading { value, effects: tx.take_effects() }))
}
