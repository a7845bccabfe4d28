//! The actions on items: creating, replacing, patching, restoring, reading as a reader.

use jiff::Timestamp;

use super::model::{Circumstances, Header as _, ItemKind, ItemRow, Part, stays_done};
use super::seal::{self, OpenedItem, Origin};
use super::store;
use super::store::table::{Columns, ItemTable};
use crate::care::grants::{self, Sections};
use crate::care::{Access, Write};
use crate::changes::{self, Change, FeedsPlan, Op};
use crate::course::{self, Needed};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::idempotency::Outcome;
use crate::kernel::id::{Any, Patient};
use crate::kernel::{Creation, Entropy, Error, Id, Result};
use crate::vault::Keys;

/// The rules of a kind of item.
pub trait Item: ItemKind {
    /// Its table.
    type Table: ItemTable;

    /// Checks a creation (the old content is `None`) or a change. The default allows everything.
    ///
    /// # Errors
    ///
    /// The refusals of the kind.
    fn check(
        _: &mut Tx<'_>,
        _: &Access<Write>,
        _: Id<Self::Id>,
        _: (Option<&Self::Content>, &Self::Content),
    ) -> Result<()> {
        Ok(())
    }

    /// Applies the consequences of a creation (the old content is `None`) or a change, and returns whether it feeds the
    /// plan.
    ///
    /// # Errors
    ///
    /// The refusals of the kind.
    fn on_changed(
        tx: &mut Tx<'_>,
        access: &Access<Write>,
        id: Id<Self::Id>,
        change: (Option<&Self::Content>, &Self::Content),
    ) -> Result<FeedsPlan>;

    /// Keeps what is stored in the clear about an item in step with its content, after a creation (the old content is
    /// `None`), a change or a restoration. The default keeps nothing.
    ///
    /// # Errors
    ///
    /// When it cannot be stored.
    fn on_stored(
        _: &mut Tx<'_>,
        _: &Access<Write>,
        _: Id<Self::Id>,
        _: (Option<&Self::Content>, &Self::Content),
    ) -> Result<()> {
        Ok(())
    }

    /// Applies the consequences of an item's coming back from a deletion. The default has none.
    ///
    /// # Errors
    ///
    /// When they cannot be stored.
    fn on_returned(_: &mut Tx<'_>, _: &Access<Write>, _: Id<Self::Id>) -> Result<()> {
        Ok(())
    }

    /// Deletes the other rows of the kind that belong to an item, when its content goes for good. The default has none.
    ///
    /// # Errors
    ///
    /// When they cannot be deleted.
    fn on_purged(_: &mut Tx<'_>, _: &Access<Write>, _: Id<Self::Id>) -> Result<()> {
        Ok(())
    }

    /// Returns whether the deletion, undeletion or restoration of an item with this content feeds the plan.
    fn on_removed(content: &Self::Content) -> FeedsPlan;
}

/// The version of new items in the first epoch.
const FIRST: i64 = 1;

/// A new item, sealed before the unit as the first version of the first epoch: most ids are free.
#[derive(Clone, Debug)]
pub struct New<T: ItemKind> {
    /// Its id.
    pub id: Id<T::Id>,
    content: T::Content,
    creation: Creation,
    copy_of: Option<Id<Any>>,
    parts: Vec<Part>,
}

impl<T: ItemKind> New<T> {
    /// Seals a new item; `creation` is the digest of the body that made it. Returns also the item as it would open.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub fn seal(
        keys: &Keys,
        (patient, id): (Id<Patient>, Id<T::Id>),
        content: T::Content,
        creation: Creation,
        now: Timestamp,
    ) -> Result<(Self, OpenedItem<T>)> {
        let origin = Origin { creation: Some(creation.clone()), copy_of: None };
        let (parts, opened) = seal::seal::<T>(keys, (patient, id.any()), &content, origin, (FIRST, now))?;
        Ok((Self { id, content, creation, copy_of: None, parts }, opened))
    }

    /// Seals a new item that is a copy of `of`.
    ///
    /// # Errors
    ///
    /// When it cannot be sealed.
    pub fn copy(
        keys: &Keys,
        (patient, id): (Id<Patient>, Id<T::Id>),
        (content, of): (T::Content, Id<Any>),
        creation: Creation,
        now: Timestamp,
    ) -> Result<Self> {
        let origin = Origin { creation: Some(creation.clone()), copy_of: Some(of) };
        let (parts, _) = seal::seal::<T>(keys, (patient, id.any()), &content, origin, (FIRST, now))?;
        Ok(Self { id, content, creation, copy_of: Some(of), parts })
    }

    /// Returns its parts, sealed as `version`.
    fn parts_as(&self, access: &Access<Write>, version: i64) -> Result<Vec<Part>> {
        if version == FIRST {
            return Ok(self.parts.clone());
        }
        let origin = Origin { creation: Some(self.creation.clone()), copy_of: self.copy_of };
        let at = (access.patient(), self.id.any());
        Ok(seal::seal::<T>(access.keys()?, at, &self.content, origin, (version, access.now()))?.0)
    }
}

pub(super) fn columns<T: ItemKind>(content: &T::Content) -> Columns {
    let header = T::header(content);
    let circumstances = header.circumstances();
    Columns { draft: circumstances.draft, occurred_at: circumstances.occurred_at, links: T::links(header) }
}

/// Opens all of an item.
///
/// # Errors
///
/// When it cannot be opened.
pub fn open<T: ItemKind, A>(access: &Access<A>, row: &ItemRow) -> Result<OpenedItem<T>> {
    seal::open(access.keys()?, access.patient(), (row.id, row.parts.clone()), None)
}

/// Creates an item; nothing if its id is taken.
///
/// # Errors
///
/// The refusals of [`Item::check`] and [`Item::on_changed`].
pub fn create<T: Item>(tx: &mut Tx<'_>, access: &Access<Write>, new: &New<T>) -> Result<Option<ItemRow>> {
    T::check(tx, access, new.id, (None, &new.content))?;
    let (id, version, now) = (new.id.any(), tx.first_version(), access.now());
    let parts = new.parts_as(access, version)?;
    let columns = columns::<T>(&new.content);
    let occurred_at = columns.occurred_at;
    let row = ItemRow { id, version, parts, occurred_at, received_at: now, updated_at: now, deleted_at: None };
    let change = Change::new(T::ENTITY, new.id, version, Op::Create);
    if !store::create::<T, T::Table>(tx, access, (&row, &columns), change)? {
        return Ok(None);
    }
    T::on_stored(tx, access, new.id, (None, &new.content))?;
    access.feed_plan(T::on_changed(tx, access, new.id, (None, &new.content))?);
    Ok(Some(row))
}

/// Changes the content of an item that is not deleted, without a precondition: the caller has merged it.
///
/// # Errors
///
/// The refusals of [`Item::check`] and [`Item::on_changed`].
pub fn change<T: Item>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    row: &ItemRow,
    contents: (&OpenedItem<T>, &T::Content, &T::Content),
) -> Result<ItemRow> {
    revise::<T>(tx, access, row, contents, Op::Update)
}

/// Returns the revisions of a section that came after `version` and were replaced since, the newest first: at most a
/// hundred, because each is opened.
///
/// # Errors
///
/// When they cannot be read.
pub fn revisions_after<A>(
    tx: &mut Tx<'_>,
    access: &Access<A>,
    id: Id<Any>,
    section: i32,
    version: i64,
) -> Result<Vec<Part>> {
    store::list_revisions_after(tx, access, (id, section), version)
}

/// Creates or replaces an item. The body that created it and the present state, sent again, change nothing.
///
/// # Errors
///
/// [`Error::Deleted`]; [`Error::PreconditionRequired`] and [`Error::Stale`] by the preconditions; the refusals of
/// [`Item::check`].
pub fn put<T: Item>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    new: &New<T>,
    when: &Preconditions,
) -> Result<Outcome<ItemRow>> {
    if when.change_only() {
        access.lock(tx)?;
    } else if let Some(row) = create::<T>(tx, access, new)? {
        return Ok(Outcome::created(new.id, row));
    }
    let row = T::Table::find(tx, access, new.id.any())?.ok_or(Error::Stale)?;
    if row.deleted_at.is_some() {
        return Err(Error::Deleted);
    }
    let old = open::<T, _>(access, &row)?;
    let before = old.content()?;
    let tag = EntityTag::version(row.version);
    if !when.puts(&tag, (&before, &new.content), (old.creation(), &new.creation))? {
        return Ok(Outcome::ok(new.id, row));
    }
    Ok(Outcome::ok(new.id, revise::<T>(tx, access, &row, (&old, &before, &new.content), Op::Update)?))
}

/// Reads an item for its owner.
///
/// # Errors
///
/// [`Error::Deleted`] while it can be undeleted, [`Error::NotFound`] after that and for an unknown id.
pub fn get<T: Item, A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<T::Id>) -> Result<ItemRow> {
    let row = T::Table::find(tx, access, id.any())?.ok_or(Error::NotFound)?;
    match row.deleted_at {
        None => Ok(row),
        Some(_) if row.is_gone(access.now()) => Err(Error::NotFound),
        Some(_) => Err(Error::Deleted),
    }
}

/// Changes the content of an item by `patched`. A patch that changes nothing succeeds whatever the precondition.
///
/// # Errors
///
/// [`Error::PreconditionRequired`] and [`Error::Stale`]; the errors of [`get`]; the refusals of `patched` and
/// [`Item::check`].
pub fn patch<T: Item>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<T::Id>,
    patched: impl FnOnce(&T::Content) -> Result<T::Content>,
    when: &Preconditions,
) -> Result<Outcome<ItemRow>> {
    access.lock(tx)?;
    let row = get::<T, _>(tx, access, id)?;
    let old = open::<T, _>(access, &row)?;
    let before = old.content()?;
    let after = patched(&before)?;
    if before == after {
        return Ok(Outcome::ok(id, row));
    }
    when.require(&EntityTag::version(row.version))?;
    Ok(Outcome::ok(id, revise::<T>(tx, access, &row, (&old, &before, &after), Op::Update)?))
}

/// Returns the parts of an item as of `version`.
///
/// # Errors
///
/// [`Error::NotFound`] when there was no such version.
pub fn parts_at<T: Item, A>(tx: &mut Tx<'_>, access: &Access<A>, row: &ItemRow, version: i64) -> Result<Vec<Part>> {
    if !(1..=row.version).contains(&version) {
        return Err(Error::NotFound);
    }
    let kept = store::list_revisions(tx, access, row.id, version)?;
    let parts = row.back_to::<T>(version, &kept);
    // The first version of an item is 1, or above the floor of a later epoch.
    let header = |parts: &[Part]| parts.first().is_some_and(|header| header.sealed.is_some());
    if header(&row.parts) && !header(&parts) { Err(Error::NotFound) } else { Ok(parts) }
}

/// Restores the content of `version` as the present state, and takes the item out of every grant. A draft stays a
/// draft, a done item stays done.
///
/// # Errors
///
/// [`Error::NotFound`] when there was no such version; [`Error::Deleted`]; [`Error::PreconditionRequired`] and
/// [`Error::Stale`].
pub fn restore<T: Item>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (id, version): (Id<T::Id>, i64),
    when: &Preconditions,
) -> Result<Outcome<ItemRow>> {
    access.lock(tx)?;
    let row = get::<T, _>(tx, access, id)?;
    let old = open::<T, _>(access, &row)?;
    let before = old.content()?;
    let parts = parts_at::<T, _>(tx, access, &row, version)?;
    let mut after = seal::open::<T>(access.keys()?, access.patient(), (row.id, parts), None)?.content()?;
    T::header_mut(&mut after).circumstances_mut().draft = T::header(&before).circumstances().draft;
    if before == after {
        // As of an item that was undeleted before.
        changes::follow_up_owed(tx, access.patient())?;
        return Ok(Outcome::ok(id, row));
    }
    when.require(&EntityTag::version(row.version))?;
    Ok(Outcome::ok(id, revise::<T>(tx, access, &row, (&old, &before, &after), Op::Restore)?))
}

/// Stores `after` as the present state, and keeps the replaced parts.
fn revise<T: Item>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    row: &ItemRow,
    (old, before, after): (&OpenedItem<T>, &T::Content, &T::Content),
    op: Op,
) -> Result<ItemRow> {
    let id = row.id.typed();
    stays_done::<T>(before, after)?;
    T::check(tx, access, id, (Some(before), after))?;
    let version = tx.version_after(row.version);
    let made = (version, access.now());
    let (parts, replaced) = seal::reseal(access.keys()?, access.patient(), row, (old, after), made)?;
    let kept = store::sealed_bytes(replaced.iter().map(|(_, part)| part));
    access.stores(store::sealed_bytes(&parts).plus(kept).minus(store::sealed_bytes(&row.parts)));
    for (number, part) in &replaced {
        store::insert_revision(tx, access, row.id, (*number, part), version)?;
    }
    let columns = columns::<T>(after);
    let row = ItemRow { version, parts, occurred_at: columns.occurred_at, updated_at: access.now(), ..row.clone() };
    T::Table::update(tx, access, &row, &columns)?;
    T::on_stored(tx, access, id, (Some(before), after))?;
    if T::header(before).circumstances().occurred_at != columns.occurred_at {
        grants::store::move_item(tx, access, T::grants(), (row.id, columns.occurred_at))?;
    }
    let change = Change::new(T::ENTITY, row.id, version, op);
    let header = header_differs::<T>(tx, access, (T::header(before), T::header(after)))?;
    let change = if header { change } else { change.of_sections(changed_sections::<T>(&row).bits(false)) };
    access.record_feeding(tx, change, FeedsPlan::Never)?;
    if op == Op::Restore {
        grants::drop_item(tx, access, T::grants(), row.id)?;
        access.feed_plan(T::on_removed(before).max(T::on_removed(after)));
    } else {
        access.feed_plan(T::on_changed(tx, access, id, (Some(before), after))?);
    }
    Ok(row)
}

/// Returns the sections of `row` that its last change has replaced, of those that can be opened to a reader.
fn changed_sections<T: ItemKind>(row: &ItemRow) -> Sections {
    let sections = T::SECTIONS.iter().zip(row.parts.iter().skip(1));
    let changed = sections.filter(|(_, part)| part.rev == row.version).filter_map(|(section, _)| section.grant);
    changed.fold(Sections::default(), Sections::or)
}

/// Whether readers of an item see a difference between two headers of it: in the kind, the date or the phase.
fn header_differs<T: ItemKind>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (before, after): (&T::Header, &T::Header),
) -> Result<bool> {
    let (then, now) = (before.circumstances(), after.circumstances());
    if T::differ_for_readers(before, after) || then.draft != now.draft {
        return Ok(true);
    }
    if (then.occurred_at, &then.zone) == (now.occurred_at, &now.zone) {
        return Ok(false);
    }
    let needed = Needed::contexts([then.occurred_at, now.occurred_at]);
    let around = course::background(tx, access, needed)?;
    let around = around.open_in_unit(tx, access.keys()?, access.patient())?;
    let shown =
        |at: &Circumstances| (at.local_date(|instant| around.zone_at(instant)), around.context(at.occurred_at).phase);
    Ok(shown(then) != shown(now))
}

/// Reads an item for a reader: the row and the sections that are open to them.
///
/// # Errors
///
/// [`Error::NotFound`] when no section is open to them, or there is no such item.
pub fn get_shared<T: Item, A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<T::Id>) -> Result<(ItemRow, Sections)> {
    let link = access.link().ok_or(Error::NotFound)?;
    let open = grants::store::visible(tx, access, link, T::grants(), &[id.any()])?;
    // The row of what is closed is not read: a long text would show in the time that it is there.
    let sections = open.get(&id.any()).copied().filter(|sections| !sections.is_empty()).ok_or(Error::NotFound)?;
    let row = T::Table::list_done(tx, access, &[id.any()])?.pop().ok_or(Error::NotFound)?;
    access.returns(id.uuid());
    Ok((row, sections))
}

/// Records that the calling therapist has opened an item; the first time counts.
///
/// # Errors
///
/// [`Error::NotFound`] when they may not see it.
pub fn mark_opened<T: Item>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    id: Id<T::Id>,
    ids: &Entropy,
) -> Result<Timestamp> {
    let _visible = get_shared::<T, _>(tx, access, id)?;
    grants::receipts::opened(tx, access, (T::ENTITY, id.any()), ids)
}
