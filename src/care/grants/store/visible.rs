//! Which items a reader may see, and in which order they are walked through.

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::Timestamp;

use super::rows::{GrantKey, ItemRow, ReaderRow};
use crate::care::Access;
use crate::care::grants::model::Sections;
use crate::care::store::LinkRow;
use crate::db::schema::{care_links, grant_items, grant_readers, grants};
use crate::db::{At, Stored, Tx, columns};
use crate::kernel::id::{Any, CareLink};
use crate::kernel::{Id, Result};

/// The sections of each item that a reader sees.
pub type Open = BTreeMap<Id<Any>, Sections>;

/// A place among the items of a patient, newest first.
pub type Position = (Timestamp, Id<Any>);

/// Selects the items of a kind with sections `$of` that the holder of `$link` may see at `$now`. This is the only place
/// of the predicate. An entry and a response that share an id are two items.
macro_rules! visible_items {
    ($patient:expr, $link:expr, $of:expr, $now:expr) => {
        grant_items::table
            .inner_join(
                grants::table
                    .on(grants::patient_id.eq(grant_items::patient_id).and(grants::id.eq(grant_items::grant_id))),
            )
            .inner_join(
                grant_readers::table.on(grant_readers::patient_id
                    .eq(grant_items::patient_id)
                    .and(grant_readers::grant_id.eq(grant_items::grant_id))),
            )
            .inner_join(
                care_links::table.on(care_links::id
                    .eq(grant_readers::link_id)
                    .and(care_links::patient_id.eq(grant_items::patient_id))),
            )
            .filter(grant_items::patient_id.eq($patient))
            .filter(grant_readers::link_id.eq($link))
            .filter(care_links::state.eq("active"))
            .filter(grants::sections.ge($of.range().0))
            .filter(grants::sections.lt($of.range().1))
            .filter(grants::closed_at.is_null())
            .filter(grants::expires_at.is_null().or(grants::expires_at.gt(At($now))))
            .select((
                (grant_items::occurred_at, grant_items::item_id),
                (
                    columns::<Stored<ItemRow>>(),
                    columns::<Stored<GrantKey>>(),
                    columns::<Stored<ReaderRow>>(),
                    columns::<Stored<LinkRow>>(),
                ),
            ))
    };
}

/// An item with the grant, the reader and the reader's link that open it, after the place of the item.
type Opening = ((At, Id<Any>), (Stored<ItemRow>, Stored<GrantKey>, Stored<ReaderRow>, Stored<LinkRow>));

/// Finds those of `items` that the holder of `link` may see now. All are of the kind with sections `of`. Hidden and
/// absent items are left out.
pub fn visible<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    link: Id<CareLink>,
    of: Sections,
    items: &[Id<Any>],
) -> Result<Open> {
    let rows: Vec<Opening> = visible_items!(access.patient(), link, of, access.now())
        .filter(grant_items::item_id.eq_any(items.iter().copied()))
        .load(tx.conn())?;
    folded(tx, rows)
}

/// Returns the open sections of the items whose rows fit their MACs.
fn folded(tx: &Tx<'_>, rows: Vec<Opening>) -> Result<Open> {
    let mut open = Open::new();
    for (_, (item, grant, reader, link)) in rows {
        let reads = reader.checked(tx)?.zip(link.checked(tx)?).is_some();
        if let Some((item, grant)) = item.checked(tx)?.zip(grant.checked(tx)?).filter(|_| reads) {
            let sections = open.entry(item.item_id).or_default();
            *sections = sections.or(Sections::from_bits(grant.sections));
        }
    }
    Ok(open)
}

/// Lists what the holder of `link` may see now of a kind with sections `of`, newest first: what happened before
/// `before`, and not before `since`. Returns about `items` items, and the place after which there may be more. Rests on
/// the index `grant_items_list`.
pub fn visible_page<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    (link, of): (Id<CareLink>, Sections),
    (before, since): (Position, Option<Timestamp>),
    items: usize,
) -> Result<(Open, Option<Position>)> {
    // Several grants may open one item: room for two each.
    let limit = items.saturating_mul(2).max(64);
    let mut query = visible_items!(access.patient(), link, of, access.now())
        .filter(grant_items::occurred_at.le(At(before.0)))
        .filter(grant_items::occurred_at.lt(At(before.0)).or(grant_items::item_id.lt(before.1)))
        .into_boxed();
    if let Some(since) = since {
        query = query.filter(grant_items::occurred_at.ge(At(since)));
    }
    let mut rows: Vec<Opening> = query
        .order((grant_items::occurred_at.desc(), grant_items::item_id.desc()))
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(tx.conn())?;
    let cut_off = rows.last().map(|(place, _)| *place).filter(|_| rows.len() == limit);
    let Some(cut_off) = cut_off else {
        return Ok((folded(tx, rows)?, None));
    };
    // Some grants of the last item may be missing.
    rows.retain(|(place, _)| *place != cut_off);
    let Some((last, _)) = rows.last() else {
        return Ok((visible(tx, access, link, of, &[cut_off.1])?, Some((cut_off.0.0, cut_off.1))));
    };
    let last = (last.0.0, last.1);
    Ok((folded(tx, rows)?, Some(last)))
}
