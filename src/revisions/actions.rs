//! What is done to everything that keeps its revisions: reading, changing, deleting, bringing back, restoring, sharing.
//!
//! A slice implements [`Kept`] for its things and has these use cases. They hold what all such things promise: the same
//! request again changes nothing, a precondition is judged in the unit, what is replaced is kept, and what was deleted
//! or restored is open to nobody.

use jiff::{SignedDuration, Timestamp};

use super::model::{Parts, Section as _};
use super::store;
use crate::care::grants::{self, Sections};
use crate::care::{Access, Write};
use crate::changes::{self, Change, Entity, Op};
use crate::db::Tx;
use crate::http::{EntityTag, Preconditions};
use crate::kernel::id::Patient;
use crate::kernel::{Error, Id, Result};
use crate::vault::Keys;

/// How long what was deleted can be brought back.
pub const UNDO: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Something that keeps its revisions, as it is stored.
#[derive(Clone, Debug)]
pub struct Row<K, P> {
    /// Its id.
    pub id: Id<K>,
    /// Its version.
    pub version: i64,
    /// Its sealed parts.
    pub parts: P,
    /// When it arrived.
    pub received_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
}

type RowOf<T> = Row<<T as Kept>::Kind, <T as Kept>::Parts>;
type Sealed<T> = (<T as Kept>::Parts, Vec<<<T as Kept>::Parts as Parts>::Section>);

/// A kind of thing that keeps its revisions.
pub trait Kept: Sized {
    /// What its ids point to.
    type Kind: Clone + 'static;
    /// Its sealed parts.
    type Parts: Parts;
    /// What it says.
    type Content: Clone + PartialEq;

    /// What its changes are of.
    const ENTITY: Entity;
    /// The sections that can be opened to a reader.
    const SECTIONS: Sections;

    /// The thing of that id, deleted or not.
    fn find<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Self::Kind>) -> Result<Option<RowOf<Self>>>;
    /// The thing of that id, if it is there and done: what a reader may see something of.
    fn find_done<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Self::Kind>) -> Result<Option<RowOf<Self>>>;
    /// Puts `row` in the place of what is stored.
    fn update(tx: &mut Tx<'_>, access: &Access<Write>, row: &RowOf<Self>, content: &Self::Content) -> Result<()>;
    /// Marks it deleted, or not deleted any more.
    fn mark_deleted(tx: &mut Tx<'_>, access: &Access<Write>, row: &RowOf<Self>) -> Result<()>;
    /// Opens all of it.
    fn content(keys: &Keys, patient: Id<Patient>, id: Id<Self::Kind>, parts: &Self::Parts) -> Result<Self::Content>;
    /// The parts after a change from one content to another that makes it `version`, and which of them changed.
    fn sealed(
        access: &Access<Write>,
        row: &RowOf<Self>,
        change: (&Self::Content, &Self::Content),
        version: i64,
    ) -> Result<Sealed<Self>>;
    /// Refuses what the old content may not become.
    fn check(tx: &mut Tx<'_>, access: &Access<Write>, old: &Self::Content, new: &Self::Content) -> Result<()>;
    /// Tells others what follows from a change.
    fn tell(
        tx: &mut Tx<'_>,
        access: &Access<Write>,
        id: Id<Self::Kind>,
        change: (&Self::Content, &Self::Content),
    ) -> Result<()>;
    /// Tells others that it is gone, or back, or open to nobody any more.
    fn tell_gone(tx: &mut Tx<'_>, access: &Access<Write>, row: &RowOf<Self>) -> Result<()>;
    /// `restored` in the state (draft or done) in which it is now.
    fn in_state_of(now: &Self::Content, restored: Self::Content) -> Self::Content;

    /// It, for its owner.
    ///
    /// # Errors
    ///
    /// [`Error::Deleted`] while it can be brought back, [`Error::NotFound`] after that and when it never was.
    fn get<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Self::Kind>) -> Result<RowOf<Self>> {
        let row = Self::find(tx, access, id)?.ok_or(Error::NotFound)?;
        match row.deleted_at {
            None => Ok(row),
            Some(at) if is_gone(at, access.now()) => Err(Error::NotFound),
            Some(_) => Err(Error::Deleted),
        }
    }

    /// Replaces `row` by `new` under the number `number`. The body that created it, sent again, changes nothing; nor
    /// does the present state.
    ///
    /// # Errors
    ///
    /// [`Error::Deleted`]; [`Error::PreconditionRequired`] and [`Error::Stale`] by the preconditions; what
    /// [`Self::check`] refuses.
    fn replace(
        tx: &mut Tx<'_>,
        access: &Access<Write>,
        number: i64,
        row: RowOf<Self>,
        new: &Self::Content,
        if_: &Preconditions,
    ) -> Result<RowOf<Self>> {
        if row.deleted_at.is_some() {
            return Err(Error::Deleted);
        }
        let old = content_of::<Self, _>(access, &row)?;
        let first = || at_version::<Self, _>(tx, access, &row, 1);
        if !if_.replaces(&EntityTag::version(row.version), (&old, new), first)? {
            return Ok(row);
        }
        revise::<Self>(tx, access, number, &row, (&old, new), Op::Update)
    }

    /// Changes it by a merge patch. A patch that changes nothing is done, whatever the precondition.
    ///
    /// # Errors
    ///
    /// As [`Self::replace`], [`Self::get`]; what `patched` refuses.
    fn patch(
        tx: &mut Tx<'_>,
        access: &Access<Write>,
        id: Id<Self::Kind>,
        patched: impl FnOnce(&Self::Content) -> Result<Self::Content>,
        if_: &Preconditions,
    ) -> Result<RowOf<Self>> {
        let number = changes::take(tx, access.patient(), 1)?;
        let row = Self::get(tx, access, id)?;
        let old = content_of::<Self, _>(access, &row)?;
        let new = patched(&old)?;
        if old == new {
            return Ok(row);
        }
        if_.require(&EntityTag::version(row.version))?;
        revise::<Self>(tx, access, number, &row, (&old, &new), Op::Update)
    }

    /// Deletes it; deleted again, nothing changes.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Stale`] when a precondition does not hold.
    fn delete(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Self::Kind>, if_: &Preconditions) -> Result<()> {
        let number = changes::take(tx, access.patient(), 1)?;
        let row = Self::find(tx, access, id)?.ok_or(Error::NotFound)?;
        if row.deleted_at.is_some() {
            return Ok(());
        }
        if_.check(Some(&EntityTag::version(row.version)))?;
        let now = access.now();
        let row = Row { version: row.version + 1, deleted_at: Some(now), updated_at: now, ..row };
        Self::mark_deleted(tx, access, &row)?;
        record::<Self>(tx, access, number, &row, Op::Delete)?;
        Self::tell_gone(tx, access, &row)
    }

    /// Brings it back, opened to nobody; what is not deleted stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when it never was, or was deleted too long ago.
    fn undelete(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Self::Kind>) -> Result<RowOf<Self>> {
        let number = changes::take(tx, access.patient(), 1)?;
        let row = Self::find(tx, access, id)?.ok_or(Error::NotFound)?;
        match row.deleted_at {
            None => return Ok(row),
            Some(at) if is_gone(at, access.now()) => return Err(Error::NotFound),
            Some(_) => {}
        }
        let row = Row { version: row.version + 1, deleted_at: None, updated_at: access.now(), ..row };
        Self::mark_deleted(tx, access, &row)?;
        grants::drop_item(tx, access, id.any())?;
        record::<Self>(tx, access, number, &row, Op::Undelete)?;
        Self::tell_gone(tx, access, &row)?;
        Ok(row)
    }

    /// Its parts as they were in `version`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there was no such version.
    fn parts_at<A>(tx: &mut Tx<'_>, access: &Access<A>, row: &RowOf<Self>, version: i64) -> Result<Self::Parts> {
        if !(1..=row.version).contains(&version) {
            return Err(Error::NotFound);
        }
        let kept = store::list(tx, access, row.id.any(), version)?;
        Ok(row.parts.clone().back_to(version, &kept))
    }

    /// Makes what it said in `version` its present state, opened to nobody. It stays done if it is done.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there was no such version; [`Error::Deleted`]; [`Error::Stale`] when a precondition
    /// does not hold.
    fn restore(
        tx: &mut Tx<'_>,
        access: &Access<Write>,
        id: Id<Self::Kind>,
        version: i64,
        if_: &Preconditions,
    ) -> Result<RowOf<Self>> {
        let number = changes::take(tx, access.patient(), 1)?;
        let row = Self::get(tx, access, id)?;
        let old = content_of::<Self, _>(access, &row)?;
        let new = Self::in_state_of(&old, at_version::<Self, _>(tx, access, &row, version)?);
        if old == new {
            return Ok(row);
        }
        if_.check(Some(&EntityTag::version(row.version)))?;
        revise::<Self>(tx, access, number, &row, (&old, &new), Op::Restore)
    }

    /// What a reader sees of it: the row, and which sections are open to them.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when they may see nothing of it, or it is not there.
    fn get_shared<A>(tx: &mut Tx<'_>, access: &Access<A>, id: Id<Self::Kind>) -> Result<(RowOf<Self>, Sections)> {
        let link = access.link().ok_or(Error::NotFound)?;
        let open = grants::store::visible(tx, access, link, Self::SECTIONS, &[id.any()])?;
        let sections = open.get(&id.any()).copied().unwrap_or_default();
        let row = Self::find_done(tx, access, id)?;
        let row = row.filter(|_| !sections.is_empty()).ok_or(Error::NotFound)?;
        access.returns(id.uuid());
        Ok((row, sections))
    }

    /// Notes that the therapist at work has opened it; the first time counts.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when they may not see it.
    fn mark_opened(tx: &mut Tx<'_>, access: &Access<Write>, id: Id<Self::Kind>) -> Result<Timestamp> {
        let _visible = Self::get_shared(tx, access, id)?;
        grants::store::insert_opening(tx, access, id.any(), access.account()?)
    }
}

fn is_gone(deleted_at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(deleted_at) >= UNDO
}

fn content_of<T: Kept, A>(access: &Access<A>, row: &RowOf<T>) -> Result<T::Content> {
    T::content(access.keys()?, access.patient(), row.id, &row.parts)
}

fn at_version<T: Kept, A>(tx: &mut Tx<'_>, access: &Access<A>, row: &RowOf<T>, version: i64) -> Result<T::Content> {
    let parts = T::parts_at(tx, access, row, version)?;
    T::content(access.keys()?, access.patient(), row.id, &parts)
}

/// Makes `new` the present state, and keeps what it replaces.
fn revise<T: Kept>(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    number: i64,
    row: &RowOf<T>,
    (old, new): (&T::Content, &T::Content),
    op: Op,
) -> Result<RowOf<T>> {
    T::check(tx, access, old, new)?;
    let version = row.version + 1;
    let (parts, changed) = T::sealed(access, row, (old, new), version)?;
    for section in changed {
        let part = row.parts.get(section);
        if part.rev > 0 {
            store::insert(tx, access, row.id.any(), (section.number(), part), version)?;
        }
    }
    let row = Row { version, parts, updated_at: access.now(), ..row.clone() };
    T::update(tx, access, &row, new)?;
    record::<T>(tx, access, number, &row, op)?;
    if op == Op::Restore {
        grants::drop_item(tx, access, row.id.any())?;
        T::tell_gone(tx, access, &row)?;
    } else {
        T::tell(tx, access, row.id, (old, new))?;
    }
    Ok(row)
}

/// Writes the change row.
///
/// # Errors
///
/// When the database cannot be written.
pub fn record<T: Kept>(tx: &mut Tx<'_>, access: &Access<Write>, number: i64, row: &RowOf<T>, op: Op) -> Result<()> {
    let change = Change::new(T::ENTITY, row.id, row.version, op);
    changes::insert(tx, access.patient(), number, access.actor(), access.now(), &[change])
}
