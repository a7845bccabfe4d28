//! Grants, their readers and their items.

mod openings;

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::Timestamp;

pub use self::openings::{delete_openings, insert_opening, list_openings};
use super::model::Sections;
use crate::care::Access;
use crate::care::access::Write;
use crate::db::schema::{care_links, grant_items, grant_readers, grants};
use crate::db::{At, Both, Tx, columns};
use crate::kernel::id::{Account, Any, CareLink, Grant};
use crate::kernel::{Id, Result};
use crate::locked;

/// The most rows named in one statement.
const AT_ONCE: usize = 200;

/// The sections of each item that a reader sees.
pub type Open = BTreeMap<Id<Any>, Sections>;

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
    let rows: Vec<(Id<Any>, i32)> = visible_items!(access.patient(), link, of, access.now())
        .filter(grant_items::item_id.eq_any(items.iter().copied()))
        .select((grant_items::item_id, grants::sections))
        .load(tx.conn())?;
    Ok(folded(&rows))
}

fn folded(rows: &[(Id<Any>, i32)]) -> Open {
    let mut open = Open::new();
    for (item, bits) in rows {
        let sections = open.entry(*item).or_default();
        *sections = sections.or(Sections::from_bits(*bits));
    }
    open
}

/// Lists what the holder of `link` may see now of a kind with sections `of`, by descending id after `after`. Returns at
/// most `items` items, at least one if there is one, and whether there may be more.
pub fn visible_page<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    link: Id<CareLink>,
    of: Sections,
    after: Option<Id<Any>>,
    items: usize,
) -> Result<(Open, bool)> {
    // Several grants may open one item: room for two each.
    let limit = items.saturating_mul(2).max(64);
    let mut query = visible_items!(access.patient(), link, of, access.now())
        .select((grant_items::item_id, grants::sections))
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(grant_items::item_id.lt(after));
    }
    let rows: Vec<(Id<Any>, i32)> =
        query.order(grant_items::item_id.desc()).limit(i64::try_from(limit).unwrap_or(i64::MAX)).load(tx.conn())?;
    let mut open = folded(&rows);
    let mut more = false;
    if rows.len() == limit {
        more = true;
        // The grants of the last item may have been cut off.
        if open.len() > 1 {
            open.pop_first();
        } else if let Some((item, _)) = open.first_key_value() {
            open = visible(tx, access, link, of, &[*item])?;
        }
    }
    while open.len() > items {
        more = true;
        open.pop_first();
    }
    Ok((open, more))
}

/// A grant as it is stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = grants)]
pub struct GrantRow {
    /// Its id.
    pub id: Id<Grant>,
    /// The sealed document.
    pub doc: Vec<u8>,
    /// The instant of its creation.
    pub created_at: At,
    /// The instant at which it expires.
    pub expires_at: Option<At>,
    /// The instant at which it was ended.
    pub closed_at: Option<At>,
}

impl GrantRow {
    /// Whether it is open at `now`.
    pub fn live(&self, now: Timestamp) -> bool {
        self.closed_at.is_none() && self.expires_at.is_none_or(|until| until.0 > now)
    }
}

/// Finds a grant by its id.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Grant>) -> Result<Option<GrantRow>> {
    Ok(grants::table
        .filter(grants::patient_id.eq(access.patient()))
        .filter(grants::id.eq(id))
        .select(GrantRow::as_select())
        .first(tx.conn())
        .optional()?)
}

/// Lists the patient's grants, newest id first. For the holder of `link` only those that name them and are live.
pub fn list<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    link: Option<Id<CareLink>>,
    after: Option<Id<Grant>>,
    rows: i64,
) -> Result<Vec<GrantRow>> {
    let mut query =
        grants::table.filter(grants::patient_id.eq(access.patient())).select(GrantRow::as_select()).into_boxed();
    if let Some(link) = link {
        let named = grant_readers::table
            .filter(grant_readers::patient_id.eq(access.patient()))
            .filter(grant_readers::link_id.eq(link))
            .select(grant_readers::grant_id);
        query = query
            .filter(grants::id.eq_any(named))
            .filter(grants::closed_at.is_null())
            .filter(grants::expires_at.is_null().or(grants::expires_at.gt(At(access.now()))));
    }
    if let Some(after) = after {
        query = query.filter(grants::id.lt(after));
    }
    Ok(query.order(grants::id.desc()).limit(rows).load(tx.conn())?)
}

/// Lists the therapists named in `grants` whose links are still active.
pub fn readers_of<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Grant>]) -> Result<Vec<(Id<Grant>, Id<Account>)>> {
    Ok(grant_readers::table
        .inner_join(care_links::table.on(care_links::id.eq(grant_readers::link_id)))
        .filter(grant_readers::patient_id.eq(access.patient()))
        .filter(grant_readers::grant_id.eq_any(ids.iter().copied()))
        .filter(care_links::state.eq("active"))
        .order((grant_readers::grant_id, care_links::therapist_id))
        .select((grant_readers::grant_id, care_links::therapist_id))
        .load(tx.conn())?)
}

/// Lists the live grants by rule.
pub fn list_by_rule(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<Vec<GrantRow>> {
    let (least, more) = Sections::by_rule();
    Ok(Both(
        grants::table
            .filter(grants::patient_id.eq(access.patient()))
            .filter(grants::sections.ge(least))
            .filter(grants::sections.lt(more))
            .filter(grants::closed_at.is_null())
            .filter(grants::expires_at.is_null().or(grants::expires_at.gt(At(access.now()))))
            .select(columns::<GrantRow>()),
    )
    .load(tx.conn())?)
}

/// Selects the grants of the patient that were not ended. Rests on the index `grants_open`.
macro_rules! open {
    ($access:expr) => {
        grants::table.filter(grants::patient_id.eq($access.patient())).filter(grants::closed_at.is_null())
    };
}

/// Counts the grants that were not ended.
pub fn count_open(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<i64> {
    Ok(open!(access).count().get_result(tx.conn())?)
}

/// Counts the grants by rule that were not ended.
pub fn count_by_rule(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<i64> {
    let (least, more) = Sections::by_rule();
    let by_rule = open!(access).filter(grants::sections.ge(least)).filter(grants::sections.lt(more));
    Ok(by_rule.count().get_result(tx.conn())?)
}

/// Lists the grants that have expired and were not ended, with their versions: as many as one unit closes.
pub fn list_expired(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<Vec<(Id<Grant>, i64)>> {
    let expired = open!(access).filter(grants::expires_at.le(At(access.now())));
    let some = expired.order(grants::id).limit(200).select((grants::id, grants::version));
    Ok(some.load(tx.conn())?)
}

/// Finds the active links of the patient, or those of one therapist, and holds them so that none ends before this unit.
pub fn hold_active(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    therapist: Option<Id<Account>>,
) -> Result<Vec<Id<CareLink>>> {
    let rows: Vec<(Id<CareLink>, Id<Account>)> = locked!(
        tx,
        for_share,
        care_links::table
            .filter(care_links::patient_id.eq(access.patient()))
            .filter(care_links::state.eq("active"))
            .order(care_links::id)
            .select((care_links::id, care_links::therapist_id))
    )?;
    let wanted = |(link, holder): (Id<CareLink>, Id<Account>)| therapist.is_none_or(|id| id == holder).then_some(link);
    Ok(rows.into_iter().filter_map(wanted).collect())
}

/// Waits for running units of the readers of a grant, and holds back new ones until this unit ends.
pub fn hold_readers(tx: &mut Tx<'_>, access: &Access<Write>, grant: Id<Grant>) -> Result<()> {
    let links = grant_readers::table
        .filter(grant_readers::patient_id.eq(access.patient()))
        .filter(grant_readers::grant_id.eq(grant))
        .select(grant_readers::link_id);
    let _held: Vec<Id<CareLink>> = locked!(
        tx,
        for_update,
        care_links::table
            .filter(care_links::patient_id.eq(access.patient()))
            .filter(care_links::id.eq_any(links))
            .order(care_links::id)
            .select(care_links::id)
    )?;
    Ok(())
}

/// Inserts a grant with its readers.
pub fn insert(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    row: &GrantRow,
    bits: i32,
    links: &[Id<CareLink>],
) -> Result<()> {
    diesel::insert_into(grants::table)
        .values((
            grants::patient_id.eq(access.patient()),
            grants::id.eq(row.id),
            grants::doc.eq(&row.doc),
            grants::sections.eq(bits),
            grants::version.eq(1_i64),
            grants::created_at.eq(row.created_at),
            grants::expires_at.eq(row.expires_at),
        ))
        .execute(tx.conn())?;
    for link in links {
        diesel::insert_into(grant_readers::table)
            .values((
                grant_readers::patient_id.eq(access.patient()),
                grant_readers::grant_id.eq(row.id),
                grant_readers::link_id.eq(*link),
            ))
            .execute(tx.conn())?;
    }
    Ok(())
}

/// Adds an item to a grant, if it is not one of its items yet.
pub fn insert_item(tx: &mut Tx<'_>, access: &Access<Write>, grant: Id<Grant>, item: Id<Any>) -> Result<()> {
    Both(
        diesel::insert_into(grant_items::table)
            .values((
                grant_items::patient_id.eq(access.patient()),
                grant_items::item_id.eq(item),
                grant_items::grant_id.eq(grant),
            ))
            .on_conflict_do_nothing(),
    )
    .execute(tx.conn())?;
    Ok(())
}

/// Inserts the items of a new grant.
pub fn insert_items(tx: &mut Tx<'_>, access: &Access<Write>, grant: Id<Grant>, items: &[Id<Any>]) -> Result<()> {
    for some in items.chunks(AT_ONCE) {
        let row = |item: &Id<Any>| {
            (
                grant_items::patient_id.eq(access.patient()),
                grant_items::item_id.eq(*item),
                grant_items::grant_id.eq(grant),
            )
        };
        let rows: Vec<_> = some.iter().map(row).collect();
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

/// Lists the open grants that open this item alone and are not by rule, with their versions.
pub fn list_of_item_alone(tx: &mut Tx<'_>, access: &Access<Write>, item: Id<Any>) -> Result<Vec<(Id<Grant>, i64)>> {
    let (least, more) = Sections::by_rule();
    let of_item = grant_items::table
        .filter(grant_items::patient_id.eq(access.patient()))
        .filter(grant_items::item_id.eq(item))
        .select(grant_items::grant_id);
    Ok(grants::table
        .filter(grants::patient_id.eq(access.patient()))
        .filter(grants::id.eq_any(of_item))
        .filter(grants::closed_at.is_null())
        .filter(grants::sections.lt(least).or(grants::sections.ge(more)))
        .select((grants::id, grants::version))
        .load(tx.conn())?)
}

/// Takes an item out of every grant.
pub fn delete_item_everywhere(tx: &mut Tx<'_>, access: &Access<Write>, item: Id<Any>) -> Result<()> {
    diesel::delete(
        grant_items::table.filter(grant_items::patient_id.eq(access.patient())).filter(grant_items::item_id.eq(item)),
    )
    .execute(tx.conn())?;
    Ok(())
}

/// Ends a grant.
pub fn mark_closed(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Grant>) -> Result<()> {
    diesel::update(
        grants::table
            .filter(grants::patient_id.eq(access.patient()))
            .filter(grants::id.eq(id))
            .filter(grants::closed_at.is_null()),
    )
    .set((grants::closed_at.eq(At(access.now())), grants::version.eq(grants::version + 1)))
    .execute(tx.conn())?;
    forget(tx, access, &[id])
}

/// Removes a care link from the readers of every grant, and closes the grants that have no reader left. Returns
/// these with their new versions.
pub fn close_unread(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<CareLink>) -> Result<Vec<(Id<Grant>, i64)>> {
    let patient = access.patient();
    let own = grant_readers::table.filter(grant_readers::patient_id.eq(patient));
    let touched: Vec<Id<Grant>> =
        own.filter(grant_readers::link_id.eq(id)).select(grant_readers::grant_id).load(tx.conn())?;
    if touched.is_empty() {
        return Ok(Vec::new());
    }
    diesel::delete(
        grant_readers::table.filter(grant_readers::patient_id.eq(patient)).filter(grant_readers::link_id.eq(id)),
    )
    .execute(tx.conn())?;
    let read: Vec<Id<Grant>> = own
        .filter(grant_readers::grant_id.eq_any(touched.iter().copied()))
        .select(grant_readers::grant_id)
        .load(tx.conn())?;
    let unread: Vec<Id<Grant>> = touched.into_iter().filter(|grant| !read.contains(grant)).collect();
    let open = grants::table
        .filter(grants::patient_id.eq(patient))
        .filter(grants::closed_at.is_null())
        .filter(grants::id.eq_any(unread));
    let closed: Vec<(Id<Grant>, i64)> = open.select((grants::id, grants::version)).load(tx.conn())?;
    let ids: Vec<Id<Grant>> = closed.iter().map(|(id, _)| *id).collect();
    diesel::update(grants::table.filter(grants::patient_id.eq(patient)).filter(grants::id.eq_any(ids.iter().copied())))
        .set((grants::closed_at.eq(At(access.now())), grants::version.eq(grants::version + 1)))
        .execute(tx.conn())?;
    forget(tx, access, &ids)?;
    Ok(closed.into_iter().map(|(id, version)| (id, version + 1)).collect())
}

/// Deletes the items and readers of closed grants, so that later reads need not pass over them.
fn forget(tx: &mut Tx<'_>, access: &Access<Write>, closed: &[Id<Grant>]) -> Result<()> {
    for some in closed.chunks(AT_ONCE) {
        let items = grant_items::table.filter(grant_items::patient_id.eq(access.patient()));
        diesel::delete(items.filter(grant_items::grant_id.eq_any(some))).execute(tx.conn())?;
        let readers = grant_readers::table.filter(grant_readers::patient_id.eq(access.patient()));
        diesel::delete(readers.filter(grant_readers::grant_id.eq_any(some))).execute(tx.conn())?;
    }
    Ok(())
}
