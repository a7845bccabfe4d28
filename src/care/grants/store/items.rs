//! The items of grants: which of them a reader sees, and in which order they are walked through.

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::Timestamp;

use super::{AT_ONCE, GrantKey, ReaderRow};
use crate::authentic;
use crate::care::Access;
use crate::care::access::Write;
use crate::care::grants::model::Sections;
use crate::db::authentic::Stored;
use crate::db::schema::{care_links, grant_items, grant_readers, grants};
use crate::db::{At, Both, Tx, columns};
use crate::kernel::id::{Any, CareLink, Grant, Patient};
use crate::kernel::{Id, Result};

authentic! {
    /// An item of a grant.
    #[derive(Copy)]
    struct ItemRow of grant_items {
        /// The patient.
        patient_id: Id<Patient>,
        /// The item.
        item_id: Id<Any>,
        /// The grant.
        grant_id: Id<Grant>,
        /// The instant at which the item happened, for the order of lists.
        occurred_at: At,
    }
}

/// The sections of each item that a reader sees.
pub type Open = BTreeMap<Id<Any>, Sections>;

/// Selects the items of a kind with sections `$of` that the holder of `$link` may see at `$now`. This is the only place
/// of the predicate. An entry and a response that share an id are two items. The link is that of the caller, whose door
/// has checked its row.
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
    };
}

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
        .select((columns::<Stored<ItemRow>>(), columns::<Stored<GrantKey>>(), columns::<Stored<ReaderRow>>()))
        .load(tx.conn())?;
    folded(tx, rows)
}

/// An item with the grant and the reader that open it.
type Opening = (Stored<ItemRow>, Stored<GrantKey>, Stored<ReaderRow>);

/// An item of a patient with the instant at which it happened.
pub type Item = (Id<Any>, Timestamp);

/// A place among the items of a patient, newest first.
pub type Position = (Timestamp, Id<Any>);

/// Returns the open sections of the items whose rows fit their MACs.
fn folded(tx: &Tx<'_>, rows: impl IntoIterator<Item = Opening>) -> Result<Open> {
    let mut open = Open::new();
    for (item, grant, reader) in rows {
        let all = item.checked(tx)?.zip(grant.checked(tx)?).zip(reader.checked(tx)?);
        if let Some(((item, grant), _)) = all {
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
        .select((
            (grant_items::occurred_at, grant_items::item_id),
            (columns::<Stored<ItemRow>>(), columns::<Stored<GrantKey>>(), columns::<Stored<ReaderRow>>()),
        ))
        .into_boxed();
    if let Some(since) = since {
        query = query.filter(grant_items::occurred_at.ge(At(since)));
    }
    let mut rows: Vec<((At, Id<Any>), Opening)> = query
        .order((grant_items::occurred_at.desc(), grant_items::item_id.desc()))
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(tx.conn())?;
    let cut_off = rows.last().map(|(place, _)| *place).filter(|_| rows.len() == limit);
    let Some(cut_off) = cut_off else {
        return Ok((folded(tx, rows.into_iter().map(|(_, row)| row))?, None));
    };
    // Some grants of the last item may be missing.
    rows.retain(|(place, _)| *place != cut_off);
    let Some((last, _)) = rows.last() else {
        return Ok((visible(tx, access, link, of, &[cut_off.1])?, Some((cut_off.0.0, cut_off.1))));
    };
    let last = (last.0.0, last.1);
    Ok((folded(tx, rows.into_iter().map(|(_, row)| row))?, Some(last)))
}

fn item_row(access: &Access<Write>, grant_id: Id<Grant>, (item_id, at): Item) -> ItemRow {
    ItemRow { patient_id: access.patient(), item_id, grant_id, occurred_at: At(at) }
}

/// Gives an item of a kind with sections `of` another instant, in every grant.
pub fn move_item(tx: &mut Tx<'_>, access: &Access<Write>, of: Sections, (id, at): Item) -> Result<()> {
    let own = grant_items::table.filter(grant_items::patient_id.eq(access.patient()));
    let (least, more) = of.range();
    let kind = grants::table
        .filter(grants::patient_id.eq(access.patient()))
        .filter(grants::sections.ge(least))
        .filter(grants::sections.lt(more))
        .select(grants::id);
    let found: Vec<Stored<ItemRow>> = own
        .filter(grant_items::item_id.eq(id))
        .filter(grant_items::grant_id.eq_any(kind))
        .select(columns::<Stored<ItemRow>>())
        .load(tx.conn())?;
    // A row that does not fit its MAC stays as it is: to sign it would make it true.
    for row in found {
        let Some(row) = row.checked(tx)? else { continue };
        let moved = ItemRow { occurred_at: At(at), ..row }.signed(tx)?;
        let this = own.filter(grant_items::item_id.eq(id)).filter(grant_items::grant_id.eq(row.grant_id));
        diesel::update(this).set(moved).execute(tx.conn())?;
    }
    Ok(())
}

/// Adds an item to a grant, if it is not one of its items yet.
pub fn insert_item(tx: &mut Tx<'_>, access: &Access<Write>, grant: Id<Grant>, item: Item) -> Result<()> {
    let values = item_row(access, grant, item).signed(tx)?;
    Both(diesel::insert_into(grant_items::table).values(values).on_conflict_do_nothing()).execute(tx.conn())?;
    Ok(())
}

/// Inserts the items of a new grant.
pub fn insert_items(tx: &mut Tx<'_>, access: &Access<Write>, grant: Id<Grant>, items: &[Item]) -> Result<()> {
    for some in items.chunks(AT_ONCE) {
        let rows = some.iter().map(|item| item_row(access, grant, *item).signed(tx)).collect::<Result<Vec<_>>>()?;
        Both(diesel::insert_into(grant_items::table).values(rows)).execute(tx.conn())?;
    }
    Ok(())
}

/// Takes an item out of one grant.
pub fn delete_item(tx: &mut Tx<'_>, access: &Access<Write>, grant: Id<Grant>, item: Id<Any>) -> Result<()> {
    diesel::delete(
        grant_items::table
            .filter(grant_items::patient_id.eq(access.patient()))
            .filter(grant_items::item_id.eq(item))
            .filter(grant_items::grant_id.eq(grant)),
    )
    .execute(tx.conn())?;
    Ok(())
}

/// Takes an item out of every grant.
pub fn delete_item_everywhere(tx: &mut Tx<'_>, access: &Access<Write>, item: Id<Any>) -> Result<()> {
    diesel::delete(
        grant_items::table.filter(grant_items::patient_id.eq(access.patient())).filter(grant_items::item_id.eq(item)),
    )
    .execute(tx.conn())?;
    Ok(())
}
