//! Provisional ends: sessions whose end nobody recorded.

use jiff::Timestamp;

use crate::care::{Access, Write};
use crate::changes::{Change, Entity, Op};
use crate::course::{self, InfusionFacts, OpenedInfusions, StoredDocument};
use crate::db::Tx;
use crate::kernel::Result;
use crate::kernel::id::Infusion;

type Stored = StoredDocument<Infusion, InfusionFacts>;

/// Takes planned ends as provisional ends where none was recorded for an hour, also in `infusions`.
///
/// # Errors
///
/// When the database cannot be written.
pub(super) fn settle(tx: &mut Tx<'_>, access: &Access<Write>, infusions: &mut OpenedInfusions) -> Result<()> {
    let is_due = |stored: &Stored| stored.doc.provisional_at().is_some_and(|at| at <= access.now());
    for stored in infusions.list.iter_mut().filter(|stored| is_due(stored)) {
        let before = stored.doc.clone();
        let next = stored.doc.provisional();
        course::update_infusion(tx, access, stored, &next)?;
        stored.doc = next;
        stored.version = tx.version_after(stored.version);
        let change = Change::new(Entity::Infusion, stored.id, stored.version, Op::Update);
        access.record_of_server(tx, change.moving(stored.doc.moves_phases(Some(&before))))?;
    }
    Ok(())
}

/// Returns the instant of the next provisional end.
pub(super) fn next_end(infusions: &OpenedInfusions) -> Option<Timestamp> {
    infusions.list.iter().filter_map(|stored| stored.doc.provisional_at()).min()
}
