//! Which items a reader may see, and in which order they are walked through.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::prelude::*;
use jiff::Timestamp;

use super::rows::{GrantKey, ItemRow, ReaderRow, TeamRow};
use crate::care::Access;
use crate::care::grants::model::Sections;
use crate::care::model::LinkState;
use crate::care::store;
use crate::db::authentic::checked;
use crate::db::schema::{grant_items, grant_readers, grants, team_grants};
use crate::db::{At, Both, Stored, Tx, columns};
use crate::kernel::id::{Any, CareLink, Grant};
use crate::kernel::{Error, Id, Result};

/// The sections of each item that a reader sees.
pub type Open = BTreeMap<Id<Any>, Sections>;

/// A place among the items of a patient, newest first.
pub type Position = (Timestamp, Id<Any>);

/// The earliest instant of a list without one.
const BEGINNING: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// Joins the items of a kind with sections `$of` to the grants that open them to the holder of `$link` at `$now`. This
/// is the only place of the predicate. An entry and a response that share an id are two items.
macro_rules! granted_items {
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
            .filter(grant_items::patient_id.eq($patient))
            .filter(grant_readers::link_id.eq($link))
            .filter(grants::sections.ge($of.range().0))
            .filter(grants::sections.lt($of.range().1))
            .filter(grants::closed_at.is_null())
            .filter(grants::expires_at.is_null().or(grants::expires_at.gt(At($now))))
            .filter(grants::visible_from.is_null().or(grants::visible_from.le(At($now))))
    };
}

/// An item with the grant that opens it and the reader's row.
type Opening = ((Id<Any>, Stored<ItemRow>), (Id<Grant>, Stored<GrantKey>), Stored<ReaderRow>);

/// The columns of an [`Opening`].
macro_rules! opening {
    () => {
        (
            (grant_items::item_id, columns::<Stored<ItemRow>>()),
            (grants::id, columns::<Stored<GrantKey>>()),
            columns::<Stored<ReaderRow>>(),
        )
    };
}

/// Finds those of `items` that the holder of `link` may see now. All are of the kind with sections `of`. Hidden and
/// absent items are left out, and all of them if the link is not active.
pub fn visible<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    link: Id<CareLink>,
    of: Sections,
    items: &[Id<Any>],
) -> Result<Open> {
    if access.link() != Some(link) && !is_active(tx, access, link)? {
        return Ok(Open::new());
    }
    let granted = granted_items!(access.patient(), link, of, access.now())
        .filter(grant_items::item_id.eq_any(items.iter().copied()))
        .select(opening!());
    let rows: Vec<Opening> = Both(granted).load(tx.conn())?;
    folded(tx, access, rows)
}

/// Whether a link that is not the caller's is an active one of the patient.
fn is_active<A>(tx: &mut Tx<'_>, access: &Access<A>, link: Id<CareLink>) -> Result<bool> {
    Ok(store::find_link_for(tx, access, link)?.is_some_and(|link| link.state == LinkState::Active))
}

/// Returns the open sections of the items whose rows fit their MACs. Most items are of few grants, so a grant and its
/// reader are checked once for each grant, and what was checked is used for all of its items.
///
/// Whoever stands in for a therapist sees what is granted to the care team, and not what is for the therapist alone.
fn folded<A>(tx: &mut Tx<'_>, access: &Access<A>, rows: Vec<Opening>) -> Result<Open> {
    let of_team = if access.is_cover() {
        let ids: Vec<Id<Grant>> = rows.iter().map(|(_, (id, _), _)| *id).collect();
        Some(list_of_team(tx, access, &ids)?)
    } else {
        None
    };
    let mut open = Open::new();
    let mut grants: HashMap<Id<Grant>, Option<Sections>> = HashMap::new();
    for ((id, item), (grant_id, grant), reader) in rows {
        if of_team.as_ref().is_some_and(|of_team| !of_team.contains(&grant_id)) {
            continue;
        }
        let sections = match grants.get(&grant_id) {
            Some(sections) => *sections,
            None => *grants.entry(grant_id).or_insert(opened(tx, grant, reader)?),
        };
        let Some(sections) = sections else { continue };
        // Another grant may have opened as much of the item already.
        if open.get(&id).is_some_and(|known: &Sections| sections.within(*known) == sections) {
            continue;
        }
        if let Some(item) = item.checked(tx)? {
            let known = open.entry(item.item_id).or_default();
            *known = known.or(sections);
        }
    }
    Ok(open)
}

/// Returns those of `ids` that are grants to the care team.
fn list_of_team<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Grant>]) -> Result<HashSet<Id<Grant>>> {
    let rows: Vec<Stored<TeamRow>> = team_grants::table
        .filter(team_grants::patient_id.eq(access.patient()))
        .filter(team_grants::grant_id.eq_any(ids.to_vec()))
        .select(columns::<Stored<TeamRow>>())
        .load(tx.conn())?;
    Ok(checked(tx, rows)?.iter().map(|row| row.grant_id).collect())
}

/// Returns the sections of a grant if its row and that of its reader fit their MACs.
fn opened(tx: &Tx<'_>, grant: Stored<GrantKey>, reader: Stored<ReaderRow>) -> Result<Option<Sections>> {
    let reads = reader.checked(tx)?.is_some();
    Ok(grant.checked(tx)?.filter(|_| reads).map(|grant| Sections::from_bits(grant.sections)))
}

/// Lists what the caller, whose link the door has checked, may see now of a kind with sections `of`, newest first: what
/// happened before `before`, and not before `since`. Returns about `items` items, and the place after which there may
/// be more. Rests on the index `grant_items_list`.
///
/// # Errors
///
/// [`Error::NotFound`] for callers without a link.
pub fn visible_page<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    of: Sections,
    (before, since): (Position, Option<Timestamp>),
    items: usize,
) -> Result<(Open, Option<Position>)> {
    let link = access.link().ok_or(Error::NotFound)?;
    // Several grants may open one item: room for two each.
    let limit = items.saturating_mul(2);
    let granted = granted_items!(access.patient(), link, of, access.now())
        .filter(grant_items::occurred_at.le(At(before.0)))
        .filter(grant_items::occurred_at.lt(At(before.0)).or(grant_items::item_id.lt(before.1)))
        .filter(grant_items::occurred_at.ge(At(since.unwrap_or(BEGINNING))))
        .order((grant_items::occurred_at.desc(), grant_items::item_id.desc()))
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select((grant_items::occurred_at, opening!()));
    let mut rows: Vec<(At, Opening)> = Both(granted).load(tx.conn())?;
    let place = |(at, ((id, _), ..)): &(At, Opening)| (at.0, *id);
    let cut_off = rows.last().map(place).filter(|_| rows.len() == limit);
    if let Some(cut_off) = cut_off {
        // Some grants of the last item may be missing.
        rows.retain(|row| place(row) != cut_off);
    }
    let last = rows.last().map(place);
    let open = folded(tx, access, rows.into_iter().map(|(_, opening)| opening).collect())?;
    match (cut_off, last) {
        (None, _) => Ok((open, None)),
        (Some(_), Some(last)) => Ok((open, Some(last))),
        (Some((at, id)), None) => Ok((visible(tx, access, link, of, &[id])?, Some((at, id)))),
    }
}
