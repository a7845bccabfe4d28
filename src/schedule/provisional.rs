//! Provisional ends: sessions whose end nobody recorded.

use jiff::Timestamp;

use crate::care::{Access, Write};
use crate::changes::{Change, Entity, Op};
use crate::course::{self, OpenedInfusions};
use crate::db::Tx;
use crate::kernel::Result;

/// Takes planned ends as provisional ends where none was recorded for an hour. Answers the infusions as they are then,
/// and the instant of the next provisional end.
///
/// # Errors
///
/// When the database cannot be written.
pub(super) fn settle(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<(OpenedInfusions, Option<Timestamp>)> {
    let mut found = course::list_infusions(tx, access)?;
    let now = access.now();
    let mut next = None;
    for stored in &mut found.list {
        let Some(at) = stored.doc.provisional_at() else { continue };
        if at > now {
            next = Some(next.map_or(at, |other: Timestamp| other.min(at)));
            continue;
        }
        let before = stored.doc.clone();
        let next = stored.doc.provisional();
        course::update_infusion(tx, access, stored, &next)?;
        stored.doc = next;
        stored.version = tx.version_after(stored.version);
        let change = Change::new(Entity::Infusion, stored.id, stored.version, Op::Update);
        access.record_of_server(tx, change.moving(stored.doc.moves_phases(Some(&before))))?;
    }
    Ok((found, next))
}
