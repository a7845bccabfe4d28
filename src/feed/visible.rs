//! What the holders of care links see now of some things.

use std::collections::{BTreeMap, BTreeSet};

use crate::care::Access;
use crate::care::grants::Sections;
use crate::care::grants::store as grants;
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

/// Finds those of the things of a kind that the holders of active care links of the patient see now: of each link, in
/// the order of `links`. What is the same for all of them is read once.
///
/// # Errors
///
/// When they cannot be read.
pub fn visible<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    links: &[Id<CareLink>],
    kind: Entity,
    ids: &[Id<Any>],
) -> Result<Vec<Visible>> {
    let mut seen = vec![Visible::new(); links.len()];
    for some in ids.chunks(AT_ONCE) {
        let part = match kind {
            Entity::Entry => items::<EntryTable, A>(tx, access, links, (Entries::grants(), some))?,
            Entity::Response => items::<ResponseTable, A>(tx, access, links, (Responses::grants(), some))?,
            Entity::Infusion => links.iter().map(|_| whole(some.iter().copied())).collect(),
            Entity::Grant => to_each(tx, access, links, some)?,
            Entity::Comment => threads(tx, access, links, some)?,
            Entity::Assignment => {
                let ids: Vec<_> = some.iter().map(|id| id.typed()).collect();
                let found = assignments::list_among(tx, access, &ids)?;
                let of = |link| found.iter().filter(move |row| row.key.link_id == link).map(|row| row.key.id.any());
                links.iter().map(|link| whole(of(*link))).collect()
            }
            Entity::Prompt
            | Entity::Settings
            | Entity::Pause
            | Entity::CareLink
            | Entity::Receipt
            | Entity::Device
            | Entity::Calendar
            | Entity::Consent
            | Entity::Extension(_) => Vec::new(),
        };
        for (seen, part) in seen.iter_mut().zip(part) {
            seen.extend(part);
        }
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
    links: &[Id<CareLink>],
    (of, ids): (Sections, &[Id<Any>]),
) -> Result<Vec<Visible>> {
    let mut seen = Vec::with_capacity(links.len());
    let mut open_to_some = BTreeSet::new();
    for link in links {
        let open = grants::visible(tx, access, *link, of, ids)?;
        let bits = open.into_iter().map(|(id, sections)| (id, sections.bits(false)));
        let open: Visible = bits.filter(|(_, bits)| *bits != 0).collect();
        open_to_some.extend(open.keys().copied());
        seen.push(open);
    }
    if !open_to_some.is_empty() {
        let open_to_some: Vec<_> = open_to_some.into_iter().collect();
        let done: BTreeSet<Id<Any>> = T::list_done_ids(tx, access, &open_to_some)?.into_iter().collect();
        for open in &mut seen {
            open.retain(|id, _| done.contains(id));
        }
    }
    Ok(seen)
}

/// Finds the grants to each link.
fn to_each<A>(tx: &mut Tx<'_>, access: &Access<A>, links: &[Id<CareLink>], ids: &[Id<Any>]) -> Result<Vec<Visible>> {
    let ids: Vec<_> = ids.iter().map(|id| id.typed()).collect();
    let to = |link| {
        let found = grants::list_to_among(tx, access, link, &ids)?;
        Ok(whole(found.iter().map(|row| row.key.id.any())))
    };
    links.iter().copied().map(to).collect()
}

/// Finds the comments in the thread of each link whose entries are open to it.
fn threads<A>(tx: &mut Tx<'_>, access: &Access<A>, links: &[Id<CareLink>], ids: &[Id<Any>]) -> Result<Vec<Visible>> {
    let ids: Vec<_> = ids.iter().map(|id| id.typed()).collect();
    let mut found = comments::list_among(tx, access, &ids)?;
    found.retain(|row| links.contains(&row.key.link_id) && !row.key.held);
    let entries: BTreeSet<Id<Any>> = found.iter().map(|row| row.key.entry_id.any()).collect();
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let entries: Vec<_> = entries.into_iter().collect();
    let open = items::<EntryTable, A>(tx, access, links, (Entries::grants(), &entries))?;
    let thread = |(link, open): (&Id<CareLink>, Visible)| {
        let own = found.iter().filter(|row| row.key.link_id == *link);
        whole(own.filter(|row| open.contains_key(&row.key.entry_id.any())).map(|row| row.key.id.any()))
    };
    Ok(links.iter().zip(open).map(thread).collect())
}
