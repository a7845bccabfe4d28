//! The list of items that a reader sees: by local date, newest first, and within a date in a keyed order.
//!
//! A reader knows the date of an item and no hour. The order of writing would tell the hours, so it does not show. The
//! local date is sealed, so the items are walked through by their instants, their headers are opened, and a date is
//! shown once no item that is left can have it.
//!
//! An item that does not open stands in its place with its id; where the filter looks into items, it is left out. One
//! whose header does not open has the date of its instant in the patient's zone.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::model::{Header as _, ItemKind, ItemRow};
use super::pages::{BYTES, Filter, ListedItem};
use super::seal::{self, SealedHeader};
use super::store::table::ItemTable as _;
use super::view::{self, ItemPresenter, Visible};
use crate::care::door::Policy;
use crate::care::grants::Sections;
use crate::care::grants::store::{Position, visible_page};
use crate::care::{Access, Door};
use crate::course::{self, ContextSource, Needed};
use crate::db::Tx;
use crate::kernel::id::Any;
use crate::kernel::page::{CursorKey, Page, PageRequest};
use crate::kernel::{Error, Id, Listed, Result, Zone};
use crate::vault::apart;

/// The number of items in one step of a walk. It does not follow from the limit of the page, so that all pages of a
/// part of a date walk through the same items.
const STEP: usize = 32;
/// The number of items in the first step: of most lists it is the only one, and for each item a row is read and a header
/// opened.
const FIRST_STEP: usize = 20;
/// The most steps of the walk for one page. If a patient has more items on one date, they are shown in parts, each in a
/// keyed order.
const STEPS: usize = 64;
/// A local date begins and ends within a day of the same date in UTC.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The place of an item in the order that a reader sees.
type Place = (Reverse<Date>, Uuid);

/// A place in a reader's list.
#[derive(Clone, Copy, Debug)]
pub struct ReaderPosition {
    /// The instant and id below which the walk begins.
    start: Position,
    /// The place of the last item that was shown.
    shown: Place,
}

/// The beginning of every list. A cursor holds no more than microseconds, so it is not [`Timestamp::MAX`].
const FIRST: ReaderPosition =
    ReaderPosition { start: (Timestamp::constant(253_402_207_199, 0), Id::from_uuid(Uuid::max())), shown: BEFORE_ALL };
const BEFORE_ALL: Place = (Reverse(Date::MAX), Uuid::nil());

impl CursorKey for ReaderPosition {
    fn to_bytes(&self) -> Vec<u8> {
        let (Reverse(date), place) = self.shown;
        let date = i64::from(date.year()) * 10_000 + i64::from(date.month()) * 100 + i64::from(date.day());
        [self.start.to_bytes(), date.to_bytes(), place.as_bytes().to_vec()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (start, shown) = bytes.split_at_checked(24)?;
        let (date, place) = shown.split_at_checked(8)?;
        let date = i64::from_bytes(date)?;
        let part = |unit: i64, size: i64| i8::try_from(date / unit % size).ok();
        let date = Date::new(i16::try_from(date / 10_000).ok()?, part(100, 100)?, part(1, 100)?).ok()?;
        Some(Self { start: Position::from_bytes(start)?, shown: (Reverse(date), Uuid::from_slice(place).ok()?) })
    }
}

/// An item on the way of the walk.
struct Found<T: ItemKind> {
    place: Place,
    id: Id<Any>,
    sections: Sections,
    /// Its header; `None` if it does not open.
    header: Option<SealedHeader<T::Header>>,
    /// The whole row, if the walk has read it.
    row: Option<ItemRow>,
}

/// What the walk of a page found, in the order of the list.
struct Walk<T: ItemKind> {
    found: Vec<Found<T>>,
    /// The place at which it ended; `None` at the end of the list.
    end: Option<Position>,
    /// Whether every item of the dates found is among them.
    whole: bool,
}

/// An item that a reader may see: its sections are still sealed.
struct SharedRow<T: ItemKind> {
    row: ItemRow,
    sections: Sections,
    header: Option<SealedHeader<T::Header>>,
}

/// The result of the unit of a reader's list.
struct SharedRows<T: ItemKind> {
    rows: Vec<SharedRow<T>>,
    around: ContextSource,
    next: Option<ReaderPosition>,
}

/// Reads a page of the items that are open to a reader: one unit, with one row in the patient's log. Returns also the
/// number of its sealed bytes, as [`own`](super::pages::own) does.
///
/// # Errors
///
/// The errors of [`Door::read`]; when an item cannot be opened.
pub async fn shared<T: ItemPresenter, F: Filter<T>, P: Policy>(
    door: &Door<P>,
    act: &'static str,
    filter: &F,
    page: PageRequest<ReaderPosition>,
    manner: T::Manner,
) -> Result<(Page<ListedItem<T>, ReaderPosition>, usize)> {
    let filter = filter.clone();
    let found = door.read(act, move |tx, access| find_shared::<T, F, _>(tx, access, &filter, page)).await?;
    let (keys, patient, vault) = (door.keys()?.clone(), door.patient()?, door.state().vault.clone());
    let SharedRows { rows, around, next } = found;
    let bytes: usize = rows.iter().map(|shared| shared.row.bytes()).sum();
    let opened = apart(bytes, move || {
        let render = |shared: SharedRow<T>| {
            let mut item = Visible { row: shared.row, shared: Some(shared.sections), openings: None };
            let view = match shared.header {
                Some(header) => {
                    let parts = (item.row.id, std::mem::take(&mut item.row.parts));
                    let opened = seal::open_sections::<T>(&keys, patient, parts, (header, item.shared));
                    opened.and_then(|opened| view::rendered::<T>(&item, opened, &around, manner))
                }
                None => view::render::<T>((&keys, patient), &item, &around, manner),
            };
            Listed::new(item.row.id.uuid(), view.and_then(|view| view.tagged(&vault)))
        };
        rows.into_iter().map(render).collect::<Result<_>>()
    });
    Ok((Page { items: opened.await??, next }, bytes))
}

/// Finds the rows of a page. The log must name the returned items and no others, so the filter is applied here, in the
/// unit.
fn find_shared<T: ItemPresenter, F: Filter<T>, A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    filter: &F,
    page: PageRequest<ReaderPosition>,
) -> Result<SharedRows<T>> {
    let around = course::background(tx, access, Needed::All)?;
    let around = around.open_in_unit(tx, access.keys()?, access.patient())?;
    let mut shared = SharedRows { rows: Vec::new(), around, next: None };
    let scan = filter.scan();
    // A reader sees done items only.
    if scan.deleted || scan.draft == Some(true) {
        return Ok(shared);
    }
    let after = page.after.unwrap_or(FIRST);
    let until = scan.until.map_or(after.start, |until| after.start.min((until, Id::from_uuid(Uuid::nil()))));
    let from = ReaderPosition { start: until, ..after };
    let mut walk = walk::<T, A>(tx, access, &shared.around, (from, scan.from, page.limit.items()))?;
    let some = walk.found.len().min(page.limit.items());
    let some = walk.found.get_mut(..some).unwrap_or_default();
    let unread: Vec<Id<Any>> = some.iter().filter(|item| item.row.is_none()).map(|item| item.id).collect();
    let unread = list_done::<T, A>(tx, access, &unread)?.into_iter();
    let mut rows: HashMap<Id<Any>, ItemRow> = unread.map(|row| (row.id, row)).collect();
    let (mut bytes, mut shown) = (0, 0);
    for item in some {
        let row = item.row.take().or_else(|| rows.remove(&item.id)).filter(|_| !item.sections.is_empty());
        let size = row.as_ref().map_or(0, |row| row.shared_bytes::<T>(item.sections));
        if bytes > 0 && bytes + size > BYTES {
            break;
        }
        shown += 1;
        bytes += size;
        if let Some(row) = row
            && admits::<T, F, A>(access, filter, &shared.around, (&row, item.sections))?
        {
            access.returns(row.id.uuid());
            shared.rows.push(SharedRow { row, sections: item.sections, header: item.header.take() });
        }
    }
    shared.next = next(&walk, shown, from);
    Ok(shared)
}

fn list_done<T: ItemPresenter, A>(tx: &mut Tx<'_>, access: &Access<A>, ids: &[Id<Any>]) -> Result<Vec<ItemRow>> {
    if ids.is_empty() { Ok(Vec::new()) } else { T::Table::list_done(tx, access, ids) }
}

fn admits<T: ItemPresenter, F: Filter<T>, A>(
    access: &Access<A>,
    filter: &F,
    around: &ContextSource,
    (row, sections): (&ItemRow, Sections),
) -> Result<bool> {
    if !filter.needs_opening() {
        return Ok(true);
    }
    let parts = (row.id, row.parts.clone());
    let opened = seal::open::<T>(access.keys()?, access.patient(), parts, Some(sections));
    let admits = opened.and_then(|opened| filter.admits(&opened, around));
    Ok(Error::skip_damaged(admits)?.unwrap_or(false))
}

/// Returns the place at which the next page begins, when the first `shown` items of the walk were looked at.
fn next<T: ItemKind>(walk: &Walk<T>, shown: usize, from: ReaderPosition) -> Option<ReaderPosition> {
    let last = shown.checked_sub(1).and_then(|last| walk.found.get(last));
    match (walk.end, last) {
        (None, _) if shown == walk.found.len() => None,
        // This part of a date is over: the next begins where its walk ended.
        (Some(end), _) if !walk.whole && shown == walk.found.len() => {
            Some(ReaderPosition { start: end, shown: BEFORE_ALL })
        }
        (_, None) => None,
        // The parts of a date begin where they began, so that each is the same on its every page.
        (_, Some(last)) if !walk.whole => Some(ReaderPosition { shown: last.place, ..from }),
        (_, Some(last)) => {
            let end_of_date = midnight(last.place.0.0).checked_add(DAY + DAY).unwrap_or(FIRST.start.0);
            let start = from.start.min((end_of_date, Id::from_uuid(Uuid::max())));
            Some(ReaderPosition { start, shown: last.place })
        }
    }
}

fn midnight(date: Date) -> Timestamp {
    Zone::utc().instant(date, jiff::civil::Time::midnight())
}

/// Walks through the items that the reader may see, until one more is found than the page has room for, all of dates of
/// which nothing is left, or until [`STEPS`] were made.
fn walk<T: ItemPresenter, A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    around: &ContextSource,
    (from, since, room): (ReaderPosition, Option<Timestamp>, usize),
) -> Result<Walk<T>> {
    let (mut found, mut end, mut steps) = (Vec::new(), from.start, 0);
    loop {
        let step = if steps == 0 { FIRST_STEP } else { STEP };
        let (open, rest) = visible_page(tx, access, T::grants(), (end, since), step)?;
        steps += 1;
        end = rest.unwrap_or(end);
        let ids: Vec<Id<Any>> = open.keys().copied().collect();
        // The page shows most of the first step: their rows are read at once.
        let read: Vec<_> = if steps == 1 {
            let rows = list_done::<T, A>(tx, access, &ids)?.into_iter();
            rows.map(|row| (row.id, row.occurred_at, None, Some(row))).collect()
        } else {
            let headers = T::Table::list_done_headers(tx, access, &ids)?.into_iter();
            headers.map(|(id, part, at)| (id, at, Some(part), None)).collect()
        };
        found.reserve(read.len());
        for (id, at, part, row) in read {
            let part = part.as_ref().or_else(|| row.as_ref()?.parts.first());
            let part = part.ok_or_else(|| Error::corrupt(T::TABLE, id))?;
            let header = seal::open_sealed_header::<T>(access.keys()?, access.patient(), id, part.clone());
            let header = Error::skip_damaged(header)?;
            let date = header.as_ref().map_or_else(
                || around.zone_at(at).date(at),
                |opened| opened.header.circumstances().local_date(|at| around.zone_at(at)),
            );
            let place = (Reverse(date), access.keys()?.place(id.uuid())?);
            if place > from.shown {
                found.push(Found { place, id, sections: open.get(&id).copied().unwrap_or_default(), header, row });
            }
        }
        let more = rest.is_some();
        let left = |item: &Found<T>| more && midnight(item.place.0.0).saturating_sub(DAY).is_ok_and(|at| at <= end.0);
        let whole = found.iter().filter(|item| !left(item)).count();
        if more && whole <= room && steps < STEPS {
            continue;
        }
        let is_whole = whole > 0 || !more;
        if is_whole {
            found.retain(|item| !left(item));
        }
        found.sort_unstable_by_key(|item| item.place);
        return Ok(Walk { found, end: rest, whole: is_whole });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_holds_its_place() {
        let date = |text: &str| text.parse::<Date>().unwrap();
        let places =
            [FIRST.shown, (Reverse(date("2026-03-10")), Uuid::max()), (Reverse(date("1899-12-31")), Uuid::nil())];
        let starts = [FIRST.start, ("2026-03-10T08:00:00Z".parse().unwrap(), Id::from_uuid(Uuid::nil()))];
        for (start, shown) in starts.into_iter().flat_map(|start| places.map(|shown| (start, shown))) {
            let bytes = ReaderPosition { start, shown }.to_bytes();
            let back = ReaderPosition::from_bytes(&bytes).unwrap_or_else(|| panic!("{start:?} {shown:?} {bytes:?}"));
            assert_eq!((back.start, back.shown), (start, shown), "{bytes:?}");
        }
    }
}
