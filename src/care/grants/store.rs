//! Grants, their readers and their items.

mod due;
mod items;
mod receipts;
mod rows;
mod visible;

use diesel::prelude::*;
use jiff::Timestamp;
use uuid::Uuid;

pub use self::due::{list_all_expired, list_all_to_tell};
pub use self::items::{Item, delete_item, delete_item_everywhere, insert_item, insert_items, list_items, move_item};
pub use self::receipts::{
    ReceiptRow, delete_receipts, find_receipts, insert_receipt, list_openings, list_receipt_versions, list_receipts,
    list_receipts_among, update_receipt,
};
use self::rows::{Found, ReaderRow, TeamRow, grants_of};
pub use self::rows::{GrantKey, GrantRow};
pub use self::visible::{Open, Position, visible, visible_page};
use super::model::Sections;
use crate::care::Access;
use crate::care::access::Write;
use crate::care::store::LinkRow;
use crate::changes;
use crate::db::authentic::{checked, checked_page};
use crate::db::schema::{care_links, grant_items, grant_readers, grants, team_grants};
use crate::db::{At, Both, Stored, Tx, columns};
use crate::kernel::id::{Account, Any, CareLink, Grant};
use crate::kernel::{Id, Result};
use crate::locked;

/// The most rows named in one statement.
const AT_ONCE: usize = 200;

/// Finds a grant by its id.
pub fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Grant>) -> Result<Option<GrantRow>> {
    let found: Vec<Found> = grants::table
        .filter(grants::patient_id.eq(access.patient()))
        .filter(grants::id.eq(id))
        .select((columns::<Stored<GrantKey>>(), grants::doc))
        .load(tx.conn())?;
    Ok(grants_of(tx, found)?.pop())
}

/// Finds the sealed document of a grant, from a row that is not checked: for the revocation ledger, which cannot open
/// it.
pub fn find_doc<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Grant>) -> Result<Option<Vec<u8>>> {
    let own = grants::table.filter(grants::patient_id.eq(access.patient())).filter(grants::id.eq(id));
    Ok(own.select(grants::doc).first(tx.conn()).optional()?)
}

/// Lists the grants among `ids`, in no order.
pub fn list_among<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Grant>]) -> Result<Vec<GrantRow>> {
    let found: Vec<Found> = grants::table
        .filter(grants::patient_id.eq(access.patient()))
        .filter(grants::id.eq_any(ids.iter().copied()))
        .select((columns::<Stored<GrantKey>>(), grants::doc))
        .load(tx.conn())?;
    grants_of(tx, found)
}

/// Lists the patient's grants, in descending order of their ids, after `after`.
pub fn list<A>(tx: &mut Tx<'_>, access: &Access<A>, after: Option<Id<Grant>>, rows: i64) -> Result<Vec<GrantRow>> {
    let read = |tx: &mut Tx<'_>, after: Option<Id<Grant>>, rows: i64| {
        let mut query = grants::table
            .filter(grants::patient_id.eq(access.patient()))
            .select((columns::<Stored<GrantKey>>(), grants::doc))
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(grants::id.lt(after));
        }
        let found: Vec<Found> = query.order(grants::id.desc()).limit(rows).load(tx.conn())?;
        Ok(found)
    };
    checked_page(tx, (after, rows), read, |key: &GrantKey| key.id, grants_of)
}

/// Lists all grants of the patient without their documents, ended ones too, in no order.
pub fn list_keys<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Vec<GrantKey>> {
    let own = grants::table.filter(grants::patient_id.eq(access.patient()));
    let found: Vec<Stored<GrantKey>> = own.select(columns::<Stored<GrantKey>>()).load(tx.conn())?;
    checked(tx, found)
}

/// Lists the live grants that name the holder of `link`, in descending order of their ids, after `after`.
pub fn list_to<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    link: Id<CareLink>,
    after: Option<Id<Grant>>,
    rows: i64,
) -> Result<Vec<GrantRow>> {
    let read = |tx: &mut Tx<'_>, after: Option<Id<Grant>>, rows: i64| {
        let of_grant = grant_readers::patient_id.eq(grants::patient_id).and(grant_readers::grant_id.eq(grants::id));
        let mut query = grants::table
            .inner_join(grant_readers::table.on(of_grant))
            .filter(grants::patient_id.eq(access.patient()))
            .filter(grant_readers::link_id.eq(link))
            .filter(grants::closed_at.is_null())
            .filter(grants::expires_at.is_null().or(grants::expires_at.gt(At(access.now()))))
            .filter(grants::visible_from.is_null().or(grants::visible_from.le(At(access.now()))))
            .select((columns::<Stored<ReaderRow>>(), (columns::<Stored<GrantKey>>(), grants::doc)))
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(grants::id.lt(after));
        }
        let found: Vec<FoundWithReader> = query.order(grants::id.desc()).limit(rows).load(tx.conn())?;
        Ok(found)
    };
    checked_page(tx, (after, rows), read, |reader: &ReaderRow| reader.grant_id, grants_with_readers)
}

/// A grant with the row that names its reader.
type FoundWithReader = (Stored<ReaderRow>, Found);

fn grants_with_readers(tx: &Tx<'_>, found: Vec<FoundWithReader>) -> Result<Vec<GrantRow>> {
    let mut named = Vec::with_capacity(found.len());
    for (reader, grant) in found {
        if reader.checked(tx)?.is_some() {
            named.push(grant);
        }
    }
    grants_of(tx, named)
}

/// Lists the live grants among `ids` that name the holder of `link`, in no order.
pub fn list_to_among<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    link: Id<CareLink>,
    ids: &[Id<Grant>],
) -> Result<Vec<GrantRow>> {
    let own = grant_readers::table.filter(grant_readers::patient_id.eq(access.patient()));
    let named = own.filter(grant_readers::link_id.eq(link)).filter(grant_readers::grant_id.eq_any(ids.to_vec()));
    let found: Vec<Stored<ReaderRow>> = named.select(columns::<Stored<ReaderRow>>()).load(tx.conn())?;
    let named: Vec<Id<Grant>> = checked(tx, found)?.iter().map(|reader| reader.grant_id).collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = list_among(tx, access, &named)?;
    rows.retain(|row| row.live(access.now()));
    Ok(rows)
}

/// Lists the items of grants, of a kind with sections `of`, that happened at `from` or later.
pub fn list_items_since<A>(tx: &mut Tx<'_>, access: &Access<A>, of: Sections, from: Timestamp) -> Result<Vec<Id<Any>>> {
    let own = grants::table.filter(grants::patient_id.eq(access.patient()));
    let of_kind = own.filter(grants::sections.ge(of.range().0).and(grants::sections.lt(of.range().1)));
    Ok(grant_items::table
        .filter(grant_items::patient_id.eq(access.patient()))
        .filter(grant_items::occurred_at.ge(At(from)))
        .filter(grant_items::grant_id.eq_any(of_kind.select(grants::id)))
        .select(grant_items::item_id)
        .distinct()
        .load(tx.conn())?)
}

/// Lists the open grants that name the holder of `link`, and their items. Ids only, from rows that are not checked: for
/// what is looked at again.
pub fn list_named<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    link: Id<CareLink>,
) -> Result<(Vec<Id<Grant>>, Vec<Id<Any>>)> {
    let named = || {
        let own = grant_readers::table.filter(grant_readers::patient_id.eq(access.patient()));
        own.filter(grant_readers::link_id.eq(link)).select(grant_readers::grant_id)
    };
    let grants: Vec<Id<Grant>> = named().load(tx.conn())?;
    if grants.is_empty() {
        return Ok((grants, Vec::new()));
    }
    let items = grant_items::table
        .filter(grant_items::patient_id.eq(access.patient()))
        .filter(grant_items::grant_id.eq_any(named()));
    Ok((grants, items.select(grant_items::item_id).distinct().load(tx.conn())?))
}

/// Lists the therapists named in the grants `ids` whose links are still active.
pub fn readers_of<A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Grant>]) -> Result<Vec<(Id<Grant>, Id<Account>)>> {
    let found: Vec<(Stored<ReaderRow>, Stored<LinkRow>)> = grant_readers::table
        .inner_join(care_links::table.on(care_links::id.eq(grant_readers::link_id)))
        .filter(grant_readers::patient_id.eq(access.patient()))
        .filter(grant_readers::grant_id.eq_any(ids.iter().copied()))
        .filter(care_links::state.eq("active"))
        .order((grant_readers::grant_id, care_links::therapist_id))
        .select((columns::<Stored<ReaderRow>>(), columns::<Stored<LinkRow>>()))
        .load(tx.conn())?;
    let mut readers = Vec::with_capacity(found.len());
    for (reader, link) in found {
        let both = reader.checked(tx)?.zip(link.checked(tx)?);
        readers.extend(both.map(|(reader, link)| (reader.grant_id, link.therapist_id)));
    }
    Ok(readers)
}

/// Lists the live grants by rule.
pub fn list_by_rule(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<Vec<GrantRow>> {
    let (least, more) = Sections::by_rule();
    let found: Vec<Found> = Both(
        grants::table
            .filter(grants::patient_id.eq(access.patient()))
            .filter(grants::sections.ge(least))
            .filter(grants::sections.lt(more))
            .filter(grants::closed_at.is_null())
            .filter(grants::expires_at.is_null().or(grants::expires_at.gt(At(access.now()))))
            .select((columns::<Stored<GrantKey>>(), grants::doc)),
    )
    .load(tx.conn())?;
    grants_of(tx, found)
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

/// Counts the grants that were ever made.
pub fn count_made(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<i64> {
    Ok(grants::table.filter(grants::patient_id.eq(access.patient())).count().get_result(tx.conn())?)
}

/// Lists those of the grants `ids` that are by rule, ended or not, in no order. Ids only, from rows that are not checked:
/// for what is looked at again.
pub fn list_by_rule_among(tx: &mut Tx<'_>, access: &Access<Write>, ids: &[Id<Grant>]) -> Result<Vec<Id<Grant>>> {
    let (least, more) = Sections::by_rule();
    let own = grants::table.filter(grants::patient_id.eq(access.patient())).filter(grants::id.eq_any(ids.to_vec()));
    Ok(own.filter(grants::sections.ge(least)).filter(grants::sections.lt(more)).select(grants::id).load(tx.conn())?)
}

/// Lists the grants that have expired and were not ended: as many as one unit closes.
pub fn list_expired(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<Vec<GrantKey>> {
    let read = |tx: &mut Tx<'_>, after: Option<Id<Grant>>, rows: i64| {
        let found: Vec<Stored<GrantKey>> = open!(access)
            .filter(grants::expires_at.le(At(access.now())))
            .filter(grants::id.gt(after.unwrap_or(Id::from_uuid(Uuid::nil()))))
            .order(grants::id)
            .limit(rows)
            .select(columns::<Stored<GrantKey>>())
            .load(tx.conn())?;
        Ok(found)
    };
    checked_page(tx, (None, 200), read, |key: &GrantKey| key.id, checked)
}

/// Lists the grants that their readers begin to see and were not told of: ids with versions, as many as one unit tells
/// of.
pub fn list_to_tell(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<Vec<(Id<Grant>, i64)>> {
    let begun = open!(access).filter(grants::tell_at.le(At(access.now())));
    Ok(begun.order(grants::id).limit(200).select((grants::id, grants::version)).load(tx.conn())?)
}

/// Notes that the readers of grants are told of them, and lists the items.
pub fn mark_told(tx: &mut Tx<'_>, access: &Access<Write>, ids: &[Id<Grant>]) -> Result<Vec<Id<Any>>> {
    let own = grants::table.filter(grants::patient_id.eq(access.patient()));
    diesel::update(own.filter(grants::id.eq_any(ids.to_vec())))
        .set(grants::tell_at.eq(None::<At>))
        .execute(tx.conn())?;
    let items = grant_items::table.filter(grant_items::patient_id.eq(access.patient()));
    let items = items.filter(grant_items::grant_id.eq_any(ids.to_vec()));
    Ok(items.select(grant_items::item_id).distinct().load(tx.conn())?)
}

/// Finds the active links of the patient, or those of one therapist, and holds them so that none ends before this unit.
pub fn hold_active(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    therapist: Option<Id<Account>>,
) -> Result<Vec<Id<CareLink>>> {
    let rows: Vec<Stored<LinkRow>> = locked!(
        tx,
        for_share,
        care_links::table
            .filter(care_links::patient_id.eq(access.patient()))
            .filter(care_links::state.eq("active"))
            .order(care_links::id)
            .select(columns::<Stored<LinkRow>>())
    )?;
    let wanted = |link: &LinkRow| therapist.is_none_or(|id| id == link.therapist_id);
    Ok(checked(tx, rows)?.iter().filter(|link| wanted(link)).map(|link| link.id).collect())
}

/// Waits for running units of the readers of grants, and holds back new ones until this unit ends.
pub fn hold_readers(tx: &mut Tx<'_>, access: &Access<Write>, grants: &[Id<Grant>]) -> Result<()> {
    let links = grant_readers::table
        .filter(grant_readers::patient_id.eq(access.patient()))
        .filter(grant_readers::grant_id.eq_any(grants.to_vec()))
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

/// Waits for running units of all readers of the patient, and holds back new ones until this unit ends.
pub fn hold_readers_of_all(tx: &mut Tx<'_>, access: &Access<Write>) -> Result<()> {
    let _held: Vec<Id<CareLink>> = locked!(
        tx,
        for_update,
        care_links::table
            .filter(care_links::patient_id.eq(access.patient()))
            .order(care_links::id)
            .select(care_links::id)
    )?;
    Ok(())
}

/// Inserts a grant with its readers; `to_team` marks one to the care team.
pub fn insert(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    row: &GrantRow,
    links: &[Id<CareLink>],
    to_team: bool,
) -> Result<()> {
    let GrantKey { id: grant_id, patient_id, sections, .. } = row.key;
    let (least, more) = Sections::by_rule();
    if (least..more).contains(&sections) {
        access.note_rule(tx)?;
    }
    let values = (row.key.signed(tx)?, grants::doc.eq(&row.doc), grants::tell_at.eq(row.key.visible_from));
    diesel::insert_into(grants::table).values(values).execute(tx.conn())?;
    if to_team {
        let mark = TeamRow { patient_id, grant_id }.signed(tx)?;
        diesel::insert_into(team_grants::table).values(mark).execute(tx.conn())?;
    }
    for link_id in links.iter().copied() {
        let values = ReaderRow { patient_id, grant_id, link_id }.signed(tx)?;
        diesel::insert_into(grant_readers::table).values(values).execute(tx.conn())?;
    }
    Ok(())
}

/// Lists the open grants that open this item of a kind with sections `of` alone and are not by rule.
pub fn list_of_item_alone(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    of: Sections,
    item: Id<Any>,
) -> Result<Vec<GrantKey>> {
    let (least, more) = Sections::by_rule();
    let of_item = grant_items::table
        .filter(grant_items::patient_id.eq(access.patient()))
        .filter(grant_items::item_id.eq(item))
        .select(grant_items::grant_id);
    let found: Vec<Stored<GrantKey>> = grants::table
        .filter(grants::patient_id.eq(access.patient()))
        .filter(grants::id.eq_any(of_item))
        .filter(grants::closed_at.is_null())
        .filter(grants::sections.ge(of.range().0).and(grants::sections.lt(of.range().1)))
        .filter(grants::sections.lt(least).or(grants::sections.ge(more)))
        .select(columns::<Stored<GrantKey>>())
        .load(tx.conn())?;
    checked(tx, found)
}

/// Ends a grant, and returns its new version; `None` if it was ended before.
pub fn mark_closed(tx: &mut Tx<'_>, access: &Access<Write>, key: &GrantKey) -> Result<Option<i64>> {
    let version = update_closed(tx, access, key)?;
    if version.is_some() {
        forget(tx, access, &[key.id])?;
    }
    Ok(version)
}

fn update_closed(tx: &mut Tx<'_>, access: &Access<Write>, key: &GrantKey) -> Result<Option<i64>> {
    let version = tx.version_after(key.version);
    let key = GrantKey { closed_at: Some(At(access.now())), version, ..*key };
    let own = grants::table.filter(grants::patient_id.eq(access.patient())).filter(grants::id.eq(key.id));
    // Some are listed before the head is locked: on PostgreSQL one may have ended since.
    let open = own.filter(grants::closed_at.is_null());
    let closed = diesel::update(open).set(key.signed(tx)?).execute(tx.conn())?;
    Ok((closed == 1).then_some(version))
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
    let open: Vec<Stored<GrantKey>> = grants::table
        .filter(grants::patient_id.eq(patient))
        .filter(grants::closed_at.is_null())
        .filter(grants::id.eq_any(unread))
        .select(columns::<Stored<GrantKey>>())
        .load(tx.conn())?;
    let mut closed = Vec::with_capacity(open.len());
    for key in checked(tx, open)? {
        closed.extend(update_closed(tx, access, &key)?.map(|version| (key.id, version)));
    }
    let ids: Vec<Id<Grant>> = closed.iter().map(|(id, _)| *id).collect();
    forget(tx, access, &ids)?;
    Ok(closed)
}

/// Deletes the items and readers of closed grants, so that later reads need not pass over them.
fn forget(tx: &mut Tx<'_>, access: &Access<Write>, closed: &[Id<Grant>]) -> Result<()> {
    for some in closed.chunks(AT_ONCE) {
        let items = grant_items::table.filter(grant_items::patient_id.eq(access.patient()));
        let items = items.filter(grant_items::grant_id.eq_any(some));
        // An id that is shared by two kinds is looked at as both.
        let were_open: Vec<(Id<Any>, Id<Grant>)> =
            items.clone().select((grant_items::item_id, grant_items::grant_id)).load(tx.conn())?;
        diesel::delete(items).execute(tx.conn())?;
        changes::note_opened(tx, access.patient(), access.now(), were_open.into_iter().map(|(id, _)| id).collect());
        let readers = grant_readers::table.filter(grant_readers::patient_id.eq(access.patient()));
        diesel::delete(readers.filter(grant_readers::grant_id.eq_any(some))).execute(tx.conn())?;
        let marks = team_grants::table.filter(team_grants::patient_id.eq(access.patient()));
        diesel::delete(marks.filter(team_grants::grant_id.eq_any(some))).execute(tx.conn())?;
    }
    Ok(())
}
