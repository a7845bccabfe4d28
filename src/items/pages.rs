//! The owner's list of items, newest first, and the answers about one item. An item that does not open stands in its
//! place with its id; where the filter looks into items, it is left out.

use jiff::Timestamp;

use super::actions;
use super::model::ItemRow;
use super::seal::OpenedItem;
use super::store::table::{ItemTable as _, Scan};
use super::view::{self, ItemPresenter, ItemView, Visible};
use crate::care::door::Policy;
use crate::care::grants;
use crate::care::{Access, Door};
use crate::course::{self, ContextSource, Needed, SealedContextSource};
use crate::db::Tx;
use crate::idempotency::Outcome;
use crate::kernel::id::{Any, Patient};
pub(super) use crate::kernel::page::BYTES;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Id, Listed, Result};
use crate::vault::{Keys, apart};

/// The most rows that are read for one answer. A page may therefore have a cursor and fewer items than its limit.
const BUDGET: usize = 2000;
/// The number of rows read in one unit by a sparse filter.
const CHUNK: i64 = 200;

/// A place in the owner's list.
pub type CursorPosition = (Timestamp, Id<Any>);

/// The filter of a list.
pub trait Filter<T: ItemPresenter>: Clone + Send + 'static {
    /// Returns the part of the filter that the database applies; the list fills in `rows` and `after`.
    fn scan(&self) -> Scan;
    /// Whether the filter may refuse most items that the database finds.
    fn is_sparse(&self) -> bool;
    /// Whether the filter needs opened items; else it admits every one.
    fn needs_opening(&self) -> bool;
    /// Whether the filter admits an opened item. Sections that were not opened are empty and match nothing.
    ///
    /// # Errors
    ///
    /// When a section does not have its shape.
    fn admits(&self, opened: &OpenedItem<T>, around: &ContextSource) -> Result<bool>;
}

/// Reads a page of the owner's items. Rows are read in several units, and opened between the units, until the page is
/// full. Many bytes are opened away from the threads that answer requests. Returns also the number of its sealed bytes:
/// a view takes about as many.
///
/// # Errors
///
/// The errors of [`Door::read`]; when an item cannot be opened.
pub async fn own<T: ItemPresenter, F: Filter<T>, P: Policy>(
    door: &Door<P>,
    act: &'static str,
    filter: &F,
    page: PageRequest<CursorPosition>,
    manner: T::Manner,
) -> Result<(Page<ListedItem<T>, CursorPosition>, usize)> {
    let rows = if filter.is_sparse() { CHUNK } else { page.rows() };
    let (mut items, mut looked_at, mut bytes, mut after) = (Vec::new(), 0, 0, page.after);
    loop {
        let scan = Scan { after, rows, ..filter.scan() };
        let unit = move |tx: &mut Tx<'_>, access: &Access<_>| {
            let found = T::Table::list(tx, access, &scan)?;
            let needed = Needed::contexts(found.iter().map(|row| row.occurred_at));
            Ok((found, course::background(tx, access, needed)?))
        };
        let (found, background) = door.read(act, unit).await?;
        let last = i64::try_from(found.len()).is_ok_and(|read| read < rows);
        looked_at += found.len();
        let (keys, patient, filter) = (door.keys()?.clone(), door.patient()?, filter.clone());
        let (room, found_bytes) = (page.limit.items() - items.len(), found.iter().map(ItemRow::bytes).sum());
        // The first item of a page may be of any size.
        let room = (room, if items.is_empty() { None } else { Some(BYTES - bytes) });
        let opened = apart(found_bytes, move || {
            let around = background.open(&keys, patient)?;
            open_own::<T, F>((&keys, patient), found, &filter, (&around, manner), (after, room))
        });
        let (more, more_bytes, full);
        (more, more_bytes, after, full) = opened.await??;
        // The first part is most often the whole page: it is not moved.
        if items.is_empty() {
            items = more;
        } else {
            items.extend(more);
        }
        bytes = (bytes + more_bytes).min(BYTES);
        if full {
            return Ok((Page { items, next: after }, bytes));
        }
        if last || looked_at >= BUDGET {
            return Ok((Page { items, next: after.filter(|_| !last) }, bytes));
        }
    }
}

/// An item of a list.
pub(super) type ListedItem<T> = Listed<ItemView<<T as ItemPresenter>::Fields>>;

/// The views of rows with their sealed bytes, the place of the last row that was opened, and whether a row was left
/// because there was no room.
type OpenedRows<T> = (Vec<ListedItem<T>>, usize, Option<CursorPosition>, bool);

/// Opens rows of the owner's and renders those that the filter admits, as many as there is room for: items, and bytes
/// unless the page is empty.
fn open_own<T: ItemPresenter, F: Filter<T>>(
    (keys, patient): (&Keys, Id<Patient>),
    rows: Vec<ItemRow>,
    filter: &F,
    (around, manner): (&ContextSource, T::Manner),
    (mut after, (room, room_bytes)): (Option<CursorPosition>, (usize, Option<usize>)),
) -> Result<OpenedRows<T>> {
    let (mut items, mut bytes) = (Vec::with_capacity(rows.len().min(room)), 0);
    for row in rows {
        let most = room_bytes.or_else(|| (!items.is_empty()).then_some(BYTES));
        let size = row.bytes();
        if items.len() == room || most.is_some_and(|most| bytes + size > most) {
            return Ok((items, bytes, after, true));
        }
        after = Some((row.occurred_at, row.id));
        let item = Visible { row, shared: None, openings: None };
        if let Some(listed) = open_listed::<T, F>((keys, patient), item, filter, (around, manner))? {
            bytes += size;
            items.push(listed);
        }
    }
    Ok((items, bytes, after, false))
}

/// Opens and renders an item, if the filter admits it.
fn open_listed<T: ItemPresenter, F: Filter<T>>(
    (keys, patient): (&Keys, Id<Patient>),
    mut item: Visible,
    filter: &F,
    (around, manner): (&ContextSource, T::Manner),
) -> Result<Option<ListedItem<T>>> {
    let parts = (item.row.id, std::mem::take(&mut item.row.parts));
    let view = || {
        let opened = super::seal::open::<T>(keys, patient, parts, item.shared)?;
        if filter.needs_opening() && !filter.admits(&opened, around)? {
            return Ok(None);
        }
        view::rendered::<T>(&item, opened, around, manner).map(Some)
    };
    Ok(match Error::skip_damaged(view())? {
        Some(view) => view.map(Listed::Readable),
        None => (!filter.needs_opening()).then(|| Listed::unreadable(item.row.id.uuid())),
    })
}

/// The result of a unit on one item, still sealed.
pub type ItemWithContext = (Visible, SealedContextSource);

/// Returns the answer of a change, for the owner: what the unit made or changed, or for a replay the present state.
///
/// # Errors
///
/// As [`actions::get`].
pub fn own_answer<T: ItemPresenter, A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    outcome: Outcome<ItemRow>,
) -> Result<ItemWithContext> {
    let is_new = outcome.is_new();
    let row = outcome.or_get(|id| actions::get::<T, _>(tx, access, id))?;
    // Nobody has opened a new item.
    let openings = if is_new { Vec::new() } else { grants::store::list_openings(tx, access, (T::ENTITY, row.id))? };
    let background = course::background(tx, access, Needed::contexts([row.occurred_at]))?;
    Ok((Visible { row, shared: None, openings: Some(openings) }, background))
}

/// Returns the answer of a read, for the owner or a reader.
///
/// # Errors
///
/// As [`actions::get`] and [`actions::get_shared`].
pub fn answer<T: ItemPresenter, A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<T::Id>) -> Result<ItemWithContext> {
    if access.is_owner() {
        let row = actions::get::<T, _>(tx, access, id)?;
        let openings = Some(grants::store::list_openings(tx, access, (T::ENTITY, id.any()))?);
        let background = course::background(tx, access, Needed::contexts([row.occurred_at]))?;
        return Ok((Visible { row, shared: None, openings }, background));
    }
    let (row, sections) = actions::get_shared::<T, _>(tx, access, id)?;
    let background = course::background(tx, access, Needed::contexts([row.occurred_at]))?;
    Ok((Visible { row, shared: Some(sections), openings: None }, background))
}
