//! What the holder of a care link sees now of some things.

use std::collections::{BTreeMap, BTreeSet};

use crate::care::Access;
use crate::care::grants::Sections;
use crate::care::grants::store::{self as grants, Open};
use crate::changes::Entity;
use crate::db::Tx;
use crate::exercises::Responses;
use crate::exercises::assignments::store as assignments;
use crate::exercises::store::ResponseTable;
use crate::items::{ItemKind as _, ItemTable};
use crate::journal::Entries;
use crate::journal::comments::store as comments;
use crate::journal::store::EntryTable;
use crate::kernel::id::{Any, CareLink};
use crate::kernel::{Id, Result};

/// The most things named in one statement.
const AT_ONCE: usize = 200;

/// The things of one kind that somebody sees, with the bits of the sections that are open to them.
pub type Visible = BTreeMap<Id<Any>, i32>;

/// Finds those of the things of a kind that the holder of an active care link of the patient sees now.
///
/// # Errors
///
/// When they cannot be read.
pub fn visible<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    link: Id<CareLink>,
    kind: Entity,
    ids: &[Id<Any>],
) -> Result<Visible> {
    let mut seen = Visible::new();
    for some in ids.chunks(AT_ONCE) {
        seen.extend(match kind {
            Entity::Entry => items::<EntryTable, A>(tx, access, link, (Entries::grants(), some))?,
            Entity::Response => items::<ResponseTable, A>(tx, access, link, (Responses::grants(), some))?,
            Entity::Infusion => whole(some.iter().copied()),
            Entity::Grant => {
                let ids: Vec<_> = some.iter().map(|id| id.typed()).collect();
                whole(grants::list_to_among(tx, access, link, &ids)?.iter().map(|row| row.key.id.any()))
            }
            Entity::Comment => thread(tx, access, link, some)?,
            Entity::Assignment => {
                let ids: Vec<_> = some.iter().map(|id| id.typed()).collect();
                let found = assignments::list_among(tx, access, &ids)?;
                whole(found.iter().filter(|row| row.key.link_id == link).map(|row| row.key.id.any()))
            }
            Entity::Prompt
            | Entity::Settings
            | Entity::Pause
            | Entity::CareLink
            | Entity::Receipt
            | Entity::Device
            | Entity::Calendar
            | Entity::Extension(_) => Visible::new(),
        });
    }
    Ok(seen)
}

/// Things without sections of their own.
fn whole(ids: impl Iterator<Item = Id<Any>>) -> Visible {
    ids.map(|id| (id, 0)).collect()
}

/// Finds the items that are open and done.
fn items<T: ItemTable, A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    link: Id<CareLink>,
    (of, ids): (Sections, &[Id<Any>]),
) -> Result<Visible> {
    let open: Open = grants::visible(tx, access, link, of, ids)?;
    let open: Visible =
        open.into_iter().map(|(id, sections)| (id, sections.bits(false))).filter(|(_, bits)| *bits != 0).collect();
    if open.is_empty() {
        return Ok(open);
    }
    let ids: Vec<_> = open.keys().copied().collect();
    let done = T::list_done_headers(tx, access, &ids)?;
    Ok(done.into_iter().filter_map(|(id, ..)| Some((id, *open.get(&id)?))).collect())
}

/// Finds the comments in the thread of the link whose entries are open to it.
fn thread<A>(tx: &mut Tx<'_>, access: &Access<A>, link: Id<CareLink>, ids: &[Id<Any>]) -> Result<Visible> {
    let ids: Vec<_> = ids.iter().map(|id| id.typed()).collect();
    let mut found = comments::list_among(tx, access, &ids)?;
    found.retain(|row| row.key.link_id == link && !row.key.held);
    let entries: BTreeSet<Id<Any>> = found.iter().map(|row| row.key.entry_id.any()).collect();
    if entries.is_empty() {
        return Ok(Visible::new());
    }
    let entries: Vec<_> = entries.into_iter().collect();
    let open = items::<EntryTable, A>(tx, access, link, (Entries::grants(), &entries))?;
    Ok(whole(found.iter().filter(|row| open.contains_key(&row.key.entry_id.any())).map(|row| row.key.id.any())))
}
